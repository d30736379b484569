//! `CopyMask`, on a real httpd: staging sees what it may, production and the other target see all.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::{Scrubbed, Seen, post};
use crate::client::{Client, request_with};
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::{PATIENCE, poll};

on_each_mpm!(each_place_is_masked_for_this_target_alone);

fn each_place_is_masked_for_this_target_alone(mpm: Mpm) {
    let scrubbed = Scrubbed::with(
        mpm,
        "CopyMask query token drop\nCopyMask form password fixed:XXX\nCopyMask json $.user.email secret\n\
         CopyMask cookie session drop\nCopyMask header X-Api-Key drop\nCopyMask header X-Client fixed",
    );
    let fields = "Cookie: a=1; session=s3cr3t; b=2\r\nX-Api-Key: s3cr3t\r\nX-Client: s3cr3t\r\n";
    let get =
        format!("GET /p?a=1&token=s3cr3t&b=2 HTTP/1.1\r\nHost: www.example.com\r\n{fields}\r\n");
    let seen = scrubbed.see(&get);
    assert_eq!(seen.scrubbed.request_line(), "GET /p?a=1&b=2 HTTP/1.1");
    assert_eq!(seen.scrubbed.field("Cookie").as_deref(), Some("a=1; b=2"));
    assert_eq!(seen.scrubbed.field("X-Api-Key"), None);
    assert_eq!(seen.scrubbed.field("X-Client").as_deref(), Some("***"));
    assert!(!seen.scrubbed.head_without_mark().contains("s3cr3t"));
    others_see_all(&seen, "GET /p?a=1&token=s3cr3t&b=2 HTTP/1.1", b"");

    let form = b"name=x&password=s3cr3t&again=y";
    let seen = scrubbed.see(post("/form", "application/x-www-form-urlencoded", form));
    assert_eq!(seen.scrubbed.content, b"name=x&password=XXX&again=y");
    assert_eq!(seen.scrubbed.field("Content-Length").as_deref(), Some("27"));
    others_see_all(&seen, "POST /form HTTP/1.1", form);

    let json =
        br#"{"user": {"email": "a@b.c", "id": 1.0},  "list":[{"secret":[1,2]}], "email":"stays"}"#;
    let seen = scrubbed.see(post("/json", "application/json; charset=utf-8", json));
    let expected =
        br#"{"user": {"email": "***", "id": 1.0},  "list":[{"secret":"***"}], "email":"stays"}"#;
    assert_eq!(String::from_utf8_lossy(&seen.scrubbed.content), String::from_utf8_lossy(expected));
    others_see_all(&seen, "POST /json HTTP/1.1", json);
    let status = scrubbed.server.settled(6);
    assert_eq!(status.sum("delivered.2xx"), 6, "{status}");
}

/// Whether httpd joins them, as it does what clients send, or a block adds one.
#[test]
fn each_line_of_a_name_is_masked() {
    for (action, expected) in [("drop", None), ("fixed", Some("***"))] {
        let block = format!(
            "RequestHeader add Proxy-Authorization s3cr3t\nCopyMask header Proxy-Authorization {action}"
        );
        let more = |builder: Builder| builder.modules(&["headers"]);
        let scrubbed = Scrubbed::more(Mpm::Event, &block, more);
        let fields =
            "Proxy-Authorization: s3cr3t1\r\nAccept: */*\r\nproxy-authorization: s3cr3t2\r\n";
        let seen = scrubbed.see(format!("GET / HTTP/1.1\r\nHost: www.example.com\r\n{fields}\r\n"));
        let head = seen.scrubbed.head_without_mark();
        assert!(!head.contains("s3cr3t"), "{head}");
        assert_eq!(seen.scrubbed.field("Proxy-Authorization").as_deref(), expected);
        assert_eq!(
            seen.plain.field("Proxy-Authorization").as_deref(),
            Some("s3cr3t1, s3cr3t2"),
            "{head}"
        );
    }
}

