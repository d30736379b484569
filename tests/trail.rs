//! `LogLevel copy:trace1` for a part of production: its requests' lines in the error log.

use crate::client::{Client, request_with};
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::wait_for;

on_each_mpm!(a_request_tells_of_its_copies_where_its_level_asks);

const SECRET: &str = "s3cr3t";

/// The paths that have no target that takes them, and one that has.
const SECTIONS: &str = "<Location \"/traced\">\nLogLevel copy:trace1\n</Location>\n\
    <Location \"/traced/sampled\">\nMirrorRequest alpha sample=0.001% samplekey=constant\n</Location>\n\
    <Location \"/traced/methods\">\nMirrorRequest alpha methods=POST\n</Location>\n\
    <Location \"/traced/denied\">\nRequire all denied\n</Location>\n\
    <Location \"/traced/two\">\nMirrorRequest alpha beta\n</Location>\n\
    <Location \"/traced/more\">\nLogLevel copy:trace2\nCopyBodyLimit 10\n</Location>\n\
    <Location \"/none\">\nRequire all denied\n</Location>";

fn a_request_tells_of_its_copies_where_its_level_asks(mpm: Mpm) {
    let [alpha, beta] = [(); 2].map(|()| Staging::start());
    let server = Server::on(mpm)
        .vhost(format!("CopyTarget {} name=alpha", alpha.url("/")))
        .vhost(format!(
            "<Location \"/elsewhere\">\nCopyTarget {} name=beta\n</Location>",
            beta.url("/")
        ))
        .vhost(SECTIONS)
        .file("htdocs/a", "a")
        .expect("AH01630:")
        .start();
    let mut client = server.client();
    // Each line is awaited before the next request, so that their order is that of the requests.
    let mut expected = Vec::new();
    let mut exchange = |request: &[u8], lines: &[&str]| {
        client.exchange(request);
        expected.extend(lines.iter().map(|line| (*line).to_owned()));
        wait_for("the lines of a request", || {
            (trail(&server).len() >= expected.len()).then_some(())
        });
        assert_eq!(trail(&server), expected, "{}", server.logs());
    };
    let get = |path: &str| {
        let secret = format!(
            "Cookie: session={SECRET}\r\nAuthorization: Bearer {SECRET}\r\nReferer: http://a/?token={SECRET}"
        );
        format!("GET {path}?token={SECRET} HTTP/1.1\r\nHost: a\r\n{secret}\r\n\r\n").into_bytes()
    };
    exchange(&get("/a"), &[]);
    exchange(&get("/none"), &[]);
    exchange(&get("/traced"), &["trace1: copy to alpha: handed over"]);
    exchange(&get("/traced/sampled"), &["trace1: copy to alpha: not copied: sampled"]);
    exchange(&get("/traced/methods"), &["trace1: copy to alpha: not copied: method"]);
    exchange(&get("/traced/denied"), &["trace1: copy to alpha: not copied: refused"]);
    let both = ["trace1: copy to alpha: handed over", "trace1: copy to beta: handed over"];
    exchange(&get("/traced/two"), &both);
    exchange(&get("/a"), &[]);
    exchange(
        &get("/traced/more"),
        &["trace1: copy to alpha: handed over", "trace2: method: GET, content: none"],
    );
    let whole =
        ["trace1: copy to alpha: handed over", "trace2: method: POST, content: 6 bytes, whole"];
    exchange(&request_with("POST", "/traced/more", SECRET.as_bytes()), &whole);
    let cut = [
        "trace1: copy to alpha: not copied: too large",
        "trace2: method: PUT, content: 12 bytes, not whole",
    ];
    exchange(&request_with("PUT", "/traced/more", SECRET.repeat(2).as_bytes()), &cut);
    // Those that tell nothing would have by now.
    Client::connect(server.port()).get("/none");
    assert_eq!(trail(&server), expected, "{}", server.logs());
    // Lines of httpd's own have the Referer of what they refuse.
    let log = server.error_log();
    let mut ours = log.lines().filter(|line| line.contains("[copy:"));
    assert!(ours.all(|line| !line.contains(SECRET)), "{log}");
}

/// The levels and texts of the requests' lines, but for the time spent, which differs.
fn trail(server: &Server) -> Vec<String> {
    let log = server.error_log();
    let lines = log.lines().filter_map(|line| {
        let (_, line) = line.split_once("[copy:trace")?;
        let (level, line) = line.split_once(']')?;
        let (_, line) = line.split_once("[client 127.0.0.1:")?;
        let (_, text) = line.split_once("] ")?;
        let text = text.split(", spent here: ").next()?;
        Some(format!("trace{level}: {text}"))
    });
    lines.collect()
}
