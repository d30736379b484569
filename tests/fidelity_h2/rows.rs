//! The rows: single requests, each answered alike by both productions and copied to the bit, or counted why not.

use crate::h2::Request;

use Staged::{Copied, NotCopied};

/// What has to reach staging.
#[derive(Clone, Copy, Debug)]
pub enum Staged {
    /// One copy, to the bit.
    Copied,
    /// Nothing, and this counter of `not_copied` has moved by one.
    NotCopied(&'static str),
}

pub struct Row {
    pub name: String,
    pub request: Request,
    /// What production answers.
    pub status: u16,
    pub staged: Staged,
}

pub fn rows() -> Vec<Row> {
    [methods(), targets(), fields(), contents(), answers()].into_iter().flatten().collect()
}

fn row(name: impl Into<String>, request: Request, status: u16, staged: Staged) -> Row {
    Row { name: name.into(), request, status, staged }
}

/// A request of the origin, copied.
fn copied(name: impl Into<String>, request: Request) -> Row {
    row(name, request, 200, Copied)
}

fn methods() -> Vec<Row> {
    let named = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "BREW"];
    let mut rows: Vec<Row> = named
        .map(|method| copied(format!("method {method}"), Request::new(method, "/app/method")))
        .into();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        let request = Request::new(method, "/app/method").sized("hello");
        rows.push(copied(format!("method {method} with content"), request));
    }
    rows.push(copied("OPTIONS *", Request::new("OPTIONS", "*")));
    rows.push(copied("HEAD of a file", Request::new("HEAD", "/page.html")));
    rows.push(row("TRACE", Request::new("TRACE", "/page.html"), 200, NotCopied("not_copyable")));
    rows
}

fn targets() -> Vec<Row> {
    let long = format!("/app/{}", "x".repeat(7000));
    [
        "/app",
        "/app/?",
        "/app/x?a=b?c",
        "/app//x",
        "/app/a/../b",
        "/app/a%2Fb",
        "/app/%7Euser/%41",
        "/app/a|b",
        "/app/a\"b",
        "/app/{a}",
        "/app/a^b",
        "/app/a?q=%E2%82%AC&empty=&again",
        "/app/a;b=c,d",
        "/app/é",
        &long,
    ]
    .map(|target| {
        let name = format!("target {}", target.get(..24).unwrap_or(target));
        copied(name, Request::new("GET", target))
    })
    .into()
}

fn fields() -> Vec<Row> {
    let get = || Request::new("GET", "/app/fields");
    let many = (0..99).fold(get(), |get, n| get.field(&format!("x-field-{n}"), n.to_string()));
    let sites = "www.example.com";
    vec![
        copied("no field", get()),
        copied("a field's order", get().field("x-b", "1").field("accept", "*/*").field("x-a", "2")),
        copied("an odd name", get().field("x--y_z.0-", "1").field("dnt", "1")),
        copied("an empty value", get().field("x-empty", "").field("x-next", "1")),
        copied("bytes above 127", get().field("x-bytes", b"caf\xe9 \xf0\x9f\xa6\x80")),
        copied(
            "two fields of a name",
            get().field("x-two", "1").field("x-a", "").field("x-two", "2"),
        ),
        copied(
            "a split cookie",
            get().field("cookie", "a=1").field("cookie", "b=2").field("cookie", "c=3; d=4"),
        ),
        copied("a cookie of 7 KB", get().field("cookie", format!("a={}", "x".repeat(7000)))),
        copied("100 fields with Host", many),
        copied("a forged mark", get().field("x-mod-copy", "00")),
        copied("a forged X-Forwarded-For", get().field("x-forwarded-for", "10.0.0.1")),
        copied("te: trailers", get().field("te", "trailers")),
        copied("a host beside :authority", get().field("host", sites).field("x-next", "1")),
        copied(
            "a type without content",
            get().field("content-type", "text/plain").field("x-next", "1"),
        ),
        copied("a length of 0", Request::new("POST", "/app/fields").sized("")),
        copied("an Authorization", get().field("authorization", "Basic YTpi")),
        row("a range", get().field("range", "bytes=0-1"), 206, Copied),
    ]
}

fn contents() -> Vec<Row> {
    let post = |target: &str| Request::new("POST", target);
    let megabytes: Vec<u8> = (0..5 << 20).map(|n: u32| (n ^ (n >> 8)) as u8).collect();
    let bytes: Vec<u8> = (0..=255).collect();
    let mut rows = vec![
        copied("content of 1 byte", post("/app/content").sized("x")),
        copied("content of 1 byte, length untold", post("/app/content").content("x")),
        copied("every byte", post("/app/content").sized(&bytes)),
        copied("every byte, length untold", post("/app/content").content(&bytes)),
        copied("content at the limit", post("/app/limited").sized([b'x'; 1024])),
        copied("content at the limit, length untold", post("/app/limited").content([b'x'; 1024])),
        copied("5 MB", post("/app/content").sized(&megabytes)),
        copied("5 MB, length untold", post("/app/content").content(&megabytes)),
        copied("trailers", post("/app/content").content("hello").trailer("x-trailer", "1")),
        copied(
            "trailers after content whose length is told",
            post("/app/content").sized("hello").trailer("x-trailer", "1"),
        ),
    ];
    for (told, request) in [
        ("", post("/app/limited").sized([b'x'; 1025])),
        (", length untold", post("/app/limited").content([b'x'; 1025])),
    ] {
        rows.push(row(
            format!("content above the limit{told}"),
            request,
            200,
            NotCopied("too_large"),
        ));
    }
    rows
}

fn answers() -> Vec<Row> {
    let get = |target| Request::new("GET", target);
    let post = |target| Request::new("POST", target).sized("hello");
    let expecting = |target| post(target).field("expect", "100-continue");
    vec![
        row("200 of a file", get("/page.html"), 200, Copied),
        row("404", get("/none"), 404, Copied),
        row("301", get("/moved"), 301, Copied),
        row("410", get("/gone"), 410, Copied),
        row("405", Request::new("DELETE", "/page.html"), 405, Copied),
        row("500 of the origin", get("/app/500"), 500, Copied),
        row("403", get("/private"), 403, NotCopied("refused")),
        row("401", get("/login"), 401, NotCopied("refused")),
        row("500 of the origin, with content", post("/app/500"), 500, Copied),
        // mod_http2 takes its streams for connections that close, on which httpd reads nothing it does not use.
        row("301, content unread", post("/moved"), 301, NotCopied("incomplete")),
        row("404, content unread", post("/none"), 404, NotCopied("incomplete")),
        row("403, content unread", post("/private"), 403, NotCopied("refused")),
        row("403 where a 100 is expected", expecting("/private"), 403, NotCopied("refused")),
        row("301 where a 100 is expected", expecting("/moved"), 301, NotCopied("incomplete")),
        row("200 where a 100 is expected", expecting("/app/content"), 200, Copied),
        row("401, content unread", post("/login"), 401, NotCopied("refused")),
        row("a file asked for by POST", post("/page.html"), 200, NotCopied("incomplete")),
    ]
}
