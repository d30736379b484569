//! The breaker: a target that is gone costs nothing, for all children, and gets copies again when it is back.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::request;
use crate::httpd::free_port;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::status::Status;
use crate::wait::{PATIENCE, wait_for};

on_each_mpm!(
    it_opens_after_failures_in_a_row_and_copies_are_dropped_at_once,
    staging_that_is_back_gets_copies_again,
    an_open_breaker_stays_open_through_a_graceful_restart,
    the_sum_is_exact_while_staging_comes_and_goes,
);

fn dead(keys: &str) -> String {
    format!("CopyTarget http://127.0.0.1:{}/ name=staging {keys}", free_port())
}

fn figures(status: &Status) -> [u64; 3] {
    ["failed.refused", "dropped.breaker", "breaker.opened"].map(|path| status.sum(path))
}

fn it_opens_after_failures_in_a_row_and_copies_are_dropped_at_once(mpm: Mpm) {
    let server = Server::on(mpm)
        .vhost(dead("failures=3 retry=1h"))
        .expect("CPY0102:")
        .expect("CPY0113:")
        .start();
    assert_eq!(server.status().target("staging").text("breaker.state"), "closed");
    let mut client = server.client();
    for copies in 1..=10 {
        client.get("/");
        let status = server.settled(copies);
        let (failed, opened) = (copies.min(3), u64::from(copies >= 3));
        assert_eq!(figures(&status), [failed, copies - failed, opened], "{status}");
    }
    let status = server.status();
    let target = status.target("staging");
    assert_eq!(target.text("breaker.state"), "open");
    let (since, until) = (target.count("breaker.since"), target.count("breaker.until"));
    // Each is rounded.
    assert!((3599..=3601).contains(&(until - since)), "{status}");
    wait_for("the log line", || (server.logged("CPY0113:") == 1).then_some(()));
    let log = server.error_log();
    let line = log.lines().find(|line| line.contains("CPY0113:")).unwrap();
    let expected =
        "copying to staging pauses for 3600s: 3 failures in a row, the last refused: connect to";
    assert!(line.contains(expected) && line.ends_with("(1 so far)"), "{line}");
    let page = server.status_page("?auto").text();
    assert!(page.contains("CopyTarget[0]BreakerState: open\n"), "{page}");
    assert!(page.contains("CopyTarget[0]DroppedBreaker: 7\n"), "{page}");
    let page = server.status_page("").text();
    assert!(page.contains("  breaker    open since "), "{page}");
}

fn staging_that_is_back_gets_copies_again(mpm: Mpm) {
    let mut staging = Staging::start();
    staging.stop();
    let server = Server::on(mpm)
        .vhost(format!("CopyTarget {} name=staging failures=2 retry=200ms", staging.url("/")))
        .expect("CPY")
        .start();
    let mut client = server.client();
    let mut copies = 0;
    let mut until = |what: &str, holds: &dyn Fn(&Status) -> bool| {
        wait_for(what, || {
            client.get("/");
            copies += 1;
            Some(server.settled(copies)).filter(|status| holds(status))
        })
    };
    let status = until("an open breaker, and a probe that failed", &|status| {
        status.sum("dropped.breaker") > 0 && status.sum("failed.refused") > 2
    });
    assert_eq!(status.sum("breaker.opened"), 1, "{status}");
    staging.resume();
    let status = until("a copy delivered", &|status| status.sum("delivered.2xx") > 0);
    assert_eq!(status.target("staging").text("breaker.state"), "closed", "{status}");
    let dropped = status.sum("dropped");
    let status = until("all delivered", &|status| status.sum("delivered.2xx") > 5);
    assert_eq!(status.sum("dropped"), dropped, "{status}");
    assert_eq!(status.sum("delivered.2xx"), staging.count() as u64, "{status}");
    wait_for("the log line", || (server.logged("CPY0114:") == 1).then_some(()));
    assert_eq!(server.logged("CPY0113:"), 1, "{}", server.logs());
}

fn an_open_breaker_stays_open_through_a_graceful_restart(mpm: Mpm) {
    let server = Server::on(mpm)
        .vhost(dead("failures=2 retry=1h"))
        .expect("CPY0102:")
        .expect("CPY0113:")
        .start();
    for copies in 1..=3 {
        server.client().get("/");
        server.settled(copies);
    }
    let since = server.status().sum("breaker.since");
    server.graceful();
    server.client().get("/");
    let status = server.settled(4);
    assert_eq!(figures(&status), [2, 2, 1], "{status}");
    assert!(status.sum("breaker.since").abs_diff(since) <= 1, "{status}");

    // Other keys hold from the restart on.
    let set = |from: &str, to: &str| {
        let file = server.root().join("httpd.conf");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        fs::write(&file, text.replace(from, to)).unwrap();
        server.graceful();
        server.status().target("staging").text("breaker.state").to_owned()
    };
    assert_eq!(set("failures=2", "failures=0"), "off");
    server.client().get("/");
    assert_eq!(figures(&server.settled(5)), [3, 2, 1]);
    assert_eq!(set("failures=0", "failures=1"), "closed");
    server.client().get("/");
    assert_eq!(figures(&server.settled(6)), [4, 2, 2]);
    assert_eq!(set("name=staging", "name=renamed"), "open", "the former target");
    let status = server.status();
    assert_eq!(status.target("renamed").text("breaker.state"), "closed", "{status}");
}

