//! What a control gets: just what the target beside it gets, or nothing.

use std::time::Duration;

use serde_json::Value;

use crate::client::{self, request, request_with};
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Received, Staging};
use crate::wait::wait_for;

use super::planted::{REQUESTS, ROUND, assert_planted, release};
use super::reading::{Compared, compared};

on_each_mpm!(
    a_control_gets_what_the_block_of_its_target_leaves,
    a_control_that_fails_tells_nothing_and_spoils_nothing,
);

/// Production, a target, and its control.
struct Three {
    origin: Staging,
    next: Staging,
    control: Staging,
}

impl Three {
    fn start() -> Three {
        let [origin, next, control] = [(); 3].map(|()| Staging::start());
        Three { origin, next, control }
    }

    /// The target in a block with these lines; what is compared is said there.
    fn builder(&self, mpm: Mpm, keys: &str, block: &str) -> Builder {
        let (next, control) = (self.next.url("/"), self.control.url("/"));
        Server::on(mpm).modules(&["headers"]).proxy(&self.origin).vhost(format!(
            "<CopyTarget {next} name=next max=1 {keys}>\nCopyControl {control}\n{block}\n</CopyTarget>"
        ))
    }
}

/// The only difference there may be: whom it was sent to.
fn comparable(received: &Received, by: &Staging) -> (String, Vec<u8>) {
    let head = received.head_without_mark().replace(&by.authority(), "AUTHORITY");
    (head, received.content.clone())
}

fn a_control_gets_what_the_block_of_its_target_leaves(mpm: Mpm) {
    let all = Three::start();
    let plain = Staging::start();
    let block = "CopyCompare body methods=GET,POST\nRequestHeader unset Cookie\n\
        RequestHeader set X-Environment staging\nRequestHeader edit X-Edit s3cr3t hidden\n\
        CopyMask header Authorization drop\nCopyMask query token hash\nCopyMask json $.pin fixed:0\n\
        CopyAddHeaders Off\nCopyPreserveHost On";
    let server = all
        .builder(mpm, "path=replace", block)
        .vhost(format!("CopyTarget {} name=plain max=1", plain.url("/")))
        .start();
    let secrets = "Cookie: session=s3cr3t\r\nAuthorization: Basic s3cr3t\r\nX-Edit: s3cr3t\r\n";
    let json = format!("{secrets}Content-Type: application/json\r\nContent-Length");
    let posts = [br#"{"pin":"s3cr3t","rest":1}"#.to_vec(), {
        let list = "1,".repeat(100_000);
        format!(r#"{{"pin":"s3cr3t","rest":[{list}1]}}"#).into_bytes()
    }];
    let posts = posts.map(|content| {
        let post = request_with("POST", "/?token=s3cr3t", &content);
        String::from_utf8(post).unwrap().replacen("Content-Length", &json, 1)
    });
    let get =
        request("GET", "/a?token=s3cr3t&page=1").replacen("\r\n", &format!("\r\n{secrets}"), 1);
    let mut client = server.client();
    for (count, request) in (1..).zip([&get, &posts[0], &posts[1], &get]) {
        assert_eq!(client.exchange(request).status, 200);
        server.settled(3 * count);
    }
    let [next, control, plain] = [&all.next, &all.control, &plain].map(Staging::received);
    assert_eq!([next.len(), control.len(), plain.len()], [4; 3]);
    for ((next, control), plain) in next.iter().zip(&control).zip(&plain) {
        assert_eq!(comparable(next, &all.next), comparable(control, &all.control));
        let text = |received: &Received| {
            let Received { head, content, .. } = received;
            String::from_utf8([&head[..], content].concat()).unwrap()
        };
        assert!(!text(control).contains("s3cr3t"), "{}", text(control));
        assert_eq!(control.field("X-Environment").as_deref(), Some("staging"));
        assert_eq!(control.field("Host").as_deref(), Some("www.example.com"));
        assert!(text(plain).contains("session=s3cr3t"), "{}", text(plain));
    }
}

