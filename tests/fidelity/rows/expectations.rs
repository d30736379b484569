//! `Expect: 100-continue`: the client sees the 100 that production sends, or none.

use crate::fidelity::row::{Request, Row, Staged, Version};

const GROUP: &str = "Expect: 100-continue";

fn expecting(target: &str) -> Request {
    Request::new("POST", target).with("Expect", "100-continue").content("hello")
}

fn head(target: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: www.example.com\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
}

pub fn rows() -> Vec<Row> {
    vec![
        Row::plays(
            GROUP,
            "production reads, and asks for the content",
            expecting("/proxy/x"),
            |client| {
                client.send(head("/proxy/x"));
                assert_eq!(client.any_response(false), 100);
                client.send("hello");
                client.response();
            },
        )
        .answers(&[200]),
        Row::plays(GROUP, "a CGI that reads", expecting("/cgi/echo"), |client| {
            client.send(head("/cgi/echo"));
            assert_eq!(client.any_response(false), 100);
            client.send("hello");
            client.response();
        })
        .answers(&[200]),
        Row::plays(GROUP, "the client does not wait", expecting("/proxy/x"), |client| {
            client.send(head("/proxy/x") + "hello");
            client.response();
        })
        .answers(&[200]),
        Row::plays(GROUP, "production redirects without asking", expecting("/moved"), |client| {
            client.send(head("/moved"));
            client.response();
        })
        .answers(&[301])
        .not_copied("incomplete")
        .note("no 100 is provoked, so the content never comes"),
        Row::plays(GROUP, "production refuses without asking", expecting("/private/"), |client| {
            client.send(head("/private/"));
            client.response();
        })
        .answers(&[403])
        .not_copied("refused"),
        Row::asks(
            GROUP,
            "an expectation that nobody knows",
            Request::get("/proxy/x").with("Expect", "more"),
        )
        .only(&[Version::Http11])
        .answered(417)
        .staged(Staged::Unseen),
    ]
}
