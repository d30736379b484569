//! What the lines say.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{line_of, lines, logging, logging_to, objects, path};
use crate::client::{Client, request, request_with};
use crate::httpd::free_port;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Staging};

on_each_mpm!(
    a_line_tells_what_became_of_a_copy_and_of_its_request,
    a_line_comes_when_both_have_ended,
    every_copy_has_a_line_and_nothing_else_has,
);

const JSON: &str = "CopyLog logs/copy.log";

fn a_line_tells_what_became_of_a_copy_and_of_its_request(mpm: Mpm) {
    let staging = Staging::with_answer("HTTP/1.1 418 Teapot\r\nContent-Length: 5\r\n\r\nshort");
    let server = logging(mpm, &staging, JSON).modules(&["unique_id"]).start();
    let line = line_of(&server, request_with("POST", "/a?x=1", b"hello"));
    let text = line.to_string();
    assert_eq!(
        (line["target"].as_str(), line["method"].as_str(), line["path"].as_str()),
        (Some("staging"), Some("POST"), Some("/a?x=1")),
        "{text}"
    );
    assert_eq!((line["outcome"].as_str(), &line["reason"]), (Some("delivered"), &().into()));
    assert_eq!((&line["status"], &line["production_status"]), (&418.into(), &200.into()), "{text}");
    for time in ["wait_us", "connect_us", "exchange_us", "production_us"] {
        assert!(line[time].as_u64().is_some_and(|micros| micros < 60_000_000), "{time}: {text}");
    }
    assert!(line["exchange_us"].as_u64() >= line["connect_us"].as_u64(), "{text}");
    let copy = &staging.received()[0];
    let sent = (copy.head.len() + copy.content.len()) as u64;
    assert_eq!(line["bytes_sent"].as_u64(), Some(sent), "{text}");
    assert_eq!(line["bytes_received"].as_u64(), Some(47), "{text}");
    // As mod_unique_id makes them.
    assert_eq!(line["id"].as_str().map(str::len), Some(27), "{text}");
    assert!(
        crate::processes::children(server.pid()).contains(&(line["pid"].as_u64().unwrap() as u32))
    );
    assert_is_now(line["time"].as_str().unwrap());

    // Over the connection that is there.
    let mut client = server.client();
    client.get("/a");
    client.get("/a");
    let last = lines(&server, 3).remove(2);
    assert!(last["connect_us"].is_null() || mpm == Mpm::Prefork, "{last}");
}

fn assert_is_now(time: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{time}");
    // Its hour, whatever the date: a test around midnight passes too.
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    let seconds = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    let apart = (now % 86_400 - seconds).rem_euclid(86_400);
    assert!(apart < 120, "{time} is {apart} s ago");
}

fn a_line_comes_when_both_have_ended(mpm: Mpm) {
    // Production last: its origin answers when it is let go.
    let (origin, staging) = (Staging::start(), Staging::start());
    let server = Server::on(mpm)
        .proxy(&origin)
        .vhost(format!("CopyTarget {} name=staging", staging.url("/")))
        .vhost(JSON)
        .file("logs/readme", "")
        .start();
    origin.set(Mode::Stalled);
    let mut client = Client::connect(server.port());
    client.send(request("GET", "/slow-production"));
    server.settled(1);
    origin.wait_for(1);
    assert_eq!(objects(&path(&server)).len(), 0, "production has not answered");
    origin.set(Mode::Answers);
    client.response();
    let line = lines(&server, 1).remove(0);
    assert_eq!((&line["status"], &line["production_status"]), (&200.into(), &200.into()), "{line}");

    // Staging last.
    staging.set(Mode::Stalled);
    client.get("/slow-staging");
    staging.wait_for(2);
    assert_eq!(objects(&path(&server)).len(), 1, "staging has not answered");
    staging.set(Mode::Answers);
    let line = lines(&server, 2).remove(1);
    assert_eq!(line["path"], "/slow-staging");
    assert_eq!((&line["status"], &line["production_status"]), (&200.into(), &200.into()), "{line}");
}

