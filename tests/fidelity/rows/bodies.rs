//! Content is copied byte for byte, whatever its framing, or not at all.

use crate::fidelity::http1;
use crate::fidelity::row::{Request, Row, Version};
use crate::mpm::Mpm;

const GROUP: &str = "Content";

/// `hello hello hello hello hello hello`, as `gzip -n` packs it.
const GZIPPED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\
    \xcb\x48\xcd\xc9\xc9\x57\xc8\xc0\x47\
    \x02\x00\x57\x37\x62\x85\x23\x00\x00\x00";

pub fn rows(mpm: Mpm) -> Vec<Row> {
    let mut rows = sizes();
    // One is enough: it takes a second, and its content twice in memory.
    rows.extend((mpm == Mpm::Event).then(huge));
    rows.extend(framings());
    rows.extend(kinds());
    rows
}

fn post(target: &str, content: impl AsRef<[u8]>) -> Request {
    Request::new("POST", target).content(content)
}

fn asks(name: &str, request: Request) -> Row {
    Row::asks(GROUP, name, request)
}

/// Content of which no part is like another.
fn various(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn sizes() -> Vec<Row> {
    vec![
        asks("0 bytes", post("/proxy/x", "")),
        asks("1 byte", post("/proxy/x", "x")),
        asks("8,192 bytes: httpd's buffer", post("/proxy/x", various(8192))),
        asks("8,193 bytes", post("/proxy/x", various(8193))),
        asks("1 MB less one byte", post("/proxy/x", various((1 << 20) - 1))),
        asks("exactly `CopyBodyLimit` (1 MB)", post("/proxy/x", various(1 << 20))),
        asks("one byte above `CopyBodyLimit` (1 MB)", post("/proxy/x", various((1 << 20) + 1)))
            .not_copied("too_large"),
        asks("exactly a place's own `CopyBodyLimit` (1 KB)", post("/proxy/limit/x", various(1024))),
        asks("one byte above it", post("/proxy/limit/x", various(1025))).not_copied("too_large"),
        asks("any content under `CopyBodyLimit 0`", post("/proxy/bodiless/x", "x"))
            .not_copied("too_large"),
        asks("no content under `CopyBodyLimit 0`", Request::get("/proxy/bodiless/x")),
    ]
}

fn huge() -> Row {
    let content = various(1 << 20).repeat(100);
    let request = Request { content: Some(content), ..Request::new("POST", "/proxy/huge/x") }
        .with("Content-Length", (100 << 20).to_string());
    Row::plays(GROUP, "100 MB under `CopyBodyLimit 200M`", request, |client| {
        client.send("POST /proxy/huge/x HTTP/1.1\r\nHost: www.example.com\r\n");
        client.send("Content-Length: 104857600\r\n\r\n");
        let part = various(1 << 20);
        for _ in 0..100 {
            client.send(&part);
        }
        client.response();
    })
    .answers(&[200])
    .under(&[Mpm::Event])
}

const SLOWLY: &str =
    "each part is sent when the origin has the one before, so nothing holds it back";

fn framings() -> Vec<Row> {
    let slow_and_chunked =
        Request { content: Some(various(60_000)), ..Request::new("POST", "/gate/x") };
    let chunked = |content: &[u8]| Request {
        content: Some(content.to_vec()),
        ..Request::new("POST", "/proxy/x").with("X-Last", "1")
    };
    let head = "POST /proxy/x HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n";
    let only = |row: Row| {
        row.only(&[Version::Http11])
            .note("the copy has a `Content-Length`, as its last field, for the chunks it came in")
    };
    let one_by_one: String = "one by one".chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let limit =
        [head.replace("/x", "/limit/x").as_bytes(), b"\r\n", &http1::chunked(&various(1025))]
            .concat();
    vec![
        only(asks("chunked, in chunks of odd sizes", chunked(&various(100_000)))),
        only(asks("chunked, without any content", chunked(b""))),
        only(Row::sends(
            GROUP,
            "chunked, a byte a chunk",
            format!("{head}\r\n{one_by_one}0\r\n\r\n"),
        )),
        Row::sends(
            GROUP,
            "chunked, with extensions and upper-case sizes",
            format!("{head}\r\n00A;name=\"value\"\r\n0123456789\r\n0;last\r\n\r\n"),
        ),
        Row::sends(
            GROUP,
            "chunked, with trailers",
            format!("{head}Trailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"),
        )
        .note("httpd keeps trailers apart from the fields; the copy has none"),
        Row::sends(GROUP, "chunked, one byte above `CopyBodyLimit`", limit).not_copied("too_large"),
        Row::plays(GROUP, "a slow upload", post("/gate/x", various(60_000)), |client| {
            client.backends().gate.shut();
            client.send("POST /gate/x HTTP/1.1\r\nHost: www.example.com\r\n");
            client.send("Content-Length: 60000\r\n\r\n");
            for (at, part) in various(60_000).chunks(20_000).enumerate() {
                client.send(part);
                client.backends().gate.passed(20_000 * (at + 1));
            }
            client.response();
        })
        .note(SLOWLY)
        .answers(&[200]),
        Row::plays(GROUP, "a slow upload, chunked", slow_and_chunked, |client| {
            client.backends().gate.shut();
            client.send("POST /gate/x HTTP/1.1\r\nHost: www.example.com\r\n");
            client.send("Transfer-Encoding: chunked\r\n\r\n");
            for (at, part) in various(60_000).chunks(20_000).enumerate() {
                client.send([b"4e20\r\n", part, b"\r\n"].concat());
                client.backends().gate.passed(20_000 * (at + 1));
            }
            client.send("0\r\n\r\n");
            client.response();
        })
        .note(SLOWLY)
        .answers(&[200]),
    ]
}

fn kinds() -> Vec<Row> {
    let multipart = "--b0undary\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b0undary\r\n\
                     Content-Disposition: form-data; name=\"f\"; filename=\"x.bin\"\r\n\
                     Content-Type: application/octet-stream\r\n\r\n\0\x01\r\n\r\n--b0undary--\r\n";
    let every_byte: Vec<u8> = (0..=255).collect();
    let typed = |target: &str, media_type: &str| {
        Request::new("POST", target).with("Content-Type", media_type)
    };
    vec![
        asks("a form", typed("/proxy/x", "application/x-www-form-urlencoded").content("a=b&c=%41+d")),
        asks("multipart", typed("/proxy/x", "multipart/form-data; boundary=b0undary").content(multipart)),
        asks("every byte there is", typed("/proxy/x", "application/octet-stream").content(&every_byte)),
        asks("what looks like another request", post("/proxy/x", "GET /other HTTP/1.1\r\nHost: x\r\n\r\n")),
        asks(
            "gzip that production's mod_deflate inflates",
            typed("/proxy/inflate/x", "text/plain").with("Content-Encoding", "gzip").content(GZIPPED),
        )
        .note("the origin gets the text, staging what the client sent: gzip with its `Content-Encoding`"),
    ]
}
