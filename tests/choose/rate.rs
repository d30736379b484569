//! A rate, over all child processes.

use std::time::Instant;

use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;

on_each_mpm!(a_rate_holds_over_all_children);

const RATE: u64 = 50;

fn a_rate_holds_over_all_children(mpm: Mpm) {
    let staging = Staging::start();
    let sizes = match mpm {
        Mpm::Prefork => {
            "StartServers 6\nServerLimit 16\nMaxRequestWorkers 8\nMinSpareServers 6\nMaxSpareServers 16\n"
        }
        _ => {
            "StartServers 4\nServerLimit 8\nThreadLimit 2\nThreadsPerChild 2\nMaxRequestWorkers 8\nMinSpareThreads 2\n\
              MaxSpareThreads 8\n"
        }
    };
    let server = Server::on(mpm)
        .sizes(sizes)
        .file("htdocs/a", "a")
        .vhost(format!("CopyTarget {} name=staging rate={RATE}/s", staging.url("/")))
        .start();
    let begun = Instant::now();
    let request = b"GET /a HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n";
    load::run(server.port(), 4, 150, request);
    let seconds = begun.elapsed().as_secs_f64();
    let status = server.settled(600);
    let (sent, dropped) = (status.sum("delivered"), status.sum("dropped.rate"));
    assert_eq!(sent + dropped, 600, "each has one outcome\n{status}");
    assert_eq!(staging.count() as u64, sent);
    assert!(sent >= RATE, "a second's copies may go at once\n{status}");
    let most = RATE as f64 * (1.0 + seconds) + 1.0;
    assert!(sent as f64 <= most, "{sent} in {seconds} s\n{status}");
    assert_eq!(status.sum("dropped"), dropped);
}

#[test]
fn a_rate_goes_on_through_a_graceful_restart_and_comes_back_with_time() {
    let staging = Staging::start();
    let server = Server::on(Mpm::Event)
        .file("htdocs/a", "a")
        .vhost(format!("CopyTarget {} name=staging rate=1/s", staging.url("/")))
        .start();
    server.client().get("/a");
    server.graceful();
    server.status_when("a copy a second", |status| {
        server.client().get("/a");
        status.sum("delivered") >= 3
    });
    let status = server.status_when("an outcome for each", |status| status.is_drained());
    assert!(status.sum("dropped.rate") > 0, "{status}");
    status.assert_promise_3();
}
