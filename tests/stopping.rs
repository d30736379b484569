//! httpd stops and restarts in time, whatever its forwarders have in hand.

use std::time::Duration;

use crate::conf::Builder;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::wait::wait_for;

on_each_mpm!(
    a_stop_waits_no_longer_than_the_drain_timeout,
    a_stop_sends_what_can_be_sent,
    graceful_restarts_under_load_lose_no_client,
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
