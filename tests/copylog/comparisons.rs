//! Logs of comparisons: which have a line, what it says, and what no line ever has.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{objects, texts};
use crate::client::request;
use crate::compare::reading::compared;
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Received, Staging};
use crate::wait::wait_for;

on_each_mpm!(
    a_comparison_has_a_line_in_the_logs_that_ask_for_it,
    lines_of_comparisons_show_no_values_and_no_more_of_requests_than_staging_sees,
);

/// An answer with this price, but for `/same`.
fn answer(received: &Received, price: &str) -> Vec<u8> {
    let price = if received.request_line().contains("/same") { "1" } else { price };
    let content =
        format!(r#"{{"items":[{{"price":{price}}},{{"price":{price}}}],"secret":{price}}}"#);
    let length = content.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {length}\r\n\r\n{content}").into_bytes()
}

fn origin() -> Staging {
    Staging::with_answers(|received| answer(received, "4711"))
}

fn staging() -> Staging {
    Staging::with_answers(|received| answer(received, "\"0815\""))
}

fn comparing(mpm: Mpm, origin: &Staging, staging: &Staging) -> Builder {
    Server::on(mpm)
        .proxy(origin)
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost("CopyCompare headers body")
        .file("logs/readme", "")
}

fn log(server: &Server, name: &str) -> PathBuf {
    server.root().join("logs").join(name)
}

fn lines(path: &Path, count: usize) -> Vec<Value> {
    wait_for("lines of the log", || {
        let lines = objects(path);
        assert!(lines.len() <= count, "more lines than comparisons: {lines:#?}");
        (lines.len() == count).then_some(lines)
    })
}

fn a_comparison_has_a_line_in_the_logs_that_ask_for_it(mpm: Mpm) {
    let (origin, staging) = (origin(), staging());
    let server = comparing(mpm, &origin, &staging)
        .modules(&["unique_id"])
        .vhost("CopyLog logs/copies.log")
        .vhost("CopyLog logs/compared.log compared")
        .vhost("CopyLog logs/differing.log differing")
        .vhost("CopyLog logs/text.log compared \"%{verdict}copy %{route}copy %{differences}copy %v %h\"")
        .vhost("<Location /off>\nCopyCompare Off\n</Location>")
        .vhost("ServerName www.example.com")
        .start();
    let mut client = server.client();
    for path in ["/same", "/users/42?x=1", "/off"] {
        assert_eq!(client.exchange(request("GET", path)).status, 200);
    }
    let copies = lines(&log(&server, "copies.log"), 3);
    let compared = lines(&log(&server, "compared.log"), 2);
    let of = |route: &str| compared.iter().find(|line| line["route"] == route).unwrap();
    let (same, other) = (of("GET /same"), of("GET /users/{n}"));
    assert_eq!((&same["verdict"], &same["differences"]), (&"equal".into(), &Value::Array(vec![])));
    assert_eq!(&lines(&log(&server, "differing.log"), 1)[0], other);
    assert_eq!(
        other["differences"].to_string(),
        r#"[{"places":2,"path":"$.items[*].price","change":"type","standing":"real"},{"places":1,"path":"$.secret","change":"type","standing":"real"}]"#
    );
    let told =
        ["target", "method", "path", "verdict"].map(|member| other[member].as_str().unwrap());
    assert_eq!(told, ["next", "GET", "/users/42?x=1", "differing"]);
    let status = ["status", "production_status", "unlisted"].map(|member| other[member].as_u64());
    assert_eq!(status, [Some(200), Some(200), Some(0)], "{other}");
    for time in ["staging_us", "production_us"] {
        assert!(other[time].as_u64().is_some_and(|micros| micros < 60_000_000), "{time}: {other}");
    }
    // The copy's own line is found by the request's id.
    let is_its = |line: &&Value| line["id"] == other["id"];
    let copy = copies.iter().find(is_its).unwrap_or_else(|| panic!("{other}\n{copies:#?}"));
    assert_eq!((&copy["path"], &copy["time"]), (&other["path"], &other["time"]));
    let mut texts = texts(&log(&server, "text.log"));
    texts.sort();
    let expected = [
        "differing GET /users/{n} $.items[*].price,$.secret www.example.com 127.0.0.1",
        "equal GET /same - www.example.com 127.0.0.1",
    ];
    assert_eq!(texts, expected);
}

fn lines_of_comparisons_show_no_values_and_no_more_of_requests_than_staging_sees(mpm: Mpm) {
    let (origin, staging) = (origin(), staging());
    let mut server = comparing(mpm, &origin, &staging)
        .vhost("CopyMask query token fixed:hidden\nCopyMask json secret drop")
        // For comparisons alone: copies have no line.
        .vhost("CopyLog logs/compared.log compared")
        .start();
    server.client().get("/a?token=5ec2e7&x=1");
    compared(&server, "next", 1);
    server.client().get("/b");
    // What is compared as a child ends is logged.
    server.stop();
    let lines = objects(&log(&server, "compared.log"));
    let text = texts(&log(&server, "compared.log")).join("\n");
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0]["path"], "/a?token=hidden&x=1");
    assert!(text.contains("$.secret"), "{text}");
    assert!(["4711", "0815", "5ec2e7"].iter().all(|value| !text.contains(value)), "{text}");
}

#[test]
fn lines_of_comparisons_that_cannot_be_written_are_counted_and_keep_nothing_waiting() {
    let (origin, staging) = (origin(), staging());
    let server = comparing(Mpm::Event, &origin, &staging)
        .vhost("CopyLog /dev/full differing")
        .expect("CPY0131:")
        .start();
    server.client().get("/same");
    server.client().get("/other");
    assert_eq!(compared(&server, "next", 2).count("differing"), 1);
    server.status_when("a line that is not written", |status| status.log_dropped() == 1);
}