fn others_see_all(seen: &Seen, request_line: &str, content: &[u8]) {
    for all in [&seen.plain, &seen.origin] {
        assert_eq!(all.request_line(), request_line);
        assert!(all.content == content);
        let has = |field: &str| seen.origin.field(field) == all.field(field);
        assert!(has("Cookie") && has("X-Api-Key") && has("X-Client"), "{all:?}");
    }
}

#[test]
fn what_cannot_be_masked_is_dropped_and_said_without_a_word_of_it() {
    let scrubbed =
        Scrubbed::more(Mpm::Event, "CopyMask json password", |builder| builder.expect("CPY0119:"));
    let client = || Client::connect(scrubbed.server.port());
    let cut: &[u8] = br#"{"password": "s3cr3t", "#;
    for sent in 1..=4_u64 {
        assert_eq!(client().exchange(post("/", "application/json", cut)).status, 200);
        let status = scrubbed.server.settled(2 * sent);
        assert_eq!(status.target("scrubbed").count("dropped.unmaskable"), sent, "{status}");
        assert_eq!(status.target("plain").count("delivered.2xx"), sent, "{status}");
    }
    let encoded = request_with("POST", "/", b"\x1b\x01");
    let encoded = String::from_utf8_lossy(&encoded).replace(
        "Content-Length",
        "Content-Type: application/json\r\nContent-Encoding: br\r\nContent-Length",
    );
    client().exchange(encoded);
    assert_eq!(scrubbed.server.settled(10).sum("dropped.unmaskable"), 5);
    assert_eq!(scrubbed.scrubbed.count(), 0);
    let line = "CPY0119: a copy to scrubbed was dropped: unmaskable: its JSON is malformed";
    let logged = poll(PATIENCE, || (scrubbed.server.logged(line) == 3).then_some(()));
    assert!(logged.is_some(), "the 1st, 2nd and 4th of 5\n{}", scrubbed.server.logs());
    assert!(!scrubbed.server.error_log().contains("s3cr3t"));
}

