//! copy-manager: what is changed there holds in every child at once, and only who may can change anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::{self, Client, Response, request};
use crate::conf::Builder;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};

on_each_mpm!(
    switching_off_stops_copies_in_every_child_while_requests_come,
    what_is_set_goes_on_through_restarts_and_is_marked_until_it_is_withdrawn,
    a_target_can_start_switched_off,
    what_waits_when_its_target_is_switched_off_is_dropped,
);

const OPEN: &str =
    "<Location \"/copy-manager\">\nSetHandler copy-manager\nCopyManagerOpen On\n</Location>";

fn managed(mpm: Mpm, staging: &Staging, keys: &str) -> Builder {
    Server::on(mpm)
        .vhost(format!("CopyTarget {} name=next {keys}", staging.url("/")))
        .vhost(OPEN)
        .file("htdocs/a", "a")
        .expect("CPY0201:")
}

/// What a program changes: it learns the nonce, and shows it.
fn change(server: &Server, change: Value) -> Response {
    change_as(server, change, "")
}

fn change_as(server: &Server, mut change: Value, fields: &str) -> Response {
    change["nonce"] = nonce(server).into();
    post(server, "application/json", fields, &change.to_string())
}

fn nonce(server: &Server) -> String {
    let page: Value = serde_json::from_str(&manager(server, "GET", "?json").text()).unwrap();
    page["nonce"].as_str().unwrap().to_owned()
}

fn manager(server: &Server, method: &str, query: &str) -> Response {
    server.client().exchange(request(method, &format!("/copy-manager{query}")))
}

fn post(server: &Server, media_type: &str, fields: &str, content: &str) -> Response {
    server.client().exchange(format!(
        "POST /copy-manager HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: {media_type}\r\n{fields}\
         Content-Length: {}\r\n\r\n{content}",
        server.port(),
        content.len()
    ))
}

fn switch(server: &Server, to: &str) {
    let response = change(server, json!({ "switch": to }));
    assert_eq!(response.status, 200, "{}", response.text());
}

fn switching_off_stops_copies_in_every_child_while_requests_come(mpm: Mpm) {
    let staging = Staging::start();
    let sizes = match mpm {
        Mpm::Prefork => "StartServers 6\nServerLimit 16\nMaxRequestWorkers 8\n",
        _ => {
            "StartServers 3\nServerLimit 16\nThreadLimit 4\nThreadsPerChild 4\nMaxRequestWorkers 12\n\
             MinSpareThreads 12\nMaxSpareThreads 16\n"
        }
    };
    let server = managed(mpm, &staging, "queue=100000")
        .sizes(sizes)
        // All threads are to be there, and all may be in use.
        .expect("AH00287:")
        .expect("AH10159:")
        .start();
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut sent = 0_u64;
                    while !enough.load(Ordering::Relaxed) {
                        load::run(server.port(), 1, 20, request("GET", "/a").as_bytes());
                        sent += 20;
                    }
                    sent
                })
            })
            .collect();
        server.status_when("copies", |status| status.sum("delivered.2xx") > 500);
        let asked = Instant::now();
        switch(&server, "off");
        // From the answer on none is selected, in whichever child; what was under way comes to its end.
        let off = server.status().sum("selected");
        server.status_when("requests that are not copied", |status| {
            status.sum("not_copied.off") > 500
        });
        let status = server.status_when("an end", |status| status.is_drained());
        eprintln!("{mpm:?}: nothing is sent {:?} after the change", asked.elapsed());
        let late = status.sum("selected") - off;
        // One that had passed the switch as it was turned, in each of httpd's threads at most.
        assert!(late <= 16, "{late} copies were selected after they were switched off");
        let before = staging.count();
        server.status_when("more requests", |later| {
            later.sum("not_copied.off") > status.sum("not_copied.off") + 500
        });
        assert_eq!(staging.count(), before, "copies came after they were switched off");
        switch(&server, "on");
        server.status_when("copies again", |later| later.sum("selected") > status.sum("selected"));
        enough.store(true, Ordering::Relaxed);
        let sent: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        let status = server.status_when("an end", |status| status.is_drained());
        let children = processes::children(server.pid()).len();
        assert!(children >= 2, "{children} children");
        // The manager's own requests are not copyable.
        let counted = status.sum("selected") + status.sum("not_copied.off");
        assert_eq!(counted, sent, "{status}");
        status.assert_promise_3();
    });
}

