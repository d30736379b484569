//! `%{copy-target}n` and `%{copy-outcome}n` in production's own logs.

use std::fs;

use crate::client::request_with;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::wait_for;

on_each_mpm!(production_s_log_tells_what_became_of_the_copy_to_each_target);

fn production_s_log_tells_what_became_of_the_copy_to_each_target(mpm: Mpm) {
    let staging = Staging::start();
    let server = Server::on(mpm)
        .vhost(format!("CopyTarget {} name=alpha", staging.url("/")))
        .vhost("CopyBodyLimit 10")
        .vhost("<Location \"/two\">\nMirrorRequest alpha http://127.0.0.1:1/\n</Location>")
        .vhost("<Location \"/never\">\nMirrorRequest alpha expr=false\n</Location>")
        .vhost("<Location \"/limited\">\nMirrorRequest alpha rate=1/s\n</Location>")
        .vhost("<Location \"/off\">\nMirrorRequest Off\n</Location>")
        .vhost("<Location \"/denied\">\nRequire all denied\n</Location>")
        .vhost("ErrorDocument 404 /a")
        .vhost("CustomLog access.log \"%m %U %>s %{copy-target}n %{copy-outcome}n\"")
        .file("htdocs/a", "a")
        .expect("CPY01")
        .expect("AH01630:")
        .start();
    let mut client = server.client();
    client.get("/a");
    client.get("/missing");
    client.get("/two");
    client.get("/never");
    client.get("/off");
    client.get("/denied");
    client.exchange(request_with("POST", "/a", b"short"));
    client.exchange(request_with("POST", "/a", b"more than ten bytes"));
    client.get("/limited");
    client.get("/limited");
    let log = server.root().join("access.log");
    let lines = wait_for("a line for each request", || {
        let lines = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        (lines.len() == 10).then_some(lines)
    });
    let both = "alpha,http://127.0.0.1:1/ handed-over,handed-over";
    assert_eq!(
        lines[..8],
        [
            "GET /a 200 alpha handed-over",
            "GET /missing 404 alpha handed-over",
            &format!("GET /two 404 {both}"),
            "GET /never 404 alpha not-copied:condition",
            "GET /off 404 alpha not-copied:off",
            "GET /denied 403 alpha not-copied:refused",
            "POST /a 200 alpha handed-over",
            "POST /a 200 alpha not-copied:too_large",
        ]
    );
    assert!(
        lines[8..].iter().any(|line| line == "GET /limited 404 alpha dropped:rate"),
        "{lines:#?}"
    );
}

#[test]
fn what_is_in_no_target_s_scope_has_no_notes() {
    let staging = Staging::start();
    let server = Server::on(Mpm::Event)
        .vhost(format!(
            "<Location \"/b\">\nCopyTarget {} name=alpha\n</Location>",
            staging.url("/")
        ))
        .vhost("CustomLog access.log \"%U %{copy-target}n %{copy-outcome}n\"")
        .file("htdocs/a", "a")
        .start();
    server.client().get("/a");
    let log = server.root().join("access.log");
    wait_for("a line", || (fs::read_to_string(&log).ok()? == "/a - -\n").then_some(()));
}
