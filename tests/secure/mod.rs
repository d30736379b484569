//! Staging behind TLS: a real httpd with mod_ssl, which may ask for a certificate and passes on what it is sent.
//!
//! ```text
//! authority.rs   a certification authority
//! relay.rs       what keeps handshakes from ending
//! staging.rs     the httpd with mod_ssl
//! ```

pub mod authority;
mod relay;
pub mod staging;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::client::request_with;
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;
use crate::status::Status;
use crate::tls::with_tls;
use crate::wait::{PATIENCE, poll};

use authority::Authority;
use relay::Relay;
use staging::Secure;

on_each_mpm!(copies_reach_staging_that_asks_for_a_certificate, https_production_and_staging);

/// Production that copies to the port by https, and names the files of an administrator.
fn production(mpm: Mpm, port: u16, lines: &str) -> Builder {
    Server::on(mpm)
        .vhost(format!("CopyTarget https://127.0.0.1:{port}/ name=staging max=1\n{lines}"))
}

fn copies_reach_staging_that_asks_for_a_certificate(mpm: Mpm) {
    let authority = Authority::named("staging's");
    let secure = Secure::asking_for_certificates(&authority);
    let client = authority.client("mod_copy");
    let origin = Staging::start();
    let server = production(mpm, secure.port(), "CopyTLSServerName staging.test")
        .vhost("CopyTLSCACertificateFile ca.pem\nCopyTLSCertificateFile client.pem")
        .vhost("CopyTLSCertificateKeyFile client.key")
        .file("ca.pem", authority.pem())
        .file("client.pem", &client.certificate)
        .secret("client.key", &client.key)
        .proxy(&origin)
        .start();
    // Only who reads the configuration may read it.
    let key = server.root().join("client.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let content: Vec<u8> = (0..600_000_u32).map(|n| (n % 251) as u8).collect();
    let mut user = server.client();
    user.get("/first?a=b");
    for length in [5, 20_000, content.len()] {
        user.exchange(request_with("POST", "/form", &content[..length]));
    }
    let copies = secure.staging().wait_for(4);
    assert_eq!(copies[0].request_line(), "GET /first?a=b HTTP/1.1");
    for (copy, length) in copies[1..].iter().zip([5, 20_000, content.len()]) {
        assert!(copy.content == content[..length], "the content of {length} bytes");
    }
    assert_eq!(server.settled(4).sum("delivered.2xx"), 4);
    secure.accessed_by(4, |access| access.client == "mod_copy" && access.name == "staging.test");
}

fn https_production_and_staging(mpm: Mpm) {
    let authority = Authority::named("staging's");
    let secure = Secure::start(&authority);
    let builder = production(mpm, secure.port(), "CopyTLSCACertificateFile ca.pem");
    let server = with_tls(builder.file("ca.pem", authority.pem())).start();
    let url = format!("https://127.0.0.1:{}/path", server.port());
    crate::tls::run("curl", &["--silent", "--insecure", "--data", "a=b", &url], "");
    let copy = secure.staging().wait_for(1).remove(0);
    assert_eq!(copy.request_line(), "POST /path HTTP/1.1");
    assert_eq!(copy.content, b"a=b");
    assert_eq!(copy.field("X-Forwarded-Proto").as_deref(), Some("https"));
    server.settled(1);
}

#[test]
fn sessions_are_resumed() {
    for version in ["TLSv1.2", "TLSv1.3"] {
        let authority = Authority::named("staging's");
        let lines = format!("KeepAlive Off\nSSLProtocol {version}");
        let secure = Secure::with(&authority, &lines);
        let server = production(Mpm::Event, secure.port(), "CopyTLSCACertificateFile ca.pem")
            .one_child()
            .file("ca.pem", authority.pem())
            .start();
        for sent in 1..=3 {
            server.client().get("/");
            server.settled(sent);
        }
        let resumed = secure.accessed_by(3, |access| access.protocol == version);
        let resumed: Vec<_> = resumed.into_iter().map(|access| access.session).collect();
        assert_eq!(resumed, ["Initial", "Resumed", "Resumed"], "{version}");
    }
}

/// What stands in production, what the copy fails with, and what the log says of it.
struct Distrust {
    lines: &'static str,
    says: &'static str,
}

#[test]
fn staging_that_does_not_prove_who_it_is_gets_no_copy() {
    let (authority, other) = (Authority::named("staging's"), Authority::named("another"));
    let [ours, expired] = [Secure::start(&authority), Secure::expired(&authority)];
    let asking = Secure::asking_for_certificates(&authority);
    let plain = Server::on(Mpm::Event).without_copy().start();
    let known = "CopyTLSCACertificateFile ca.pem";
    let says = |lines, says| Distrust { lines, says };
    for (port, row) in [
        (
            ours.port(),
            says(
                "CopyTLSCACertificateFile other.pem",
                "staging's certificate is signed by no CA that is known",
            ),
        ),
        (ours.port(), says("", "staging's certificate is signed by no CA that is known")),
        (
            ours.port(),
            says(
                "CopyTLSCACertificateFile ca.pem\nCopyTLSServerName www.example.com",
                "staging's certificate is for another name",
            ),
        ),
        (expired.port(), says(known, "staging's certificate has expired")),
        (asking.port(), says(known, "staging refused it: ")),
        (plain.port(), says(known, "what came back is not TLS")),
    ] {
        let server = production(Mpm::Event, port, row.lines)
            .file("ca.pem", authority.pem())
            .file("other.pem", other.pem())
            .expect("CPY0109:")
            .start();
        server.client().get("/");
        let status = server.settled(1);
        assert_eq!(status.sum("failed.tls"), 1, "{}: {status}\n{}", row.says, server.logs());
        logs(&server, "CPY0109: copying to staging failed: tls: ");
        logs(&server, row.says);
    }
    for staging in [ours.staging(), expired.staging(), asking.staging()] {
        assert_eq!(staging.count(), 0);
    }
}

/// The line comes after the outcome.
fn logs(server: &Server, part: &str) {
    let logged = poll(PATIENCE, || (server.logged(part) == 1).then_some(()));
    assert!(logged.is_some(), "{part}\n{}", server.logs());
}

on_each_mpm!(handshakes_that_never_end_touch_nobody_and_copies_come_again_when_they_do);

fn handshakes_that_never_end_touch_nobody_and_copies_come_again_when_they_do(mpm: Mpm) {
    let authority = Authority::named("staging's");
    let secure = Secure::start(&authority);
    let relay = Relay::to(secure.port());
    relay.swallow(true);
    let origin = Staging::start();
    let keys = "name=staging max=4 failures=3 retry=500ms connectiontimeout=300ms";
    let server = Server::on(mpm)
        .proxy(&origin)
        .vhost(format!("CopyTarget https://127.0.0.1:{}/ {keys}", relay.port()))
        .vhost("CopyTLSCACertificateFile ca.pem")
        .file("ca.pem", authority.pem())
        .expect("CPY0101:")
        .expect("CPY0113:")
        .expect("CPY0114:")
        .start();
    for sent in 1..=3 {
        assert_eq!(server.client().get("/").text(), "ok");
        server.settled(sent);
    }
    assert_eq!(server.status().sum("failed.connect"), 3, "{}", server.logs());
    logs(
        &server,
        &format!(
            "CPY0113: copying to staging pauses for 500ms: 3 failures in a row, the last connect: connect to \
             127.0.0.1:{}: the handshake of TLS: not done in time",
            relay.port()
        ),
    );
    server.client().get("/");
    assert_eq!(server.settled(4).sum("dropped.breaker"), 1);
    relay.swallow(false);
    let delivered = poll(PATIENCE, || {
        server.client().get("/");
        (server.status().sum("delivered") > 0).then_some(())
    });
    assert!(delivered.is_some(), "{}", server.logs());
    server.status_when("an outcome for each copy", Status::is_drained).assert_promise_3();
}

#[test]
fn without_verification_any_certificate_does() {
    let authority = Authority::named("staging's");
    let secure = Secure::expired(&authority);
    let server = production(Mpm::Event, secure.port(), "CopyTLSVerify Off").start();
    server.client().get("/");
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1);
}

