//! Staging that ends its connections gets its copies, but at no more connections a second than production bears.

use std::thread;
use std::time::{Duration, Instant};

use super::staging::{Fault, FaultyStaging};
use crate::client::request;
use crate::load;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;

#[test]
fn staging_that_keeps_no_connection_gets_all_copies_and_no_more_than_a_thousand_a_second_and_core()
{
    // What is sent as staging closes fails.
    let outcomes = ["delivered.2xx", "failed.reset"];
    gets_its_copies_slowly(Fault::ClosesKeptConnections, (1400, 1), &outcomes);
}

#[test]
fn staging_that_answers_with_nonsense_is_asked_a_quarter_as_often() {
    gets_its_copies_slowly(Fault::Garbage, (400, 4), &["failed.protocol"]);
}

/// So many copies, each worth so many connections, have these outcomes, and not sooner than they may.
fn gets_its_copies_slowly(fault: Fault, (copies, worth): (u64, u64), outcomes: &[&str]) {
    let (origin, staging) = (Staging::start(), FaultyStaging::start(fault));
    let server = Server::on(Mpm::Event)
        .one_child()
        .proxy(&origin)
        .vhost(format!(
            "CopyTarget http://{}/ name=closing max=1 queue=10000 timeout=60s failures=0",
            staging.address()
        ))
        .expect("CPY0122: copies to closing wait: connections to it do not last, and for each core")
        .expect("CPY0104: copying to closing failed: reset: ")
        .expect("CPY0105: copying to closing failed: protocol: ")
        .start();
    let begun = Instant::now();
    load::run(server.port(), 4, copies as usize / 4, request("GET", "/a").as_bytes());
    let status = server.settled(copies);
    let took = begun.elapsed();
    let came_out: u64 = outcomes.iter().map(|outcome| status.sum(outcome)).sum();
    assert_eq!(came_out, copies, "{status}");
    assert!(staging.connections() >= copies, "{} connections", staging.connections());
    let cores = thread::available_parallelism().unwrap().get() as u32;
    // The first of them may be made at once.
    let least = Duration::from_millis((copies - 2) * worth) / cores;
    assert!(took >= least, "{took:?}");
    // Where the machine is slow enough by itself, there is nothing to tell.
    assert!(server.logged("CPY0122:") <= 2, "{}", server.error_log());
}
