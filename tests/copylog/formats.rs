//! Formats by `LogFormat`'s letters.

use mod_copy::copylog::{ITEMS, LETTERS};

use super::life::rotatelogs;
use super::{logging, path, texts};
use crate::client::request_with;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::wait_for;

#[test]
fn a_line_may_look_as_those_of_httpd() {
    let staging = Staging::with_answer("HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n");
    let format = r#"%h %a %v %t \"%r\" %m %U %q %s %>s %b %B %I %O %D %T %P %L 100%% \t%{outcome}copy %{reason}copy %{target}copy %{production-status}copy %{id}copy %{time}copy"#;
    let log = format!("CopyLog logs/copy.log all \"{format}\"");
    let server = logging(Mpm::Event, &staging, &log).vhost("ServerName www.example.com").start();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let post = String::from_utf8(request_with("POST", "/a?x=1", b"hello")).unwrap();
    let post = post.replacen("\r\n", &format!("\r\nTraceparent: {trace}\r\n"), 1);
    server.client().exchange(post);
    let line = wait_for("a line", || texts(&path(&server)).pop());
    let (front, behind) = line.split_once('\t').unwrap();
    let front: Vec<&str> = front.split(' ').collect();
    let copy = &staging.received()[0];
    let sent = (copy.head.len() + copy.content.len()).to_string();
    assert_eq!(front[..3], ["127.0.0.1", "127.0.0.1", "www.example.com"], "{line}");
    assert!(front[3].starts_with('[') && front[4] == "+0000]", "{line}");
    assert_eq!(
        front[5..17],
        [
            "\"POST",
            "/a?x=1",
            "HTTP/1.1\"",
            "POST",
            "/a",
            "?x=1",
            "201",
            "201",
            "40",
            "40",
            "40",
            &sent
        ],
        "{line}"
    );
    assert!(front[17].parse::<u64>().is_ok() && front[18] == "0", "{line}");
    assert!(front[19].parse::<u32>().is_ok(), "{line}");
    assert_eq!(front[20..], [trace, "100%", ""], "{line}");
    let (behind, time) = behind.rsplit_once(' ').unwrap();
    assert_eq!(behind, format!("delivered - staging 200 {trace}"));
    assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000Z".len(), "{line}");
}

#[test]
fn every_letter_and_item_is_in_the_documentation_as_it_is_known() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/log.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `%"));
    let letters = LETTERS.iter().map(|(letter, _, what)| format!("| `%{letter}` | {what} |"));
    let items = ITEMS.iter().map(|(name, _, what)| format!("| `%{{{name}}}copy` | {what} |"));
    assert_eq!(rows.collect::<Vec<_>>(), letters.chain(items).collect::<Vec<_>>());
}

#[test]
fn the_example_logs_copies_and_those_that_failed() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/apache-conf/examples/log.conf");
    let mut text = std::fs::read_to_string(example).unwrap();
    let staging = Staging::with_answer("nonsense\r\n\r\n");
    let builder = Server::on(Mpm::Event).file("logs/readme", "").file("htdocs/a", "a");
    let root = builder.root().display().to_string();
    for (written, here) in [
        ("*:80>", format!("127.0.0.1:{}>", builder.port())),
        ("/var/www/html", format!("{root}/htdocs")),
        ("http://staging.internal.net/", staging.url("/")),
        ("bin/rotatelogs -l logs", format!("{} -l {root}/logs", rotatelogs().display())),
    ] {
        assert!(text.contains(written), "{written} in\n{text}");
        text = text.replace(written, &here);
    }
    let server = builder
        .modules(&["unique_id"])
        .vhost("ServerName other.example.com")
        .tail(text)
        .expect("CPY0105:")
        .start();
    let host = "Host: www.example.com";
    server.client().exchange(format!("GET /a?token=s3cret HTTP/1.1\r\n{host}\r\n\r\n"));
    let line = super::lines(&server, 1).remove(0);
    assert_eq!((&line["target"], &line["path"]), (&"beta".into(), &"/a?token=***".into()));
    let errors = wait_for("a line of an error", || {
        let files = std::fs::read_dir(server.root().join("logs")).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        let errors = files.find(|file| file.to_string_lossy().contains("copy-errors"))?;
        texts(&errors).pop()
    });
    assert!(
        errors.starts_with("127.0.0.1 [") && errors.contains("\"GET /a?token=*** HTTP/1.1\" - ")
    );
    let id = line["id"].as_str().unwrap();
    assert!(errors.ends_with(&format!(" beta failed protocol {id}")), "{errors}");
}
