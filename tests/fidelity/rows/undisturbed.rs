//! What limits and paces production does so as before.

use crate::fidelity::row::{Door, Request, Row, Version};

const GROUP: &str = "Undisturbed";

pub fn rows() -> Vec<Row> {
    let upload = || Request::new("POST", "/x").content("hello");
    let limited = |length| Request::new("POST", "/limited/x").content("x".repeat(length));
    vec![
        Row::asks(GROUP, "mod_ratelimit", Request::get("/ratelimited/text.txt")),
        Row::asks(GROUP, "LimitRequestBody, at the limit", limited(100)).answered(404),
        Row::asks(GROUP, "LimitRequestBody, one byte above", limited(101))
            .answered(413)
            .not_copied("incomplete"),
        Row::plays(GROUP, "LimitRequestBody, chunked, above the limit", upload(), |client| {
            client.send("POST /limited/x HTTP/1.1\r\nHost: www.example.com\r\n");
            client.send(format!(
                "Transfer-Encoding: chunked\r\n\r\nc8\r\n{}\r\n0\r\n\r\n",
                "x".repeat(200)
            ));
            client.response();
        })
        .answers(&[413])
        .not_copied("incomplete"),
        Row::plays(GROUP, "mod_reqtimeout: an upload that stops", upload(), |client| {
            client
                .send("POST /x HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 5\r\n\r\nhell");
            client.response();
        })
        .answers(&[408])
        .through(Door::Impatient)
        .not_copied("incomplete"),
        Row::asks(GROUP, "the answer's `Connection` and `Keep-Alive`", {
            Request::get("/a.html").with("Connection", "keep-alive")
        })
        .only(&[Version::Http11, Version::Http10]),
        Row::asks(GROUP, "a range of a file", Request::get("/large").with("Range", "bytes=5-9"))
            .answered(206),
        Row::asks(GROUP, "a large file", Request::get("/large")),
        Row::asks(GROUP, "HEAD of a file", Request::new("HEAD", "/large")),
    ]
}
