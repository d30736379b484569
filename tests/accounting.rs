//! Every copy has exactly one outcome (promise 3), and the status pages and the error log tell it.

use crate::client::{request, request_with};
use crate::httpd::free_port;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::status::Status;
use crate::wait::wait_for;

on_each_mpm!(
    the_sum_is_exact_after_a_load,
    counters_go_on_through_graceful_restarts,
    copies_under_way_at_a_graceful_restart_have_their_outcome,
    a_refusing_port_is_logged_the_1st_2nd_and_4th_time,
);

fn the_sum_is_exact_after_a_load(mpm: Mpm) {
    let staging = Staging::start();
    let target = format!("CopyTarget {} name=staging queue=100000", staging.url("/"));
    let server = Server::on(mpm).vhost(target).file("htdocs/a", "a").start();
    load::run(server.port(), 4, 250, request("GET", "/a").as_bytes());
    let status = server.settled(1000);
    let counters = status.target("staging");
    assert_eq!((counters.count("delivered.2xx"), staging.count()), (1000, 1000), "{status}");
    let sent: usize = staging.received().iter().map(|copy| copy.head.len()).sum();
    assert_eq!(counters.count("bytes_sent"), sent as u64, "{status}");
    let answer = crate::staging::OK.len() as u64;
    assert_eq!(counters.count("bytes_received"), 1000 * answer, "{status}");
    assert!(counters.count("latency_us.mean") > 0 && counters.count("forwarders") > 0, "{status}");
}

fn counters_go_on_through_graceful_restarts(mpm: Mpm) {
    let staging = Staging::start();
    let target = format!("CopyTarget {} name=staging", staging.url("/"));
    let server = Server::on(mpm).vhost(target).start();
    for round in 1..=3 {
        server.client().get("/");
        server.settled(round);
        server.graceful();
        assert_eq!(server.settled(round).sum("delivered.2xx"), round);
    }
    server.restart();
    server.client().get("/");
    assert_eq!(server.settled(4).sum("delivered.2xx"), 4);
}

fn copies_under_way_at_a_graceful_restart_have_their_outcome(mpm: Mpm) {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let target = format!("CopyTarget {} name=staging max=2 timeout=30s", staging.url("/"));
    let server =
        Server::on(mpm).global("CopyDrainTimeout 500ms").vhost(target).expect("CPY").start();
    for _ in 0..10 {
        server.client().get("/");
    }
    server.status_when("ten copies selected", |status| status.sum("selected") == 10);
    server.graceful();
    let status = server.settled(10);
    assert_eq!(status.sum("delivered"), 0, "{status}");
    assert!(status.sum("dropped.stopping") > 0, "{status}");
    staging.set(Mode::Answers);
    server.client().get("/");
    assert_eq!(server.settled(11).sum("delivered.2xx"), 1);
}

fn a_refusing_port_is_logged_the_1st_2nd_and_4th_time(mpm: Mpm) {
    let target = format!("CopyTarget http://127.0.0.1:{}/ name=dead max=1 failures=0", free_port());
    let server = Server::on(mpm).vhost(target).expect("CPY0102:").start();
    // One client, so that one child counts.
    let mut client = server.client();
    for failures in 1..=7 {
        client.get("/");
        let status = server.settled(failures);
        assert_eq!(status.target("dead").count("failed.refused"), failures, "{status}");
        let expected = match failures {
            1 => 1,
            2..=3 => 2,
            _ => 3,
        };
        wait_for("the log line", || (server.logged("CPY0102:") >= expected).then_some(()));
        assert_eq!(server.logged("CPY0102:"), expected, "{}", server.logs());
    }
    let log = server.error_log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("CPY0102:")).collect();
    assert!(
        lines.iter().all(|line| line.contains("dead") && line.contains("[copy:")),
        "{lines:#?}"
    );
    assert!(lines.iter().all(|line| line.to_lowercase().contains("refused")), "{lines:#?}");
}

#[test]
fn staging_that_comes_back_gets_copies_again() {
    let mut staging = Staging::start();
    staging.stop();
    let target = format!("CopyTarget {} max=1", staging.url("/"));
    let server = Server::on(Mpm::Event).vhost(target).expect("CPY0102:").start();
    server.client().get("/");
    assert_eq!(server.settled(1).sum("failed.refused"), 1);
    staging.resume();
    server.client().get("/");
    assert_eq!(server.settled(2).sum("delivered.2xx"), 1);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let target = format!("CopyTarget {} max=1 queue=2 timeout=30s", staging.url("/"));
    let server = Server::on(Mpm::Event).one_child().vhost(target).expect("CPY0111:").start();
    server.client().get("/");
    staging.wait_for(1);
    for _ in 0..9 {
        server.client().get("/");
    }
    let status = server.status_when("ten copies selected", |status| status.sum("selected") == 10);
    let figures = ["dropped.queue_full", "queued", "in_flight"].map(|path| status.sum(path));
    assert_eq!(figures, [7, 2, 1], "{status}");
    assert_eq!(server.logged("CPY0111:"), 3, "the 1st, 2nd and 4th of 7");
    staging.set(Mode::Answers);
    assert_eq!(server.settled(10).sum("delivered.2xx"), 3);
}

