//! What is seen of production's answers, whoever makes them, and what that changes: nothing.

use crate::client::{request, request_with};
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Received, Staging};

use super::reading::{compared, now};

on_each_mpm!(
    production_answers_byte_for_byte_the_same_whether_it_is_compared_or_not,
    what_production_makes_itself_is_seen_as_clients_see_it,
);

/// `200 OK` with this content, as JSON.
fn json(content: &str) -> Vec<u8> {
    let length = content.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {length}\r\n\r\n{content}").into_bytes()
}

fn path(received: &Received) -> String {
    received.request_line().split(' ').nth(1).unwrap().to_owned()
}

/// Production at this origin, and its answers compared with those of staging.
fn comparing(mpm: Mpm, origin: &Staging, staging: &Staging) -> Builder {
    Server::on(mpm)
        .proxy(origin)
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost("CopyCompare headers body")
}

fn production_answers_byte_for_byte_the_same_whether_it_is_compared_or_not(mpm: Mpm) {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Odd: a,,b\r\n\r\n\
        5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let answer = |received: &Received| match path(received).as_str() {
        "/chunked" => CHUNKED.as_bytes().to_vec(),
        "/large" => json(&format!("[{}1]", "1,".repeat(300_000))),
        "/empty" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/failing" => {
            b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\nno".to_vec()
        }
        _ => json("{}"),
    };
    let (origin, staging) = (Staging::with_answers(answer), Staging::with_answers(answer));
    let compares = comparing(mpm, &origin, &staging).file("htdocs/a", "a").start();
    let plain = Server::on(mpm).proxy(&origin).file("htdocs/a", "a").start();
    let requests: Vec<Vec<u8>> = ["/", "/chunked", "/large", "/empty", "/failing"]
        .iter()
        .flat_map(|path| ["GET", "HEAD"].map(|method| request(method, path).into_bytes()))
        .chain([request_with("POST", "/", b"hello")])
        .collect();
    for request in &requests {
        let [one, other] =
            [&compares, &plain].map(|server| server.client().exchange(request).comparable());
        assert_eq!(one, other, "{}", String::from_utf8_lossy(request));
    }
    // A POST is not safe.
    let compared = compared(&compares, "next", 10);
    assert_eq!(compared.differences("real"), [""; 0], "{}", compared.0);
    assert_eq!((compared.count("compared"), compared.count("equal")), (10, 10));
}

fn what_production_makes_itself_is_seen_as_clients_see_it(mpm: Mpm) {
    let file = "one\n".repeat(1_000) + "two\nthree\n";
    let (same, other) = (file.clone(), file.replace("two", "2"));
    let staging = Staging::with_answers(move |received| {
        let answer = |status, media_type, content: &str| {
            let length = content.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\n");
            format!("{head}Content-Length: {length}\r\n\r\n{content}").into_bytes()
        };
        match path(received).as_str() {
            "/same.txt" => answer("200 OK", "text/plain", &same),
            "/other.txt" => answer("200 OK", "text/plain", &other),
            "/missing" => answer("404 Not Found", "text/html; charset=iso-8859-1", "<p>gone</p>"),
            _ => answer("404 Not Found", "text/plain", "the document"),
        }
    });
    let server = Server::on(mpm)
        .modules(&["mime", "filter", "deflate", "alias", "setenvif"])
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost("CopyCompare body\nAddType text/plain .txt")
        .vhost("SetOutputFilter DEFLATE")
        .vhost("<Location /documented>\nErrorDocument 404 \"the document\"\n</Location>")
        .file("htdocs/same.txt", &file)
        .file("htdocs/other.txt", &file)
        .start();
    let mut client = server.client();
    let mut get = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: www.example.com\r\n");
        let answer = client.exchange(format!("{head}Accept-Encoding: gzip\r\n\r\n"));
        (answer.status, answer.field("Content-Encoding"))
    };
    assert_eq!(get("/same.txt"), (200, Some("gzip".to_owned())));
    assert_eq!(get("/other.txt").0, 200);
    assert_eq!(get("/missing").0, 404);
    assert_eq!(get("/documented").0, 404);
    let compared = compared(&server, "next", 4);
    let differences = compared.differences("real");
    assert_eq!(differences[0], "GET /missing html:!doctype missing", "{}", compared.0);
    assert_eq!(differences.last().unwrap(), "GET /other.txt text value", "{}", compared.0);
    let of = |route: &str| differences.iter().filter(|line| line.contains(route)).count();
    assert_eq!((of("/same"), of("/documented")), (0, 0), "{}", compared.0);
}

