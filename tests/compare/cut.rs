//! Clients that hang up amid an answer: half of it is never taken for the whole.

use crate::client::Client;
use crate::conf::Builder;
use crate::h2::{Request, Session, Transport};
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Received, Staging};
use crate::wait::wait_for;

use super::reading::{Compared, now};

on_each_mpm!(an_answer_that_its_client_does_not_await_differs_in_nothing);

/// More than lies between production and a client that reads nothing, and less than is compared.
const LENGTH: usize = 15 << 20;

fn answer(received: &Received) -> Vec<u8> {
    let content = match received.request_line().contains("/large") {
        true => vec![b'x'; LENGTH],
        false => b"small".to_vec(),
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
    let head = format!("{head}Content-Length: {}\r\n\r\n", content.len());
    [head.into_bytes(), content].concat()
}

fn comparing(mpm: Mpm, both: &[Staging; 2], limit: &str) -> Builder {
    let [today, next] = both;
    Server::on(mpm)
        .proxy(today)
        .vhost(format!("CopyTarget {} name=next timeout=30s", next.url("/")))
        .vhost(format!("CopyCompare headers body\nCopyCompareLimit {limit}"))
}

/// Each request has its word: some were compared, and none differs.
fn assert_nothing_differs(server: &Server, requests: u64) -> Compared {
    server.settled(requests);
    let told = wait_for("a word of each", || {
        let known = now(server, "next")?;
        let words = ["equal", "noise", "differing", "shed", "unpaired"];
        let sum: u64 = words.iter().map(|word| known.counted(word)).sum();
        (sum == requests).then_some(known)
    });
    assert_eq!(told.differences("real"), [""; 0], "{}", told.0);
    assert_eq!(told.counted("differing"), 0, "{}", told.0);
    told
}

fn an_answer_that_its_client_does_not_await_differs_in_nothing(mpm: Mpm) {
    for limit in ["1M", "16M"] {
        let both = [(); 2].map(|()| Staging::with_answers(answer));
        let server = comparing(mpm, &both, limit).start();
        for _ in 0..2 {
            let mut client = Client::connect(server.port());
            client.send("GET /large HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
            client.bytes(1000);
        }
        assert_eq!(server.client().get("/small").text(), "small");
        let told = assert_nothing_differs(&server, 3);
        assert!(told.counted("equal") >= 1, "{}", told.0);
    }
}

#[test]
fn nor_does_one_of_which_the_stream_is_reset() {
    for mpm in [Mpm::Event, Mpm::Worker] {
        let both = [(); 2].map(|()| Staging::with_answers(answer));
        let server =
            comparing(mpm, &both, "1M").modules(&["http2"]).vhost("Protocols h2c http/1.1").start();
        let mut session = Session::connect(Transport::Plain, server.port());
        for _ in 0..2 {
            let (status, body) = session.download(&Request::new("GET", "/large"));
            assert_eq!(status, 200);
            drop(body);
        }
        assert_eq!(session.exchange(&Request::new("GET", "/small")).text(), "small");
        let told = assert_nothing_differs(&server, 3);
        assert!(told.counted("equal") >= 1, "{}", told.0);
    }
}
