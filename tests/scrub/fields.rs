//! `RequestHeader` in a target's block: mod_headers changes the fields of this target's copies alone.

use super::{Scrubbed, Seen};
use crate::client::request_with;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Received, Staging};

on_each_mpm!(fields_are_changed_for_this_target_alone, a_target_alone_gets_what_is_made_for_it);

fn scrubbed(mpm: Mpm, block: &str) -> Scrubbed {
    Scrubbed::more(mpm, block, |builder| builder.modules(&["headers", "setenvif"]))
}

/// A request with these fields, content included.
fn asking(fields: &str, content: &[u8]) -> Vec<u8> {
    let request = request_with("POST", "/path?query", content);
    let request = String::from_utf8(request).unwrap();
    request.replacen("Content-Length", &format!("{fields}Content-Length"), 1).into_bytes()
}

fn others_are_as_sent(seen: &Seen, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        for all in [&seen.plain, &seen.origin] {
            assert_eq!(all.field(name).as_deref(), Some(*value), "{name} in {all:?}");
        }
    }
}

fn fields_are_changed_for_this_target_alone(mpm: Mpm) {
    let scrubbed = scrubbed(
        mpm,
        "RequestHeader unset Cookie\nRequestHeader set X-New \"from %{REQUEST_METHOD}s\"\nRequestHeader append X-List two\n\
         RequestHeader edit X-Edit secret hidden\nRequestHeader set X-Env yes env=SPECIAL\n\
         RequestHeader set X-Expr yes \"expr=req('X-Same') =~ /^sa/\"",
    );
    let fields = "Cookie: session=1\r\nX-List: one\r\nX-Edit: a secret\r\nX-Same: same\r\n";
    for content in [&b""[..], b"small", &[b'x'; 200_000]] {
        let seen = scrubbed.see(asking(fields, content));
        let of = |name| seen.scrubbed.field(name);
        assert_eq!(of("Cookie"), None);
        assert_eq!(of("X-List").as_deref(), Some("one, two"));
        assert_eq!(of("X-Edit").as_deref(), Some("a hidden"));
        assert_eq!(of("X-Expr").as_deref(), Some("yes"));
        assert_eq!((of("X-Env"), of("X-Same").as_deref()), (None, Some("same")));
        assert_eq!(of("Host"), Some(scrubbed.scrubbed.authority()));
        assert!(of("X-Forwarded-For").is_some() && of("X-New").is_some());
        assert!(seen.scrubbed.content == content && seen.plain.content == content);
        assert_eq!(seen.plain.field("X-New"), None);
        others_are_as_sent(
            &seen,
            &[("Cookie", "session=1"), ("X-List", "one"), ("X-Edit", "a secret")],
        );
    }
    let status = scrubbed.server.settled(6);
    assert_eq!(status.sum("delivered.2xx"), 6, "{status}");
}

#[test]
fn content_of_unknown_length_has_its_length_in_each_copy() {
    let scrubbed = scrubbed(Mpm::Event, "RequestHeader unset Cookie");
    let mut request = b"POST /chunked HTTP/1.1\r\nHost: www.example.com\r\nCookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in [&b"hello "[..], b"world", &[b'x'; 100_000]] {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let seen = scrubbed.see(request);
    assert_eq!(seen.scrubbed.content.len(), 100_011);
    assert!(seen.scrubbed.content == seen.plain.content);
    assert_eq!(seen.scrubbed.field("Content-Length").as_deref(), Some("100011"));
    assert_eq!(
        (seen.scrubbed.field("Cookie"), seen.plain.field("Cookie").as_deref()),
        (None, Some("a=b"))
    );
}

#[test]
fn conditions_in_a_block_leave_productions_answer_as_it_is() {
    let scrubbed =
        scrubbed(Mpm::Event, "RequestHeader set X-New 1 \"expr=req('Accept-Language') == 'de'\"");
    let request = "GET / HTTP/1.1\r\nHost: www.example.com\r\nAccept-Language: de\r\n\r\n";
    let answer = scrubbed.server.client().exchange(request);
    assert_eq!((answer.status, answer.field("Vary")), (200, None));
    assert_eq!(scrubbed.scrubbed.wait_for(1)[0].field("X-New").as_deref(), Some("1"));
    scrubbed.server.settled(2);
}

/// The request line and the field lines, but for the target's own name.
fn head_of(received: &Received, target: &Staging) -> String {
    String::from_utf8_lossy(&received.head).replace(&target.authority(), "staging")
}

#[test]
fn what_changes_nothing_leaves_every_byte_in_its_place() {
    let scrubbed =
        scrubbed(Mpm::Event, "RequestHeader unset X-None\nRequestHeader set X-Some 1 env=NEVER");
    let fields = "accept: a,b\r\nX-Twice: 1\r\nCookie: c=d\r\nx-TWICE: 2\r\nX-Empty:\r\n";
    for content in [&b""[..], b"small", &[b'x'; 200_000]] {
        let seen = scrubbed.see(asking(fields, content));
        let heads =
            [head_of(&seen.scrubbed, &scrubbed.scrubbed), head_of(&seen.plain, &scrubbed.plain)];
        assert_eq!(heads[0], heads[1]);
    }
}

