//! The upgrade from HTTP/1.1 to HTTP/2 on one connection, granted or not; and prefork, where HTTP/2 is not to be had.

use crate::client;
use crate::h2::{Transport, upgrade};
use crate::mirrored::appended;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Received;
use crate::tls::run;

use super::THREADED;
use super::setting::Setting;

/// What a client that prefers HTTP/2 asks with.
const ASKS: &str = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                    HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";

#[test]
fn an_upgraded_request_and_those_after_it_are_each_copied_once() {
    for mpm in THREADED {
        // With one worker, streams are served by their weight.
        let setting = Setting::start_with(mpm, Transport::Plain, |builder| {
            builder.global("H2MinWorkers 1\nH2MaxWorkers 1")
        });
        // The first is upgraded. The others ask for the very same, and overtake it.
        let paths = ["/app/up"; 10];
        let first =
            format!("GET /app/up HTTP/1.1\r\nHost: www.example.com\r\n{ASKS}X-First: 1\r\n\r\n");
        let ask = |server: &Server| upgrade(server.client(), &first, &paths[1..]);
        let (authority, appended) = (setting.staging.authority(), appended());
        let head = |field: &str| {
            format!("GET /app/up HTTP/1.1\r\nHost: {authority}\r\n{field}{appended}\r\n")
        };
        let mut expected = vec![head(""); 9];
        expected.push(head("X-First: 1\r\n"));
        expected.sort();
        for round in 1..=2 {
            let responses = ask(&setting.with);
            assert_eq!(responses, ask(&setting.without));
            assert!(responses.iter().all(|response| response == "GET /app/up HTTP/1.1 0 0"));
            setting.count("selected", 10);
            let copies = setting.staging.wait_for(10 * round).split_off(10 * (round - 1));
            let mut heads: Vec<String> = copies.iter().map(Received::head_without_mark).collect();
            heads.sort();
            assert_eq!(heads, expected);
        }
        setting.check_totals();
    }
}

#[test]
fn a_refused_upgrade_and_a_granted_one_on_one_connection_are_each_copied_once() {
    for mpm in THREADED {
        let setting = Setting::start(mpm, Transport::Plain);
        let ask = |server: &Server| -> Vec<String> {
            let mut client = server.client();
            // With content, it is answered as HTTP/1.1.
            let post = format!(
                "POST /app/up HTTP/1.1\r\nHost: www.example.com\r\n{ASKS}Content-Length: 5\r\n\r\nhello"
            );
            let mut responses = vec![client.exchange(post).comparable()];
            let get = format!("GET /app/up HTTP/1.1\r\nHost: www.example.com\r\n{ASKS}\r\n");
            responses.extend(upgrade(client, &get, &["/app/up"]));
            responses
        };
        let responses = ask(&setting.with);
        assert_eq!(responses, ask(&setting.without));
        assert!(responses[0].starts_with("HTTP/1.1 200 "), "{responses:?}");
        setting.count("selected", 3);
        let copies = setting.staging.wait_for(3);
        let lines: Vec<String> = copies.iter().map(Received::request_line).collect();
        assert_eq!(
            lines,
            ["POST /app/up HTTP/1.1", "GET /app/up HTTP/1.1", "GET /app/up HTTP/1.1"]
        );
        assert_eq!(copies[0].content, b"hello");
        setting.check_totals();
    }
}

#[test]
fn an_upgrade_that_is_not_granted_is_copied_as_the_request_it_is() {
    for mpm in [Mpm::Event, Mpm::Worker, Mpm::Prefork] {
        let setting = Setting::start_with(mpm, Transport::Plain, |builder| match mpm {
            // Whatever the configuration says, mod_http2 does not serve there.
            Mpm::Prefork => builder,
            _ => builder.vhost("H2Upgrade off"),
        });
        let ask = |server: &Server| -> Vec<String> {
            let mut client = server.client();
            let requests = [
                format!("GET /app/1 HTTP/1.1\r\nHost: www.example.com\r\n{ASKS}\r\n"),
                format!(
                    "POST /app/2 HTTP/1.1\r\nHost: www.example.com\r\n{ASKS}Content-Length: 5\r\n\r\nhello"
                ),
                client::request("GET", "/app/1"),
                format!("GET /app/1 HTTP/1.1\r\nHost: www.example.com\r\n{ASKS}\r\n"),
            ];
            requests.iter().map(|request| client.exchange(request).comparable()).collect()
        };
        assert_eq!(ask(&setting.with), ask(&setting.without), "{mpm:?}");
        setting.count("selected", 4);
        let copies = setting.staging.wait_for(4);
        let head = |line: &str, length: &str| {
            let (authority, appended) = (setting.staging.authority(), appended());
            format!("{line} HTTP/1.1\r\nHost: {authority}\r\n{length}{appended}\r\n")
        };
        let expected = [
            head("GET /app/1", ""),
            head("POST /app/2", "Content-Length: 5\r\n"),
            head("GET /app/1", ""),
            head("GET /app/1", ""),
        ];
        let heads: Vec<String> = copies.iter().map(Received::head_without_mark).collect();
        assert_eq!(heads, expected, "{mpm:?}");
        setting.check_totals();
    }
}

#[test]
fn under_prefork_http_2_is_served_as_http_1_1() {
    let setting = Setting::start(Mpm::Prefork, Transport::Tls);
    let ask = |server: &Server| {
        let url = format!("https://127.0.0.1:{}/app/x", server.port());
        let print = "<%{http_version} %{http_code}>";
        let fixed =
            ["--silent", "--insecure", "--http2", "--max-time", "20", "--write-out", print, &url];
        run("curl", &fixed, "")
    };
    assert_eq!(ask(&setting.with), ask(&setting.without));
    assert!(ask(&setting.with).ends_with("<1.1 200>"));
    setting.count("selected", 2);
    let copies = setting.staging.wait_for(2);
    assert_eq!(copies[0].request_line(), "GET /app/x HTTP/1.1");
    setting.check_totals();
}
