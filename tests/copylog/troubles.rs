//! Logs that cannot be written: production and copying go on, and what is lost is counted.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{FlockOperation, fcntl_lock};

use super::{lines, logging, objects, path};
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::staging::Staging;
use crate::wait::wait_for;

on_each_mpm!(a_full_disk_is_told_and_counted_and_keeps_nobody_waiting);

fn a_full_disk_is_told_and_counted_and_keeps_nobody_waiting(mpm: Mpm) {
    let staging = Staging::start();
    let server = logging(mpm, &staging, "CopyLog /dev/full\nCopyLog logs/copy.log")
        .expect("CPY0131:")
        .start();
    let mut client = server.client();
    for count in 1..=3 {
        assert_eq!(client.get("/a").status, 200);
        lines(&server, count);
        server.status_when("a line that is not written", |status| {
            status.log_dropped() == count as u64
        });
    }
    let told =
        "CPY0131: writing to the CopyLog /dev/full failed: No space left on device (os error 28)";
    // The 1st and the 2nd.
    assert_eq!(server.logged(told), 2, "{}", server.logs());
    let status = server.settled(3);
    assert_eq!(status.sum("delivered.2xx"), 3, "{status}");
    let pages =
        [("?auto", "CopyLogDropped: 3\n"), ("?prometheus", "\nmod_copy_log_dropped_total 3\n")];
    for (query, line) in pages {
        let page = server.status_page(query).text();
        assert!(page.contains(line), "{page}");
    }
    assert!(server.status_page("?text").text().contains("lines of CopyLog that were dropped: 3\n"));
    assert!(server.status_page("?html").text().contains("3 lines of CopyLog dropped"));
}

#[test]
fn a_program_that_does_not_read_keeps_nobody_waiting() {
    let staging = Staging::start();
    let mut server = logging(Mpm::Event, &staging, "CopyLog \"|/bin/sleep 600\"")
        .one_child()
        .expect("CPY0111:")
        .start();
    // More than the pipe holds, and the writer's queue.
    const REQUESTS: usize = 6000;
    load::run(server.port(), 4, REQUESTS / 4, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    let status = server.status_when("lines that are dropped", |status| status.log_dropped() > 0);
    assert!(status.log_dropped() < REQUESTS as u64, "{status}");
    server.settled(REQUESTS as u64);
    let took = server.stop();
    assert!(took < std::time::Duration::from_secs(6), "stopping took {took:?}\n{}", server.logs());
}

#[test]
fn a_log_that_cannot_be_opened_keeps_nothing_from_starting() {
    let staging = Staging::start();
    let builder =
        logging(Mpm::Event, &staging, "CopyLog logs/readme/copy.log\nCopyLog logs/copy.log");
    // A folder that goes between the test of the configuration and the start: here one that never was.
    let server = builder.expect("CPY0021:").start();
    server.client().get("/a");
    lines(&server, 1);
    assert_eq!(
        server.logged("CPY0021: copies are not logged in the CopyLog"),
        1,
        "{}",
        server.logs()
    );
    server.status_when("the line is counted", |status| status.log_dropped() == 1);
}

#[test]
fn a_log_that_somebody_keeps_locked_is_written_all_the_same() {
    let staging = Staging::start();
    let mut server = logging(Mpm::Event, &staging, "CopyLog logs/copy.log").one_child().start();
    server.client().get("/a");
    lines(&server, 1);
    // Whoever closes a file gives up its locks: from here on it is read through this one alone.
    let log = File::options().read(true).write(true).open(path(&server)).unwrap();
    fcntl_lock(&log, FlockOperation::LockExclusive).unwrap();
    let count = || {
        let mut text = vec![0; log.metadata().unwrap().len() as usize];
        log.read_exact_at(&mut text, 0).unwrap();
        text.iter().filter(|byte| **byte == b'\n').count()
    };
    // More than one write takes.
    const REQUESTS: usize = 400;
    load::run(server.port(), 4, REQUESTS / 4, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for("lines in a locked log", || (count() == 1 + REQUESTS).then_some(()));
    let took = server.stop();
    assert!(took < std::time::Duration::from_secs(6), "stopping took {took:?}\n{}", server.logs());
}

#[test]
fn a_panic_of_the_writer_costs_its_lines_alone() {
    let staging = Staging::start();
    let server = logging(Mpm::Event, &staging, "CopyLog logs/copy.log")
        .with_faults()
        .one_child()
        .expect("CPY0091:")
        .expect("on purpose")
        .start();
    let faults = crate::injection::Faults::of(server.root());
    for point in ["Log-enter", "Log-leave"] {
        faults.panic_at(point);
        wait_for("a panic", || faults.has_panicked(point).then_some(()));
    }
    let before = objects(&path(&server)).len();
    server.client().get("/a");
    lines(&server, before + 1);
    assert_eq!(server.status().faults(), 2);
}
