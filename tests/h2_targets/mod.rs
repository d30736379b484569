//! Copies over HTTP/2: `h2c://` targets, whose staging is a real server of the `h2` crate, and `h2://` ones
//! ([`secure`]).
//!
//! What staging may do wrong, a frame at a time, is tested with the core: `src/forward/h2/tests`.

#[path = "../../src/forward/h2/tests/server.rs"]
#[allow(dead_code, reason = "the core's tests use more of it")]
mod server;

mod secure;

use std::time::Duration;

use crate::client::request_with;
use crate::compare::reading::compared;
use crate::conf::Builder;
use crate::injection::Faults;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::Staging as Origin;
use crate::wait::wait_for;

use server::{Arrived, Staging, answer, content};

on_each_mpm!(
    copies_arrive_as_they_were_sent,
    a_stop_over_copies_in_flight_ends_in_time,
    a_restart_over_copies_in_flight_accounts_for_them,
    every_request_under_load_is_copied_once,
    a_panic_costs_no_copy_but_the_one_in_hand,
    answers_are_compared,
);

/// Answers what it has read.
fn answering() -> Staging {
    Staging::start(|_, request, respond| async move {
        content(request.into_body()).await;
        answer(respond, b"ok").await;
    })
}

fn mirroring(mpm: Mpm, staging: &Staging, rest: &str) -> Builder {
    let target = format!("CopyTarget h2c://{}/v1 name=staging {rest}", staging.address);
    Server::on(mpm).vhost(target).file("htdocs/a", "a")
}