#[test]
fn a_document_that_an_error_redirects_to_is_what_clients_see() {
    let origin = Staging::with_answers(|received| match path(received).as_str() {
        "/sorry" => json("[1]"),
        _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n".to_vec(),
    });
    let staging = Staging::with_answers(|_| json("[2]"));
    let server = comparing(Mpm::Event, &origin, &staging).vhost("ErrorDocument 502 /sorry");
    // mod_proxy_http's own word about the origin.
    let server = server.expect("AH01110").start();
    assert_eq!(server.client().get("/broken").text(), "[1]");
    let compared = compared(&server, "next", 1);
    let differences = compared.differences("real");
    assert!(differences.contains(&"GET /broken $[*] value".to_owned()), "{}", compared.0);
}

#[test]
fn parts_that_httpd_cuts_out_are_not_compared_with_the_whole() {
    let part = |content: &str| {
        let head = "HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\n";
        let range = "Content-Range: bytes 4-6/12\r\nContent-Length: 3";
        format!("{head}{range}\r\n\r\n{content}").into_bytes()
    };
    let answer = move |received: &Received, content: &str| match path(received).as_str() {
        "/a.txt" => part("two"),
        _ => part(content),
    };
    let origin = Staging::with_answers(move |received| answer(received, "one"));
    let staging = Staging::with_answers(move |received| answer(received, "two"));
    let server = Server::on(Mpm::Event)
        .vhost("ProxyPass /a.txt !")
        .proxy(&origin)
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost("CopyCompare body\nAddType text/plain .txt")
        .modules(&["mime"])
        .file("htdocs/a.txt", "one\ntwo\nsix\n")
        .start();
    for path in ["/a.txt", "/proxied"] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: www.example.com\r\n");
        let answer = server.client().exchange(format!("{head}Range: bytes=4-6\r\n\r\n"));
        assert_eq!(answer.status, 206, "{path}");
    }
    let compared = compared(&server, "next", 2);
    assert_eq!(compared.differences("real"), ["GET /proxied text value"], "{}", compared.0);
}

#[test]
fn what_is_compared_is_chosen_by_scope_method_and_sample() {
    let (origin, staging) = (Staging::start(), Staging::start());
    let server = Server::on(Mpm::Event)
        .proxy(&origin)
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost("<Location /status>\nCopyCompare status\n</Location>")
        .vhost("<Location /posts>\nCopyCompare body methods=POST\n</Location>")
        .vhost("<Location /some>\nCopyCompare body sample=20%\n</Location>")
        .start();
    let mut client = server.client();
    for path in ["/", "/status", "/posts"] {
        client.exchange(request("GET", path));
        client.exchange(request_with("POST", path, b"hello"));
    }
    for _ in 0..4 {
        let mut client = server.client();
        (0..50).for_each(|_| drop(client.get("/some")));
    }
    let status = server.settled(206);
    assert_eq!(status.target("next").count("delivered.2xx"), 206);
    let compared = compared(&server, "next", 2 + 10);
    let routes = compared.0["routes"].as_array().unwrap().iter();
    let routes: Vec<(&str, u64)> = routes
        .map(|route| (route["route"].as_str().unwrap(), route["compared"].as_u64().unwrap()))
        .collect();
    let of = |name: &str| routes.iter().find(|(route, _)| *route == name).map(|(_, count)| *count);
    assert_eq!((of("GET /status"), of("POST /posts")), (Some(1), Some(1)), "{routes:?}");
    assert!((10..=80).contains(&of("GET /some").unwrap()), "{routes:?}");
    assert_eq!(routes.len(), 3, "{routes:?}");
}

