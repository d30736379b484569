//! `CopyLog`: a line for each copy, whole and harmless, whatever becomes of the log.

mod comparisons;
mod formats;
mod life;
mod lines;
mod troubles;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::wait_for;

/// Production that serves `a`, copies to the target `staging`, and logs in the folder `logs`.
fn logging(mpm: Mpm, staging: &Staging, log: &str) -> Builder {
    logging_to(mpm, &format!("{} max=1", staging.url("/")), log)
}

fn logging_to(mpm: Mpm, url: &str, log: &str) -> Builder {
    Server::on(mpm)
        .vhost(format!("CopyTarget {url} name=staging"))
        .vhost(log)
        .file("htdocs/a", "production's answer")
        .file("logs/readme", "")
}

fn path(server: &Server) -> PathBuf {
    server.root().join("logs/copy.log")
}

/// The whole lines of a log. Who reads while it is written sees the last one half at times, never for long.
fn texts(path: &Path) -> Vec<String> {
    let text = wait_for("a log without a half line", || {
        let text = fs::read(path).unwrap_or_default();
        (text.is_empty() || text.ends_with(b"\n")).then_some(text)
    });
    String::from_utf8(text).expect("lines are ASCII").lines().map(str::to_owned).collect()
}

fn objects(path: &Path) -> Vec<Value> {
    let read =
        |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    texts(path).iter().map(read).collect()
}

/// The lines of the server's log, as soon as there are so many.
fn lines(server: &Server, count: usize) -> Vec<Value> {
    wait_for("lines of the log", || {
        let lines = objects(&path(server));
        assert!(lines.len() <= count, "more lines than copies: {lines:#?}");
        (lines.len() == count).then_some(lines)
    })
}

/// The one line of this request's copy.
fn line_of(server: &Server, request: impl AsRef<[u8]>) -> Value {
    let before = objects(&path(server)).len();
    server.client().exchange(request);
    lines(server, before + 1).remove(before)
}