fn copies_arrive_as_they_were_sent(mpm: Mpm) {
    let (origin, staging) = (Origin::start(), answering());
    let server = mirroring(mpm, &staging, "max=1").proxy(&origin).start();
    let large: Vec<u8> = (0..600_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = server.client();
    client.exchange(
        "GET /a/b%20c//d?x=1&y=%41? HTTP/1.1\r\naCCEPT: */*\r\nhOST: www.example.com\r\nTE: trailers\r\n\
         Connection: TE\r\nUser-agent: test/1 (a; b)\r\nCookie: a=b; c=\"d\"\r\n\r\n",
    );
    client.exchange(
        "POST /up HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\nConnection: close\r\nX-Last:\r\n\r\n",
    );
    client.exchange(request_with("PUT", "/file", &large));
    let get = staging.next();
    let authority = staging.address;
    assert_eq!(get.method, "GET");
    assert_eq!(get.uri, format!("http://{authority}/v1/a/b%20c//d?x=1&y=%41?"));
    let mut fields = get.fields.clone();
    fields.retain(|(name, _)| name != "x-mod-copy");
    let expected = [
        ("accept", "*/*"),
        ("user-agent", "test/1 (a; b)"),
        ("cookie", "a=b; c=\"d\""),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "www.example.com"),
        ("x-forwarded-proto", "http"),
        ("te", "trailers"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(get.field("x-mod-copy").map(str::len), Some(32));
    let chunked = staging.next();
    assert_eq!((&*chunked.method, chunked.content.as_slice()), ("POST", &b"hello world"[..]));
    assert_eq!(chunked.field("content-length"), None, "its length was not told");
    let trailers = [("x-sum", "1"), ("x-last", "")];
    assert_eq!(chunked.trailers, trailers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let put = staging.next();
    assert!(put.content == large, "{} bytes", put.content.len());
    assert_eq!(put.field("content-length"), Some("600000"));
    let status = server.settled(3);
    assert_eq!((status.sum("delivered.2xx"), status.sum("unanswered")), (3, 0), "{status}");
    assert_eq!(staging.connections(), 1);
}

#[test]
fn what_edits_do_not_reach_does_not_follow_the_content() {
    let (origin, staging) = (Origin::start(), answering());
    let target = format!("<CopyTarget h2c://{}/v1 name=staging>", staging.address);
    let edits = "RequestHeader unset X-Secret\n</CopyTarget>";
    let server = Server::on(Mpm::Event)
        .modules(&["headers"])
        .vhost(format!("{target}\n{edits}"))
        .proxy(&origin)
        .start();
    server.client().exchange(
        "POST /chunked HTTP/1.1\r\nHost: www.example.com\r\nX-Secret: 1\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Secret: 2\r\n\r\n",
    );
    let copy = staging.next();
    assert_eq!((copy.content.as_slice(), copy.field("x-secret")), (&b"hello"[..], None));
    assert_eq!(copy.trailers, []);
}

/// What httpd itself may need to stop, on a busy machine.
const SLACK: Duration = Duration::from_millis(2500);

fn a_stop_over_copies_in_flight_ends_in_time(mpm: Mpm) {
    let staging = Staging::gated();
    let mut server = mirroring(mpm, &staging, "max=8 queue=4 timeout=60s")
        .global("CopyDrainTimeout 1s")
        .expect("CPY")
        .start();
    let mut client = server.client();
    wait_for("copies in flight, and some that wait", || {
        client.get("/a");
        let status = server.status();
        (status.sum("queued") >= 1 && status.sum("unanswered") >= 8).then_some(())
    });
    drop(client);
    let children = processes::children(server.pid());
    let took = server.stop();
    assert!(took < Duration::from_secs(1) + SLACK, "stopping took {took:?}\n{}", server.logs());
    assert!(server.left_well(), "{}", server.logs());
    assert_eq!((server.logged("AH00045:"), server.logged("AH00046:")), (0, 0), "{}", server.logs());
    let left: Vec<u32> = children.into_iter().filter(|pid| processes::exists(*pid)).collect();
    assert!(left.is_empty(), "children {left:?} outlived httpd");
}

fn a_restart_over_copies_in_flight_accounts_for_them(mpm: Mpm) {
    let staging = Staging::gated();
    let server =
        mirroring(mpm, &staging, "max=8 timeout=60s").global("CopyDrainTimeout 200ms").start();
    let mut client = server.client();
    (0..12).for_each(|_| drop(client.get("/a")));
    drop(client);
    server.status_when("8 in flight", |status| status.sum("unanswered") == 8);
    server.graceful();
    let status = server.settled(12);
    assert_eq!((status.sum("dropped.stopping"), status.sum("unanswered")), (12, 8), "{status}");
    staging.open_gate();
    server.client().get("/a");
    assert_eq!(server.settled(13).sum("delivered.2xx"), 1);
}

fn every_request_under_load_is_copied_once(mpm: Mpm) {
    let staging = answering();
    let server = mirroring(mpm, &staging, "queue=10000").start();
    let request = "GET /a HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n";
    load::run(server.port(), 3, 300, request.as_bytes());
    let status = server.settled(900);
    assert_eq!(status.sum("delivered.2xx"), 900, "{status}");
    let arrived: Vec<Arrived> = staging.received.try_iter().collect();
    assert_eq!(arrived.len(), 900);
    let children = processes::children(server.pid()).len();
    // Those that ended meanwhile had theirs.
    assert!(staging.connections() <= children + 12, "{} connections", staging.connections());
}

fn a_panic_costs_no_copy_but_the_one_in_hand(mpm: Mpm) {
    let staging = answering();
    let builder = mirroring(mpm, &staging, "").with_faults();
    let server = builder.expect("CPY0091:").expect("CPY0107:").expect("on purpose").start();
    let faults = Faults::of(server.root());
    // One connection, so that one child copies.
    let mut client = server.client();
    let mut selected = 0;
    for (point, failed) in [("Dial-enter", 1), ("Forwarder-enter", 1), ("Exchange-enter", 2)] {
        faults.panic_at(point);
        wait_for(point, || {
            client.get("/a");
            selected += 1;
            server.settled(selected);
            faults.has_panicked(point).then_some(())
        });
        client.get("/a");
        selected += 1;
        let status = server.settled(selected);
        assert_eq!(status.sum("failed.internal"), failed, "{point}: {status}");
        assert_eq!(status.sum("delivered.2xx"), selected - failed, "{point}: {status}");
    }
    server.status_when("all three counted", |status| status.faults() == 3);
}

fn answers_are_compared(mpm: Mpm) {
    let (origin, staging) = (Origin::start(), answering());
    let server = mirroring(mpm, &staging, "").proxy(&origin).vhost("CopyCompare body").start();
    let mut client = server.client();
    (0..3).for_each(|_| drop(client.get("/same")));
    let same = compared(&server, "staging", 3);
    assert_eq!((same.counted("equal"), same.counted("differing")), (3, 0), "{}", same.0);
    drop(server);
    let other = Staging::start(|_, _, respond| answer(respond, b"no"));
    let server = mirroring(mpm, &other, "").proxy(&origin).vhost("CopyCompare body").start();
    server.client().get("/other");
    let differs = compared(&server, "staging", 1);
    assert_eq!((differs.counted("equal"), differs.counted("differing")), (0, 1), "{}", differs.0);
}
