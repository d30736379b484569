//! Production never waits, fails or changes because of staging (promise 1), and memory is bounded (promise 4).

use std::path::Path;
use std::time::Duration;

use crate::client::request_with;
use crate::conf::Builder;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes::{self, Scheduled};
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::wait::wait_for;

on_each_mpm!(
    production_answers_all_while_staging_answers_none,
    production_answers_all_while_staging_reads_nothing,
    memory_stays_within_its_bound_while_staging_stalls,
    threads_of_the_module_interrupt_no_request_as_they_wake,
    threads_under_a_filter_that_lets_them_interrupt_no_request,
    where_a_filter_forbids_to_choose_nobody_does,
    where_a_filter_asks_and_has_no_answer_nobody_chooses,
);

/// Clients at once: fewer than prefork has children, so that the status can be asked meanwhile.
const CLIENTS: usize = 4;

/// Policies by which the system shares a core, by its numbers.
const OTHER: i32 = 0;
const BATCH: i32 = 3;

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

fn threads_of_the_module_interrupt_no_request_as_they_wake(mpm: Mpm) {
    are_batch_jobs(mpm, |server| server);
}

fn threads_under_a_filter_that_lets_them_interrupt_no_request(mpm: Mpm) {
    are_batch_jobs(mpm, |server| server.preload("filtered.c"));
}

/// Those of the module, which forwarders start too, are batch jobs to the system, and httpd's own are not.
fn are_batch_jobs(mpm: Mpm, started: impl FnOnce(Builder) -> Builder) {
    let (origin, staging) = (Staging::start(), Staging::start());
    staging.set(Mode::Stalled);
    let server = started(with_all_threads(mpm, &origin, &staging)).start();
    load::run(server.port(), CLIENTS, 50, &request_with("POST", "/a", b"content"));
    wait_for("a forwarder that another has started", || {
        let forwarders = scheduled(&server, |name| name == "copy-pool").len();
        (forwarders > processes::children(server.pid()).len()).then_some(())
    });
    for kind in ["copy-pool", "copy-log", "copy-compare", "copy-pulse", "copy-adapt"] {
        let threads = scheduled(&server, |name| name == kind);
        assert!(!threads.is_empty(), "{kind}");
        assert!(threads.iter().all(|thread| thread.policy == BATCH), "{threads:?}");
        let is_nice = kind == "copy-compare";
        assert!(threads.iter().all(|thread| (thread.niceness > 0) == is_nice), "{threads:?}");
    }
    // One of a child that just begins is both for a moment.
    wait_for("httpd's own threads are as they were", || {
        let threads = scheduled(&server, |name| !name.starts_with("copy-"));
        threads.iter().all(|thread| thread.policy == OTHER).then_some(())
    });
    staging.set(Mode::Answers);
    server.settled(CLIENTS as u64 * 50);
}

fn where_a_filter_forbids_to_choose_nobody_does(mpm: Mpm) {
    nobody_chooses(mpm, "forbids");
}

fn where_a_filter_asks_and_has_no_answer_nobody_chooses(mpm: Mpm) {
    nobody_chooses(mpm, "asks");
}

/// Production is served and copied, and no process is ended or held up by the filter.
fn nobody_chooses(mpm: Mpm, manner: &str) {
    let (origin, staging) = (Staging::start(), Staging::start());
    let server = with_all_threads(mpm, &origin, &staging).preload("filtered.c");
    let server = server.env("FILTER", Path::new(manner)).start();
    load::run(server.port(), CLIENTS, 50, &request_with("POST", "/a", b"content"));
    let status = server.settled(CLIENTS as u64 * 50);
    assert_eq!(status.sum("delivered"), CLIENTS as u64 * 50, "{status}");
    let threads = scheduled(&server, |_| true);
    let is_as_it_was = |thread: &Scheduled| thread.policy == OTHER && thread.niceness == 0;
    assert!(threads.iter().all(is_as_it_was), "{threads:?}");
}

/// Copies that are logged and compared, beside a target that gets none and whose sample is lowered under pressure.
fn with_all_threads(mpm: Mpm, origin: &Staging, staging: &Staging) -> Builder {
    let url = staging.url("/");
    let server = Server::on(mpm).proxy(origin).vhost("CopyLog copy.log\nCopyCompare status");
    server
        .vhost(format!("CopyTarget {url} name=pool max=4 timeout=600s"))
        .vhost(format!("CopyTarget {url} name=other methods=DELETE adapt=on"))
}

/// How those threads of all children that have such names are scheduled.
fn scheduled(server: &Server, is_meant: impl Fn(&str) -> bool) -> Vec<Scheduled> {
    let threads = processes::children(server.pid()).into_iter().flat_map(processes::scheduled);
    threads.filter(|scheduled| is_meant(&scheduled.thread)).collect()
}
