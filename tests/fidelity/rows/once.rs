//! Whatever production makes of a request within itself, it is copied once.

use crate::fidelity::row::{Door, PLAIN, Place, Request, Row, Version};

const GROUP: &str = "Exactly once";

pub fn rows() -> Vec<Row> {
    let mut rows = redirected();
    rows.extend(handlers());
    rows.extend(watchers());
    rows.extend(connections());
    rows
}

fn get(name: &str, target: &str) -> Row {
    Row::asks(GROUP, name, Request::get(target))
}

fn post(name: &str, target: &str) -> Row {
    Row::asks(GROUP, name, form(target))
}

/// A login for mod_auth_form, with a content that it is to pass on.
const LOGIN: &str = "httpd_username=user&httpd_password=secret&httpd_method=POST&\
                     httpd_mimetype=text/plain&httpd_body=replayed";

fn form(target: &str) -> Request {
    Request::new("POST", target)
        .with("Content-Type", "application/x-www-form-urlencoded")
        .content(LOGIN)
}

fn redirected() -> Vec<Row> {
    vec![
        get("DirectoryIndex", "/dir/"),
        get("DirectoryIndex, with content", "/dir/").having("hello"),
        get("mod_dir's redirect to the slash", "/dir").answered(301),
        get("MultiViews", "/docs/page"),
        get("MultiViews, with content", "/docs/page").having("hello"),
        get("a rewrite in `.htaccess`", "/docs/old?x=y"),
        post("a rewrite in `.htaccess`, with content", "/docs/old"),
        get("mod_alias: 301", "/moved/x").answered(301),
        get("mod_alias: 410", "/gone").answered(410),
        get("ErrorDocument, a file", "/none").answered(404),
        post("ErrorDocument, a file, with content", "/none").answered(404),
        get("ErrorDocument, a CGI", "/errdoc/cgi").answered(404),
        post("ErrorDocument, a CGI that reads the content", "/errdoc/cgi").answered(404),
        get("SSI, with a file and a CGI", "/ssi/page.shtml"),
        post("SSI, with content", "/ssi/page.shtml"),
        post("SSI, with content that KeptBodySize keeps for a CGI", "/ssi/kept.shtml"),
    ]
}

fn handlers() -> Vec<Row> {
    vec![
        get("a static file", "/a.html"),
        get("a CGI (mod_cgid)", "/cgi/plain?x=y"),
        post("a CGI that reads (mod_cgid)", "/cgi/echo"),
        get("mod_proxy_http", "/proxy/x"),
        post("mod_proxy_http, with content", "/proxy/x"),
        get("mod_proxy_fcgi", "/fcgi/x"),
        post("mod_proxy_fcgi, with content", "/fcgi/x"),
        Row::asks(
            GROUP,
            "mod_dav: PUT of a new file, HTTP/1.1",
            Request::new("PUT", "/dav/one").content("hello"),
        )
        .only(&[Version::Http11])
        .answered(201),
        Row::asks(
            GROUP,
            "mod_dav: PUT of a file that is there",
            Request::new("PUT", "/dav/one").content("again"),
        )
        .answered(204),
        Row::asks(
            GROUP,
            "mod_dav: PROPFIND",
            Request::new("PROPFIND", "/dav/none").with("Depth", "0"),
        )
        .answered(404),
        Row::asks(GROUP, "mod_dav: DELETE", Request::new("DELETE", "/dav/one"))
            .only(&[Version::Http11])
            .answered(204),
    ]
}

fn watchers() -> Vec<Row> {
    let two = |name: &str, target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Row::sends(GROUP, name, request.repeat(2))
    };
    let one = |name: &str, target: &str, host: &str| {
        Row::asks(GROUP, name, Request::get(target).host(host)).only(&[Version::Http11])
    };
    vec![
        two("mod_cache, in a `<Location>`: a miss, then a hit", "/cached/x", "www.example.com"),
        two("mod_cache's quick handler: a miss, then a hit", "/cached/x", "cached.example.com"),
        one("mod_cache's quick handler, in a host with sections: a miss", "/cached/x", "quick.example.com"),
        one("mod_cache's quick handler, in a host with sections: a hit", "/cached/x", "quick.example.com")
            .not_copied("not_copyable")
            .note(
                "answered before httpd looks at `<Location>` sections: copied only where no section has \
                 directives of this module; `CacheQuickHandler off` has every hit copied",
            ),
        Row::asks(
            GROUP,
            "mod_deflate packs the answer",
            Request::get("/deflate/text.txt").with("Accept-Encoding", "gzip"),
        ),
        post("mod_auth_form reads the content, and gives a CGI another", "/form/echo"),
        post("mod_security2 reads the content first", "/sec/page.html"),
        Row::asks(
            GROUP,
            "mod_security2 refuses for its content",
            Request::new("POST", "/sec/page.html")
                .with("Content-Type", "application/x-www-form-urlencoded")
                .content("an=attack"),
        )
        .answered(403)
        .not_copied("refused"),
    ]
}

fn connections() -> Vec<Row> {
    let large = Request::get("/large?uncounted");
    let tls = Place { scheme: "https", ..PLAIN };
    let get = "GET /proxy/x HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
    let post = "POST /proxy/y HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "PUT /proxy/z HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\n\r\n";
    vec![
        Row::sends(
            GROUP,
            "requests one after another, pipelined",
            [get, post, chunked, post, get].concat(),
        ),
        Row::plays(GROUP, "requests on a kept connection", Request::get("/proxy/x"), |client| {
            for _ in 0..3 {
                client.send("GET /proxy/x HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
                client.response();
            }
        })
        .times(3)
        .answers(&[200, 200, 200]),
        Row::asks(
            GROUP,
            "keep-alive of HTTP/1.0",
            Request::get("/proxy/x").with("Connection", "keep-alive"),
        )
        .only(&[Version::Http10]),
        Row::asks(GROUP, "TLS", Request::get("/x")).through(Door::Tls).at(tls),
        Row::asks(
            GROUP,
            "TLS, with content",
            Request::new("POST", "/x").content(vec![b'x'; 50_000]),
        )
        .through(Door::Tls)
        .at(tls),
        Row::asks(GROUP, "TLS 1.2, renegotiated for a place", Request::get("/asked/x"))
            .through(Door::Tls)
            .at(tls),
        Row::asks(
            GROUP,
            "TLS 1.2, renegotiated for a place, with content",
            Request::new("POST", "/asked/x").content(vec![b'x'; 50_000]),
        )
        .through(Door::Tls)
        .at(tls)
        .note("httpd reads the content before the handshake, and gives it to production after it"),
        Row::asks(
            GROUP,
            "TLS 1.2, renegotiated, then rewritten, with content",
            Request::new("POST", "/asked/front").content("hello"),
        )
        .through(Door::Tls)
        .at(tls),
        Row::asks(
            GROUP,
            "TLS 1.2, renegotiated, then rewritten, with chunked content",
            Request {
                content: Some(b"hello".to_vec()),
                ..Request::new("POST", "/asked/front").with("X-Last", "1")
            },
        )
        .through(Door::Tls)
        .only(&[Version::Http11])
        .at(tls),
        Row::plays(GROUP, "a client that leaves during the response", large, |client| {
            client.send("GET /large?uncounted HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
            client.await_bytes();
            client.hang_up();
        }),
        Row::plays(
            GROUP,
            "a client that sends no more, but waits",
            Request::get("/proxy/x"),
            |client| {
                client.send("GET /proxy/x HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
                client.sends_no_more();
                client.response();
                client.hang_up();
            },
        )
        .answers(&[200]),
    ]
}