fn the_sum_is_exact_while_staging_comes_and_goes(mpm: Mpm) {
    const CLIENTS: usize = 3;
    const EACH: usize = 50;
    const LEAST: usize = 900;
    let mut staging = Staging::start();
    let server = Server::on(mpm)
        .vhost(format!("CopyTarget {} failures=2 retry=10ms queue=100000", staging.url("/")))
        .file("htdocs/a", "a")
        .expect("CPY")
        .start();
    let (port, enough) = (server.port(), AtomicBool::new(false));
    let sent = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = 0;
            while sent < LEAST || !enough.load(Ordering::Relaxed) {
                load::run(port, CLIENTS, EACH, request("GET", "/a").as_bytes());
                sent += CLIENTS * EACH;
            }
            sent
        });
        let began = Instant::now();
        while !load.is_finished() {
            staging.stop();
            thread::sleep(Duration::from_millis(15));
            staging.resume();
            thread::sleep(Duration::from_millis(15));
            // On a busy machine either may take its time to come about.
            let status = server.status();
            let both = status.sum("dropped.breaker") > 0 && status.sum("delivered") > 0;
            enough.store(both || began.elapsed() > PATIENCE, Ordering::Relaxed);
        }
        load.join().unwrap()
    });
    let status = server.settled(sent as u64);
    assert!(status.sum("dropped.breaker") > 0 && status.sum("delivered") > 0, "{status}");
    assert_eq!(status.sum("dropped.breaker"), status.sum("dropped"), "{status}");
    assert!(status.sum("delivered") <= staging.count() as u64, "{status}");
}

#[test]
fn children_share_it() {
    let server = Server::on(Mpm::Prefork)
        .vhost(dead("failures=4 retry=1h"))
        .expect("CPY0102:")
        .expect("CPY0113:")
        .start();
    // Each connection keeps a child of its own.
    let mut clients = [server.client(), server.client()];
    for round in 1..=4 {
        for client in &mut clients {
            client.get("/");
        }
        server.settled(2 * round);
    }
    let status = server.status();
    assert_eq!(figures(&status), [4, 4, 1], "{status}");
}

#[test]
fn a_queue_in_front_of_a_stalled_staging_empties_at_once() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let target = format!("CopyTarget {} max=2 timeout=2s failures=2 retry=1h", staging.url("/"));
    let server = Server::on(Mpm::Event)
        .one_child()
        .vhost(target)
        .file("htdocs/a", "a")
        .expect("CPY0103:")
        .expect("CPY0113:")
        .start();
    load::run(server.port(), 2, 100, request("GET", "/a").as_bytes());
    let status = server.settled(200);
    let failed = status.sum("failed.timeout");
    // Each thread may have begun another exchange before the other one's failed.
    assert!((2..=4).contains(&failed), "{status}");
    assert_eq!(status.sum("dropped.breaker"), 200 - failed, "{status}");
    assert_eq!(staging.count() as u64, failed, "{status}");
}

#[test]
fn a_child_that_dies_with_the_probe_does_not_keep_it_half_open() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let keys = "max=1 timeout=2s failures=1 retry=50ms";
    let server = Server::on(Mpm::Event)
        .one_child()
        .vhost(format!("CopyTarget {} name=staging {keys}", staging.url("/")))
        .expect("AH00052:")
        .expect("CPY")
        .start();
    server.client().get("/");
    server.settled(1);
    wait_for("the probe on its way", || {
        server.client().get("/");
        (staging.count() == 2).then_some(())
    });
    let state = |status: &Status| status.target("staging").text("breaker.state").to_owned();
    let child = processes::children(server.pid());
    child.into_iter().for_each(processes::kill);
    let status = server.status_when("the probe lost", |status| status.sum("dropped.lost") == 1);
    assert_eq!(state(&status), "half-open", "{status}");
    staging.set(Mode::Answers);
    let status = wait_for("another probe", || {
        server.client().get("/");
        Some(server.status()).filter(|status| status.sum("delivered.2xx") > 0)
    });
    assert_eq!(state(&status), "closed", "{status}");
    server.settled(status.sum("selected"));
}

#[test]
fn with_failures_0_it_is_off() {
    let server = Server::on(Mpm::Event).vhost(dead("failures=0")).expect("CPY0102:").start();
    let mut client = server.client();
    for _ in 0..20 {
        client.get("/");
    }
    let status = server.settled(20);
    assert_eq!(figures(&status), [20, 0, 0], "{status}");
    assert_eq!(status.target("staging").text("breaker.state"), "off");
}

#[test]
fn an_open_breaker_of_one_target_leaves_the_others_alone() {
    let staging = Staging::start();
    let server = Server::on(Mpm::Event)
        .vhost(dead("failures=1 retry=1h"))
        .vhost(format!("CopyTarget {} name=good", staging.url("/")))
        .expect("CPY0102:")
        .expect("CPY0113:")
        .start();
    let mut client = server.client();
    for copies in 1..=5 {
        client.get("/");
        server.settled(2 * copies);
    }
    let status = server.status();
    assert_eq!(status.target("staging").count("dropped.breaker"), 4, "{status}");
    assert_eq!(status.target("good").count("delivered.2xx"), 5, "{status}");
}
