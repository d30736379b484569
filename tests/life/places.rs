//! A child that still sends copies keeps no place that httpd needs for the next one.

use rustix::process::Signal;

use crate::injection::Faults;
use crate::mpm::Mpm;
use crate::processes;
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::wait_for;

/// Under the worker MPM the threads of a child that ends may all call themselves finishing, as its listener is late: httpd
/// has no place for another child then until this one has gone. A library put before APR makes that chance certain.
#[test]
fn a_child_that_ends_leaves_its_places_to_the_next_while_it_still_sends() {
    let staging = Staging::start();
    let server = Server::on(Mpm::Worker)
        .one_child()
        .preload("life/late.c")
        .with_faults()
        .vhost(format!("CopyTarget {}", staging.url("/")))
        .file("htdocs/a", "a")
        .start();
    server.client().get("/a");
    server.settled(1);
    let first = processes::children(server.pid());
    // What a child comes to when it has sent all, or its time is over.
    let gate = Faults::of(server.root()).shut("ChildCleanup-leave");
    processes::signal(server.pid(), Signal::USR1);
    let held = gate.wait();
    wait_for("a child in the place of one that still ends", || {
        processes::children(server.pid()).iter().any(|pid| !first.contains(pid)).then_some(())
    });
    assert_eq!(server.client().get("/a").text(), "a");
    assert!(first.iter().all(|pid| processes::exists(*pid) && !processes::is_zombie(*pid)));
    drop((gate, held));
    server.settled(2);
}