#[test]
fn encoded_content_is_masked_and_encoded_again() {
    let scrubbed = Scrubbed::with(Mpm::Event, "CopyMask json password");
    let json = format!(r#"{{"password":"s3cr3t","rest":"{}"}}"#, "x".repeat(100_000));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json.as_bytes()).unwrap();
    let encoded = encoder.finish().unwrap();
    let mut request = format!(
        "POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\n\r\n",
        encoded.len()
    )
    .into_bytes();
    request.extend_from_slice(&encoded);
    let seen = scrubbed.see(request);
    assert!(seen.plain.content == encoded && seen.origin.content == encoded);
    let mut decoded = String::new();
    GzDecoder::new(&seen.scrubbed.content[..]).read_to_string(&mut decoded).unwrap();
    assert!(decoded == json.replace("s3cr3t", "***"));
}

#[test]
fn large_content_that_has_nothing_to_mask_is_the_same() {
    let scrubbed = Scrubbed::with(Mpm::Event, "CopyMask standard");
    let content: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
    let mut request = request_with("POST", "/?password=s3cr3t", &content);
    let seen = scrubbed.see(&request);
    assert!(seen.scrubbed.content == content && seen.plain.content == content);
    assert_eq!(seen.scrubbed.request_line(), "POST /?password=*** HTTP/1.1");
    // In pieces, of unknown length.
    request =
        b"POST /chunked HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for chunk in content.chunks(70_000) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    assert!(scrubbed.see(request).scrubbed.content == content);
}

#[test]
fn a_hash_is_the_same_wherever_the_value_stands_and_another_with_another_key() {
    let hash = |key: &str| {
        let block = "CopyMask query user hash\nCopyMask json user hash";
        let scrubbed = Scrubbed::more(Mpm::Event, block, |builder| {
            builder.secret("mask.key", key).global("CopyMaskKeyFile mask.key")
        });
        let seen = scrubbed.see(post(
            "/?user=alice%40b.c",
            "application/json",
            br#"{"user":"alice@b.c"}"#,
        ));
        let line = seen.scrubbed.request_line();
        let hash = line.strip_prefix("POST /?user=").unwrap().strip_suffix(" HTTP/1.1").unwrap();
        let json = String::from_utf8(seen.scrubbed.content).unwrap();
        assert_eq!(json, format!(r#"{{"user":"{hash}"}}"#));
        assert_eq!(hash.len(), 32);
        hash.to_owned()
    };
    let first = hash("a key of some twenty bytes\n");
    assert_eq!(hash("a key of some twenty bytes"), first);
    assert_ne!(hash("another key of some twenty"), first);
}

#[test]
fn without_a_key_file_hashes_last_over_graceful_restarts() {
    let scrubbed = Scrubbed::with(Mpm::Event, "CopyMask query user hash");
    let line = || {
        scrubbed
            .see("GET /?user=alice HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
            .scrubbed
            .request_line()
    };
    let before = line();
    scrubbed.server.graceful();
    assert_eq!(line(), before);
}

#[test]
fn a_key_that_others_may_read_is_no_configuration() {
    let builder = Server::on(Mpm::Event)
        .file("mask.key", "a key of some twenty bytes")
        .global("CopyMaskKeyFile mask.key");
    let path = builder.root().join("mask.key");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let verdict = builder.configtest();
    let expected = format!(
        "CopyMaskKeyFile: {}: expected a file that only its owner may read (mode 0600), found mode 0644",
        path.display()
    );
    assert!(!verdict.passed && verdict.stderr.contains(&expected), "{}", verdict.stderr);
}

#[test]
fn masks_of_the_server_the_virtual_host_and_the_block_add_up() {
    let scrubbed = Scrubbed::more(Mpm::Event, "CopyMask query c", |builder| {
        builder.global("CopyMask query a").vhost("CopyMask query b")
    });
    let seen = scrubbed.see("GET /?a=1&b=2&c=3 HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    assert_eq!(seen.scrubbed.request_line(), "GET /?a=***&b=***&c=*** HTTP/1.1");
    assert_eq!(seen.plain.request_line(), "GET /?a=***&b=***&c=3 HTTP/1.1");
    assert_eq!(seen.origin.request_line(), "GET /?a=1&b=2&c=3 HTTP/1.1");
}

#[test]
fn memory_that_masking_takes_is_counted() {
    // As much as the content takes as it is, and not as much again.
    let staging = Staging::start();
    let server = Server::on(Mpm::Event)
        .one_child()
        .global("CopyMemory 512K")
        .vhost(format!("CopyTarget {}\nCopyMask json password", staging.url("/")))
        .expect("CPY0112:")
        .start();
    let content = format!(r#"{{"password":"s3cr3t","rest":"{}"}}"#, "x".repeat(300_000));
    server.client().exchange(post("/", "application/json", content.as_bytes()));
    let status = server.settled(1);
    assert_eq!(status.sum("dropped.memory"), 1, "{status}");
    server.client().exchange(post("/", "application/json", br#"{"password":"s3cr3t"}"#));
    assert_eq!(server.settled(2).sum("delivered.2xx"), 1);
    assert_eq!(staging.wait_for(1)[0].content, br#"{"password":"***"}"#);
}

#[test]
fn a_mask_that_would_not_hold_for_an_inherited_target_is_no_configuration() {
    let target = "CopyTarget http://127.0.0.1:1/ name=staging";
    for (global, vhost, said) in [
        (target, "CopyMask form password", "expected no virtual host that inherits this target"),
        (target, "CopyMask form password\nMirrorRequest staging", "which is set otherwise at"),
        (target, "CopyTLSVerify Off", "expected no virtual host that inherits this target"),
    ] {
        let verdict = Server::on(Mpm::Event).global(global).vhost(vhost).configtest();
        assert!(!verdict.passed && verdict.stderr.contains(said), "{vhost}\n{}", verdict.stderr);
    }
    for (global, vhost) in [
        (target, "CopyMask form password\nCopyTarget http://127.0.0.1:1/ name=masked"),
        ("CopyMask form password\nCopyTarget http://127.0.0.1:1/", "CopyPreserveHost On"),
        ("CopyMask form password", target),
    ] {
        let verdict = Server::on(Mpm::Event).global(global).vhost(vhost).configtest();
        assert!(verdict.passed, "{vhost}\n{}", verdict.stderr);
    }
}
