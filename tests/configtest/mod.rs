//! Every wrong line stops `apachectl configtest` with its directive, file and line, what was expected and what found.

mod lines;

use lines::{WRONG_BLOCKS, WRONG_CONTEXTS, WRONG_LINES, WRONG_TOGETHER};

use mod_copy::config::DIRECTIVES;

use crate::mpm::Mpm;
use crate::server::Server;

/// What `-t` says of these lines in a file of their own, the file's name put as `FILE`.
fn told(lines: &str) -> String {
    let builder = Server::on(Mpm::Event).file("wrong.conf", format!("{lines}\n"));
    let file = builder.root().join("wrong.conf").display().to_string();
    let verdict = builder.global(format!("Include \"{file}\"")).configtest();
    assert!(!verdict.passed, "{lines}\n{}", verdict.stderr);
    verdict.stderr.replace(&file, "FILE")
}

#[test]
fn a_wrong_line_names_its_directive_what_was_expected_and_what_was_found() {
    for (line, message) in WRONG_LINES {
        assert_eq!(
            told(line),
            format!("AH00526: Syntax error on line 1 of FILE:\n{message}\n"),
            "{line}"
        );
    }
}

#[test]
fn a_wrong_block_names_its_line() {
    for (lines, message) in WRONG_BLOCKS {
        assert_eq!(
            told(lines),
            format!("AH00526: Syntax error on line 1 of FILE:\n{message}\n"),
            "{lines}"
        );
    }
}

#[test]
fn every_directive_has_a_row_of_wrong_use() {
    let used: Vec<&str> = [WRONG_LINES, WRONG_BLOCKS]
        .into_iter()
        .flatten()
        .filter_map(|(lines, _)| lines.split_whitespace().next())
        .collect();
    for directive in &DIRECTIVES {
        let name = directive.name.to_str().unwrap();
        assert!(used.contains(&name), "{name}: none of the wrong lines is one of it");
    }
}

#[test]
fn a_line_that_contradicts_another_is_wrong() {
    for (lines, message) in WRONG_TOGETHER {
        let line = lines.lines().count();
        assert_eq!(
            told(lines),
            format!("AH00526: Syntax error on line {line} of FILE:\n{message}\n"),
            "{lines}"
        );
    }
}

#[test]
fn a_directive_in_the_wrong_section_says_where_it_may_not_stand() {
    for (lines, line, message) in WRONG_CONTEXTS {
        assert_eq!(
            told(lines),
            format!("AH00526: Syntax error on line {line} of FILE:\n{message}\n"),
            "{lines}"
        );
    }
}

#[test]
fn an_unknown_name_is_told_once_the_whole_configuration_is_read() {
    let told = told("MirrorRequest beta\nCopyTarget http://staging/ name=alpha");
    let message = "CPY0001: MirrorRequest: expected On, Off, a URL, or the name of a CopyTarget, found 'beta' (FILE:1)";
    assert!(told.contains(message), "{told}");
}

#[test]
fn two_rules_for_a_target_in_a_scope_are_told() {
    let told = told(
        "CopyTarget http://staging/ name=alpha\nMirrorRequest alpha sample=10%\nMirrorRequest alpha sample=20%",
    );
    let message = "CPY0001: MirrorRequest: expected one rule for a target in the same scope, found 'alpha' (FILE:3)";
    assert!(told.contains(message), "{told}");
}

#[test]
fn the_same_rule_twice_is_one() {
    let lines = "CopyTarget http://a/ sample=5% \"expr=-R '10.0.0.0/8'\"";
    let selects = "MirrorRequest http://a/ rate=5/s\nMirrorRequest http://a/ rate=5/s";
    let verdict = Server::on(Mpm::Event)
        .global(lines)
        .vhost(format!("{lines}\n<Location \"/a\">\n{selects}\n</Location>"))
        .configtest();
    assert!(verdict.passed, "{}", verdict.stderr);
}

#[test]
fn a_log_that_cannot_be_a_file_is_told() {
    let folder = told("CopyLog /tmp");
    let message = "CPY0001: CopyLog: expected a file, and no directory, found '/tmp' (FILE:1)";
    assert!(folder.contains(message), "{folder}");
    let nowhere = told("CopyLog /nowhere/copy.log");
    let message = "CPY0001: CopyLog: expected a file in a directory that is there, found '/nowhere/copy.log' (FILE:1)";
    assert!(nowhere.contains(message), "{nowhere}");
}

#[test]
fn every_unknown_name_is_told() {
    let told = told(
        "MirrorRequest beta\n<Location \"/a\">\nMirrorRequest gamma http://staging/\n</Location>",
    );
    for message in ["found 'beta' (FILE:1)", "found 'gamma' (FILE:3)"] {
        assert!(told.contains(message), "{told}");
    }
}

#[test]
fn more_targets_than_there_are_counters_for_are_refused() {
    let lines = |count| {
        (0..count)
            .map(|at| format!("CopyTarget http://s/ name=t{at}"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let verdict = Server::on(Mpm::Event).global(lines(128)).configtest();
    assert!(verdict.passed, "{}", verdict.stderr);
    let told = told(&lines(129));
    assert!(
        told.contains("CopyTarget: expected at most 128 targets in a configuration, found 't128'"),
        "{told}"
    );
}

#[test]
fn a_mistake_in_the_configuration_keeps_httpd_from_starting_not_from_running() {
    let builder =
        Server::on(Mpm::Event).file("copy/one.conf", "CopyTarget http://127.0.0.1:1/ name=alpha\n");
    let folder = builder.root().join("copy");
    let server = builder.vhost(format!("IncludeOptional \"{}/*.conf\"", folder.display())).start();
    std::fs::write(folder.join("two.conf"), "MirrorRequest beta\n").unwrap();
    let verdict = crate::server::configtest(server.root());
    assert!(!verdict.passed && verdict.stderr.contains("found 'beta'"), "{}", verdict.stderr);
    std::fs::remove_file(folder.join("two.conf")).unwrap();
    assert!(crate::server::configtest(server.root()).passed);
}
