//! The table as a document, `docs/fidelity.md`: written from the rows, and held to them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::row::{Door, Row, Staged, Version};
use super::rows;
use crate::fidelity_h2;
use crate::mpm::Mpm;

const INTRODUCTION: &str = "\
# What staging receives

Generated from the tests in `tests/fidelity`; `make test` plays every row below, and a row that does not hold
fails it. `UPDATE_DOCS=1 cargo test --no-default-features fidelity` writes this file anew.

Each row is played on two httpds of one configuration, one with the module and one without. It holds when

- the client gets the same bytes from both (`Date`, `Age` and the order of the methods in `Allow` aside);
- production's origin gets the same bytes from both;
- both access logs tell the same of every request: status, bytes in and out (`%I`, `%O`), requests before it on its
  connection (`%k`);
- staging receives exactly one copy of each request, or none, and its head and content are, byte for byte, those of
  a model that is written apart from the module; and
- exactly the counters that ought to move have moved, by one for each request.

*The copy* is the request as the client sent it: method, request target, fields in their order and spelling, content.
What differs in each copy: it is HTTP/1.1 with a `Content-Length` where there is content; fields of the client's
connection and its framing stay behind (`Connection` and what it names, `Keep-Alive`, `Proxy-Connection`, `TE`,
`Trailer`, `Transfer-Encoding`, `Upgrade`, `HTTP2-Settings`, `Expect`); `Host` is the target's unless it is preserved;
`X-Forwarded-For`, `-Host` and `-Proto` are added, or appended to, unless that is switched off; and the loop mark
`X-Mod-Copy` is added.
";

const HTTP2: &str = "
## Over HTTP/2

Each row is played over cleartext with prior knowledge and over TLS, on two httpds as above. mod_http2 presents a
request as one of HTTP/1.1: names of fields are capitalised, cookies joined with `; `, `Host` comes last; that is what
the copy is held to. Under prefork, httpd serves HTTP/2 clients over TLS as HTTP/1.1.

";

const HTTP2_SENTENCES: [&str; 11] = [
    "Two hundred requests, fifty at a time over one connection, are two hundred true copies.",
    "An upload that is reset, or that ends short of its length, is `incomplete`.",
    "An upload of untold length that breaks off is copied only if mod_http2 gave it to production for whole.",
    "A client that leaves during the response, and one that resets it, is copied once.",
    "What the server pushes is counted as `not_copyable`, once for each push.",
    "A WebSocket by extended CONNECT works as without the module, and is not copied.",
    "A request that is upgraded (`Upgrade: h2c`) is copied once, and so is each stream after it.",
    "A stream that asks for the same as the upgraded request, and overtakes it, is copied too.",
    "A refused upgrade and a granted one on one connection are each copied once.",
    "An upgrade that httpd does not grant is copied as the request it is, under all three processing models.",
    "Under prefork a client that offers HTTP/2 over TLS is served, and copied, in HTTP/1.1.",
];

/// What cannot be had, and why.
const LIMITS: [(&str, &str); 13] = [
    (
        "Several fields of one name arrive as one",
        "httpd merges them with `, ` (`Cookie` too) before any module sees the request.",
    ),
    ("A folded line arrives as one line", "httpd joins it, as RFC 9112 section 5.2 asks."),
    (
        "Whitespace around a value arrives as one space before it",
        "It is no part of the value (RFC 9110 section 5.5), and httpd does not keep it.",
    ),
    (
        "Chunk sizes, chunk extensions and trailers do not arrive",
        "The copy is framed by its length; httpd keeps trailers apart from the fields, and forgets extensions. Over \
         HTTP/2 ([h2c:// and h2://](targets.md#staging-over-http2)) trailers do.",
    ),
    (
        "`Content-Length` beside `Transfer-Encoding` does not arrive",
        "httpd drops it (RFC 9112 section 6.3).",
    ),
    (
        "An absolute-form arrives in origin-form",
        "It names production. httpd sets `Host` to its authority first, and `X-Forwarded-Host` says so.",
    ),
    (
        "A request of HTTP/1.0, or of a later minor version, arrives as HTTP/1.1",
        "Staging is spoken to in the version that lets connections be kept; without a `Host`, the copy gets \
         the target's.",
    ),
    ("Empty lines before a request do not arrive", "httpd skips them."),
    (
        "Content that production never reads is not copied",
        "Nothing is read on its behalf: 413, a client that waits for a 100 that never comes, and over HTTP/2 \
         whatever production answers without reading.",
    ),
    (
        "A request that is answered before httpd looks at `<Location>` sections is not copied where one could \
         matter",
        "mod_cache's quick handler and a refused `%2F` answer first; whether a section says `MirrorRequest Off` \
         is not known then. Where no section has directives of this module, it is copied.",
    ),
    (
        "Over HTTP/2, names of fields arrive capitalised, and `Host` last",
        "HTTP/2 has small letters alone; mod_http2 writes the head that every module sees.",
    ),
    (
        "Over HTTP/2, an upload of untold length that breaks off may arrive cut off",
        "mod_http2 sometimes passes it on as ended: production takes it for whole as well.",
    ),
    (
        "An upgrade is not copied, whether or not production grants it",
        "The copy would ask staging for something else than the client did.",
    ),
];