#[test]
fn while_the_queue_is_full_an_upload_is_dropped_as_it_begins() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let target = format!("CopyTarget {} max=1 queue=1 timeout=30s", staging.url("/"));
    let server = Server::on(Mpm::Event).one_child().vhost(target).expect("CPY0111:").start();
    server.client().get("/");
    staging.wait_for(1);
    for _ in 0..2 {
        server.client().get("/");
    }
    let refused = |count| move |status: &Status| status.sum("dropped.queue_full") == count;
    server.status_when("one waits, and one was refused", refused(1));
    let content = [b'x'; 100_000];
    let mut upload = server.client();
    upload.send(format!(
        "POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: {}\r\n\r\n",
        content.len()
    ));
    server.status_when("an outcome before the content", refused(2));
    upload.send(content);
    upload.response();
    staging.set(Mode::Answers);
    let status = server.settled(4);
    assert_eq!(["delivered.2xx", "dropped.queue_full"].map(|path| status.sum(path)), [2, 2]);
}

#[test]
fn copies_beyond_the_memory_are_dropped_and_counted() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let target = format!("CopyTarget {} max=1 timeout=30s", staging.url("/"));
    let server = Server::on(Mpm::Event)
        .one_child()
        .global("CopyMemory 256K")
        .vhost(target)
        .expect("CPY0112:")
        .start();
    for _ in 0..10 {
        server.client().exchange(request_with("POST", "/", &[b'x'; 60_000]));
    }
    let status = server.status_when("ten copies selected", |status| status.sum("selected") == 10);
    let held = status.sum("queued") + status.sum("in_flight");
    assert!((1..=4).contains(&held) && status.sum("dropped.memory") == 10 - held, "{status}");
    staging.set(Mode::Answers);
    assert_eq!(server.settled(10).sum("delivered.2xx"), held);
    server.client().exchange(request_with("POST", "/", &[b'x'; 60_000]));
    assert_eq!(server.settled(11).sum("delivered.2xx"), held + 1, "memory is given back");
}

#[test]
fn a_name_that_does_not_resolve_is_counted_as_dns() {
    let server = Server::on(Mpm::Event)
        .vhost("CopyTarget http://staging.invalid/ name=nowhere")
        .expect("CPY")
        .start();
    server.client().get("/");
    let status = server.settled(1);
    assert_eq!(status.sum("failed.dns"), 1, "{status}");
}

#[test]
fn the_status_is_told_as_text_as_lines_and_as_json() {
    let staging = Staging::start();
    let target = format!("CopyTarget {} name=staging", staging.url("/"));
    let server = Server::on(Mpm::Event).vhost(target).start();
    server.client().get("/");
    server.settled(1);
    let page = |query: &str, media_type: &str| {
        let page = server.status_page(query);
        let found = page.field("Content-Type").unwrap_or_default();
        assert!(page.status == 200 && found.starts_with(media_type), "{} {found}", page.status);
        page.text()
    };
    let auto = page("?auto", "text/plain");
    for line in [
        "CopyTargets: 1",
        "CopyTarget[0]Name: staging",
        "CopyTarget[0]Selected: 1",
        "CopyTarget[0]Delivered2xx: 1",
    ] {
        assert!(auto.lines().any(|other| other == line), "{line} in\n{auto}");
    }
    assert!(auto.lines().all(|line| line.contains(": ")), "{auto}");
    let text = page("", "text/plain");
    assert!(text.contains("staging") && text.contains("selected"), "{text}");
    assert!(page("?json", "application/json").starts_with('{'));
    assert_eq!(server.status_page("?json").field("Cache-Control").as_deref(), Some("no-store"));
}

#[test]
fn a_request_for_the_status_is_not_copied() {
    let staging = Staging::start();
    let server = Server::on(Mpm::Event)
        .vhost(format!("CopyTarget {} max=1", staging.url("/")))
        .vhost("<Location \"/own-status\">\nSetHandler copy-status\n</Location>")
        .start();
    let answer = server.client().get("/own-status?auto");
    assert!(answer.text().contains("CopyTarget[0]Name: "), "{}", answer.text());
    server.client().get("/other");
    let status = server.settled(1);
    assert_eq!(
        (status.sum("not_copied.not_copyable"), status.sum("not_copied")),
        (1, 1),
        "{status}"
    );
    assert_eq!(staging.wait_for(1)[0].request_line(), "GET /other HTTP/1.1");
}

#[test]
fn a_target_that_nobody_used_yet_is_shown_with_zeroes() {
    let server = Server::on(Mpm::Event).vhost("CopyTarget http://127.0.0.1:1/ name=idle").start();
    let status = server.status();
    assert_eq!(
        (status.targets().len(), status.target("idle").count("selected")),
        (1, 0),
        "{status}"
    );
}
