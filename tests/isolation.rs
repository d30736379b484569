//! Production never waits, fails or changes because of staging (promise 1), and memory is bounded (promise 4).

use std::time::Duration;

use crate::client::request_with;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};

on_each_mpm!(
    production_answers_all_while_staging_answers_none,
    production_answers_all_while_staging_reads_nothing,
    memory_stays_within_its_bound_while_staging_stalls,
);

/// Clients at once: fewer than prefork has children, so that the status can be asked meanwhile.
const CLIENTS: usize = 4;

fn production_answers_all_while_staging_answers_none(mpm: Mpm) {
    answers_all(mpm, Mode::Stalled);
}

fn production_answers_all_while_staging_reads_nothing(mpm: Mpm) {
    answers_all(mpm, Mode::NeverReads);
}

/// Sends more requests than there is room for copies, while staging holds every one of them.
///
/// Nothing here is timed: staging answers only when production has answered all, so production that waited
/// for it would not end. `make isolation` measures what each fault costs.
fn answers_all(mpm: Mpm, mode: Mode) {
    const REQUESTS: usize = 200;
    let (origin, staging) = (Staging::start(), Staging::start());
    staging.set(mode);
    let server = Server::on(mpm)
        .proxy(&origin)
        .vhost(format!("CopyTarget {} queue=10 max=3 timeout=600s", staging.url("/")))
        .expect("CPY0111:")
        .start();
    load::run(server.port(), CLIENTS, REQUESTS, &request_with("POST", "/a", &[b'x'; 1000]));
    let all = (CLIENTS * REQUESTS) as u64;
    let status = server.status_when("all copies selected", |status| status.sum("selected") == all);
    assert_eq!(status.sum("delivered") + status.sum("failed"), 0, "{status}");
    assert!(status.sum("in_flight") > 0 && status.sum("dropped.queue_full") > 0, "{status}");
    staging.set(Mode::Answers);
    let status = server.settled(all);
    assert_eq!(status.sum("failed"), 0, "{status}");
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
