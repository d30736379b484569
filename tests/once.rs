//! One client request, one copy, whatever production makes of it; or none, and counted why.

use std::io::Write as _;
use std::net::TcpStream;

use crate::client::{request, request_with};
use crate::files::Files;
use crate::mirrored::copies_while;
use crate::mpm::{Mpm, on_each_mpm};
use crate::staging::Staging;

on_each_mpm!(
    what_production_redirects_within_itself_is_copied_once,
    what_production_does_not_find_or_redirects_is_copied,
    what_access_control_refuses_is_counted_as_refused,
    a_body_above_the_limit_is_counted_as_too_large,
    an_upload_that_breaks_off_is_counted_as_incomplete,
);

fn what_production_redirects_within_itself_is_copied_once(mpm: Mpm) {
    let files = Files::with(mpm, |builder| {
        let htdocs = builder.root().join("htdocs");
        builder
            .modules(&["dir", "rewrite", "negotiation", "mime"])
            .file("htdocs/missing.html", "not here")
            .vhost("DirectoryIndex nothing.html index.html\nErrorDocument 404 /missing.html")
            .vhost(format!(
                "AddType text/html .html\n<Directory \"{}\">\nOptions +MultiViews +FollowSymLinks\nRewriteEngine On\n\
                 RewriteRule \"^old$\" \"a.html\"\n</Directory>",
                htdocs.display()
            ))
    });
    files.assert_one_copy(request("GET", "/"), 200, "GET / HTTP/1.1");
    files.assert_one_copy(request("GET", "/old?x=y"), 200, "GET /old?x=y HTTP/1.1");
    files.assert_one_copy(request("GET", "/a"), 200, "GET /a HTTP/1.1");
    files.assert_one_copy(request("GET", "/none"), 404, "GET /none HTTP/1.1");
    let copy =
        files.assert_one_copy(request_with("POST", "/none", b"hello"), 404, "POST /none HTTP/1.1");
    assert_eq!(copy.content, b"hello");
    let copy =
        files.assert_one_copy(request_with("POST", "/old", b"hello"), 200, "POST /old HTTP/1.1");
    assert_eq!(copy.content, b"hello");
    let copy = files.assert_one_copy(request_with("GET", "/a", b"hello"), 200, "GET /a HTTP/1.1");
    assert_eq!(copy.content, b"hello");
}

fn what_production_does_not_find_or_redirects_is_copied(mpm: Mpm) {
    let files = Files::with(mpm, |builder| {
        builder
            .modules(&["alias", "rewrite"])
            .vhost("Redirect 301 \"/moved\" \"http://elsewhere.test/\"\nRewriteEngine On")
            .vhost("RewriteRule \"^/gone$\" \"-\" [G]\nRewriteRule \"^/away$\" \"http://elsewhere.test/\" [R]")
    });
    files.assert_one_copy(request("GET", "/none"), 404, "GET /none HTTP/1.1");
    files.assert_one_copy(request("GET", "/moved"), 301, "GET /moved HTTP/1.1");
    files.assert_one_copy(request("GET", "/away"), 302, "GET /away HTTP/1.1");
    files.assert_one_copy(request("GET", "/gone"), 410, "GET /gone HTTP/1.1");
    files.assert_one_copy(request("DELETE", "/a.html"), 405, "DELETE /a.html HTTP/1.1");
    files.assert_one_copy(request("OPTIONS", "*"), 200, "OPTIONS * HTTP/1.1");
    let copy = files.assert_one_copy(
        request_with("POST", "/moved", b"hello"),
        301,
        "POST /moved HTTP/1.1",
    );
    assert_eq!(copy.content, b"hello");
    let copy = files.assert_one_copy(
        "GET /a.html HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        200,
        "GET /a.html HTTP/1.1",
    );
    assert_eq!(copy.field("Host"), Some(files.staging.authority()));
}

fn what_access_control_refuses_is_counted_as_refused(mpm: Mpm) {
    let files = Files::with(mpm, |builder| {
        let users = builder.root().join("users");
        builder
            .modules(&["auth_basic", "authn_core", "authn_file", "authz_user"])
            .file("users", "")
            .vhost("<Location \"/private\">\nRequire all denied\n</Location>")
            .vhost(format!(
                "<Location \"/login\">\nAuthType Basic\nAuthName \"test\"\nAuthUserFile \"{}\"\n\
                 Require valid-user\n</Location>",
                users.display()
            ))
            .expect("AH01630:")
    });
    for (expected, (status, copies)) in [
        (403, files.answer_to(request("GET", "/private"))),
        (401, files.answer_to(request("GET", "/login"))),
        (403, files.answer_to(request_with("POST", "/private", b"hello"))),
    ] {
        assert_eq!((status, copies.len()), (expected, 0), "{copies:#?}");
    }
    assert_eq!(files.not_copied("refused"), 3, "{}", files.server.status());
    assert_eq!(files.server.status().sum("not_copied"), 3, "{}", files.server.status());
}

