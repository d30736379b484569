//! How sockets towards staging are made, as staging and the system see them.

use std::process::Command;

use super::relay::Relay;
use crate::client::request_with;
use crate::mpm::{Mpm, on_each_mpm};
use crate::secure::authority::Authority;
use crate::secure::staging::Secure;
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::{PATIENCE, poll};

on_each_mpm!(copies_reach_staging_behind_a_unix_socket);

fn copies_reach_staging_behind_a_unix_socket(mpm: Mpm) {
    let staging = Staging::start();
    let builder = Server::on(mpm);
    let path = builder.root().join("app.sock");
    let _relay = Relay::by(&path, staging.port());
    let url = format!("unix:{}|http://localhost/api", path.display());
    let server = builder.vhost(format!("CopyTarget \"{url}\" max=1")).start();
    let content = vec![b'x'; 300_000];
    let mut user = server.client();
    user.exchange(request_with("POST", "/form?a=b", &content));
    user.get("/next");
    let status = server.settled(2);
    assert_eq!(status.target(&url).count("delivered.2xx"), 2, "{status}");
    let mut copies = staging.wait_for(2);
    // One child may have had each.
    copies.sort_by_key(|copy| copy.content.len());
    assert_eq!(copies[0].request_line(), "GET /api/next HTTP/1.1");
    assert_eq!(copies[1].request_line(), "POST /api/form?a=b HTTP/1.1");
    assert!(copies[1].content == content);
    assert_eq!(copies[1].field("Host").as_deref(), Some("localhost"));
}

#[test]
fn staging_behind_a_unix_socket_may_speak_tls() {
    let authority = Authority::named("staging's");
    let secure = Secure::start(&authority);
    let builder = Server::on(Mpm::Event).file("ca.pem", authority.pem());
    let path = builder.root().join("app.sock");
    let _relay = Relay::by(&path, secure.port());
    let server = builder
        .vhost(format!("CopyTarget \"unix:{}|https://staging.test/\"", path.display()))
        .vhost("CopyTLSCACertificateFile ca.pem")
        .start();
    server.client().get("/");
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1);
    secure.accessed_by(1, |access| access.name == "staging.test");
}

#[test]
fn members_of_a_balancer_may_be_behind_unix_sockets() {
    let staging = Staging::start();
    let builder = Server::on(Mpm::Event);
    let path = builder.root().join("app.sock");
    let _relay = Relay::by(&path, staging.port());
    let server = builder
        .modules(&[
            "proxy",
            "proxy_http",
            "proxy_balancer",
            "slotmem_shm",
            "lbmethod_byrequests",
        ])
        .vhost(format!(
            "<Proxy \"balancer://staging\">\nBalancerMember \"unix:{}|http://localhost/\"\n</Proxy>",
            path.display()
        ))
        .vhost("CopyTarget balancer://staging")
        .start();
    server.client().get("/a");
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1);
    assert_eq!(staging.received()[0].field("Host").as_deref(), Some("localhost"));
}

#[test]
fn a_path_that_nobody_listens_at_is_told() {
    let builder = Server::on(Mpm::Event).expect("CPY0101:");
    let path = builder.root().join("nobody.sock");
    let url = format!("unix:{}|http://localhost/", path.display());
    let server = builder.vhost(format!("CopyTarget \"{url}\" name=nobody")).start();
    server.client().get("/");
    assert_eq!(server.settled(1).sum("failed.connect"), 1);
    let told = format!(
        "CPY0101: copying to nobody failed: connect: connect to unix:{}: No such file or directory \
         (os error 2) (1 so far)",
        path.display()
    );
    logs(&server, &told);
}

/// The line comes after the outcome.
fn logs(server: &Server, part: &str) {
    let logged = poll(PATIENCE, || (server.logged(part) == 1).then_some(()));
    assert!(logged.is_some(), "{part}\n{}", server.logs());
}

#[test]
fn copies_leave_from_the_address_that_is_asked_for() {
    let staging = Staging::start();
    let relay = Relay::at("127.0.0.1:0", staging.port());
    let target = format!("http://127.0.0.1:{}/", relay.port());
    let server = Server::on(Mpm::Event)
        .vhost(format!("CopyTarget {target} name=bound bindaddress=127.0.0.2"))
        .vhost(format!("CopyTarget {target} name=free"))
        .start();
    server.client().get("/");
    assert_eq!(server.settled(2).sum("delivered.2xx"), 2);
    let mut from: Vec<_> = relay.clients().iter().map(|client| client.ip().to_string()).collect();
    from.sort();
    assert_eq!(from, ["127.0.0.1", "127.0.0.2"]);
}

