//! Content that production does not use: copied if httpd reads it all the same, never read for us.

use crate::fidelity::row::{Request, Row, Staged, Version};

const GROUP: &str = "Content that production does not use";

fn post(target: &str) -> Request {
    Request::new("POST", target).content("hello hello")
}

pub fn rows() -> Vec<Row> {
    let large = |target: &str| Request::new("POST", target).content(vec![b'x'; 300_000]);
    let of = |name: &str, request: Request, status: u16| {
        Row::asks(GROUP, name, request).answered(status)
    };
    const DISCARDED: &str =
        "httpd reads and discards it; over HTTP/2 it does not, and nothing is copied";
    vec![
        of("a static file (GET)", Request { method: b"GET".to_vec(), ..post("/a.html") }, 200),
        of("a static file (POST)", post("/a.html"), 200),
        of("a static file, 300 KB of content", large("/a.html"), 200),
        of("a redirect", post("/moved"), 301).staged(Staged::CopiedIfKept).note(DISCARDED),
        of("a redirect, 300 KB of content", large("/moved"), 301)
            .staged(Staged::CopiedIfKept)
            .note(DISCARDED),
        of("a redirect, and the client closes", post("/moved").with("Connection", "close"), 301)
            .only(&[Version::Http11])
            .staged(Staged::CopiedIfKept),
        of("404", post("/none"), 404).staged(Staged::Copied),
        of("403", post("/private/x"), 403).not_copied("refused"),
        of("413 by its length", large("/limited/x"), 413)
            .not_copied("incomplete")
            .note("production closes the connection instead of reading"),
        of("a CGI that throws it away", post("/cgi/plain"), 200),
        of("an application by FastCGI that answers at once", post("/fcgi/ignores"), 200),
        of("503 of an origin that is down", post("/dead/x"), 503),
    ]
}