fn a_body_above_the_limit_is_counted_as_too_large(mpm: Mpm) {
    let files = Files::with(mpm, |builder| {
        builder.vhost("CopyBodyLimit 1K\n<Location \"/none\">\nCopyBodyLimit 0\n</Location>")
    });
    let at_the_limit = vec![b'x'; 1024];
    let copy =
        files.assert_one_copy(request_with("POST", "/", &at_the_limit), 404, "POST / HTTP/1.1");
    assert_eq!(copy.content, at_the_limit);
    let (_, copies) = files.answer_to(request_with("POST", "/", &[b'x'; 1025]));
    assert_eq!(copies.len(), 0, "{copies:#?}");
    let (_, copies) = files.answer_to(request_with("POST", "/none", b"x"));
    assert_eq!(copies.len(), 0, "{copies:#?}");
    assert_eq!(files.not_copied("too_large"), 2, "{}", files.server.status());
    files.assert_one_copy(request("GET", "/none"), 404, "GET /none HTTP/1.1");
}

fn an_upload_that_breaks_off_is_counted_as_incomplete(mpm: Mpm) {
    let origin = Staging::start();
    // What mod_proxy says of it.
    let log = ["AH01095:", "AH01097:", "AH02609:", "AH10154:"];
    let files = Files::with(mpm, |builder| {
        log.iter().fold(builder.proxy(&origin), |builder, line| builder.expect(line))
    });
    let mut upload = TcpStream::connect(("127.0.0.1", files.server.port())).unwrap();
    upload
        .write_all(
            b"POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 100000\r\n\r\nhello",
        )
        .unwrap();
    drop(upload);
    let status = files
        .server
        .status_when("the broken upload counted", |status| status.sum("not_copied") > 0);
    assert_eq!(status.sum("not_copied.incomplete"), 1, "{status}");
    assert_eq!(status.sum("selected"), 0, "{status}");
    let copies = copies_while(&files.server, &files.staging, |_| {});
    assert_eq!(copies.len(), 0, "{copies:#?}");
}

#[test]
fn trace_connect_and_upgrades_are_counted_as_not_copyable() {
    let files = Files::with(Mpm::Event, |builder| builder.vhost("TraceEnable On"));
    let upgrade = "GET /a.html HTTP/1.1\r\nHost: www.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (expected, request) in [(200, request("TRACE", "/a.html")), (200, upgrade.to_owned())] {
        let (status, copies) = files.answer_to(&request);
        assert_eq!((status, copies.len()), (expected, 0), "{request}");
    }
    let (status, copies) = files
        .answer_to("CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n");
    assert_eq!((status >= 400, copies.len()), (true, 0), "{status}");
    assert_eq!(files.not_copied("not_copyable"), 3, "{}", files.server.status());
}

#[test]
fn a_client_that_leaves_during_the_response_is_copied_once() {
    let large = vec![b'x'; 8 << 20];
    let files = Files::with(Mpm::Event, |builder| builder.file("htdocs/large", &large));
    let mut client = TcpStream::connect(("127.0.0.1", files.server.port())).unwrap();
    client.write_all(request("GET", "/large").as_bytes()).unwrap();
    files.staging.wait_for(1);
    drop(client);
    let copies = copies_while(&files.server, &files.staging, |_| {});
    assert_eq!(copies.len(), 0, "{copies:#?}");
    assert_eq!(files.staging.count(), 2, "the request and the fence");
}

#[test]
fn an_absolute_request_target_loses_its_authority() {
    let files = Files::with(Mpm::Event, |builder| builder);
    let request =
        "GET http://www.example.com/a.html?x=1 HTTP/1.1\r\nHost: other.example.com\r\n\r\n";
    let copy = files.assert_one_copy(request, 200, "GET /a.html?x=1 HTTP/1.1");
    assert_eq!(copy.field("Host"), Some(files.staging.authority()));
}

#[test]
fn an_unread_upload_of_a_client_that_waits_for_a_100_is_incomplete() {
    let files = Files::with(Mpm::Event, |builder| {
        builder.modules(&["alias"]).vhost("Redirect \"/moved\" \"http://elsewhere.test/\"")
    });
    let request = "POST /moved HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n";
    let mut client = files.server.client();
    client.send(request);
    assert_eq!(client.any_response().status, 302, "no 100 was provoked");
    let status =
        files.server.status_when("the upload counted", |status| status.sum("not_copied") > 0);
    assert_eq!((status.sum("not_copied.incomplete"), status.sum("selected")), (1, 0), "{status}");
}
