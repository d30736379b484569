//! Two real applications behind production and staging: the report names what was planted, and nothing else.

use std::fs;
use std::path::Path;

use super::application::Application;
use super::reading::{compared, now};
use crate::client;
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::wait::wait_for;

on_each_mpm!(
    the_report_names_exactly_the_planted_differences,
    a_control_tells_noise_from_differences,
    reports_outlive_restarts,
);

/// What the second release answers otherwise.
const PLANTED: [&str; 8] = [
    "GET /items $.items[*].price type",
    "GET /items header:x-frame-options missing",
    "GET /old status type",
    "GET /orders/{hex} header:x-frame-options missing",
    "GET /orders/{n} header:x-frame-options missing",
    "GET /users/{n} $.currency extra",
    "GET /users/{n} $.legacy missing",
    "GET /users/{n} header:x-frame-options missing",
];

/// What differs from one answer to the next of the same release.
const NOISE: [&str; 7] = [
    "GET /items $.served_at value",
    "GET /items header:x-request-id value",
    "GET /orders/{hex} header:x-request-id value",
    "GET /orders/{n} header:x-request-id value",
    "GET /users/{n} $.request_id value",
    "GET /users/{n} $.served_at value",
    "GET /users/{n} header:x-request-id value",
];

const ROUNDS: u64 = 30;
/// Requests of one round.
const REQUESTS: u64 = 5;

/// Production with the first release behind it, and comparisons of what the second one answers.
fn comparing(mpm: Mpm, today: &Application, next: &Application) -> Builder {
    Server::on(mpm)
        .modules(&["proxy", "proxy_http"])
        .vhost(format!("ProxyPass \"/\" \"{}\"", today.url()))
        .vhost(format!("CopyTarget {} name=next", next.url()))
        .vhost("CopyCompare headers body")
}

/// Requests to every route, none of which comes twice within a round.
fn drive(server: &Server, rounds: u64) {
    for round in 0..rounds {
        // httpd closes a connection after a hundred requests.
        let mut client = server.client();
        for path in [
            format!("/users/{}", round % 7),
            "/items".to_owned(),
            format!("/orders/{}", 1_000 + round),
            format!("/orders/{:08x}", 0xabcd_0000_u64 + round),
            "/old".to_owned(),
        ] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: www.example.com\r\nAccept-Encoding: gzip\r\n\r\n"
            );
            assert_eq!(client.exchange(request).status, 200, "{path}");
        }
    }
}

fn the_report_names_exactly_the_planted_differences(mpm: Mpm) {
    let (today, next) = (Application::start(1), Application::start(2));
    let server = comparing(mpm, &today, &next).start();
    drive(&server, ROUNDS);
    let compared = compared(&server, "next", ROUNDS * REQUESTS);
    assert_eq!(compared.differences("real"), PLANTED, "{}", compared.0);
    assert_eq!(compared.differences("probable noise"), NOISE, "{}", compared.0);
    assert_eq!(compared.count("compared"), ROUNDS * REQUESTS);
    assert_eq!((compared.counted("shed"), compared.counted("unpaired")), (0, 0));
    let price = compared.row("$.items[*].price").unwrap();
    assert_eq!(price["examples"][0]["production"], "0.99", "{price}");
    assert_eq!(price["examples"][0]["staging"], "\"0.99\"", "{price}");
    assert_eq!((&price["differing"], &price["places"]), (&ROUNDS.into(), &(20 * ROUNDS).into()));
    let text = server.status_page("?compare").text();
    assert!(text.contains("GET /users/{n}: 30 of 30 differ"), "{text}");
}

fn a_control_tells_noise_from_differences(mpm: Mpm) {
    let (today, next, control) =
        (Application::start(1), Application::start(2), Application::start(1));
    let builder = comparing(mpm, &today, &next);
    let server = builder.vhost(format!("CopyControl {}", control.url())).start();
    drive(&server, ROUNDS);
    let compared = compared(&server, "next", ROUNDS * REQUESTS);
    assert_eq!(compared.differences("real"), PLANTED, "{}", compared.0);
    assert_eq!(compared.differences("noise"), NOISE, "{}", compared.0);
    assert_eq!(compared.controlled(), ROUNDS * REQUESTS, "each had a control: {}", compared.0);
    let status = server.settled(2 * ROUNDS * REQUESTS);
    assert_eq!(status.target(&control.url()).count("delivered.2xx"), ROUNDS * REQUESTS);
    assert!(now(&server, &control.url()).is_none(), "a control is not compared itself");
}

fn reports_outlive_restarts(mpm: Mpm) {
    let (today, next) = (Application::start(1), Application::start(2));
    let server = comparing(mpm, &today, &next).start();
    drive(&server, 4);
    compared(&server, "next", 4 * REQUESTS);
    server.graceful();
    drive(&server, 3);
    compared(&server, "next", 7 * REQUESTS);
    server.graceful();
    drive(&server, 2);
    let after = compared(&server, "next", 9 * REQUESTS);
    assert_eq!(after.count("compared"), 9 * REQUESTS, "{}", after.0);
}

