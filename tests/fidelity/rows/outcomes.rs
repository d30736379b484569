//! What production answers decides only whether access control let the request in.

use crate::fidelity::row::{Door, Request, Row, Version};

pub fn rows() -> Vec<Row> {
    let mut rows = answered();
    rows.extend(refused());
    rows.extend(malformed());
    rows
}

fn answered() -> Vec<Row> {
    let get = |name: &str, target: &str, status| {
        Row::asks("Outcomes", name, Request::get(target)).answered(status)
    };
    vec![
        get("304", "/a.html", 304).asking(
            Request::get("/a.html").with("If-Modified-Since", "Fri, 01 Jan 2021 00:00:00 GMT"),
        ),
        get("301", "/moved", 301),
        get("404", "/none", 404),
        Row::asks("Outcomes", "405", Request::new("DELETE", "/a.html")).answered(405),
        Row::asks("Outcomes", "405 of mod_allowmethods", Request::new("PUT", "/no-post/x"))
            .answered(405),
        get("500 of a CGI", "/cgi/broken", 500),
        get("503 of mod_rewrite", "/unavailable", 503),
        get("503 of mod_proxy", "/dead/x", 503),
        get("403 of the origin", "/proxy/answers-403", 403),
        get("500 of the origin", "/proxy/answers-500", 500),
        get("204 of the origin", "/proxy/answers-204", 204),
    ]
}

fn refused() -> Vec<Row> {
    let refused = |name: &str, request: Request, status| {
        Row::asks("Refused by access control", name, request).answered(status).not_copied("refused")
    };
    let login = |password: &str| {
        Request::get("/login/x").with("Authorization", format!("Basic {password}"))
    };
    let proxied = || Request::get("http://www.example.com/x");
    vec![
        refused("403 of `Require`", Request::get("/private/secret.html"), 403),
        refused("403 of mod_rewrite", Request::get("/forbidden"), 403),
        refused("401", Request::get("/login/x"), 401),
        refused("401 with a wrong password", login("dXNlcjp3cm9uZw=="), 401),
        Row::asks("Outcomes", "a right password", login("dXNlcjpzZWNyZXQ=")).answered(404),
        refused("407 of a forward proxy", proxied(), 407).through(Door::Forward),
    ]
}

fn malformed() -> Vec<Row> {
    let malformed =
        |name: &str, bytes: &str, status| Row::malformed("Never a request", name, bytes, status);
    let host = "Host: www.example.com\r\n";
    let long = "x".repeat(9000);
    let mut rows = vec![
        malformed("400: no version", &format!("GET / HTTP\r\n{host}\r\n"), 400),
        malformed(
            "400: a space within the target",
            &format!("GET /a b HTTP/1.1\r\n{host}\r\n"),
            400,
        ),
        malformed("400: no `Host` in HTTP/1.1", "GET / HTTP/1.1\r\n\r\n", 400),
        malformed(
            "400: a field without a colon",
            &format!("GET / HTTP/1.1\r\n{host}nothing\r\n\r\n"),
            400,
        ),
        malformed(
            "400: a space before the colon",
            &format!("GET / HTTP/1.1\r\n{host}A : 1\r\n\r\n"),
            400,
        ),
        malformed(
            "400: two `Host` fields",
            &format!("GET / HTTP/1.1\r\n{host}Host: a\r\n\r\n"),
            400,
        ),
        malformed(
            "400: a control character in a value",
            &format!("GET / HTTP/1.1\r\n{host}A: \x01\r\n\r\n"),
            400,
        ),
        malformed(
            "400: a length that is no number",
            &format!("POST / HTTP/1.1\r\n{host}Content-Length: x\r\n\r\n"),
            400,
        ),
        malformed(
            "400: a transfer coding nobody knows",
            &format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: x\r\n\r\n"),
            400,
        ),
        malformed("414", &format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), 414),
        malformed(
            "400: a field that is too long",
            &format!("GET / HTTP/1.1\r\n{host}A: {long}\r\n\r\n"),
            400,
        ),
        malformed(
            "400: 101 fields",
            &format!("GET / HTTP/1.1\r\n{host}{}\r\n", "A: 1\r\n".repeat(100)),
            400,
        ),
        malformed("408: a head that never ends", &format!("GET / HTTP/1.1\r\n{host}"), 408)
            .through(Door::Impatient),
    ];
    rows.iter_mut().for_each(|row| row.versions = &[Version::Http11]);
    rows
}