#[test]
fn a_control_gets_nothing_where_its_target_gets_nothing() {
    let all = Three::start();
    let plain = Staging::start();
    // No copy asks for another protocol: that of this target cannot be made.
    let block = "CopyCompare status methods=GET,POST\nCopyMask json pin\n\
        RequestHeader set Upgrade websocket \"expr=req('X-Kind') == 'odd'\"";
    let mut server = all
        .builder(Mpm::Event, "methods=POST failures=1 retry=3600", block)
        .vhost(format!("CopyTarget {} name=plain max=1", plain.url("/")))
        .expect("CPY01")
        .start();
    let with = |fields: &str, content: &[u8]| {
        let post = String::from_utf8(request_with("POST", "/", content)).unwrap();
        post.replacen("Content-Length", &format!("{fields}\r\nContent-Length"), 1)
    };
    let mut client = server.client();
    let mut settled = |request: String, copies: u64| {
        assert_eq!(client.exchange(request).status, 200);
        server.settled(copies)
    };
    // Its own head cannot be made.
    settled(with("X-Kind: odd", b"1"), 1);
    // Its rule leaves it out.
    settled(request("GET", "/"), 2);
    // Its masks find no JSON in it: nor do they for the control, which is offered it, and drops it too.
    let status = settled(with("Content-Type: application/json", b"{"), 5);
    assert_eq!(status.sum("dropped.unmaskable"), 2, "{status}");
    // It can be reached no more: what fails was sent to both, and what comes then to neither.
    all.next.set(Mode::Closes);
    settled(with("X-Kind: plain", b"2"), 8);
    let status = settled(with("X-Kind: plain", b"3"), 10);
    assert_eq!(status.target("next").count("dropped.breaker"), 1, "{status}");
    assert_eq!((all.next.count(), all.control.count(), plain.count()), (1, 1, 5));
    let url = all.control.url("/");
    assert_eq!(status.target(&url).count("selected"), 2, "{status}");
    server.stop();
}

#[test]
fn targets_that_are_masked_otherwise_may_share_a_control() {
    let all = Three::start();
    let other = Staging::start();
    let block = "CopyCompare status\nCopyMask query token fixed:one";
    let server = all
        .builder(Mpm::Event, "", block)
        .vhost(format!("<CopyTarget {} name=other max=1>", other.url("/")))
        .vhost(format!("CopyControl {}", all.control.url("/")))
        .vhost("CopyCompare status\nCopyMask query token fixed:two\nCopyMask query page fixed:two")
        .vhost("</CopyTarget>\nCopyLog copy.log all")
        .start();
    assert_eq!(server.client().get("/?token=s3cr3t&page=7").status, 200);
    server.settled(4);
    let lines = |staging: &Staging| {
        let mut lines: Vec<String> =
            staging.received().iter().map(Received::request_line).collect();
        lines.sort();
        lines
    };
    let (one, two) = ("GET /?token=one&page=7 HTTP/1.1", "GET /?token=two&page=two HTTP/1.1");
    assert_eq!((lines(&all.next), lines(&other)), (vec![one.to_owned()], vec![two.to_owned()]));
    assert_eq!(lines(&all.control), [one, two]);
    let log = wait_for("four lines", || {
        let log = std::fs::read_to_string(server.root().join("copy.log")).ok()?;
        (log.lines().count() == 4).then_some(log)
    });
    assert!(!log.contains("s3cr3t"), "{log}");
}

#[test]
fn what_cannot_be_a_control_is_no_configuration() {
    for (lines, said) in [
        (
            "CopyTarget http://127.0.0.1:2/",
            "CopyControl: expected a name= of its own for the CopyTarget with the URL of a control, found \
             'http://127.0.0.1:2/, which is defined at ",
        ),
        (
            "<CopyTarget http://127.0.0.1:3/>\nCopyPreserveHost On\n</CopyTarget>",
            "CopyControl: expected targets with the same path=, CopyPreserveHost and CopyTLS directives beside one \
             control, found 'http://127.0.0.1:2/, which is set otherwise at ",
        ),
    ] {
        let lines =
            format!("CopyTarget http://127.0.0.1:1/\n{lines}\nCopyControl http://127.0.0.1:2/");
        let verdict = Server::on(Mpm::Event).vhost(lines).configtest();
        assert!(!verdict.passed && verdict.stderr.contains(said), "{}", verdict.stderr);
    }
}

