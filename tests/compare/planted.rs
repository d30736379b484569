//! Servers of two releases that differ in what is planted in the second, and in nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::server::Server;
use crate::staging::{Received, Staging};

use super::reading::{Compared, compared};

/// What the second release answers otherwise.
pub const PLANTED: [&str; 7] = [
    "GET /gone status type",
    "GET /items/{n} $.price type",
    "GET /items/{n} header:x-plan missing",
    "GET /large $.last value",
    "GET /large header:x-plan missing",
    "HEAD /items/{n} header:x-plan missing",
    "HEAD /large header:x-plan missing",
];

/// Where two answers of the same release differ.
pub const NOISE: &str = "GET /items/{n} $.nonce value";

/// What is asked for in each round: a method and a path.
pub const ROUND: [(&str, &str); 6] = [
    ("GET", "/items/1"),
    ("HEAD", "/items/2"),
    ("GET", "/same"),
    ("GET", "/gone"),
    ("GET", "/large"),
    ("HEAD", "/large"),
];

/// Requests of a round.
pub const REQUESTS: u64 = ROUND.len() as u64;

/// A server of that release.
pub fn release(release: u32) -> Staging {
    Staging::with_answers(move |received| answer(release, received))
}

/// What a server of that release answers.
pub fn answer(release: u32, received: &Received) -> Vec<u8> {
    static ANSWERS: AtomicU64 = AtomicU64::new(1);
    let line = received.request_line();
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let nonce = ANSWERS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let planted = match release {
        1 => ("1.5", "200 OK", "1", "X-Plan: a\r\n"),
        _ => ("\"1.5\"", "404 Not Found", "2", ""),
    };
    let (price, gone, last, plan) = planted;
    let (status, plan, body) = match path {
        "/same" => ("200 OK", "", r#"{"same":true}"#.to_owned()),
        "/gone" => (gone, "", r#"{"gone":true}"#.to_owned()),
        "/large" => {
            let list = "1,".repeat(100_000);
            ("200 OK", plan, format!(r#"{{"list":[{list}1],"last":{last}}}"#))
        }
        _ => ("200 OK", plan, format!(r#"{{"price":{price},"nonce":"{nonce:016x}"}}"#)),
    };
    let length = body.len();
    let body = if method == "HEAD" { "" } else { &body };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{plan}");
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The report of so many rounds: it names what is planted, and nothing else, and no comparison is lost.
pub fn assert_planted(server: &Server, rounds: u64, noise: &str) -> Compared {
    let compared = compared(server, "next", rounds * REQUESTS);
    assert_eq!(compared.differences("real"), PLANTED, "{}", compared.0);
    assert_eq!(compared.differences(noise), [NOISE], "{}", compared.0);
    assert_eq!(compared.count("compared"), rounds * REQUESTS, "{}", compared.0);
    let lost = ["shed", "unpaired"].map(|verdict| compared.counted(verdict));
    assert_eq!(lost, [0, 0], "{}", compared.0);
    compared
}
