//! Restart after restart in one parent: it does not grow, counting goes on, and targets keep their counters.

use std::fs;

use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes::{self, holdings};
use crate::server::Server;
use crate::staging::Staging;

on_each_mpm!(
    many_graceful_restarts_leave_nothing_behind,
    a_target_that_comes_back_goes_on_counting_and_a_renamed_one_begins,
    more_targets_than_there_are_counters_begin_counting_anew,
);

/// How many restarts there are, unless `MOD_COPY_RESTARTS` names a number: above 1024, a thread's key that leaks at
/// each would end the server.
const RESTARTS: u64 = 300;
/// After so many of them a request is copied. httpd's children take their time to end after they served one.
const PERIOD: u64 = 50;
/// The most targets that have counters.
const COUNTERS: usize = 128;

fn mirroring(mpm: Mpm, staging: &Staging, name: &str) -> Builder {
    Server::on(mpm).vhost(format!("CopyTarget {} name={name}", staging.url("/")))
}

fn many_graceful_restarts_leave_nothing_behind(mpm: Mpm) {
    let number = std::env::var("MOD_COPY_RESTARTS").map(|times| times.parse().unwrap());
    let times = number.unwrap_or(RESTARTS);
    let staging = Staging::start();
    let server = mirroring(mpm, &staging, "staging").start();
    // httpd's own memory has its size after a few.
    for _ in 0..20 {
        server.graceful();
    }
    let (before, size) = (holdings(server.pid()), processes::resident(server.pid()));
    let mut requests = 0;
    for round in 1..=times {
        if round % PERIOD == 0 {
            server.client().get("/");
            requests += 1;
            assert_eq!(server.settled(requests).sum("delivered"), requests);
        }
        server.graceful();
    }
    assert_eq!(holdings(server.pid()), before);
    let after = processes::resident(server.pid());
    println!("{times} restarts under {mpm:?}: {size} bytes resident before, {after} after");
    assert!(after < size + (1 << 20), "{times} restarts: from {size} to {after} bytes");
    assert_eq!(server.settled(requests).sum("delivered"), requests);
}

/// Changes a server's configuration, and restarts it gracefully.
fn change(server: &Server, from: &str, to: &str) {
    let file = server.root().join("httpd.conf");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} in\n{text}");
    fs::write(file, text.replace(from, to)).unwrap();
    server.graceful();
}

fn a_target_that_comes_back_goes_on_counting_and_a_renamed_one_begins(mpm: Mpm) {
    let staging = Staging::start();
    let server = mirroring(mpm, &staging, "first").start();
    let shared = holdings(server.pid()).shared;
    let selected = |names: &[&str]| {
        let status = server.status_when("an outcome for every copy", |status| status.is_drained());
        let targets = status.targets();
        let found: Vec<&str> = targets.iter().map(|target| target.name()).collect();
        assert_eq!(found, names);
        names.iter().map(|name| status.target(name).count("selected")).collect::<Vec<_>>()
    };
    server.client().get("/");
    assert_eq!(selected(&["first"]), [1]);
    change(&server, "name=first", "name=second");
    server.client().get("/");
    assert_eq!(selected(&["first", "second"]), [1, 1]);
    let line = format!("CopyTarget {} name=second", staging.url("/"));
    change(&server, &line, "# nothing");
    server.client().get("/");
    assert_eq!(selected(&["first", "second"]), [1, 1]);
    change(&server, "# nothing", &line.replace("second", "first"));
    server.client().get("/");
    assert_eq!(selected(&["first", "second"]), [2, 1]);
    assert_eq!(holdings(server.pid()).shared, shared);
}

/// So many lines for targets, whose names begin alike.
fn targets(staging: &Staging, beginning: &str, count: usize) -> String {
    let line = |index| format!("CopyTarget {} max=1 name={beginning}-{index}\n", staging.url("/"));
    (0..count).map(line).collect()
}

fn more_targets_than_there_are_counters_begin_counting_anew(mpm: Mpm) {
    const MANY: usize = COUNTERS / 2 + 1;
    let staging = Staging::start();
    let server =
        Server::on(mpm).vhost(targets(&staging, "spring", MANY)).expect("CPY0013:").start();
    let shared = holdings(server.pid()).shared;
    server.client().get("/");
    server.settled(MANY as u64);
    let mark = staging.wait_for(MANY)[0].field("X-Mod-Copy");
    for (round, (from, to)) in [("spring", "summer"), ("summer", "autumn")].into_iter().enumerate()
    {
        change(&server, from, to);
        assert_eq!(server.logged("CPY0013: counting begins anew"), round + 1, "{}", server.logs());
        server.client().get("/");
        let status = server.settled(MANY as u64);
        assert_eq!((status.sum("delivered"), status.targets().len()), (MANY as u64, MANY));
        assert!(status.targets().iter().all(|target| target.name().starts_with(to)), "{status}");
        assert_eq!(holdings(server.pid()).shared, shared, "the old counters' memory is let go");
        let received = staging.wait_for((round + 2) * MANY);
        assert_eq!(received.last().unwrap().field("X-Mod-Copy"), mark, "a loop is still one");
    }
}

#[test]
fn a_configuration_of_more_targets_than_there_are_counters_is_an_error() {
    let staging = Staging::start();
    let verdict = |count| Server::on(Mpm::Event).vhost(targets(&staging, "a", count)).configtest();
    let allowed = verdict(COUNTERS);
    assert!(allowed.passed, "{}", allowed.stderr);
    let refused = verdict(COUNTERS + 1);
    assert!(!refused.passed);
    let message = "CopyTarget: expected at most 128 targets in a configuration, found 'a-128'";
    assert!(refused.stderr.contains(message), "{}", refused.stderr);
}