/// In whatever way it was changed: as many fields, fewer, or more.
#[test]
fn what_production_makes_of_a_request_is_not_in_an_edited_copy() {
    for production in [
        "RequestHeader edit Cookie secret shown",
        "RequestHeader unset Cookie",
        "RequestHeader set X-Production yes",
        "RequestHeader edit Cookie secret shown early",
        "RequestHeader set X-Production yes early",
        "RequestHeader unset Cookie\nRequestHeader set X-Production yes",
    ] {
        let scrubbed = Scrubbed::more(Mpm::Event, "RequestHeader append X-List two", |builder| {
            builder.modules(&["headers"]).vhost(production)
        });
        let seen = scrubbed.see(asking("X-List: one\r\nCookie: secret\r\n", b"small"));
        let of = |name| seen.scrubbed.field(name);
        assert_eq!(of("Cookie").as_deref(), Some("secret"), "{production}");
        assert_eq!(of("X-List").as_deref(), Some("one, two"), "{production}");
        assert_eq!(of("X-Production"), None, "{production}");
        let changed = (seen.origin.field("Cookie"), seen.origin.field("X-Production"));
        assert_ne!(changed, (Some("secret".to_owned()), None), "{production}");
        assert_eq!(seen.origin.field("X-List").as_deref(), Some("one"), "{production}");
        let lines = [&seen.scrubbed, &seen.plain].map(|copy| {
            let head = String::from_utf8_lossy(&copy.head).into_owned();
            head.lines()
                .map(|line| line.split(':').next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        });
        assert_eq!(lines[0], lines[1], "{production}");
    }
}

#[test]
fn a_host_that_is_set_is_what_staging_sees() {
    let scrubbed = scrubbed(Mpm::Event, "RequestHeader set Host next.example.com");
    let seen = scrubbed.see("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    assert_eq!(seen.scrubbed.field("Host").as_deref(), Some("next.example.com"));
    assert_eq!(seen.scrubbed.field("X-Forwarded-Host").as_deref(), Some("next.example.com"));
    assert_eq!(seen.plain.field("Host"), Some(scrubbed.plain.authority()));
}

#[test]
fn a_block_may_do_without_the_added_fields() {
    let scrubbed =
        scrubbed(Mpm::Event, "CopyAddHeaders Off\nRequestHeader unset Cookie\nCopyMask query a");
    let seen = scrubbed.see("GET /?a=1 HTTP/1.1\r\nHost: www.example.com\r\nCookie: a=b\r\n\r\n");
    for name in ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"] {
        assert_eq!((seen.scrubbed.field(name), seen.plain.field(name).is_some()), (None, true));
    }
    assert_eq!(seen.scrubbed.request_line(), "GET /?a=*** HTTP/1.1");
    assert_eq!(seen.scrubbed.field("Cookie"), None);
}

#[test]
fn changes_last_over_restarts() {
    let scrubbed = scrubbed(Mpm::Event, "RequestHeader unset Cookie");
    for _ in 0..3 {
        let seen = scrubbed.see("GET / HTTP/1.1\r\nHost: www.example.com\r\nCookie: a=b\r\n\r\n");
        assert_eq!(
            (seen.scrubbed.field("Cookie"), seen.plain.field("Cookie").is_some()),
            (None, true)
        );
        scrubbed.server.graceful();
    }
}

#[test]
fn what_mod_headers_does_not_take_is_no_configuration() {
    for (modules, line, said) in [
        (&[][..], "RequestHeader unset Cookie", "Invalid command 'RequestHeader'"),
        (
            &["headers"],
            "RequestHeader set A b early",
            "RequestHeader: early has no meaning in <CopyTarget>",
        ),
        (&["headers"], "RequestHeader nonsense A", "first argument must be"),
    ] {
        let builder = Server::on(Mpm::Event)
            .modules(modules)
            .vhost(format!("<CopyTarget http://127.0.0.1:1/>\n{line}\n</CopyTarget>"));
        let verdict = builder.configtest();
        assert!(!verdict.passed && verdict.stderr.contains(said), "{line}\n{}", verdict.stderr);
    }
}

#[test]
fn changed_and_masked_copies_have_their_content() {
    let scrubbed = scrubbed(
        Mpm::Event,
        "RequestHeader unset Cookie\nRequestHeader set Content-Length 3\nCopyMask query a\nCopyMask json password",
    );
    for content in [&b"hello"[..], &[b'x'; 100_000]] {
        let request = request_with("POST", "/?a=1", content);
        let request = String::from_utf8(request).unwrap().replacen(
            "Content-Length",
            "Cookie: a=b\r\nContent-Length",
            1,
        );
        let seen = scrubbed.see(&request);
        assert!(seen.scrubbed.content == content && seen.plain.content == content);
        assert_eq!(seen.scrubbed.request_line(), "POST /?a=*** HTTP/1.1");
        assert_eq!(seen.scrubbed.field("Content-Length"), Some(content.len().to_string()));
        assert_eq!(seen.scrubbed.field("Cookie"), None);
    }
}

fn a_target_alone_gets_what_is_made_for_it(mpm: Mpm) {
    let (origin, staging) = (Staging::start(), Staging::start());
    let server = Server::on(mpm)
        .modules(&["headers"])
        .proxy(&origin)
        .vhost(format!(
            "<CopyTarget {}>\nRequestHeader unset Cookie\nRequestHeader unset X-Mod-Copy\n</CopyTarget>",
            staging.url("/")
        ))
        .start();
    let contents = [&b""[..], b"small", &[b'x'; 200_000]];
    for (sent, content) in contents.into_iter().enumerate() {
        server.client().exchange(asking("Cookie: session=1\r\n", content));
        let copy = staging.wait_for(sent + 1).pop().unwrap();
        assert_eq!(copy.field("Cookie"), None);
        assert!(copy.content == content);
    }
    // What a client sends is known for our own copy before anything of it is changed.
    let mark = staging.wait_for(3)[0].field("X-Mod-Copy").unwrap();
    server.client().exchange(asking(&format!("X-Mod-Copy: {mark}\r\n"), b""));
    let status = server.settled(3);
    assert_eq!(status.sum("not_copied.loop"), 1, "{status}");
    assert_eq!((status.sum("delivered.2xx"), origin.wait_for(4).len()), (3, 4), "{status}");
}
