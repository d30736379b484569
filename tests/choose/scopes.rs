//! Rules in every scope, and what an inner scope inherits.

use crate::choose::Choice;
use crate::client::Client;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;

#[test]
fn each_kind_of_section_has_rules_of_its_own() {
    let lines = "CopyTarget STAGING name=staging methods=DELETE\n\
        <Location \"/location\">\nMirrorRequest staging methods=GET \"expr=req('X') == '1'\"\n</Location>\n\
        <Directory \"${HTDOCS}/directory\">\nMirrorRequest staging methods=GET \"expr=req('X') == '2'\"\n</Directory>\n\
        <Files \"*.txt\">\nMirrorRequest staging methods=GET \"expr=req('X') == '3'\"\n</Files>\n\
        <If \"%{QUERY_STRING} == 'if'\">\nMirrorRequest staging methods=GET \"expr=req('X') == '4'\"\n</If>";
    let choice = Choice::with(Mpm::Event, lines, |builder| {
        let htdocs = builder.root().join("htdocs").display().to_string();
        let files = ["location", "directory/b", "c.txt"];
        let builder = builder.global(format!("Define HTDOCS {htdocs}"));
        files.iter().fold(builder, |builder, file| builder.file(&format!("htdocs/{file}"), "x"))
    });
    for (path, number) in [("/location", 1), ("/directory/b", 2), ("/c.txt", 3), ("/a?if", 4)] {
        let fields = [1, 2, 3, 4].map(|number| format!("X: {number}\r\n"));
        let requests = fields.each_ref().map(|field| ("GET", path, field.as_str()));
        let mut expected = [0; 4];
        expected[number - 1] = 1;
        assert_eq!(choice.copies_of(&requests), expected, "{path}");
    }
    assert_eq!(choice.copies_of(&[("GET", "/a", "X: 1\r\n")]), [0], "the target's own rule");
}

/// How many copies of a request for `path` two targets get.
fn copies(server: &Server, stagings: &[Staging; 2], path: &str, fields: &str) -> [usize; 2] {
    let counts = || stagings.each_ref().map(Staging::count);
    let before = counts();
    let request = format!("GET {path} HTTP/1.1\r\nHost: www.example.com\r\n{fields}\r\n");
    assert_eq!(Client::connect(server.port()).exchange(request).status, 200);
    server.status_when("an outcome for each copy", |status| status.is_drained()).assert_promise_3();
    let after = counts();
    [0, 1].map(|at| after[at] - before[at])
}

#[test]
fn a_selection_has_rules_of_its_own_and_inherits_those_of_its_targets() {
    let stagings = [Staging::start(), Staging::start()];
    let [one, two] = stagings.each_ref().map(|staging| staging.url("/"));
    let lines = format!(
        "CopyTarget {one} name=one methods=GET env=a\nCopyTarget {two} name=two\n\
         <Location \"/both\">\nMirrorRequest one two env=b\n</Location>\n\
         <Location \"/each\">\nMirrorRequest one env=b\nMirrorRequest two methods=POST\n</Location>\n\
         <Location \"/always\">\nMirrorRequest one two expr=true\n</Location>\n\
         <Location \"/both/off\">\nMirrorRequest Off\n</Location>\n\
         <Location \"/both/off/on\">\nMirrorRequest On\n</Location>\n\
         <Location \"/both/host\">\nCopyPreserveHost On\n</Location>\n\
         <Location \"/url\">\nMirrorRequest {two} methods=POST\n</Location>\n\
         SetEnvIf X a a\nSetEnvIf X b b\n",
    );
    let paths = ["both", "both/off", "both/off/on", "both/host", "each", "always", "url", "none"];
    let builder = Server::on(Mpm::Event).modules(&["setenvif"]).vhost(lines);
    let builder =
        paths.iter().fold(builder, |builder, path| builder.file(&format!("htdocs/{path}/a"), "a"));
    let server = builder.start();
    for (path, fields, expected, why) in [
        ("/none/a", "X: a\r\n", [1, 1], "the targets' own rules"),
        ("/none/a", "X: b\r\n", [0, 1], "the targets' own rules"),
        ("/both/a", "X: a\r\n", [0, 0], "the selection's condition goes before the target's"),
        ("/both/a", "X: b\r\n", [1, 1], "the selection's condition goes before the target's"),
        ("/each/a", "X: ab\r\n", [1, 0], "two lines, two rules"),
        ("/always/a", "", [1, 1], "a condition that is always met"),
        ("/both/off/a", "X: b\r\n", [0, 0], "Off cancels"),
        ("/both/off/on/a", "X: b\r\n", [1, 1], "On brings back what was inherited, with its rules"),
        ("/both/off/on/a", "X: a\r\n", [0, 0], "On brings back what was inherited, with its rules"),
        ("/both/host/a", "X: b\r\n", [1, 1], "another directive replaces no rule"),
        ("/both/host/a", "X: a\r\n", [0, 0], "another directive replaces no rule"),
        ("/url/a", "X: a\r\n", [0, 0], "a URL is the target defined with it"),
    ] {
        assert_eq!(copies(&server, &stagings, path, fields), expected, "{path} {fields}{why}");
    }
    // methods=GET of the target's own line still holds where a selection says nothing of methods.
    let before = stagings[0].count();
    let posted = "POST /always/a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\n\r\n";
    Client::connect(server.port()).exchange(posted);
    let status = server.status_when("the POST", |status| status.sum("not_copied.method") >= 1);
    assert_eq!((stagings[0].count(), status.target("one").count("not_copied.method")), (before, 1));
}

#[test]
fn the_same_rule_in_two_virtual_hosts_is_one_target() {
    let staging = Staging::start();
    let line =
        format!("CopyTarget {} name=one sample=50% \"expr=req('X') == '1'\"", staging.url("/"));
    let server = Server::on(Mpm::Event)
        .file("htdocs/a", "a")
        .vhost(&line)
        .tail(format!("<VirtualHost 127.0.0.1:*>\nServerName other.test\n{line}\n</VirtualHost>"))
        .start();
    assert_eq!(server.client().get("/a").status, 200);
    assert_eq!(server.status().targets().len(), 1);
}
