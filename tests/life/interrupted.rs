//! A hand-over that httpd interrupts: under prefork, a child that is told to end does so inside its signal handler,
//! wherever it is.

use std::time::Duration;

use rustix::process::Signal;

use crate::client::{Client, request, request_with};
use crate::conf::Builder;
use crate::injection::{Faults, Gate};
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::wait_for;

on_each_mpm!(a_hand_over_during_a_graceful_restart_is_completed);

/// What httpd itself may need to stop, on a busy machine; less than what passes before it kills a child.
const SLACK: Duration = Duration::from_millis(2500);

fn mirroring(mpm: Mpm, staging: &Staging) -> Builder {
    Server::on(mpm).with_faults().vhost(format!("CopyTarget {}", staging.url("/")))
}

/// A client whose request is being handed over, and stays so until the gate is dropped.
fn handing_over(server: &Server) -> (Client, Gate, std::fs::File) {
    let gate = Faults::of(server.root()).shut("HandOver-enter");
    let mut client = server.client();
    client.send(request("GET", "/interrupted"));
    let waiting = gate.wait();
    (client, gate, waiting)
}

#[test]
fn a_stop_inside_a_hand_over_is_in_time() {
    let staging = Staging::start();
    let mut server = mirroring(Mpm::Prefork, &staging).global("CopyDrainTimeout 500ms").start();
    server.client().get("/before");
    let (_client, _gate, _waiting) = handing_over(&server);
    let children = processes::children(server.pid());
    let took = server.stop();
    assert!(took < Duration::from_millis(500) + SLACK, "stopping took {took:?}\n{}", server.logs());
    assert!(server.left_well(), "{}", server.logs());
    assert_eq!((server.logged("AH00045:"), server.logged("AH00046:")), (0, 0), "{}", server.logs());
    assert!(!children.into_iter().any(processes::exists));
    let received: Vec<String> =
        staging.received().iter().map(crate::staging::Received::request_line).collect();
    assert_eq!(received, ["GET /before HTTP/1.1"]);
}

#[test]
fn a_child_that_ends_inside_a_hand_over_gives_the_copy_its_outcome() {
    let staging = Staging::start();
    let server = mirroring(Mpm::Prefork, &staging)
        .global("CopyDrainTimeout 500ms")
        .sizes("StartServers 1\nServerLimit 16\nMaxRequestWorkers 8\nMinSpareServers 1\nMaxSpareServers 16\n")
        .start();
    server.client().get("/before");
    server.settled(1);
    let children = processes::children(server.pid());
    let (_client, gate, waiting) = handing_over(&server);
    // Another child may have been started since, which does not wait at the gate.
    children.iter().for_each(|child| processes::signal(*child, Signal::TERM));
    wait_for("the end of the children", || {
        (!children.iter().any(|child| processes::exists(*child))).then_some(())
    });
    drop((gate, waiting));
    let status = server.settled(2);
    assert_eq!((status.sum("delivered"), status.sum("dropped.stopping")), (1, 1), "{status}");
    server.client().get("/after");
    assert_eq!(server.settled(3).sum("delivered"), 2, "production and its mirror go on");
}

/// What it held goes with the process: to free it might take a lock that the interrupted request holds.
#[test]
fn a_child_that_ends_while_content_passes_frees_nothing_of_the_request() {
    let staging = Staging::start();
    let server = mirroring(Mpm::Prefork, &staging)
        .global("CopyDrainTimeout 500ms")
        .sizes("StartServers 1\nServerLimit 16\nMaxRequestWorkers 8\nMinSpareServers 1\nMaxSpareServers 16\n")
        .start();
    let children = processes::children(server.pid());
    let faults = Faults::of(server.root());
    let gate = faults.shut("Tee-enter");
    let mut client = server.client();
    client.send(request_with("POST", "/interrupted", b"content"));
    let waiting = gate.wait();
    let points = ["PoolCleanup-enter", "Conclude-enter"];
    points.iter().for_each(|point| faults.panic_at(point));
    children.iter().for_each(|child| processes::signal(*child, Signal::TERM));
    wait_for("the end of the children", || {
        (!children.iter().any(|child| processes::exists(*child))).then_some(())
    });
    assert_eq!(points.map(|point| faults.has_panicked(point)), [false; 2]);
    points.iter().for_each(|point| faults.calm(point));
    drop((gate, waiting));
}

fn a_hand_over_during_a_graceful_restart_is_completed(mpm: Mpm) {
    let staging = Staging::start();
    let server = mirroring(mpm, &staging).start();
    let (mut client, gate, waiting) = handing_over(&server);
    std::thread::scope(|scope| {
        let restart = scope.spawn(|| server.graceful());
        wait_for("the new generation", || (server.logged("AH00094:") == 2).then_some(()));
        assert!(!restart.is_finished(), "the old child is still there");
        drop((gate, waiting));
        assert_eq!(client.response().status, 404);
        drop(client);
        restart.join().unwrap();
    });
    assert_eq!(server.settled(1).sum("delivered"), 1);
}
