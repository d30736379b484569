//! `<CopyTarget>` … `</CopyTarget>`: what may stand in it, and for whom it holds.

use super::Scrubbed;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::{Mode, Staging};

#[test]
fn directives_in_a_block_hold_for_its_target_alone() {
    let scrubbed = Scrubbed::with(Mpm::Event, "CopyPreserveHost On");
    let seen = scrubbed.see("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    assert_eq!(seen.scrubbed.field("Host").as_deref(), Some("www.example.com"));
    assert_eq!(seen.plain.field("Host"), Some(scrubbed.plain.authority()));
}

#[test]
fn a_blocks_timeout_goes_before_the_servers() {
    let scrubbed = Scrubbed::more(Mpm::Event, "CopyTimeout 200ms", |builder| {
        builder.vhost("CopyTimeout 20s").expect("CPY0103:")
    });
    scrubbed.scrubbed.set(Mode::Stalled);
    scrubbed.server.client().get("/");
    let status = scrubbed.server.settled(2);
    assert_eq!(status.target("scrubbed").count("failed.timeout"), 1, "{status}");
    assert_eq!(status.target("plain").count("delivered.2xx"), 1, "{status}");
}

#[test]
fn conditional_sections_and_defined_variables_are_httpds_own() {
    let block = "<IfModule mod_copy.c>\nCopyMask query ${SECRET}\n</IfModule>\n<IfDefine NEVER>\nNonsense\n</IfDefine>";
    let scrubbed =
        Scrubbed::more(Mpm::Event, block, |builder| builder.global("Define SECRET token"));
    let seen = scrubbed.see("GET /?token=1 HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    assert_eq!(seen.scrubbed.request_line(), "GET /?token=*** HTTP/1.1");
}

#[test]
fn a_block_has_the_keys_of_a_line() {
    let staging = Staging::start();
    let target = format!("<CopyTarget \"{}\" name=blocked methods=POST>", staging.url("/v1"));
    let server = Server::on(Mpm::Event)
        .file("htdocs/a", "a")
        .vhost(format!(
            "{target}\n</CopyTarget>\n<Location /b>\nMirrorRequest blocked\n</Location>"
        ))
        .start();
    server.client().get("/a");
    server
        .client()
        .exchange("POST /a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(staging.wait_for(1)[0].request_line(), "POST /v1/a HTTP/1.1");
    let status = server.settled(1);
    assert_eq!(status.target("blocked").count("not_copied.method"), 1, "{status}");
}

/// What is wrong in a virtual host, the line in it that is named, counted from 1, and what is said.
const WRONG: &[(&str, usize, &str)] = &[
    ("<CopyTarget>\n</CopyTarget>", 1, "<CopyTarget: expected a URL with its scheme"),
    (
        "<CopyTarget http://s/\n</CopyTarget>",
        1,
        "<CopyTarget: expected a > at the end of the line, found 'http://s/'",
    ),
    (
        "<CopyTarget http://s/ max=x>\n</CopyTarget>",
        1,
        "<CopyTarget: max=: expected a number from 1 to 10000, found 'x'",
    ),
    (
        "<CopyTarget http://s/>\nCopyMask json\n</CopyTarget>",
        2,
        "CopyMask: expected a name to mask, found nothing",
    ),
    ("<CopyTarget http://s/>\nCopyTimeout x\n</CopyTarget>", 2, "CopyTimeout: expected a time"),
    (
        "<CopyTarget http://s/ timeout=3>\n\nCopyTimeout 4\n</CopyTarget>",
        3,
        "CopyTimeout: expected one of this and timeout=",
    ),
    (
        "<CopyTarget http://s/>\nCopyMemory 1M\n</CopyTarget>",
        2,
        "CopyMemory is not allowed in <CopyTarget>",
    ),
    (
        "<CopyTarget http://s/>\nHeader set A b\n</CopyTarget>",
        2,
        "Header is not allowed in <CopyTarget>",
    ),
    (
        "<CopyTarget http://s/>\nRequestHeader unset A \"expr=-F %{REQUEST_URI}\"\n</CopyTarget>",
        2,
        "RequestHeader: expr=: -F, -U and -A run subrequests, for which production would wait, in '-F %{REQUEST_URI}'",
    ),
    (
        "<CopyTarget http://s/>\nRequestHeader set A b \"EXPR=-f '/a'\"\n</CopyTarget>",
        2,
        "RequestHeader: expr=: -f not available in restricted context, in '-f '/a''",
    ),
    (
        "<CopyTarget http://s/>\nCopyTimeout 4\nRequestHeader set A expr=%{REMOTE_HOST}\n</CopyTarget>",
        3,
        "RequestHeader: expr=: REMOTE_HOST and REMOTE_IDENT ask over the network",
    ),
    (
        "<CopyTarget http://s/>\nRequestHeader edit* A b \"expr=%{file:/a}\"\n</CopyTarget>",
        2,
        "RequestHeader: expr=: file not available in restricted context, in '%{file:/a}'",
    ),
    (
        "<CopyTarget http://s/>\nRequestHeader edit A b c expr=%{REMOTE_IDENT}=='a'\n</CopyTarget>",
        2,
        "RequestHeader: expr=: REMOTE_HOST and REMOTE_IDENT ask over the network",
    ),
    (
        "<CopyTarget http://s/>\nRequire all granted\n</CopyTarget>",
        2,
        "Require is not allowed in <CopyTarget>",
    ),
    (
        "<CopyTarget http://s/>\nCopyTarget http://t/\n</CopyTarget>",
        2,
        "CopyTarget is not allowed in <CopyTarget>",
    ),
    (
        "<CopyTarget http://s/>\n<Location /a>\n</Location>\n</CopyTarget>",
        2,
        "<Location is not allowed in <CopyTarget>",
    ),
    (
        "<Location /a>\n<CopyTarget http://s/>\n</CopyTarget>\n</Location>",
        2,
        "<CopyTarget not allowed in <Location> context",
    ),
    ("<CopyTarget http://s/>", 2, "Expected </CopyTarget> but saw </VirtualHost>"),
];

#[test]
fn what_means_nothing_in_a_block_is_refused_with_its_line() {
    for (lines, line, said) in WRONG {
        let builder = Server::on(Mpm::Event).modules(&["headers"]).vhost(lines);
        builder.write();
        let conf = builder.root().join("httpd.conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        let first = lines.lines().next().unwrap();
        let begin = text.lines().position(|written| written == first).unwrap();
        let verdict = builder.configtest();
        assert!(!verdict.passed, "{lines}");
        let named = format!("line {} of {}", begin + line, conf.display());
        assert!(verdict.stderr.contains(said), "{lines}\n{}", verdict.stderr);
        assert!(verdict.stderr.contains(&named), "{named}: {lines}\n{}", verdict.stderr);
    }
}