#[test]
fn an_address_that_is_not_of_this_machine_is_warned_of_when_httpd_starts() {
    let warning = "CPY0016: copies to bound fail for now: bindaddress=192.0.2.1 is not an address of this machine";
    let server = Server::on(Mpm::Event)
        .expect(warning)
        .expect("CPY0101:")
        .vhost("CopyTarget http://127.0.0.1:1/ name=bound bindaddress=192.0.2.1")
        .vhost("CopyTarget http://127.0.0.1:1/ name=local bindaddress=127.0.0.3 status=D")
        .start();
    assert_eq!(server.logged("CPY0016:"), 1, "{}", server.logs());
    server.client().get("/");
    assert_eq!(server.settled(1).target("bound").count("failed.connect"), 1);
    logs(
        &server,
        "CPY0101: copying to bound failed: connect: connect to 127.0.0.1:1: from 192.0.2.1: \
         Cannot assign requested address (os error 99) (1 so far)",
    );
}

/// The receive buffer, as the system has it, of the connection that a copy was sent over with these lines, in which
/// URL is staging's.
fn receive_buffer(global: &str, vhost: &str) -> usize {
    let staging = Staging::start();
    let server = Server::on(Mpm::Event)
        .modules(&["proxy", "proxy_http"])
        .global(global)
        .vhost(vhost.replace("URL", &staging.url("/")))
        .start();
    server.client().get("/");
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1);
    // The connection is kept.
    let to = format!("127.0.0.1:{}", staging.port());
    let mut ss = Command::new("ss");
    let output = ss.args(["--tcp", "--numeric", "--memory", "--no-header", "dst", &to]).output();
    let text = String::from_utf8(output.expect("ss, of iproute2, is needed").stdout).unwrap();
    let size = text.split_once("skmem:(").and_then(|(_, memory)| memory.split_once(",rb"));
    let size = size.and_then(|(_, rest)| rest.split(',').next());
    size.and_then(|size| size.parse().ok()).unwrap_or_else(|| panic!("no connection in {text}"))
}

#[test]
fn a_receive_buffer_is_of_the_size_that_is_asked_for_by_the_module_or_by_mod_proxy() {
    let systems = receive_buffer("", "CopyTarget URL");
    assert!(systems > 2 * 8192, "{systems}");
    let both = "ProxyReceiveBufferSize 4096\nCopyReceiveBufferSize 8K\n";
    for (global, vhost, size) in [
        ("ProxyTimeout 5\nProxyReceiveBufferSize 4096", "CopyTarget URL", 4096),
        ("ProxyReceiveBufferSize 4096", "ProxyReceiveBufferSize 5000\nCopyTarget URL", 5000),
        (both, "CopyTarget URL", 8192),
        ("", &format!("{both}CopyTarget URL"), 8192),
        (both, "<CopyTarget URL name=block>\nCopyReceiveBufferSize 6000\n</CopyTarget>", 6000),
    ] {
        let buffer = receive_buffer(global, vhost);
        // Linux doubles it, for what it keeps beside the bytes.
        assert!(buffer == size || buffer == 2 * size, "{buffer} with {global} {vhost}");
    }
    let none = "ProxyReceiveBufferSize 4096\nCopyReceiveBufferSize 0\nCopyTarget URL";
    assert_eq!(receive_buffer("", none), systems);
}

#[test]
fn an_ipv6_address_in_brackets_is_a_target_like_any_other() {
    let staging = Staging::start();
    let relay = Relay::at("[::1]:0", staging.port());
    let authority = format!("[::1]:{}", relay.port());
    let server = Server::on(Mpm::Event)
        .vhost(format!("CopyTarget http://{authority}/v2 name=six bindaddress=::1"))
        .start();
    server.client().get("/a");
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1);
    let copy = staging.wait_for(1).remove(0);
    assert_eq!(copy.request_line(), "GET /v2/a HTTP/1.1");
    assert_eq!(copy.field("Host"), Some(authority));
    assert_eq!(relay.clients()[0].ip().to_string(), "::1");
}
