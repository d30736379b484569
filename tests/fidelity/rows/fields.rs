//! Fields keep their spelling, their order and their values; those of the connection stay behind.

use crate::fidelity::row::{PLAIN, Place, Request, Row, Version};

const GROUP: &str = "Fields";

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(values());
    rows.extend(forms_on_the_wire());
    rows.extend(of_the_connection());
    rows.extend(added());
    rows
}

fn get() -> Request {
    Request::get("/proxy/x")
}

fn asks(name: &str, request: Request) -> Row {
    Row::asks(GROUP, name, request)
}

fn values() -> Vec<Row> {
    let many =
        (0..99).fold(get(), |request, at| request.with(format!("X-Field-{at}"), format!("{at}")));
    let cookie = format!("session={}; theme=\"dark\"", "c".repeat(7000));
    vec![
        asks(
            "spelling and order",
            Request { fields: Vec::new(), ..get() }
                .with("uSER-aGENT", "test/1 (a; b)")
                .with("accept", "*/*;q=0.1, text/html")
                .with("hOST", "www.example.com")
                .with("X-underscore_and.dot", "1")
                .with("ACCEPT-LANGUAGE", "de"),
        ),
        asks("an empty value", get().with("X-Empty", "").with("X-After", "1")),
        asks("bytes ≥ 0x80", get().with("X-Bytes", b"\x80\xc3\xa9\xff".as_slice())),
        asks("a tab within a value", get().with("X-Tab", "a\tb")),
        asks("commas, quotes and colons", get().with("X-Marks", "\"a, b\", c: d; e=\"\\\"\"")),
        asks("100 fields", many),
        asks("a cookie of 7 KB", get().with("Cookie", cookie)),
        asks("one value of 8,100 bytes", get().with("X-Long", "v".repeat(8100))),
        asks("`Authorization`, `Range`, conditions", {
            get()
                .with("Authorization", "Bearer a.b.c")
                .with("Range", "bytes=0-0")
                .with("If-None-Match", "\"x\"")
                .with("If-Modified-Since", "Mon, 01 Jan 2024 00:00:00 GMT")
                .with("Cache-Control", "no-cache")
        })
        .answered(206),
        asks("`Via`, `Forwarded`, `X-Real-IP` as sent", {
            get()
                .with("Via", "1.1 edge")
                .with("Forwarded", "for=192.0.2.1")
                .with("X-Real-IP", "192.0.2.1")
        }),
        Row::asks(
            GROUP,
            "no `Host` at all",
            Request { fields: Vec::new(), ..get() }.with("Accept", "*/*"),
        )
        .only(&[Version::Http10])
        .note("HTTP/1.0 allows that; the copy, in HTTP/1.1, has the target's as its first field"),
    ]
}

/// Where the bytes on the wire are not what RFC 9110 calls the field.
fn forms_on_the_wire() -> Vec<Row> {
    let sends = |name: &str, fields: &str| {
        Row::sends(
            GROUP,
            name,
            format!("GET /proxy/x HTTP/1.1\r\nHost: www.example.com\r\n{fields}\r\n"),
        )
    };
    const MERGED: &str =
        "httpd merges fields of one name, with `, `, in the first one's place and spelling";
    vec![
        sends("no space, many spaces, tabs around a value", "A:1\r\nB:   2\t \r\nC:\t3\r\n")
            .note("whitespace around a value is no part of it: the copy has one space before it"),
        sends("fields of one name", "X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n").note(MERGED),
        sends("`Cookie` twice", "Cookie: a=1\r\nCookie: b=2\r\n").note(MERGED),
        sends("fields of one name, one empty", "X-A: \r\nX-A: 1\r\n").note(MERGED),
        sends("a folded line", "X-Folded: one\r\n  two\r\n\tthree\r\nX-After: 1\r\n")
            .note("httpd joins folded lines (RFC 9112 section 5.2)"),
        Row::sends(
            GROUP,
            "empty lines before the request",
            "GET /proxy/x HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        )
        .sent("\r\n\r\nGET /proxy/x HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    ]
}

fn of_the_connection() -> Vec<Row> {
    let hop = [
        ("Connection", "keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X-Sum"),
    ];
    let stay = hop.map(|(name, value)| {
        asks(&format!("`{name}` stays behind"), get().with(name, value).with("X-After", "1"))
    });
    let mut rows = stay.to_vec();
    rows.extend([
        asks(
            "fields that `Connection` names",
            get()
                .with("X-Hop", "1")
                .with("Connection", "keep-alive, x-hop,X-Two")
                .with("X-Two", "2")
                .with("X-End", "3"),
        ),
        asks("`Connection: close`", get().with("Connection", "close")).only(&[Version::Http11]),
        asks(
            "`Connection` that names `Host`",
            get().with("Connection", "keep-alive, Host").with("X-End", "3"),
        )
        .note("a copy always has a `Host`"),
        asks(
            "an `Upgrade` to h2c that production does not offer",
            get()
                .with("Connection", "Upgrade, HTTP2-Settings")
                .with("Upgrade", "h2c")
                .with("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        )
        .only(&[Version::Http11]),
        Row::sends(
            GROUP,
            "`Content-Length` beside `Transfer-Encoding`",
            "POST /proxy/x HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 3\r\n\
             Transfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n",
        )
        .note("httpd drops the length (RFC 9112 section 6.3) and closes the connection after its answer"),
        asks("`Content-Length: 0` without content", get().with("Content-Length", "0")),
    ]);
    rows
}

fn added() -> Vec<Row> {
    let preserve = Place { preserve_host: true, ..PLAIN };
    let bare = Place { add_headers: false, ..PLAIN };
    let forged = || {
        get()
            .with("X-Forwarded-For", "203.0.113.1")
            .with("x-forwarded-host", "front.example.com")
            .with("X-FORWARDED-PROTO", "https")
    };
    vec![
        asks("forged `X-Forwarded-*`", forged())
            .note("appended to, not trusted: the last element is what production saw"),
        asks(
            "forged `X-Forwarded-*` that `Connection` names",
            forged().with("Connection", "keep-alive, X-Forwarded-For, x-forwarded-proto"),
        )
        .note("they stay behind, and the copy's own are its last fields"),
        asks(
            "a forged loop mark that `Connection` names",
            get().with("X-Mod-Copy", "forged").with("Connection", "keep-alive, X-Mod-Copy"),
        ),
        asks("an empty `X-Forwarded-For`", get().with("X-Forwarded-For", "")),
        asks("a forged loop mark", get().with("X-Mod-Copy", "0123456789abcdef0123456789abcdef"))
            .note("the copy's own mark is appended"),
        asks("`CopyPreserveHost On`", Request::get("/proxy/preserve/x").with("X-End", "1"))
            .at(preserve),
        asks("`CopyAddHeaders Off`", Request::get("/proxy/bare/x").with("X-End", "1")).at(bare),
        asks(
            "`CopyAddHeaders Off` and forged `X-Forwarded-*`",
            Request { target: b"/proxy/bare/x".to_vec(), ..forged() },
        )
        .at(bare),
    ]
}