#[test]
fn the_settings_of_the_server_hold_in_its_virtual_hosts_that_have_none() {
    let authority = Authority::named("staging's");
    let secure = Secure::start(&authority);
    let server = production(Mpm::Event, secure.port(), "")
        .global("CopyTLSCACertificateFile ca.pem\nCopyTLSServerName staging.test")
        .file("ca.pem", authority.pem())
        .start();
    server.client().get("/");
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1);
}

#[test]
fn a_key_that_does_not_serve_its_certificate_is_no_configuration() {
    let authority = Authority::named("staging's");
    let [one, other] = ["one", "other"].map(|name| authority.client(name));
    let lines = "CopyTLSCertificateFile client.pem\nCopyTLSCertificateKeyFile client.key";
    let verdict = production(Mpm::Event, 1, lines)
        .file("client.pem", &one.certificate)
        .file("client.key", &other.key)
        .configtest();
    assert!(!verdict.passed);
    let expected = "CPY0001: CopyTLSCertificateKeyFile: the key ";
    assert!(verdict.stderr.contains(expected), "{}", verdict.stderr);
    assert!(
        verdict.stderr.contains("client.key does not serve the certificate "),
        "{}",
        verdict.stderr
    );
}

#[test]
fn one_target_cannot_be_secured_in_two_ways() {
    let builder = production(Mpm::Event, 1, "CopyTLSVerify Off");
    let port = builder.port();
    let builder = builder.tail(format!(
        "<VirtualHost 127.0.0.1:{port}>\nServerName second.test\n\
         CopyTarget https://127.0.0.1:1/ name=staging max=1\n</VirtualHost>"
    ));
    let verdict = builder.configtest();
    assert!(!verdict.passed);
    let expected = "CPY0001: CopyTarget: expected a name= of its own where the settings differ, found 'staging, which \
                    is set otherwise at";
    assert!(verdict.stderr.contains(expected), "{}", verdict.stderr);
}
