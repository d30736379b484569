//! Staging that is dead one second and well the next.

use std::time::Duration;

use super::staging::{Fault, FaultyStaging};
use crate::client::{Client, request};
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;
use crate::status::Status;
use crate::wait::wait_for;

on_each_mpm!(staging_that_flaps_gets_copies_whenever_it_is_well);

fn staging_that_flaps_gets_copies_whenever_it_is_well(mpm: Mpm) {
    let (origin, staging) = (Staging::start(), FaultyStaging::start(Fault::None));
    let server = Server::on(mpm)
        .proxy(&origin)
        .vhost(format!("CopyTarget http://{}/ name=flapping timeout=20s", staging.address()))
        .expect("CPY0102: copying to flapping failed: refused: connect to ")
        // What is under way when staging dies.
        .expect("CPY0104: copying to flapping failed: reset: ")
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
    assert_eq!((status.sum("failed"), status.sum("dropped")), (cut, 0), "{status}");
    for _ in 0..3 {
        ask(&mut client, &server);
    }
    let after = server.settled(asked + 3);
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