fn page(rows: &[Row]) -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut groups: Vec<&str> = rows.iter().map(|row| row.group).collect();
    let mut seen = HashSet::new();
    groups.retain(|group| seen.insert(*group));
    for group in groups {
        writeln!(page, "\n## {group}\n").unwrap();
        page.push_str(
            "| case | HTTP | production answers | staging receives | event | worker | prefork |\n",
        );
        page.push_str("|---|---|---|---|---|---|---|\n");
        for row in rows.iter().filter(|row| row.group == group) {
            page.push_str(&line(row));
        }
    }
    page.push_str(&over_http2());
    page.push_str("\n## Where the copy cannot be true\n\n");
    for (what, why) in LIMITS {
        writeln!(page, "- {what}. {why}").unwrap();
    }
    page
}

/// What `tests/fidelity_h2` plays, row by row and in sentences.
fn over_http2() -> String {
    let mut page = HTTP2.to_owned();
    page.push_str("| case | production answers | staging receives | event | worker |\n|---|---|---|---|---|\n");
    for row in fidelity_h2::rows::rows() {
        let staged = match row.staged {
            fidelity_h2::rows::Staged::Copied => "the copy".to_owned(),
            fidelity_h2::rows::Staged::NotCopied(reason) => {
                format!("nothing; counted as `{reason}`")
            }
        };
        let cells = [row.name, row.status.to_string(), staged, "holds".into(), "holds".into()];
        writeln!(page, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")).unwrap();
    }
    page.push_str("\nAnd in `tests/fidelity_h2`, one test each:\n\n");
    for sentence in HTTP2_SENTENCES {
        writeln!(page, "- {sentence}").unwrap();
    }
    page
}

fn line(row: &Row) -> String {
    let result = |mpm| if row.mpms.contains(&mpm) { "holds" } else { "–" };
    let cells = [
        row.name.as_str(),
        &versions(row),
        &answers(row),
        &staged(row),
        result(Mpm::Event),
        result(Mpm::Worker),
        result(Mpm::Prefork),
    ];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn versions(row: &Row) -> String {
    let versions: Vec<&str> = row
        .versions
        .iter()
        .map(|version| match version {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        })
        .collect();
    let tls = if row.door == Door::Tls { " (TLS)" } else { "" };
    versions.join(", ") + tls
}

fn answers(row: &Row) -> String {
    let mut statuses = row.answers.clone();
    statuses.dedup();
    let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
    if statuses.is_empty() { "the client leaves".to_owned() } else { statuses.join(", ") }
}

fn staged(row: &Row) -> String {
    let staged = match (row.staged, row.requests.len()) {
        (Staged::Copied | Staged::CopiedIfKept, 1) => "the copy".to_owned(),
        (Staged::Copied | Staged::CopiedIfKept, count) => format!("{count} copies, in order"),
        (Staged::NotCopied(reason), _) => format!("nothing; counted as `{reason}`"),
        (Staged::Unseen, _) => "nothing; no counter moves".to_owned(),
        (Staged::CameBack, _) => "nothing; it came back and was counted as `loop`".to_owned(),
    };
    if row.note.is_empty() { staged } else { format!("{staged}: {}", row.note) }
}

#[test]
fn the_document_lists_every_row() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fidelity.md");
    let page = page(&rows::under(Mpm::Event));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/fidelity.md is not what the rows say: run UPDATE_DOCS=1 cargo test"
    );
}

/// Two rows of one name could not be told apart where one fails.
#[test]
fn every_row_has_a_name_of_its_own() {
    let rows = rows::under(Mpm::Event);
    for (at, row) in rows.iter().enumerate() {
        let twin =
            rows[..at].iter().find(|other| (other.group, &other.name) == (row.group, &row.name));
        assert!(twin.is_none(), "{} / {}", row.group, row.name);
    }
}
