//! Copies that reach staging through a proxy: a real httpd with mod_proxy_connect, and a SOCKS 5 server.

use std::fs;

use super::socks::{Manner, Socks};
use crate::client::{self, request_with};
use crate::mpm::{Mpm, on_each_mpm};
use crate::secure::authority::Authority;
use crate::secure::staging::Secure;
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::{PATIENCE, poll};

on_each_mpm!(copies_go_through_a_proxy_of_http, copies_go_through_a_proxy_of_socks);

/// Lets everybody through.
pub const ANYBODY: Manner = Manner { user: None, reply: 0 };

/// What no page and no log may show.
pub const SECRET: &str = "s3cret";

/// An httpd that is a forward proxy, for the user `copier` alone if it `asks`.
pub fn start(asks: bool) -> Server {
    let hash = crate::tls::run("openssl", &["passwd", "-apr1", SECRET], "");
    let builder = Server::on(Mpm::Event)
        .without_copy()
        .modules(&["proxy", "proxy_http", "proxy_connect"])
        .modules(&["auth_basic", "authn_core", "authn_file", "authz_user"])
        .file("users", format!("copier:{hash}"))
        .vhost("ProxyRequests On\nAllowCONNECT 1-65535\nCustomLog proxied.log \"%u %r\"")
        // Whom it cannot connect to, and whom it does not let through.
        .expect("proxy:error")
        .expect("proxy_http:error")
        .expect("proxy_connect:error")
        .expect("auth_basic:error");
    let asking = "<Proxy \"*\">\nAuthType Basic\nAuthName proxy\nAuthUserFile users\nRequire valid-user\n</Proxy>";
    if asks { builder.vhost(asking).start() } else { builder.start() }
}

/// What the proxy has passed on: a line for each request.
fn passed_on(proxy: &Server, count: usize) -> Vec<String> {
    let read = || {
        let log = fs::read_to_string(proxy.root().join("proxied.log")).unwrap_or_default();
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    };
    poll(PATIENCE, read).unwrap_or_else(|| panic!("not {count} requests"))
}

/// No page, and no log, has the password.
fn assert_keeps_secret(server: &Server) {
    for query in ["", "?text", "?json", "?auto", "?prometheus"] {
        assert!(!server.status_page(query).text().contains(SECRET), "{query}");
    }
    assert!(!server.logs().contains(SECRET), "{}", server.logs());
}

fn copies_go_through_a_proxy_of_http(mpm: Mpm) {
    let (proxy, staging) = (start(true), Staging::start());
    let server = Server::on(mpm)
        .vhost(format!(
            "CopyTarget http://{}/v2 name=staging max=1 proxy=http://copier:{SECRET}@127.0.0.1:{}",
            staging.authority(),
            proxy.port()
        ))
        .start();
    let content = vec![b'x'; 100_000];
    server.client().get("/a?b=c");
    server.settled(1);
    server.client().exchange(request_with("POST", "/form", &content));
    let status = server.settled(2);
    assert_eq!(status.sum("delivered.2xx"), 2, "{status}");
    let copies = staging.wait_for(2);
    assert_eq!(copies[0].request_line(), "GET /v2/a?b=c HTTP/1.1");
    assert_eq!(copies[0].field("Host"), Some(staging.authority()));
    assert_eq!(copies[0].field("Proxy-Authorization"), None, "that was for the proxy");
    assert!(copies[1].content == content);
    let first = format!("copier GET http://{}/v2/a?b=c HTTP/1.1", staging.authority());
    assert_eq!(passed_on(&proxy, 2)[0], first);
    assert_keeps_secret(&server);
}

#[test]
fn tls_with_staging_goes_through_a_proxy_of_http() {
    let authority = Authority::named("staging's");
    let (proxy, secure) = (start(true), Secure::start(&authority));
    let server = Server::on(Mpm::Event)
        .file("ca.pem", authority.pem())
        .vhost(format!(
            "CopyTarget https://127.0.0.1:{}/ name=staging max=1 proxy=http://copier:{SECRET}@127.0.0.1:{}",
            secure.port(),
            proxy.port()
        ))
        .vhost("CopyTLSCACertificateFile ca.pem\nCopyTLSServerName staging.test")
        .start();
    for sent in 1..=3 {
        server.client().get("/a");
        server.settled(sent);
    }
    assert_eq!(server.status().sum("delivered.2xx"), 3, "{}", server.logs());
    assert_eq!(secure.staging().count(), 3);
    assert_keeps_secret(&server);
    // httpd logs a tunnel at its end.
    drop(server);
    let tunnel = format!("copier CONNECT 127.0.0.1:{} HTTP/1.1", secure.port());
    assert!(passed_on(&proxy, 1).iter().all(|line| *line == tunnel));
}

fn copies_go_through_a_proxy_of_socks(mpm: Mpm) {
    let staging = Staging::start();
    for user in [None, Some(("copier", SECRET))] {
        let socks = Socks::to(staging.port(), Manner { user, reply: 0 });
        let before = staging.count();
        // A name that the proxy alone knows.
        let server = Server::on(mpm)
            .vhost(format!(
                "CopyTarget http://staging.invalid/v2 max=1 proxy=socks5://copier:{SECRET}@127.0.0.1:{}",
                socks.port()
            ))
            .start();
        server.client().get("/a");
        assert_eq!(server.settled(1).sum("delivered.2xx"), 1, "{}", server.logs());
        let copy = staging.wait_for(before + 1).remove(before);
        assert_eq!(copy.request_line(), "GET /v2/a HTTP/1.1");
        assert_eq!(copy.field("Host").as_deref(), Some("staging.invalid"));
        assert_eq!(socks.asked(), ["staging.invalid:80"]);
        assert_keeps_secret(&server);
    }
}

