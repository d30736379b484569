//! `h2://`: HTTP/2 over TLS, with an httpd as staging, whose mod_http2 agrees on it by ALPN.

use crate::client::request_with;
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::secure::authority::Authority;
use crate::secure::staging::Secure;
use crate::server::Server;
use crate::staging::Staging as Origin;
use crate::wait::wait_for;

on_each_mpm!(copies_reach_staging_that_asks_for_a_certificate);

fn production(mpm: Mpm, port: u16, authority: &Authority) -> Builder {
    Server::on(mpm)
        .vhost(format!("CopyTarget h2://127.0.0.1:{port}/ name=staging max=1"))
        .vhost("CopyTLSCACertificateFile ca.pem")
        .file("ca.pem", authority.pem())
}

fn copies_reach_staging_that_asks_for_a_certificate(mpm: Mpm) {
    let authority = Authority::named("staging's");
    let asking = "SSLVerifyClient require\nSSLCACertificateFile ca.pem";
    let secure = Secure::with(&authority, &format!("Protocols h2\n{asking}"));
    let (client, origin) = (authority.client("mod_copy"), Origin::start());
    let server = production(mpm, secure.port(), &authority)
        .vhost("CopyTLSServerName staging.test")
        .vhost("CopyTLSCertificateFile client.pem\nCopyTLSCertificateKeyFile client.key")
        .file("client.pem", &client.certificate)
        .secret("client.key", &client.key)
        .proxy(&origin)
        .start();
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
    secure.accessed_by(4, |access| {
        let who = (access.client.as_str(), access.name.as_str());
        who == ("mod_copy", "staging.test") && access.http == "HTTP/2.0"
    });
}

#[test]
fn staging_that_does_not_prove_who_it_is_or_offers_no_http2_gets_no_copy() {
    let (authority, other) = (Authority::named("staging's"), Authority::named("another"));
    let offering = Secure::with(&authority, "Protocols h2 http/1.1");
    let silent = Secure::start(&authority);
    let asking = "SSLVerifyClient require\nSSLCACertificateFile ca.pem";
    let asking = Secure::with(&authority, &format!("Protocols h2\n{asking}"));
    let plain = Server::on(Mpm::Event).without_copy().start();
    for (port, authority, says) in [
        (offering.port(), &other, "staging's certificate is signed by no CA that is known"),
        (silent.port(), &authority, "staging does not offer HTTP/2 (ALPN h2)"),
        (asking.port(), &authority, "staging refused it: "),
        (plain.port(), &authority, "what came back is not TLS"),
    ] {
        let server = production(Mpm::Event, port, authority).expect("CPY0109:").start();
        server.client().get("/");
        let status = server.settled(1);
        assert_eq!(status.sum("failed.tls"), 1, "{says}: {status}\n{}", server.logs());
        wait_for("the log to tell", || (server.logged("CPY0109:") == 1).then_some(()));
        assert_eq!(server.logged(says), 1, "{says}\n{}", server.logs());
    }
    for staging in [offering.staging(), silent.staging(), asking.staging()] {
        assert_eq!(staging.count(), 0);
    }
}