#[test]
fn a_control_is_steered_as_targets_are() {
    let all = Three::start();
    let server = all
        .builder(Mpm::Event, "", "CopyCompare status")
        .vhost("<Location /manage>\nProxyPass !\nSetHandler copy-manager\nCopyManagerOpen On\n</Location>")
        .vhost("CopyLog copy.log all")
        .expect("CPY0201:")
        .one_child()
        .start();
    let url = all.control.url("/");
    let change = |what: &str| {
        let page = client::get(server.port(), "/manage?json").text();
        let page: Value = serde_json::from_str(&page).unwrap();
        let change = format!(r#"{{"nonce":{},"target":"{url}",{what}}}"#, page["nonce"]);
        let (port, length) = (server.port(), change.len());
        let answer = server.client().exchange(format!(
            "POST /manage HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{change}"
        ));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let mut client = server.client();
    let mut selected = 0;
    let mut get = |times: u64, copies: u64| {
        (0..times).for_each(|_| drop(client.get("/")));
        selected += copies;
        server.settled(selected)
    };
    get(2, 4);
    change(r#""switch":"off""#);
    let status = get(2, 2);
    assert_eq!(status.target(&url).count("not_copied.off"), 2, "{status}");
    change(r#""switch":"on","sample":"0.001%""#);
    let status = get(3, 3);
    assert_eq!(status.target(&url).count("not_copied.sampled"), 3, "{status}");
    change(r#""sample":"configured","rate":"1/s""#);
    let status = get(20, 40);
    let dropped = status.target(&url).count("dropped.rate");
    assert!(dropped >= 1, "{status}");
    assert_eq!(all.control.count() as u64, 2 + 20 - dropped);
    // All are compared, with a control or without, and each copy has its line.
    let report = compared(&server, "next", 27);
    assert_eq!(report.controlled(), all.control.count() as u64, "{}", report.0);
    wait_for("a line for each copy", || {
        let log = std::fs::read_to_string(server.root().join("copy.log")).ok()?;
        (log.lines().count() as u64 == status.sum("selected")).then_some(())
    });
}

/// Rounds of requests, each compared with staging's answer; the control does not answer well, whatever else it does.
fn assert_no_help(mpm: Mpm, control: &Staging, noise: &str) -> Compared {
    const ROUNDS: u64 = 7;
    let (today, next) = (release(1), release(2));
    let server = Server::on(mpm)
        .proxy(&today)
        .vhost(format!("CopyTarget {} name=next", next.url("/")))
        .vhost(format!("CopyCompare headers body\nCopyControl {}", control.url("/")))
        .vhost("CopyTimeout 1s")
        .expect("CPY01")
        .start();
    for _ in 0..ROUNDS {
        let mut client = server.client();
        ROUND.iter().for_each(|(method, path)| drop(client.exchange(request(method, path))));
    }
    let compared = assert_planted(&server, ROUNDS, noise);
    server.settled(2 * ROUNDS * REQUESTS);
    compared
}

fn a_control_that_fails_tells_nothing_and_spoils_nothing(mpm: Mpm) {
    let mut dead = release(1);
    dead.stop();
    assert_eq!(assert_no_help(mpm, &dead, "probable noise").controlled(), 0);
    let silent = release(1);
    silent.set(Mode::Stalled);
    assert_eq!(assert_no_help(mpm, &silent, "probable noise").controlled(), 0);
}

#[test]
fn a_control_of_another_status_tells_of_nothing_else() {
    for status in ["503 Busy", "302 Found"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let control = Staging::with_answer(&answer);
        assert!(assert_no_help(Mpm::Event, &control, "probable noise").controlled() > 0);
    }
}

#[test]
fn a_control_that_is_slow_is_waited_for() {
    let control = release(1);
    control.set(Mode::Slow(Duration::from_millis(20)));
    let compared = assert_no_help(Mpm::Event, &control, "noise");
    assert_eq!(compared.controlled(), compared.count("compared"), "{}", compared.0);
}