#[test]
fn tls_with_staging_goes_through_a_proxy_of_socks() {
    let authority = Authority::named("staging's");
    let secure = Secure::start(&authority);
    let socks = Socks::to(secure.port(), Manner { user: None, reply: 0 });
    let server = Server::on(Mpm::Event)
        .file("ca.pem", authority.pem())
        .vhost(format!(
            "CopyTarget https://staging.test/ proxy=socks5://127.0.0.1:{}",
            socks.port()
        ))
        .vhost("CopyTLSCACertificateFile ca.pem")
        .start();
    server.client().get("/a");
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1, "{}", server.logs());
    assert_eq!(socks.asked(), ["staging.test:443"]);
}

/// One copy, through that proxy, which must not arrive; how it is counted, and told.
fn assert_fails(target: &str, reason: &str, told: &str) {
    let number = match reason {
        "proxy" => "CPY0110:",
        "connect" => "CPY0101:",
        "refused" => "CPY0102:",
        other => panic!("{other}"),
    };
    let server = Server::on(Mpm::Event)
        .expect(number)
        .vhost(format!("CopyTarget {target} name=staging"))
        .start();
    server.client().get("/a");
    let status = server.settled(1);
    assert_eq!(status.sum(&format!("failed.{reason}")), 1, "{status}\n{}", server.logs());
    let line = format!("{number} copying to staging failed: {reason}: {told} (1 so far)");
    let logged = poll(PATIENCE, || (server.logged(&line) == 1).then_some(()));
    assert!(logged.is_some(), "{line}\n{}", server.logs());
    assert_keeps_secret(&server);
}

#[test]
fn what_a_proxy_of_http_does_not_do_is_counted_and_told_without_its_password() {
    let (staging, proxy) = (Staging::start(), start(true));
    let at = format!("127.0.0.1:{}", proxy.port());
    let wrong = format!("proxy=http://copier:{SECRET}0@{at}");
    for keys in [&wrong, &format!("proxy=http://{at}")] {
        let told = format!("the proxy http://{at}: it answered 407");
        assert_fails(&format!("{} {keys}", staging.url("/")), "proxy", &told);
        let told = format!("connect: {told}");
        assert_fails(&format!("https://{}/ {keys}", staging.authority()), "proxy", &told);
    }
    assert_eq!(staging.count(), 0);
    let nobody = crate::httpd::free_port();
    let right = format!("proxy=http://copier:{SECRET}@{at}");
    let told =
        format!("connect: the proxy http://{at}: it answered 503: it does not reach staging");
    assert_fails(&format!("https://127.0.0.1:{nobody}/ {right}"), "connect", &told);
    let told = format!(
        "connect: the proxy http://127.0.0.1:{nobody}: 127.0.0.1:{nobody}: Connection refused (os error 111)"
    );
    let keys = format!("proxy=http://copier:{SECRET}@127.0.0.1:{nobody}");
    assert_fails(&format!("{} {keys}", staging.url("/")), "proxy", &told);
}

#[test]
fn what_a_proxy_of_socks_does_not_do_is_counted_and_told_without_its_password() {
    let staging = Staging::start();
    let asks = Some(("copier", "another"));
    for (manner, user, reason, why) in [
        (Manner { user: asks, reply: 0 }, true, "proxy", "it refused the user or the password"),
        (Manner { user: asks, reply: 0 }, false, "proxy", "it asks for another authentication"),
        (Manner { user: None, reply: 2 }, true, "proxy", "its rules do not allow it"),
        (Manner { user: None, reply: 4 }, true, "connect", "it does not reach staging's host"),
        (Manner { user: None, reply: 5 }, true, "refused", "staging refused its connection"),
    ] {
        let socks = Socks::to(staging.port(), manner);
        let at = format!("127.0.0.1:{}", socks.port());
        let user = if user { format!("copier:{SECRET}@") } else { String::new() };
        let told = format!("connect: the proxy socks5://{at}: {why}");
        assert_fails(&format!("{} proxy=socks5://{user}{at}", staging.url("/")), reason, &told);
    }
    assert_eq!(staging.count(), 0);
}

#[test]
fn mod_info_does_not_show_the_password_of_a_proxy() {
    let server = Server::on(Mpm::Event)
        .modules(&["info"])
        .vhost(format!(
            "CopyTarget http://127.0.0.1:1/ status=D proxy=http://copier:{SECRET}@127.0.0.1:1"
        ))
        .vhost("<Location \"/info\">\nSetHandler server-info\nMirrorRequest Off\n</Location>")
        .start();
    let page = client::get(server.port(), "/info").text();
    let shown = "CopyTarget <i>http://127.0.0.1:1/ status=D proxy=http://***@127.0.0.1:1</i>";
    assert!(page.contains(shown) && !page.contains(SECRET), "{page}");
    assert_keeps_secret(&server);
}

#[test]
fn a_wrong_line_does_not_show_the_password_of_its_proxy() {
    let verdict = Server::on(Mpm::Event)
        .vhost(format!("CopyTarget http://s/ proxy=https://copier:{SECRET}@127.0.0.1:1"))
        .configtest();
    let told = "CopyTarget: proxy=: expected a proxy as http://[user:password@]host:port or \
                socks5://[user:password@]host:port, found 'https://***@127.0.0.1:1'";
    assert!(!verdict.passed && verdict.stderr.contains(told), "{}", verdict.stderr);
    assert!(!verdict.stderr.contains(SECRET), "{}", verdict.stderr);
}