fn every_copy_has_a_line_and_nothing_else_has(mpm: Mpm) {
    let staging = Staging::start();
    let dead = format!("http://127.0.0.1:{}/", free_port());
    let server = logging(mpm, &staging, JSON)
        .vhost(format!("<Location \"/two\">\nMirrorRequest staging {dead}\n</Location>"))
        .vhost("<Location \"/off\">\nMirrorRequest Off\n</Location>")
        .vhost("<Location \"/limited\">\nMirrorRequest staging rate=1/s\n</Location>")
        .vhost("CopyBodyLimit 10")
        .expect("CPY01")
        .start();
    let mut client = server.client();
    client.get("/a");
    client.get("/missing");
    client.get("/two");
    client.get("/off");
    client.exchange(request_with("POST", "/a", b"more than ten bytes"));
    (0..5).for_each(|_| drop(client.get("/limited")));
    let status = server.status_when("all copies ended", |status| status.is_drained());
    let lines = lines(&server, status.sum("selected") as usize);
    let count = |outcome: &str, reason: Option<&str>| {
        let is = |line: &&serde_json::Value| {
            line["outcome"] == outcome && line["reason"].as_str() == reason
        };
        lines.iter().filter(is).count() as u64
    };
    assert_eq!(count("delivered", None), status.sum("delivered"), "{lines:#?}\n{status}");
    assert_eq!(count("failed", Some("refused")), 1, "{lines:#?}");
    assert_eq!(count("dropped", Some("rate")), status.sum("dropped.rate"), "{lines:#?}\n{status}");
    assert!(status.sum("dropped.rate") > 0, "{status}");
    let failed = lines.iter().find(|line| line["outcome"] == "failed").unwrap();
    assert_eq!((&failed["target"], &failed["path"]), (&dead.into(), &"/two".into()));
    let limited = lines.iter().find(|line| line["outcome"] == "dropped").unwrap();
    assert_eq!((&limited["path"], &limited["wait_us"]), (&"/limited".into(), &().into()));
    assert_eq!((&limited["production_status"], &limited["exchange_us"]), (&404.into(), &().into()));
    let missing = lines.iter().find(|line| line["path"] == "/missing").unwrap();
    assert_eq!((&missing["production_status"], &missing["status"]), (&404.into(), &200.into()));
}

