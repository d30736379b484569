//! What is compared as latency: the time until an answer begins, and not what its length or its client add to it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{request, request_with};
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::wait_for;

on_each_mpm!(
    the_length_of_an_answer_is_no_latency,
    nor_is_it_where_bodies_are_not_compared,
    a_slow_sender_is_no_latency,
);

const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nfirstafter";
const FIRST: usize = ANSWER.len() - "after".len();

/// An origin that answers one request, and ends its answer when it is told to.
struct Origin {
    port: u16,
    go_on: Sender<()>,
    thread: JoinHandle<()>,
}

impl Origin {
    fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (go_on, told) = channel();
        let thread = thread::spawn(move || Origin::answer(&listener, &told));
        Origin { port, go_on, thread }
    }

    fn answer(listener: &TcpListener, told: &Receiver<()>) {
        let (mut stream, _) = listener.accept().unwrap();
        read_until(&mut stream, b"\r\n\r\n");
        let (first, after) = ANSWER.split_at(FIRST);
        stream.write_all(first.as_bytes()).unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        stream.write_all(after.as_bytes()).unwrap();
    }
}

/// Reads until this comes.
fn read_until(stream: &mut TcpStream, end: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        read.extend_from_slice(&byte);
    }
}

fn the_length_of_an_answer_is_no_latency(mpm: Mpm) {
    an_answer_that_takes_long_began_early(mpm, "body");
}

fn nor_is_it_where_bodies_are_not_compared(mpm: Mpm) {
    an_answer_that_takes_long_began_early(mpm, "status headers");
}

fn an_answer_that_takes_long_began_early(mpm: Mpm, aspects: &str) {
    let (origin, staging) = (Origin::start(), Staging::with_answer(ANSWER));
    let server = Server::on(mpm)
        .modules(&["proxy", "proxy_http"])
        .vhost(format!("ProxyPass \"/\" \"http://127.0.0.1:{}/\"", origin.port))
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost(format!("CopyCompare {aspects}\nCopyLog logs/compared.log compared"))
        .file("logs/readme", "")
        .start();
    let mut client = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let asked = Instant::now();
    client.write_all(request("GET", "/a").as_bytes()).unwrap();
    read_until(&mut client, b"first");
    let began = asked.elapsed();
    // The rest takes longer than that.
    thread::sleep(began + Duration::from_millis(20));
    origin.go_on.send(()).unwrap();
    read_until(&mut client, b"after");
    origin.thread.join().unwrap();
    assert_took_at_most(&server, began);
}

fn a_slow_sender_is_no_latency(mpm: Mpm) {
    let (origin, staging) = (Staging::start(), Staging::start());
    let server = Server::on(mpm)
        .proxy(&origin)
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost("CopyCompare body methods=POST\nCopyLog logs/compared.log compared")
        .file("logs/readme", "")
        .start();
    let mut client = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let post = request_with("POST", "/a", b"the content");
    let (before, rest) = post.split_at(post.len() - "content".len());
    client.write_all(before).unwrap();
    // The rest comes after longer than all that follows takes, as a rule.
    thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    client.write_all(rest).unwrap();
    read_until(&mut client, b"\r\n\r\n");
    assert_took_at_most(&server, asked.elapsed());
}

/// The one comparison says that production took no longer than this.
fn assert_took_at_most(server: &Server, most: Duration) {
    let path = server.root().join("logs/compared.log");
    let line = wait_for("a comparison", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.ends_with('\n').then_some(text)
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["verdict"], "equal", "{line}");
    let took = u128::from(line["production_us"].as_u64().unwrap());
    assert!(took <= most.as_micros(), "{took} us, and its client waited {most:?}");
}
