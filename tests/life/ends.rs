//! Every way in which httpd ends its children, under load: no copy without an outcome, nothing left behind, and no child
//! that has to be killed (which httpd would log, and so fail the test).

use std::time::Duration;

use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes::{self, holdings};
use crate::server::Server;
use crate::staging::Staging;
use crate::status::Status;
use crate::wait::wait_for;

use super::siege;

on_each_mpm!(
    a_stop_under_load_sends_what_was_answered,
    a_graceful_stop_under_load_sends_what_was_answered,
    graceful_restarts_under_load_leave_nothing_behind,
    restarts_under_load_leave_nothing_behind,
    children_that_serve_few_connections_leave_nothing_behind,
    spare_children_that_end_leave_nothing_behind,
);

/// `CopyDrainTimeout` of these tests: enough for a busy machine to send all, less than what httpd allows.
const DRAIN: Duration = Duration::from_secs(5);
/// What httpd itself may need to stop, on a busy machine.
const SLACK: Duration = Duration::from_millis(2500);
/// What the event and worker MPMs log of a child that crashed (AH00052, or where core dumps are allowed AH00051): with
/// and without mod_copy, one that is stopped while it closes a connection may (see `Server`).
const CRASHED: &str = "exit signal";
/// For the same reason, it may find that a connection was closed already; or close another one's.
const CLOSED: &str = "AH00468:";
/// The same, where it is to wait for the client to close: the answer was sent, and nothing is lost.
const GONE: &str = "(9)Bad file descriptor: AH03092: process_lingering_close:";

fn mirroring(mpm: Mpm, staging: &Staging) -> Builder {
    Server::on(mpm)
        .global(format!("CopyDrainTimeout {}s", DRAIN.as_secs()))
        .vhost(format!("CopyTarget {} queue=100000", staging.url("/")))
        .file("htdocs/a", "a")
}

/// Stopped wherever its threads are, which httpd itself may have something to say about.
fn stopped_anywhere(builder: Builder) -> Builder {
    builder.expect(CRASHED).expect(CLOSED).expect(GONE)
}

fn a_stop_under_load_sends_what_was_answered(mpm: Mpm) {
    an_end_under_load_sends_what_was_answered(mpm, Server::stop);
}

fn a_graceful_stop_under_load_sends_what_was_answered(mpm: Mpm) {
    an_end_under_load_sends_what_was_answered(mpm, Server::graceful_stop);
}

fn an_end_under_load_sends_what_was_answered(mpm: Mpm, end: fn(&mut Server) -> Duration) {
    let staging = Staging::start();
    let mut server = stopped_anywhere(mirroring(mpm, &staging)).start();
    let port = server.port();
    let (children, siege) = siege::during(port, || {
        staging.wait_for(300);
        let children = processes::children(server.pid());
        let took = end(&mut server);
        assert!(took < DRAIN + SLACK, "the end took {took:?}\n{}", server.logs());
        children
    });
    assert!(server.left_well(), "{}", server.logs());
    assert!(!children.into_iter().any(processes::exists), "{}", server.logs());
    // A child that crashes by httpd's own fault takes copies along.
    if server.logged(CRASHED) + server.logged(CLOSED) == 0 {
        assert_eq!(siege.missing_in(&staging), 0, "{}", server.logs());
    }
    assert!(siege.answered() >= 250, "{} answered", siege.answered());
}

fn graceful_restarts_under_load_leave_nothing_behind(mpm: Mpm) {
    let status = restarts_leave_nothing_behind(mpm, Server::graceful, 4);
    assert_eq!(status.sum("failed") + status.sum("dropped.lost"), 0, "{status}");
}

fn restarts_under_load_leave_nothing_behind(mpm: Mpm) {
    restarts_leave_nothing_behind(mpm, Server::restart, 2);
}

fn restarts_leave_nothing_behind(mpm: Mpm, restart: fn(&Server), times: usize) -> Status {
    let staging = Staging::start();
    let server = stopped_anywhere(mirroring(mpm, &staging)).start();
    let ((before, after), siege) = siege::during(server.port(), || {
        restart(&server);
        let before = holdings(server.pid());
        for _ in 0..times {
            let received = staging.count();
            staging.wait_for(received + 20);
            restart(&server);
        }
        let received = staging.count();
        staging.wait_for(received + 20);
        (before, holdings(server.pid()))
    });
    assert_eq!(after, before);
    assert_eq!((before.threads, before.module.is_empty()), (1, false), "{before:#?}");
    assert_no_zombies(&server);
    siege.settled(&server, &staging)
}

fn children_that_serve_few_connections_leave_nothing_behind(mpm: Mpm) {
    let staging = Staging::start();
    // As many as ServerLimit allows: httpd's event and worker MPMs tell as many children to stop as MaxRequestWorkers
    // needs, and where more are alive, for some are ending, one may never hear of it (AH00046, without mod_copy too).
    let sizes = mpm.sizes().replace("MaxRequestWorkers 16", "MaxRequestWorkers 128");
    let few = "MaxConnectionsPerChild 20";
    let server = mirroring(mpm, &staging).sizes(&sizes).global(few).start();
    let before = holdings(server.pid());
    let mut seen = processes::children(server.pid());
    let ((), siege) = siege::during(server.port(), || {
        wait_for("ten children", || {
            for child in processes::children(server.pid()) {
                if !seen.contains(&child) {
                    seen.push(child);
                }
            }
            (seen.len() >= 10).then_some(())
        });
    });
    let status = siege.settled(&server, &staging);
    assert_eq!(status.sum("delivered"), status.sum("selected"), "{status}");
    assert_eq!(holdings(server.pid()), before);
    assert_no_zombies(&server);
}

fn spare_children_that_end_leave_nothing_behind(mpm: Mpm) {
    let staging = Staging::start();
    let sizes = match mpm {
        Mpm::Event | Mpm::Worker => {
            "StartServers 5\nServerLimit 8\nThreadLimit 4\nThreadsPerChild 4\nMaxRequestWorkers 32\n\
             MinSpareThreads 1\nMaxSpareThreads 9\n"
        }
        Mpm::Prefork => {
            "StartServers 9\nServerLimit 16\nMaxRequestWorkers 16\nMinSpareServers 1\nMaxSpareServers 2\n"
        }
    };
    let server = mirroring(mpm, &staging).sizes(sizes).start();
    let before = holdings(server.pid());
    let first = processes::children(server.pid());
    let ((), siege) = siege::during(server.port(), || {
        wait_for("the end of two children", || {
            let gone = first.iter().filter(|child| !processes::exists(**child)).count();
            (gone >= 2).then_some(())
        });
    });
    let status = siege.settled(&server, &staging);
    assert_eq!(status.sum("delivered"), status.sum("selected"), "{status}");
    assert_eq!(holdings(server.pid()), before);
    assert_no_zombies(&server);
}

/// The parent asks after its children's ends about once a second.
fn assert_no_zombies(server: &Server) {
    wait_for("no zombie", || {
        (!processes::children(server.pid()).into_iter().any(processes::is_zombie)).then_some(())
    });
}