#[test]
fn errors_alone_are_logged_where_that_is_asked_for() {
    let staging = Staging::with_answers(|copy| match copy.request_line().contains("/bad") {
        true => b"nonsense\r\n\r\n".to_vec(),
        false => b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let server =
        logging(Mpm::Event, &staging, "CopyLog logs/copy.log errors\nCopyLog logs/all.log all")
            .expect("CPY0105:")
            .start();
    let mut client = server.client();
    client.get("/a");
    client.get("/bad");
    client.get("/a");
    let line = lines(&server, 1).remove(0);
    assert_eq!((&line["path"], &line["reason"]), (&"/bad".into(), &"protocol".into()));
    let all = server.root().join("logs/all.log");
    crate::wait::wait_for("all copies", || (objects(&all).len() == 3).then_some(()));
    assert_eq!(objects(&path(&server)).len(), 1);
}

#[test]
fn the_queue_s_and_the_breaker_s_drops_have_lines() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let server = logging_to(
        Mpm::Event,
        &format!("{} max=1 queue=2 failures=1 retry=1h timeout=60s", staging.url("/")),
        JSON,
    )
    .one_child()
    .expect("CPY0111:")
    .expect("CPY0104:")
    .expect("CPY0113:")
    .start();
    let mut client = server.client();
    client.get("/a?first");
    staging.wait_for(1);
    // Two wait, the others find the queue full.
    (0..4).for_each(|count| drop(client.get(&format!("/a?{count}"))));
    let dropped = lines(&server, 2);
    for line in &dropped {
        assert_eq!((&line["outcome"], &line["reason"]), (&"dropped".into(), &"queue_full".into()));
        assert_eq!(line["production_status"], 200);
    }
    staging.set(Mode::Closes);
    server.status_when("an open breaker", |status| status.sum("dropped.breaker") == 1);
    client.get("/a?late");
    let lines = lines(&server, 6);
    let became: Vec<_> = lines[2..]
        .iter()
        .map(|line| line["reason"].as_str().unwrap_or(line["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(became, ["delivered", "reset", "breaker", "breaker"], "{lines:#?}");
    assert!(lines[4]["wait_us"].is_number() && lines[5]["wait_us"].is_null(), "{lines:#?}");
}

#[test]
fn what_is_masked_in_a_copy_is_masked_in_its_line() {
    let staging = Staging::start();
    let server = logging(Mpm::Event, &staging, JSON)
        .vhost("CopyMask query token\nCopyMask query gone drop\nCopyMask json password")
        .vhost("<Location \"/limited\">\nMirrorRequest staging rate=1/s\n</Location>")
        .expect("CPY0119:")
        .start();
    let line = line_of(&server, request("GET", "/a?token=s3cret&x=1&gone=s3cret"));
    assert_eq!(line["path"], "/a?token=***&x=1");
    // Unmaskable content: it was dropped before, or as, its query was masked.
    let post = "POST /a?token=s3cret HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                Content-Length: 12\r\n\r\n{\"password\":";
    let line = line_of(&server, post);
    assert_eq!((&line["reason"], &line["path"]), (&"unmaskable".into(), &"/a?token=***".into()));
    // Those that no forwarder ever saw.
    let mut client = server.client();
    (0..5).for_each(|_| drop(client.get("/limited?token=s3cret")));
    let lines = lines(&server, 7);
    assert!(lines.iter().any(|line| line["reason"] == "rate"), "{lines:#?}");
    let text = std::fs::read_to_string(path(&server)).unwrap();
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn hostile_requests_make_no_line_that_is_not_plain() {
    let staging = Staging::start();
    let server = logging(Mpm::Event, &staging, JSON)
        .vhost("CopyLog logs/letters.log \"%m|%U|%q|%r|%h|%L|%{target}copy\"")
        .global("HttpProtocolOptions Unsafe")
        .start();
    let mut sent = 0;
    for target in [
        &b"/a\xff\xfe\"'<script>alert(1)</script>"[..],
        b"/\x1b[31mred\x07\x7f",
        b"/\xc2\x9b2J\xe2\x80\xae",
        b"/a?\"},{\"outcome\":\"forged",
        b"/%0a%0d{\"forged\":1}",
        &[b'/'; 6000],
    ] {
        let tail = b" HTTP/1.1\r\nHost: a\r\ntraceparent: 00-\"\\\x1b[0m\xff<b>\r\nX-Evil: secret-value\r\n\
                     Cookie: secret-value\r\nConnection: close\r\n\r\n";
        server.client().exchange([&b"GET "[..], target, &tail[..]].concat());
        sent += 1;
    }
    let letters = server.root().join("logs/letters.log");
    // What httpd refuses is decided after its answer: so all three are looked at until they agree.
    let lines = crate::wait::wait_for("a line of each copy in both logs", || {
        let status = server.status();
        let copied = status.sum("selected") as usize;
        let lines = objects(&path(&server));
        let all = status.is_drained() && [lines.len(), super::texts(&letters).len()] == [copied; 2];
        (all && copied >= 4).then_some(lines)
    });
    assert!(lines.len() <= sent, "{lines:#?}");
    for file in [path(&server), letters] {
        for line in super::texts(&file) {
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
            assert!(line.len() < 4096, "{}", line.len());
            assert!(!line.contains("secret-value"), "{line}");
        }
    }
    assert!(lines.iter().all(|line| line["outcome"] == "delivered"), "{lines:#?}");
    assert!(lines.iter().any(|line| line["path"].as_str().unwrap().ends_with("...")), "{lines:#?}");
    assert!(lines.iter().all(|line| line["id"].as_str().unwrap().starts_with("00-\"\\")));
}

#[test]
fn a_virtual_host_s_logs_go_before_those_of_the_server() {
    let staging = Staging::start();
    let builder = logging(Mpm::Event, &staging, JSON);
    let other = crate::httpd::free_port();
    let server = builder
        .global("CopyLog logs/main.log")
        .tail(format!(
            "Listen 127.0.0.1:{other}\n<VirtualHost 127.0.0.1:{other}>\nCopyTarget {}\n</VirtualHost>",
            staging.url("/other")
        ))
        .start();
    server.client().get("/a");
    crate::client::get(other, "/b");
    assert_eq!(lines(&server, 1)[0]["path"], "/a");
    let main = server.root().join("logs/main.log");
    let inherited = crate::wait::wait_for("the other's line", || objects(&main).pop());
    assert_eq!(inherited["path"], "/b");
    assert_eq!(objects(&main).len(), 1);
}
