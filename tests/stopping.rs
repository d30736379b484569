//! httpd stops and restarts in time, whatever its forwarders have in hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::{self, request_with};
use crate::conf::Builder;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::wait::wait_for;

on_each_mpm!(
    a_stop_waits_no_longer_than_the_drain_timeout,
    a_stop_in_the_middle_of_a_load_is_in_time,
    a_stop_sends_what_can_be_sent,
    children_that_come_and_go_lose_no_copy,
    graceful_restarts_under_load_lose_no_client,
    many_graceful_restarts_leave_nothing_behind,
);

/// What httpd itself may need to stop, on a busy machine.
const SLACK: Duration = Duration::from_millis(2500);

fn mirroring(mpm: Mpm, staging: &Staging, keys: &str) -> Builder {
    Server::on(mpm).vhost(format!("CopyTarget {} {keys}", staging.url("/"))).file("htdocs/a", "a")
}

fn a_stop_waits_no_longer_than_the_drain_timeout(mpm: Mpm) {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let mut server = mirroring(mpm, &staging, "max=3 queue=8 timeout=60s")
        .global("CopyDrainTimeout 1s")
        .expect("CPY")
        .start();
    let mut client = server.client();
    wait_for("a full queue", || {
        client.get("/a");
        let status = server.status();
        (status.sum("queued") >= 8 && status.sum("dropped.queue_full") > 0).then_some(())
    });
    drop(client);
    let children = processes::children(server.pid());
    assert!(!children.is_empty());
    let took = server.stop();
    assert!(took < Duration::from_secs(1) + SLACK, "stopping took {took:?}\n{}", server.logs());
    assert!(server.left_well(), "{}", server.logs());
    assert_eq!((server.logged("AH00045:"), server.logged("AH00046:")), (0, 0), "{}", server.logs());
    let left: Vec<u32> = children.into_iter().filter(|pid| processes::exists(*pid)).collect();
    assert!(left.is_empty(), "children {left:?} outlived httpd");
}

fn a_stop_in_the_middle_of_a_load_is_in_time(mpm: Mpm) {
    let staging = Staging::start();
    // Under prefork the signal interrupts hand-overs; under event httpd itself may crash (see `Server`).
    let mut server = mirroring(mpm, &staging, "").expect("AH00052:").expect("CPY").start();
    let port = server.port();
    let ended = AtomicBool::new(false);
    let request = request_with("POST", "/a", &[b'x'; 1000]);
    let took = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    // Whatever goes wrong from here on is the stop's doing.
                    let _ = client::attempt(port, &request);
                }
            });
        }
        staging.wait_for(500);
        let took = server.stop();
        ended.store(true, Ordering::Relaxed);
        took
    });
    assert!(took < Duration::from_secs(2) + SLACK, "stopping took {took:?}\n{}", server.logs());
    assert_eq!((server.logged("AH00045:"), server.logged("AH00046:")), (0, 0), "{}", server.logs());
}

fn children_that_come_and_go_lose_no_copy(mpm: Mpm) {
    let staging = Staging::start();
    let server = mirroring(mpm, &staging, "")
        .global("MaxConnectionsPerChild 15\nCopyDrainTimeout 6s")
        .start();
    let children = processes::children(server.pid());
    let request = "GET /a HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n";
    load::run(server.port(), 2, 50, request.as_bytes());
    let status = server.settled(100);
    assert_eq!(status.sum("delivered.2xx"), 100, "{status}");
    wait_for("the first children's end", || {
        let gone = |pid: &u32| !processes::exists(*pid) || processes::is_zombie(*pid);
        children.iter().any(gone).then_some(())
    });
}

fn a_stop_sends_what_can_be_sent(mpm: Mpm) {
    let staging = Staging::start();
    staging.set(Mode::Slow(Duration::from_millis(20)));
    let mut server = mirroring(mpm, &staging, "max=1").global("CopyDrainTimeout 6s").start();
    let mut client = server.client();
    for _ in 0..20 {
        client.get("/a");
    }
    // The requests' own connection would hold a child up.
    drop(client);
    server.stop();
    assert_eq!(staging.count(), 20);
}

fn graceful_restarts_under_load_lose_no_client(mpm: Mpm) {
    let staging = Staging::start();
    // On a busy machine production is faster than staging: the queue is to hold what that leaves over.
    let server = mirroring(mpm, &staging, "queue=10000").expect("CPY").start();
    let port = server.port();
    let each = 600;
    // A connection for each request: httpd may close idle ones whenever it likes.
    let request = "GET /a HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n";
    std::thread::scope(|scope| {
        let load = scope.spawn(move || load::run(port, 3, each, request.as_bytes()));
        while !load.is_finished() {
            server.graceful();
        }
        load.join().unwrap();
    });
    let status = server.settled(3 * each as u64);
    assert_eq!(
        status.sum("delivered.2xx") + status.sum("dropped.stopping"),
        status.sum("selected"),
        "{status}"
    );
    assert_eq!(staging.count() as u64, status.sum("delivered.2xx"), "{status}");
}

fn many_graceful_restarts_leave_nothing_behind(mpm: Mpm) {
    let staging = Staging::start();
    let server = mirroring(mpm, &staging, "").start();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    server.graceful();
    let (before, files) = (processes::resident(server.pid()), descriptors());
    for round in 1..=8 {
        server.client().get("/a");
        server.settled(round);
        server.graceful();
    }
    assert_eq!(descriptors(), files, "file descriptors of the parent");
    let after = processes::resident(server.pid());
    assert!(after < before + (1 << 20), "the parent grew from {before} to {after} bytes");
    wait_for("no zombie", || {
        (!processes::children(server.pid()).into_iter().any(processes::is_zombie)).then_some(())
    });
}

#[test]
fn a_graceful_stop_ends_in_time() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let mut server = mirroring(Mpm::Event, &staging, "max=1 timeout=60s")
        .global("CopyDrainTimeout 500ms")
        .expect("CPY")
        .start();
    server.client().get("/a");
    staging.wait_for(1);
    let took = server.graceful_stop();
    assert!(took < Duration::from_millis(500) + SLACK, "stopping took {took:?}\n{}", server.logs());
}

#[test]
fn a_killed_childs_copies_are_lost_and_counted() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let server = mirroring(Mpm::Event, &staging, "max=1 timeout=60s")
        .expect("AH00052:")
        .expect("CPY")
        .start();
    for _ in 0..5 {
        server.client().get("/a");
    }
    server.status_when("five copies selected", |status| status.sum("selected") == 5);
    let children = processes::children(server.pid());
    children.iter().for_each(|child| processes::kill(*child));
    let status = server.settled(5);
    assert_eq!(status.sum("dropped.lost"), 5, "{status}");
}
