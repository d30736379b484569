//! Production never waits, fails or changes because of staging (promise 1), and memory is bounded (promise 4).

use std::time::{Duration, Instant};

use crate::client::{request, request_with};
use crate::httpd::free_port;
use crate::load::{self, median};
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};

on_each_mpm!(
    dead_staging_costs_production_nothing,
    stalled_staging_costs_production_nothing,
    slow_staging_costs_production_nothing,
    staging_that_never_reads_costs_production_nothing,
    memory_stays_within_its_bound_while_staging_stalls,
);

/// Clients at once: fewer than prefork has children, so that the status can be asked meanwhile.
const CLIENTS: usize = 4;
const REQUESTS: usize = 150;
/// Pairs of runs; odd, for a median.
const PAIRS: usize = 5;

/// Loads `/good`, mirrored to good staging, and `/bad`, mirrored to the staging named `bad`, by turns.
///
/// What is asserted of the speed is loose on purpose: a build machine's two cores are shared with the clients, both
/// stagings and other tests, and single runs differ by a third. What these tests are to catch is production that waits
/// for staging, and that costs a factor of ten to a thousand, not of two. `make bench` measures the exact cost.
fn assert_isolated(mpm: Mpm, bad: &str, check: impl FnOnce(&Server)) {
    let (origin, good) = (Staging::start(), Staging::start());
    let server = Server::on(mpm)
        .proxy(&origin)
        .vhost(format!("<Location \"/good\">\nCopyTarget {} name=good\n</Location>", good.url("/")))
        .vhost(format!("<Location \"/bad\">\nCopyTarget {bad} name=bad\n</Location>"))
        .expect("CPY")
        .start();
    let run = |path| {
        load::run(
            server.port(),
            CLIENTS,
            REQUESTS,
            request_with("POST", path, &[b'x'; 1000]).as_slice(),
        )
    };
    let mut rates = [Vec::new(), Vec::new()];
    let mut slowest = [Duration::ZERO; 2];
    for _ in 0..PAIRS {
        for (at, path) in ["/good", "/bad"].into_iter().enumerate() {
            let measured = run(path);
            rates[at].push(measured.rate);
            slowest[at] = slowest[at].max(measured.slowest);
        }
    }
    let [good_rate, bad_rate] = rates.map(median);
    println!("requests/s: staging good {good_rate:.0}, bad {bad_rate:.0}; slowest {slowest:?}");
    assert!(
        bad_rate >= 0.5 * good_rate,
        "{bad_rate:.0}/s beside {good_rate:.0}/s with good staging"
    );
    assert!(slowest[1] < Duration::from_secs(1), "an answer took {:?}", slowest[1]);
    let all = (CLIENTS * REQUESTS * PAIRS) as u64;
    let status =
        server.status_when("every request selected", |status| status.sum("selected") == 2 * all);
    assert_eq!(status.target("bad").count("selected"), all, "{status}");
    check(&server);
    let status = server.settled(2 * all);
    assert_eq!(status.target("bad").count("selected"), all, "{status}");
    assert_eq!(status.target("good").count("failed"), 0, "{status}");
}

fn dead_staging_costs_production_nothing(mpm: Mpm) {
    let dead = format!("http://127.0.0.1:{}/ failures=0", free_port());
    assert_isolated(mpm, &dead, |server| {
        let status = server
            .status_when("the dead target's copies accounted for", |status| status.is_drained());
        let bad = status.target("bad");
        assert!(bad.count("failed.refused") > 0, "{status}");
        assert_eq!(
            bad.count("failed.refused") + bad.count("dropped.queue_full"),
            bad.count("selected"),
            "{status}"
        );
    });
}

fn stalled_staging_costs_production_nothing(mpm: Mpm) {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let bad = format!("{} queue=100 timeout=60s", staging.url("/"));
    assert_isolated(mpm, &bad, |server| {
        let status = server.status();
        let bad = status.target("bad");
        assert!(bad.count("in_flight") > 0 && bad.count("dropped.queue_full") > 0, "{status}");
        staging.set(Mode::Answers);
    });
}

fn slow_staging_costs_production_nothing(mpm: Mpm) {
    let staging = Staging::start();
    staging.set(Mode::Slow(Duration::from_millis(100)));
    let bad = format!("{} queue=100", staging.url("/"));
    assert_isolated(mpm, &bad, |server| {
        staging.set(Mode::Answers);
        let status = server.status_when("the slow copies delivered", |status| status.is_drained());
        let bad = status.target("bad");
        assert!(bad.count("delivered.2xx") > 0, "{status}");
        assert_eq!(bad.count("failed"), 0, "{status}");
    });
}

fn staging_that_never_reads_costs_production_nothing(mpm: Mpm) {
    let staging = Staging::start();
    staging.set(Mode::NeverReads);
    let bad = format!("{} queue=100 timeout=1s failures=0", staging.url("/"));
    assert_isolated(mpm, &bad, |server| {
        let status = server
            .status_when("the deadline passed", |status| status.target("bad").count("failed") > 0);
        assert_eq!(
            status.target("bad").count("failed.timeout"),
            status.target("bad").count("failed"),
            "{status}"
        );
        staging.set(Mode::Answers);
    });
}

fn memory_stays_within_its_bound_while_staging_stalls(mpm: Mpm) {
    const MEMORY: u64 = 4 << 20;
    /// The stacks and buffers of the forwarders, and pages that the allocator keeps.
    const SLACK: u64 = 4 << 20;
    let (origin, staging) = (Staging::start(), Staging::start());
    let target = format!("CopyTarget {} queue=100000 timeout=60s", staging.url("/"));
    let server = Server::on(mpm)
        .proxy(&origin)
        .global("CopyMemory 4M")
        .vhost(target)
        .expect("CPY0112:")
        .start();
    let post = request_with("POST", "/a", &[b'x'; 16 << 10]);
    // All forwarders at work, and httpd's own pools at the size they keep.
    staging.set(Mode::Slow(Duration::from_millis(2)));
    load::run(server.port(), CLIENTS, 200, &post);
    server.settled(800);
    let largest =
        || processes::children(server.pid()).into_iter().map(processes::resident).max().unwrap();
    let base = largest();
    staging.set(Mode::Stalled);
    load::run(server.port(), CLIENTS, 400, &post);
    let status = server.status_when("all copies selected", |status| status.sum("selected") == 2400);
    let peak = largest();
    println!("resident: {base} bytes before, {peak} with CopyMemory {MEMORY} exhausted");
    assert!(status.sum("dropped.memory") > 0, "the bound was reached\n{status}");
    assert!(peak <= base + MEMORY + MEMORY / 10 + SLACK, "{base} bytes grew to {peak}");
    staging.set(Mode::Answers);
    server.settled(2400);
}

#[test]
fn a_client_is_answered_before_staging_is() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let target = format!("CopyTarget {} timeout=60s", staging.url("/"));
    let server = Server::on(Mpm::Event).vhost(target).file("htdocs/a", "a").start();
    let mut client = server.client();
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(client.exchange(request("GET", "/a")).text(), "a");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    staging.wait_for(1);
    assert_eq!(server.status().sum("delivered"), 0);
    staging.set(Mode::Answers);
    assert_eq!(server.settled(10).sum("delivered.2xx"), 10);
}
