//! The harness holds against itself: httpd without the module, and staging asked directly.

use std::time::Duration;

use crate::client::{self, Client, request, request_with};
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::wait::poll;

on_each_mpm!(httpd_serves_restarts_and_stops);

fn httpd_serves_restarts_and_stops(mpm: Mpm) {
    let origin = Staging::start();
    let mut server = Server::on(mpm).without_copy().proxy(&origin).start();
    let response = server.client().exchange(request_with("POST", "/a", b"hello"));
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let received = origin.wait_for(1);
    assert_eq!(received[0].request_line(), "POST /a HTTP/1.1");
    assert_eq!(received[0].content, b"hello");
    server.graceful();
    assert_eq!(client::get(server.port(), "/").status, 200);
    server.restart();
    assert_eq!(client::get(server.port(), "/").status, 200);
    server.stop();
    assert!(server.left_well(), "{}", server.logs());
    assert!(!client::accepts(server.port()));
}

#[test]
#[should_panic(expected = "unexpected in the error log")]
fn an_unexpected_line_in_the_error_log_fails_a_test() {
    let server = Server::on(Mpm::Event)
        .without_copy()
        .modules(&["proxy", "proxy_http"])
        .vhost(format!("ProxyPass \"/\" \"http://127.0.0.1:{}/\"", crate::httpd::free_port()))
        .start();
    assert_eq!(client::get(server.port(), "/").status, 503);
}

#[test]
fn an_expected_line_in_the_error_log_passes() {
    let server = Server::on(Mpm::Event)
        .without_copy()
        .modules(&["proxy", "proxy_http"])
        .vhost(format!("ProxyPass \"/\" \"http://127.0.0.1:{}/\"", crate::httpd::free_port()))
        .expect("AH00957:")
        .expect("AH01114:")
        .start();
    assert_eq!(client::get(server.port(), "/").status, 503);
    assert_eq!(server.logged("AH01114:"), 1, "{}", server.logs());
}

#[test]
fn staging_records_what_it_receives_byte_for_byte() {
    let staging = Staging::start();
    let mut client = Client::connect(staging.port());
    let first = request_with("POST", "/a?b=%20", b"\0\r\n\r\n\xff");
    assert_eq!(client.exchange(&first).text(), "ok");
    assert_eq!(client.exchange(request("HEAD", "/")).content, b"");
    let received = staging.wait_for(2);
    assert_eq!([received[0].head.clone(), received[0].content.clone()].concat(), first);
    assert_eq!(received[1].head, request("HEAD", "/").as_bytes());
    assert_eq!((received[0].connection, received[1].connection), (1, 1));
    assert_eq!(staging.connections(), 1);
}

#[test]
fn stalled_staging_answers_once_it_is_let_go() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let mut client = Client::connect(staging.port());
    client.send(request("GET", "/"));
    staging.wait_for(1);
    staging.set(Mode::Answers);
    assert_eq!(client.response().status, 200);
}

#[test]
fn staging_closes_refuses_and_comes_back_on_its_port() {
    let mut staging = Staging::start();
    staging.set(Mode::Closes);
    let mut client = Client::connect(staging.port());
    client.send(request("GET", "/"));
    assert!(client.is_closed());
    staging.stop();
    assert!(!client::accepts(staging.port()));
    staging.set(Mode::Slow(Duration::from_millis(1)));
    staging.resume();
    assert_eq!(client::get(staging.port(), "/").status, 200);
    assert_eq!(staging.count(), 2);
}

#[test]
fn a_load_counts_every_answer() {
    let staging = Staging::start();
    load::run(staging.port(), 3, 50, request("GET", "/").as_bytes());
    assert_eq!((staging.count(), staging.connections()), (150, 3));
    assert_eq!(poll(Duration::ZERO, || None::<()>), None);
}
