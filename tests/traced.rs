//! Traces: a copy is part of its request's, and `CopyTraceHeader` tells the two apart.

use crate::client::request;
use crate::mirrored::Mirrored;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Received, Staging};

on_each_mpm!(a_trace_is_kept_and_a_copy_is_told_from_its_request);

const TRACE: [&str; 2] = [
    "tRaceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "Tracestate: rojo=00f067aa0ba902b7 ,\tcongo=t61rcWkgMzE",
];

fn a_trace_is_kept_and_a_copy_is_told_from_its_request(mpm: Mpm) {
    let lines = "CopyTraceHeader \"X-Shadow: a copy\"\n\
        <Location \"/state\">\nCopyTraceHeader tracestate:copy=1\n</Location>\n\
        <Location \"/off\">\nCopyTraceHeader Off\n</Location>";
    let mirrored = Mirrored::with(mpm, lines);
    // What copy and origin have of these fields.
    let seen = |path: &str, fields: &[&str]| {
        let before = mirrored.origin.count();
        let fields = fields.join("\r\n");
        let host = "Host: www.example.com";
        let copy = mirrored.copy_of(format!("GET {path} HTTP/1.1\r\n{host}\r\n{fields}\r\n\r\n"));
        let original = mirrored.origin.received_after(before).remove(0);
        [traced(&copy), traced(&original)]
    };
    let [copy, original] = seen("/a", &TRACE);
    assert_eq!(copy, [TRACE[0], TRACE[1], "X-Shadow: a copy"]);
    assert_eq!(original, TRACE, "production's request is as it was");

    let [copy, original] = seen("/a", &["x-shadow: forged"]);
    assert_eq!(copy, ["x-shadow: a copy"]);
    assert_eq!(original, ["x-shadow: forged"]);

    let [copy, original] = seen("/state", &TRACE);
    let state = "Tracestate: copy=1,rojo=00f067aa0ba902b7 ,\tcongo=t61rcWkgMzE";
    assert_eq!(copy, [TRACE[0], state]);
    assert_eq!(original, TRACE);

    assert_eq!(seen("/off", &TRACE)[0], TRACE);
}

/// The lines of a head that concern traces.
fn traced(received: &Received) -> Vec<String> {
    let head = String::from_utf8_lossy(&received.head).into_owned();
    let is_traced = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("trace") || line.starts_with("x-shadow")
    };
    head.split("\r\n").filter(is_traced).map(str::to_owned).collect()
}

#[test]
fn a_block_marks_the_copies_to_its_target() {
    let [marked, plain, other] = [(); 3].map(|()| Staging::start());
    let block = |staging: &Staging, line: &str| {
        format!("<CopyTarget {}>\n{line}\n</CopyTarget>\n", staging.url("/"))
    };
    let lines = block(&marked, "CopyTraceHeader X-Shadow:yes")
        + &block(&plain, "CopyTraceHeader Off")
        + &format!("CopyTarget {}\nCopyTraceHeader X-Copy", other.url("/"));
    let server = Server::on(Mpm::Event).vhost(lines).start();
    server.client().exchange(request("GET", "/"));
    server.settled(3);
    for (staging, shadow, copy) in
        [(&marked, Some("yes"), None), (&plain, None, None), (&other, None, Some("1"))]
    {
        let received = staging.wait_for(1).remove(0);
        assert_eq!(received.field("X-Shadow").as_deref(), shadow);
        assert_eq!(received.field("X-Copy").as_deref(), copy);
    }
}