fn what_is_set_goes_on_through_restarts_and_is_marked_until_it_is_withdrawn(mpm: Mpm) {
    let staging = Staging::start();
    let server = managed(mpm, &staging, "rate=90/s").start();
    switch(&server, "off");
    let set = change(&server, json!({ "target": "next", "sample": "2.5%", "rate": "7/s" }));
    assert_eq!(set.status, 200, "{}", set.text());
    let expected = json!({
        "on": false, "configured_on": true, "sample_percent": 2.5, "rate": 7, "differ": true
    });
    for round in 0..3 {
        let settings = server.status().0["targets"][0]["settings"].clone();
        assert_eq!(settings, expected, "round {round}");
        let rate = server.status().0["targets"][0]["rate"].clone();
        assert_eq!(rate, json!({ "configured": 90, "effective": 7 }), "round {round}");
        assert_eq!(client::get(server.port(), "/a").status, 200);
        if round == 0 { server.graceful() } else { server.restart() }
    }
    let status = server.status();
    assert_eq!((status.sum("not_copied.off"), status.sum("selected"), staging.count()), (3, 0, 0));
    let page = server.status_page("?html").text();
    assert!(page.contains("switched off, sample 2.5%, rate 7/s"), "{page}");
    let reset = change(&server, json!({ "configured": "all" }));
    assert_eq!(reset.text(), r#"{"changed":["next: as configured: switched on (was off)"]}"#);
    assert!(!server.status_page("?html").text().contains("by hand"));
    client::get(server.port(), "/a");
    assert_eq!(server.settled(1).sum("delivered.2xx"), 1);
}

fn a_target_can_start_switched_off(mpm: Mpm) {
    let staging = Staging::start();
    let server = managed(mpm, &staging, "status=D").start();
    client::get(server.port(), "/a");
    let status = server.status();
    assert!(!status.target("next").is_on() && status.sum("not_copied.off") == 1, "{status}");
    assert_eq!(status.0["targets"][0]["settings"]["differ"], false);
    switch(&server, "on");
    client::get(server.port(), "/a");
    assert_eq!(server.settled(1).0["targets"][0]["settings"]["differ"], true);
}

fn what_waits_when_its_target_is_switched_off_is_dropped(mpm: Mpm) {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let server = managed(mpm, &staging, "max=1 timeout=30s").start();
    for _ in 0..10 {
        client::get(server.port(), "/a");
    }
    server.status_when("ten copies selected", |status| status.sum("selected") == 10);
    let in_flight = server.status().sum("in_flight");
    switch(&server, "off");
    staging.set(Mode::Answers);
    let status = server.settled(10);
    let [delivered, off] = ["delivered", "dropped.off"].map(|counter| status.sum(counter));
    assert!(delivered >= in_flight.min(1) && off >= 1 && delivered + off == 10, "{status}");
}

#[test]
fn a_breaker_is_closed_by_hand() {
    let mut staging = Staging::start();
    staging.stop();
    let server = managed(Mpm::Event, &staging, "failures=1 retry=1h").expect("CPY01").start();
    client::get(server.port(), "/a");
    server.status_when("an open breaker", |status| {
        status.target("next").text("breaker.state") == "open"
    });
    staging.resume();
    let reset = change(&server, json!({ "breaker": "reset", "target": "next" }));
    assert_eq!(reset.text(), r#"{"changed":["next: breaker closed"]}"#);
    client::get(server.port(), "/a");
    assert_eq!(server.settled(2).sum("delivered.2xx"), 1);
}

#[test]
fn every_change_is_logged_with_who_made_it() {
    let staging = Staging::start();
    let builder = managed(Mpm::Event, &staging, "");
    let users = builder.root().join("users");
    let server = builder
        .modules(&["auth_basic", "authn_core", "authn_file", "authz_user"])
        .vhost(format!(
            "<Location \"/copy-manager\">\nAuthType Basic\nAuthName copies\nAuthUserFile \"{}\"\n\
             Require valid-user\nCopyManagerOpen Off\n</Location>",
            users.display()
        ))
        .file("users", "alice:{SHA}vV37u62dZjhF7tghVc2xp69UTgQ=\n")
        .expect("CPY0203:")
        .start();
    let credentials = "Authorization: Basic YWxpY2U6dGhlIHNlY3JldA==\r\n";
    let open = |fields: &str| {
        let page = format!("GET /copy-manager?json HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n");
        server.client().exchange(page)
    };
    assert_eq!(open("").status, 401);
    let page = open(credentials);
    assert_eq!(page.status, 200, "{}", server.logs());
    let page: Value = serde_json::from_str(&page.text()).unwrap();
    let nonce = page["nonce"].as_str().unwrap();
    let content = json!({ "nonce": nonce, "switch": "off" }).to_string();
    assert_eq!(post(&server, "application/json", credentials, &content).status, 200);
    assert_eq!(server.logged("CPY0201: next: switched off (was on), by alice at 127.0.0.1"), 1);
    let content = json!({ "nonce": "wrong", "switch": "on" }).to_string();
    assert_eq!(post(&server, "application/json", credentials, &content).status, 403);
    assert_eq!(
        server.logged("CPY0203: 403: Nothing was changed: the nonce"),
        1,
        "{}",
        server.logs()
    );
    assert!(!server.status().target("next").is_on());
}

#[test]
fn another_sites_page_changes_nothing() {
    let staging = Staging::start();
    let server = managed(Mpm::Event, &staging, "").one_child().expect("CPY0203:").start();
    let (port, nonce) = (server.port(), nonce(&server));
    let form = format!("nonce={nonce}&switch=off");
    let json = json!({ "nonce": nonce, "switch": "off" }).to_string();
    let own = format!("Origin: http://127.0.0.1:{port}\r\n");
    let (of_browser, of_program) = ("application/x-www-form-urlencoded", "application/json");
    for (media_type, fields, content, status) in [
        (of_browser, "", form.as_str(), 403),
        (of_browser, "Origin: http://evil.example\r\n", &form, 403),
        (of_browser, "Origin: null\r\n", &form, 403),
        (of_browser, "Referer: http://evil.example/\r\n", &form, 403),
        (of_browser, "Sec-Fetch-Site: cross-site\r\n", &form, 403),
        (of_browser, &format!("{own}Sec-Fetch-Site: same-site\r\n"), &form, 403),
        (of_program, "Origin: http://evil.example\r\n", &json, 403),
        (of_program, "Sec-Fetch-Site: none\r\n", &json, 403),
        (of_browser, &own, "switch=off", 403),
        (of_browser, &own, "nonce=0&switch=off", 403),
        ("text/plain", &own, &form, 415),
        ("multipart/form-data; boundary=x", &own, &form, 415),
        (of_browser, &own, &format!("{form}&target=other"), 404),
        (of_browser, &own, &format!("{form}&x={}", "x".repeat(1024)), 413),
    ] {
        let answer = post(&server, media_type, fields, content);
        assert_eq!(answer.status, status, "{media_type} {fields} {content}: {}", answer.text());
        assert!(server.status().target("next").is_on(), "{media_type} {fields} {content}");
    }
    let rebound = server.client().exchange(format!(
        "POST /copy-manager HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\
         Content-Type: {of_browser}\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    assert_eq!(rebound.status, 403, "{}", rebound.text());
    assert_eq!(server.logged("CPY0203:"), 4, "the 1st, 2nd, 4th and 8th of 15\n{}", server.logs());
    assert_eq!(server.logged("(8 so far), by nobody logged in at 127.0.0.1"), 1);
    assert!(server.status().target("next").is_on());
    let answer = post(&server, of_browser, &own, &form);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!server.status().target("next").is_on(), "and so it was not for another reason");
}

#[test]
fn the_nonce_is_one_for_all_children_and_restarts() {
    let staging = Staging::start();
    let server = managed(Mpm::Prefork, &staging, "").start();
    let first = nonce(&server);
    assert!(first.len() == 32 && !server.status_page("?json").text().contains(&first));
    assert!(!server.status_page("?html").text().contains(&first));
    assert!((0..20).all(|_| nonce(&server) == first));
    server.graceful();
    assert_eq!(nonce(&server), first);
    drop(server);
    let other = managed(Mpm::Prefork, &staging, "").start();
    assert_ne!(nonce(&other), first);
}

#[test]
fn both_pages_are_there_where_all_else_is_proxied() {
    let (staging, origin) = (Staging::start(), Staging::start());
    let server = managed(Mpm::Event, &staging, "status=D")
        .vhost("<Location \"/copy-status\">\nSetHandler copy-status\n</Location>")
        .proxy(&origin)
        .start();
    for path in ["/copy-status?json", "/copy-manager?json"] {
        let page = client::get(server.port(), path);
        let answer: Result<Value, _> = serde_json::from_slice(&page.content);
        assert_eq!(answer.expect(path)["targets"][0]["name"], "next", "{path}");
    }
    assert_eq!(change(&server, json!({ "switch": "on" })).status, 200);
    assert_eq!(client::get(server.port(), "/").text(), "ok");
    assert_eq!(origin.count(), 1);
    assert_eq!(staging.wait_for(1)[0].request_line(), "GET / HTTP/1.1");
}

#[test]
fn other_methods_are_refused_and_nothing_is_kept_by_caches() {
    let staging = Staging::start();
    let server = managed(Mpm::Event, &staging, "").start();
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = manager(&server, method, "");
        let allowed = answer.field("Allow").unwrap_or_default();
        assert_eq!(answer.status, 405, "{method}");
        assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
        assert!(!allowed.contains("PUT"), "{allowed}");
        let answer = server.client().exchange(request(method, "/copy-manager?json"));
        assert_eq!(answer.status, 405);
    }
    let page = server.client().exchange(
        "GET /copy-manager HTTP/1.1\r\nHost: www.example.com\r\nAccept: text/html\r\n\r\n",
    );
    for (field, value) in [
        ("Cache-Control", "no-store"),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.field(field).as_deref(), Some(value), "{field}");
    }
    assert_eq!(manager(&server, "HEAD", "").content, b"");
    let status = Client::connect(server.status_port()).exchange(request("POST", "/copy-status"));
    let allowed = status.field("Allow").unwrap_or_default();
    assert!(
        status.status == 405 && allowed.contains("GET") && !allowed.contains("POST"),
        "{allowed}"
    );
}

/// Access control, and whether it keeps a stranger out.
const CONTROLS: [(&str, bool); 10] = [
    ("", false),
    ("Require all granted", false),
    ("Require method GET POST", false),
    ("<RequireAll>\nRequire not ip 192.0.2.1\nRequire all granted\n</RequireAll>", false),
    ("Require local", true),
    ("Require ip 127.0.0.1", true),
    ("SetEnvIf Remote_Addr ^127 friend\nRequire env friend", true),
    ("Require expr \"%{HTTP_HOST} == 'www.example.com'\"", true),
    ("<RequireAny>\nRequire ip 2000::/3\nRequire ip 127.0.0.1\n</RequireAny>", false),
    ("<RequireAny>\nRequire ip 127.0.0.1\nRequire ip 192.0.2.1\n</RequireAny>", true),
];

#[test]
fn without_access_control_it_is_refused_to_all() {
    let staging = Staging::start();
    let mut builder = Server::on(Mpm::Event)
        .modules(&["authz_host", "setenvif"])
        .vhost(format!("CopyTarget {}", staging.url("/")))
        .expect("CPY0202:")
        .expect("CPY0204:");
    for (index, (lines, _)) in CONTROLS.iter().enumerate() {
        builder = builder.vhost(format!(
            "<Location \"/manager-{index}\">\nSetHandler copy-manager\n{lines}\n</Location>"
        ));
    }
    let server = builder.start();
    for (index, (lines, is_controlled)) in CONTROLS.iter().enumerate() {
        let answer = server.client().get(&format!("/manager-{index}?json"));
        let expected = if *is_controlled { 200 } else { 403 };
        assert_eq!(answer.status, expected, "{lines}\n{}", server.logs());
        assert_eq!(answer.text().contains("CopyManagerOpen On"), !is_controlled, "{lines}");
        assert_eq!(answer.text().contains("nonce"), *is_controlled, "{lines}");
    }
    assert_eq!(server.logged("CPY0202:"), 1, "once a minute\n{}", server.logs());
    // The first two have nothing beside them that could keep anybody out.
    let warnings: Vec<String> = server
        .error_log()
        .lines()
        .filter(|line| line.contains("CPY0204:"))
        .map(str::to_owned)
        .collect();
    assert!(
        warnings.len() == 2 && warnings.iter().all(|line| line.contains("httpd.conf:")),
        "{warnings:#?}"
    );
    // What the stranger was refused is no concern of the log's.
    assert_eq!(server.logged("240.0.0.1"), 0, "{}", server.logs());
}

#[test]
fn a_hostile_request_is_answered_in_words_of_our_own() {
    let staging = Staging::start();
    let server = managed(Mpm::Event, &staging, "").expect("CPY0203:").start();
    let nonce = nonce(&server);
    let evil = "<script>alert(1)</script>";
    let fields = format!("Referer: {evil}\r\nUser-Agent: {evil}\r\nX-Evil: {evil}\r\n");
    for content in [
        format!("nonce={nonce}&target={evil}&switch=off"),
        format!("nonce={evil}&switch=off"),
        format!("nonce={nonce}&switch={evil}"),
        format!("nonce={nonce}&{evil}=off"),
        "%ff%fe%00&&&===%".to_owned(),
    ] {
        let answer = post(&server, "application/x-www-form-urlencoded", &fields, &content);
        assert!((400..500).contains(&answer.status), "{content}");
        assert!(!answer.text().contains("<script"), "{content}");
    }
    let path = "/copy-manager?%3Cscript%3E&refresh=%22%3E%3Cscript%3E";
    let answer = server.client().exchange(format!(
        "GET {path} HTTP/1.1\r\nHost: www.example.com\r\nAccept: text/html\r\n{fields}\r\n"
    ));
    assert!(answer.status == 200 && !answer.text().contains("<script"), "{}", answer.text());
    assert!(server.status().target("next").is_on());
}
