//! Staging's answers: read, counted, thrown away, and never seen by production's client.

use std::time::Instant;

use crate::client::{request, request_with};
use crate::mirrored::Mirrored;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Staging};

on_each_mpm!(productions_answers_are_the_same_with_and_without_the_module);

fn productions_answers_are_the_same_with_and_without_the_module(mpm: Mpm) {
    let origin = Staging::with_answer(
        "HTTP/1.1 203 Fine\r\nX-Origin: 1\r\nContent-Length: 10\r\n\r\nproduction",
    );
    let staging = Staging::with_answer(
        "HTTP/1.1 500 Broken\r\nX-Staging: 1\r\nContent-Length: 7\r\n\r\nstaging",
    );
    let plain = Server::on(mpm).without_copy().proxy(&origin).start();
    let mirroring =
        Server::on(mpm).proxy(&origin).vhost(format!("CopyTarget {}", staging.url("/"))).start();
    let requests = [
        request("GET", "/").into_bytes(),
        request("HEAD", "/").into_bytes(),
        request("OPTIONS", "*").into_bytes(),
        request_with("POST", "/x", b"hello"),
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(),
    ];
    for request in &requests {
        let [without, with] =
            [&plain, &mirroring].map(|server| server.client().exchange(request).comparable());
        let port = |server: &Server| server.port().to_string();
        assert_eq!(without.replace(&port(&plain), "PORT"), with.replace(&port(&mirroring), "PORT"));
    }
    let status = mirroring.settled(4);
    assert_eq!(status.sum("delivered.5xx"), 4, "{status}");
}

/// Two copies to staging that gives this answer: how they are counted, and over how many connections they went.
fn assert_answers(answer: &'static str, outcome: &str, connections: usize) {
    let staging = Staging::with_answer(answer);
    let target = format!("CopyTarget {} max=1", staging.url("/"));
    let server = Server::on(Mpm::Event).vhost(target).file("htdocs/a", "a").start();
    for selected in 1..=2 {
        assert_eq!(server.client().get("/a").text(), "a");
        server.settled(selected);
    }
    let status = server.status();
    assert_eq!(status.sum(outcome), 2, "{outcome} of {answer}\n{status}");
    assert_eq!(staging.count(), 2, "{answer}");
    assert_eq!(staging.connections(), connections, "{answer}");
}

#[test]
fn an_answer_of_any_framing_leaves_the_connection_usable() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        assert_answers(answer, "delivered.2xx", 1);
    }
    assert_answers("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "delivered.3xx", 1);
    assert_answers("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "delivered.4xx", 1);
    assert_answers("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", "delivered.5xx", 1);
}

#[test]
fn an_answer_that_ends_the_connection_is_delivered_too() {
    assert_answers("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", "delivered.2xx", 2);
    assert_answers(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "delivered.2xx",
        2,
    );
    assert_answers(
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        "delivered.2xx",
        2,
    );
}

#[test]
fn a_redirect_is_counted_and_not_followed() {
    let elsewhere = Staging::start();
    let location = elsewhere.url("/elsewhere");
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    assert_answers(redirect.leak(), "delivered.3xx", 1);
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn the_answer_to_a_head_request_has_no_content() {
    let mirrored = Mirrored::with(Mpm::Event, "");
    let copies = mirrored.copies_of(&[request("HEAD", "/a"), request("HEAD", "/b")]);
    assert_eq!((copies.len(), mirrored.staging.connections()), (2, 1));
    assert_eq!(mirrored.server.settled(3).sum("delivered.2xx"), 3);
}

#[test]
fn what_is_no_answer_fails_for_its_reason() {
    for (answer, reason) in [
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
        ("HTTP/1.1 abc\r\n\r\n", "protocol"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhel", "reset"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "protocol"),
    ] {
        let staging = Staging::with_answer(answer);
        let target = format!("CopyTarget {} max=1", staging.url("/"));
        let server =
            Server::on(Mpm::Event).vhost(target).file("htdocs/a", "a").expect("CPY").start();
        assert_eq!(server.client().get("/a").text(), "a");
        let status = server.settled(1);
        assert_eq!(status.sum(&format!("failed.{reason}")), 1, "{answer}\n{status}");
    }
}

#[test]
fn staging_that_closes_instead_of_answering_is_a_reset() {
    let staging = Staging::start();
    staging.set(Mode::Closes);
    let target = format!("CopyTarget {} max=1", staging.url("/"));
    let server = Server::on(Mpm::Event).vhost(target).expect("CPY").start();
    server.client().exchange(request_with("POST", "/a", b"x"));
    let status = server.settled(1);
    assert_eq!((status.sum("failed.reset"), staging.count()), (1, 1), "{status}");
}

#[test]
fn a_connection_that_staging_closed_while_idle_costs_no_copy() {
    let mut mirrored = Mirrored::with(Mpm::Event, "");
    mirrored.copy_of(request("GET", "/a"));
    mirrored.staging.stop();
    mirrored.staging.resume();
    let copy = mirrored.copy_of(request_with("POST", "/b", b"hello"));
    assert_eq!(copy.content, b"hello");
    assert_eq!(mirrored.server.settled(4).sum("delivered.2xx"), 4);
    assert_eq!(mirrored.staging.connections(), 2);
}

#[test]
fn an_exchange_that_drips_ends_at_its_deadline() {
    let staging = Staging::start();
    staging.set(Mode::Drips);
    let target = format!("CopyTarget {} max=1 timeout=500ms", staging.url("/"));
    let server = Server::on(Mpm::Event).vhost(target).expect("CPY").start();
    let begun = Instant::now();
    server.client().get("/a");
    let status = server.settled(1);
    assert_eq!(status.sum("failed.timeout"), 1, "{status}");
    assert!(begun.elapsed().as_millis() >= 450, "{:?}", begun.elapsed());
}
