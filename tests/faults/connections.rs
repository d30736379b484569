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
    const COPIES: u64 = 1400;
    let (origin, staging) = (Staging::start(), FaultyStaging::start(Fault::ClosesKeptConnections));
    let server = Server::on(Mpm::Event)
        .one_child()
        .proxy(&origin)
        .vhost(format!(
            "CopyTarget http://{}/ name=closing max=1 queue=10000 timeout=60s failures=0",
            staging.address()
        ))
        .expect("CPY0122: copies to closing wait: connections to it do not last, and for each core")
        // What is sent as staging closes.
        .expect("CPY0104: copying to closing failed: reset: ")
        .start();
    let begun = Instant::now();
    load::run(server.port(), 4, COPIES as usize / 4, request("GET", "/a").as_bytes());
    let status = server.settled(COPIES);
    let took = begun.elapsed();
    let outcomes = status.sum("delivered.2xx") + status.sum("failed.reset");
    assert_eq!(outcomes, COPIES, "{status}");
    assert!(staging.connections() >= COPIES, "it closed all: {}", staging.connections());
    let cores = thread::available_parallelism().unwrap().get() as u32;
    // One may be made at once.
    assert!(took >= Duration::from_millis(COPIES - 2) / cores, "{took:?}");
    // Where the machine is slow enough by itself, there is nothing to tell.
    assert!(server.logged("CPY0122:") <= 2, "{}", server.error_log());
}
