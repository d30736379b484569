//! `adapt=on`: pressure lowers the sample, and without it the sample comes back.

use std::time::Duration;

use crate::client::{Client, request};
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::status::Status;

on_each_mpm!(copies_that_wait_lower_the_sample_until_they_are_sent);

fn effective(status: &Status) -> f64 {
    status.target("staging").number("sample.effective_percent")
}

fn cause(status: &Status) -> String {
    status.target("staging").text("sample.cause").to_owned()
}

fn lowered(server: &Server, by: &str) -> Status {
    let status = server.status_when(by, |status| effective(status) <= 25.0 && cause(status) == by);
    assert!(status.target("staging").count("sample.lowered") > 0, "{status}");
    status
}

/// Waits until the sample is larger than it was.
fn comes_back(server: &Server, from: &Status) {
    let least = effective(from);
    server.status_when("more again", |status| effective(status) > least);
}

fn copies_that_wait_lower_the_sample_until_they_are_sent(mpm: Mpm) {
    let staging = Staging::start();
    let line = format!(
        "CopyTarget {} name=staging sample=50% adapt=on max=1 failures=0 timeout=1min",
        staging.url("/")
    );
    let server = Server::on(mpm).file("htdocs/a", "a").vhost(line).start();
    // Whoever watched before has to be replaced.
    server.graceful();
    let before = server.status();
    assert_eq!((effective(&before), cause(&before).as_str()), (50.0, "none"), "{before}");
    staging.set(Mode::Stalled);
    let mut client = Client::connect(server.port());
    // In each child some wait for the one connection there is.
    (0..60).for_each(|_| assert_eq!(client.get("/a").status, 200));
    let low = lowered(&server, "queue");
    let page = server.status_page("").text();
    assert!(page.contains("  sample     50%, now "), "{page}");
    assert!(server.status_page("?auto").text().contains("SampleCause: queue\n"));
    let sampled = |status: &Status| status.sum("not_copied.sampled");
    let left_out = sampled(&low);
    (0..40).for_each(|_| assert_eq!(client.get("/a").status, 200));
    let more = server.status();
    assert!(sampled(&more) - left_out > 20, "a quarter at most is copied\n{more}");
    staging.set(Mode::Answers);
    let drained = server.status_when("what waited is sent", Status::is_drained);
    drained.assert_promise_3();
    comes_back(&server, &drained);
}

#[test]
fn busy_workers_lower_the_sample() {
    let (origin, staging) = (Staging::start(), Staging::start());
    let line = format!("CopyTarget {} name=staging sample=50% adapt=on", staging.url("/"));
    let server = Server::on(Mpm::Event).one_child().proxy(&origin).vhost(line).start();
    origin.set(Mode::Stalled);
    // Seven of eight workers wait for the origin.
    let mut clients: Vec<Client> = (0..7)
        .map(|_| {
            let mut client = Client::connect(server.port());
            client.send(request("GET", "/"));
            client
        })
        .collect();
    origin.wait_for(7);
    let low = lowered(&server, "busy");
    origin.set(Mode::Answers);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    comes_back(&server, &low);
}

#[test]
fn staging_that_slows_lowers_the_sample() {
    let staging = Staging::start();
    let line = format!("CopyTarget {} name=staging adapt=on", staging.url("/"));
    let server = Server::on(Mpm::Event).one_child().file("htdocs/a", "a").vhost(line).start();
    server.status_when("a usual latency", |status| {
        assert_eq!(server.client().get("/a").status, 200);
        status.target("staging").count("sample.usual_us") > 0
    });
    staging.set(Mode::Slow(Duration::from_millis(300)));
    server.status_when("less for slow staging", |status| {
        assert_eq!(server.client().get("/a").status, 200);
        effective(status) < 100.0 && cause(status) == "slow"
    });
}

#[test]
fn a_rule_that_does_not_adapt_is_left_alone() {
    let staging = Staging::start();
    let lines = format!(
        "CopyTarget {} name=staging adapt=on max=1 failures=0 timeout=1min\n\
         <Location \"/all\">\nMirrorRequest staging adapt=off\n</Location>",
        staging.url("/")
    );
    let server = Server::on(Mpm::Event).one_child().file("htdocs/a", "a").vhost(lines);
    let server = server.file("htdocs/all", "a").start();
    staging.set(Mode::Stalled);
    let mut client = Client::connect(server.port());
    (0..40).for_each(|_| assert_eq!(client.get("/a").status, 200));
    let low = lowered(&server, "queue");
    (0..40).for_each(|_| assert_eq!(client.get("/all").status, 200));
    let after = server.status();
    assert_eq!(after.sum("selected"), low.sum("selected") + 40, "{after}");
    assert_eq!(after.sum("not_copied.sampled"), low.sum("not_copied.sampled"), "{after}");
    staging.set(Mode::Answers);
    server.status_when("what waited is sent", Status::is_drained);
}
