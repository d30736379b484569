//! Staging that is dead one second and well the next.

use std::thread;
use std::time::Duration;

use super::staging::{Fault, FaultyStaging};
use crate::client::{Client, request};
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;
use crate::status::Status;
use crate::wait::wait_for;

const KEYS: &str = "name=flapping timeout=20s failures=2 retry=200ms";
const RETRY: Duration = Duration::from_millis(200);

on_each_mpm!(staging_that_flaps_gets_copies_whenever_it_is_well);

fn staging_that_flaps_gets_copies_whenever_it_is_well(mpm: Mpm) {
    let (origin, staging) = (Staging::start(), FaultyStaging::start(Fault::None));
    let server = Server::on(mpm)
        .proxy(&origin)
        .vhost(format!("CopyTarget http://{}/ {KEYS}", staging.address()))
        .expect("CPY0102: copying to flapping failed: refused: connect to ")
        // What is under way when staging dies.
        .expect("CPY0104: copying to flapping failed: reset: ")
        .expect("CPY0113: copying to flapping pauses for 200ms: 2 failures in a row, the last re")
        .expect("CPY0114: copying to flapping goes on after ")
        .start();
    let mut client = server.client();
    staging.set(Fault::Flapping(Duration::from_secs(1)));
    let (mut asked, mut turns, mut last) = (0, 0, (0, 0));
    wait_for("staging to come and go, twice", || {
        ask(&mut client, &server);
        asked += 1;
        let status = server.status_when("an outcome", Status::is_drained);
        let now = (status.sum("delivered"), status.sum("failed"));
        let came = now.0 > last.0 && last.1 > 0 && turns % 2 == 0;
        let went = now.1 > last.1 && turns % 2 == 1;
        turns += u32::from(came || went);
        last = now;
        (turns == 4).then_some(())
    });
    staging.set(Fault::None);
    let status = server.settled(asked);
    let cut = status.sum("failed.refused") + status.sum("failed.reset");
    assert_eq!(status.sum("failed"), cut, "{status}");
    assert_eq!(status.sum("dropped"), status.sum("dropped.breaker"), "{status}");
    assert!(status.sum("breaker.opened") > 0, "{status}");
    // It is the time itself that is waited for: from then on all copies are let through.
    thread::sleep(RETRY + Duration::from_millis(10));
    for _ in 0..3 {
        ask(&mut client, &server);
        asked += 1;
        server.settled(asked);
    }
    let after = server.status();
    assert_eq!(after.sum("delivered.2xx"), status.sum("delivered") + 3, "{after}");
    assert_eq!(after.sum("delivered.2xx"), staging.answered());
}

fn ask(client: &mut Client, server: &Server) {
    let get = request("GET", "/a");
    let answer = client.exchange_if_kept(get.as_bytes()).unwrap_or_else(|| {
        *client = server.client();
        client.exchange(&get)
    });
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}