#[test]
fn long_bodies_are_compared_by_their_digests() {
    let answer = |received: &Received, other: &str| match path(received).as_str() {
        "/same" => json(&format!("[{}1]", "1,".repeat(5_000))),
        _ => json(&format!("[{}{other}]", "1,".repeat(5_000))),
    };
    let origin = Staging::with_answers(move |received| answer(received, "1"));
    let staging = Staging::with_answers(move |received| answer(received, "2"));
    let server = comparing(Mpm::Event, &origin, &staging).vhost("CopyCompareLimit 1K").start();
    server.client().get("/same");
    server.client().get("/other");
    let compared = compared(&server, "next", 2);
    assert_eq!(compared.differences("real"), ["GET /other body value"], "{}", compared.0);
    let row = compared.row("body").unwrap();
    let told = row["examples"][0]["production"].as_str().unwrap();
    assert!(told.starts_with("10003 bytes, "), "{row}");
}

#[test]
fn examples_show_no_more_than_copies_do() {
    let body = |n: u32| {
        format!(
            r#"{{"email":"a{n}@example.com","token":"t{n}","note":"n{n}","user":{{"pin":{n}}}}}"#
        )
    };
    let origin = Staging::with_answers(move |_| json(&body(1)));
    let staging = Staging::with_answers(move |_| json(&body(2)));
    let server = comparing(Mpm::Event, &origin, &staging)
        .vhost("CopyMask json email fixed:hidden\nCopyMask json pin drop\nCopyMask json token hash")
        .start();
    server.client().get("/");
    let compared = compared(&server, "next", 1);
    let example = |path: &str| compared.row(path).unwrap()["examples"][0]["production"].clone();
    assert_eq!(example("$.note"), "\"n1\"");
    assert_eq!(example("$.email"), "hidden");
    assert_eq!(example("$.token").as_str().map(str::len), Some(32));
    assert!(example("$.user.pin").is_null());
    for page in ["?compare", "?compare&json", "?compare&html"] {
        let page = server.status_page(page).text();
        assert!(page.contains("$.user.pin") && !page.contains("a1@example.com"), "{page}");
    }
}

#[test]
fn an_answer_that_does_not_come_is_a_difference_unless_staging_was_not_there() {
    let (origin, mut staging) = (Staging::start(), Staging::start());
    let server = comparing(Mpm::Event, &origin, &staging).expect("CPY01").start();
    assert_eq!(server.client().get("/").status, 200);
    compared(&server, "next", 1);
    staging.set(Mode::Closes);
    assert_eq!(server.client().get("/").status, 200);
    server.settled(2);
    let failed = compared(&server, "next", 2);
    assert_eq!(failed.differences("real"), ["GET / status missing"], "{}", failed.0);
    let example = &failed.row("status").unwrap()["examples"][0];
    assert_eq!((&example["production"], &example["staging"]), (&"200".into(), &"".into()));
    staging.stop();
    assert_eq!(server.client().get("/").status, 200);
    server.settled(3);
    crate::wait::wait_for("one unpaired", || {
        now(&server, "next").filter(|compared| compared.counted("unpaired") == 1)
    });
    let metrics = server.status_page("?prometheus").text();
    let counter = "mod_copy_compared_total{target=\"next\",verdict=\"equal\"} 1\n";
    assert!(metrics.contains(counter), "{metrics}");
}

#[test]
fn staging_that_does_not_answer_whole_differs_and_fails_the_verdict() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhel";
    let modes = [
        (Staging::start(), Mode::Closes, "reset"),
        (Staging::start(), Mode::Stalled, "timeout"),
        (Staging::with_answer(cut), Mode::Answers, "reset"),
        (Staging::with_answer("SSH-2.0-OpenSSH_9.2\r\n\r\n"), Mode::Answers, "protocol"),
    ];
    for (staging, mode, failure) in modes {
        staging.set(mode);
        let origin = Staging::start();
        let server = comparing(Mpm::Event, &origin, &staging)
            .vhost("CopyTimeout 500ms\nCopyCompareThreshold differ=1% least=1")
            .expect("CPY01")
            .start();
        assert_eq!(server.client().get("/").status, 200);
        let status = server.settled(1);
        assert_eq!(status.sum(&format!("failed.{failure}")), 1, "{status}");
        let compared = compared(&server, "next", 1);
        assert_eq!(compared.differences("real"), ["GET / status missing"], "{}", compared.0);
        assert_eq!(server.status_page("?verdict").status, 409);
    }
}