#[test]
fn the_verdict_gates_a_deployment() {
    let (today, next) = (Application::start(1), Application::start(2));
    let server = Server::on(Mpm::Event)
        .modules(&["proxy", "proxy_http"])
        .vhost(format!("ProxyPass \"/\" \"{}\"", today.url()))
        .vhost(format!("<CopyTarget {} name=same>", today.url()))
        .vhost("CopyCompare status body\nCopyCompareThreshold differ=0% least=20\n</CopyTarget>")
        .vhost(format!("<CopyTarget {} name=next>", next.url()))
        .vhost("CopyCompare status body\nCopyCompareThreshold differ=10% least=20\n</CopyTarget>")
        .start();
    let verdict = |query: &str| {
        let page = server.status_page(query);
        (page.status, page.text())
    };
    assert_eq!(verdict("?verdict"), (409, "fail: nothing was compared\n".to_owned()));
    let mut client = server.client();
    assert_eq!(client.get("/orders/1").status, 200);
    compared(&server, "same", 1);
    let few = "same: fail: only 1 comparisons, 20 are needed\n".to_owned();
    assert_eq!(verdict("?verdict=same"), (409, few));
    (1..30).for_each(|_| drop(client.get("/orders/1")));
    (0..10).for_each(|_| drop(client.get("/old")));
    compared(&server, "same", 40);
    compared(&server, "next", 40);
    assert_eq!(verdict("?verdict=same"), (200, "same: pass\n".to_owned()));
    let fails = "next: fail: 10 of 40 comparisons differ\n".to_owned();
    assert_eq!(verdict("?verdict=next"), (409, fails.clone()));
    assert_eq!(verdict("?verdict"), (409, format!("same: pass\n{fails}")));
    let json = server.status_page("?verdict&json");
    let json: serde_json::Value = serde_json::from_slice(&json.content).unwrap();
    assert_eq!(json["pass"], false, "{json}");
    assert_eq!(verdict("?verdict=nobody").0, 409);
}

#[test]
fn another_release_begins_with_an_empty_report() {
    let (today, next) = (Application::start(1), Application::start(2));
    let server = comparing(Mpm::Event, &today, &next)
        .vhost("<Location /manage>\nProxyPass !\nSetHandler copy-manager\nCopyManagerOpen On\n</Location>")
        .expect("CPY0201:")
        .start();
    drive(&server, 2);
    compared(&server, "next", 2 * REQUESTS);
    let page = client::get(server.port(), "/manage?json").text();
    let nonce: serde_json::Value = serde_json::from_str(&page).unwrap();
    let change =
        serde_json::json!({ "nonce": nonce["nonce"], "comparisons": "forget" }).to_string();
    let response = server.client().exchange(format!(
        "POST /manage HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{change}",
        server.port(),
        change.len()
    ));
    assert_eq!(response.text(), r#"{"changed":["next: comparisons begin anew"]}"#);
    assert!(now(&server, "next").is_none());
    drive(&server, 1);
    assert_eq!(compared(&server, "next", REQUESTS).count("compared"), REQUESTS);
}

/// The first configuration of docs/compare.md, with the tests' own servers in place of those it names.
#[test]
fn the_walk_of_the_documentation_leads_to_a_report() {
    let (today, next) = (Application::start(1), Application::start(2));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compare.md");
    let page = fs::read_to_string(page).unwrap();
    let block = page.split("```apache\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<&str> =
        block.lines().map(str::trim).filter(|line| !line.contains("VirtualHost")).collect();
    assert!(lines.len() <= 10, "{lines:#?}");
    let lines = lines.join("\n").replace("http://127.0.0.1:8080/", &today.url());
    let lines = lines.replace("http://next.example.com/", &next.url());
    let server =
        Server::on(Mpm::Event).modules(&["proxy", "proxy_http", "authz_host"]).vhost(lines).start();
    drive(&server, 6);
    compared(&server, "next", 6 * REQUESTS);
    let page = client::get(server.port(), "/copy-status?compare").text();
    let line = "$.items[*].price (type, real): 0.99 | \"0.99\"";
    assert!(page.contains(line), "{page}");
}

#[test]
fn a_child_that_dies_leaves_its_reports() {
    let (today, next) = (Application::start(1), Application::start(2));
    let server = comparing(Mpm::Event, &today, &next).one_child().expect("AH00052").start();
    drive(&server, 2);
    compared(&server, "next", 2 * REQUESTS);
    for pid in crate::processes::children(server.pid()) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    wait_for("another child", || {
        client::attempt(server.port(), b"GET /old HTTP/1.0\r\n\r\n").ok().flatten()
    });
    compared(&server, "next", 2 * REQUESTS + 1);
}
