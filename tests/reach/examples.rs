//! The examples of targets like these, with the tests' own servers in place of those they name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::proxies;
use super::relay::Relay;
use super::socks::Socks;
use crate::client::Client;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;

/// An example, running, with these words in place of those.
fn example(name: &str, words: &[(&str, String)]) -> Server {
    let file = format!("apache-conf/examples/{name}.conf");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let mut text = fs::read_to_string(&file).unwrap();
    let builder = Server::on(Mpm::Event).modules(&["proxy", "proxy_http", "headers"]);
    let port = ("*:80>", format!("127.0.0.1:{}>", builder.port()));
    for (word, instead) in [port].iter().chain(words) {
        assert!(text.contains(word), "{word} in {}", file.display());
        text = text.replace(word, instead);
    }
    builder.tail(text).start()
}

/// What staging gets of a request to the example's host.
fn assert_copied(server: &Server, host: &str, staging: &Staging) {
    let request = format!("GET /a HTTP/1.1\r\nHost: {host}.example.com\r\n\r\n");
    assert_eq!(Client::connect(server.port()).exchange(request).status, 200);
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1);
    assert_eq!(staging.wait_for(1)[0].request_line(), "GET /a HTTP/1.1");
}

#[test]
fn unix_socket() {
    let (origin, staging) = (Staging::start(), Staging::start());
    let directory = tempfile::tempdir().unwrap();
    // httpd's children run as another user where the tests run as root.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = |name: &str| directory.path().join(name);
    let _relays = [
        Relay::by(&path("production.sock"), origin.port()),
        Relay::by(&path("staging.sock"), staging.port()),
    ];
    let server =
        example("unix-socket", &[("unix:/run/", format!("unix:{}/", directory.path().display()))]);
    assert_copied(&server, "socket", &staging);
    assert_eq!(staging.received()[0].field("Host").as_deref(), Some("staging.example.com"));
}

#[test]
fn second_nic() {
    let (origin, staging) = (Staging::start(), Staging::start());
    let relay = Relay::at("127.0.0.1:0", staging.port());
    let words = [
        ("127.0.0.1:8087", origin.authority()),
        ("staging.example.com", format!("127.0.0.1:{}", relay.port())),
        ("10.9.0.1\n", "127.0.0.2\n".to_owned()),
    ];
    let server = example("second-nic", &words);
    assert_copied(&server, "mirrored", &staging);
    assert_eq!(relay.clients()[0].ip().to_string(), "127.0.0.2");
}

#[test]
fn proxy() {
    let (origin, staging, next) = (Staging::start(), Staging::start(), Staging::start());
    let (http, socks) = (proxies::start(true), Socks::to(next.port(), proxies::ANYBODY));
    let words = [
        ("127.0.0.1:8088", origin.authority()),
        ("staging.example.com", staging.authority()),
        ("proxy.example.com:3128", format!("127.0.0.1:{}", http.port())),
        (":secret@", format!(":{}@", proxies::SECRET)),
        ("proxy.example.com:1080", format!("127.0.0.1:{}", socks.port())),
    ];
    let server = example("proxy", &words);
    let request = "GET /a HTTP/1.1\r\nHost: proxied.example.com\r\n\r\n";
    assert_eq!(Client::connect(server.port()).exchange(request).status, 200);
    assert_eq!(server.settled(2).sum("delivered.2xx"), 2, "{}", server.logs());
    assert_eq!(staging.wait_for(1)[0].request_line(), "GET /a HTTP/1.1");
    assert_eq!(next.wait_for(1)[0].field("Host").as_deref(), Some("next.example.com"));
    assert_eq!(socks.asked(), ["next.example.com:80"]);
}
