//! A child that dies without a word: what it had in hand is lost and counted, and production goes on.

use rustix::process::Signal;

use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::wait::wait_for;

use super::siege;

on_each_mpm!(
    what_a_killed_child_had_in_hand_is_lost_and_counted,
    what_a_crashed_child_had_in_hand_is_lost_and_counted,
    the_sum_holds_though_children_are_killed_under_load,
);

fn mirroring(mpm: Mpm, staging: &Staging, keys: &str) -> Builder {
    Server::on(mpm)
        .vhost(format!("CopyTarget {} {keys}", staging.url("/")))
        .file("htdocs/a", "a")
        // httpd tells of every such end.
        .expect("AH00052:")
        .expect("AH00051:")
}

fn what_a_killed_child_had_in_hand_is_lost_and_counted(mpm: Mpm) {
    what_dies_loses_what_it_had_in_hand(mpm, Signal::KILL);
}

fn what_a_crashed_child_had_in_hand_is_lost_and_counted(mpm: Mpm) {
    what_dies_loses_what_it_had_in_hand(mpm, Signal::SEGV);
}

fn what_dies_loses_what_it_had_in_hand(mpm: Mpm, signal: Signal) {
    let staging = Staging::start();
    let server = mirroring(mpm, &staging, "max=1 timeout=60s").start();
    server.client().get("/a");
    server.settled(1);
    staging.set(Mode::Stalled);
    for _ in 0..5 {
        server.client().get("/a");
    }
    server.status_when("six copies selected", |status| status.sum("selected") == 6);
    let children = processes::children(server.pid());
    children.iter().for_each(|child| processes::signal(*child, signal));
    wait_for("the children's end", || {
        (!children.iter().any(|child| processes::exists(*child))).then_some(())
    });
    let status = server.settled(6);
    assert_eq!((status.sum("delivered"), status.sum("dropped.lost")), (1, 5), "{status}");
    staging.set(Mode::Answers);
    for _ in 0..5 {
        assert_eq!(server.client().get("/a").text(), "a");
    }
    assert_eq!(server.settled(11).sum("delivered"), 6);
}

fn the_sum_holds_though_children_are_killed_under_load(mpm: Mpm) {
    const DEATHS: usize = 10;
    let staging = Staging::start();
    let server = mirroring(mpm, &staging, "queue=100000").start();
    let ((), siege) = siege::during(server.port(), || {
        for death in 1..=DEATHS {
            staging.wait_for(death * 50);
            let child = wait_for("a child", || processes::children(server.pid()).pop());
            processes::kill(child);
        }
        staging.wait_for((DEATHS + 1) * 50);
    });
    let status = siege.settled(&server, &staging);
    assert!(siege.answered() > 100, "{}", siege.answered());
    assert_eq!(status.sum("failed"), 0, "{status}");
}
