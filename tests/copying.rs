//! What staging receives is what the client sent (promise 2), bytes compared.

use crate::client::{request, request_with};
use crate::mirrored::{Mirrored, appended};
use crate::mpm::{Mpm, on_each_mpm};

on_each_mpm!(
    a_get_arrives_as_it_was_sent,
    a_post_arrives_whole,
    a_chunked_post_arrives_with_its_length,
    a_large_post_arrives_whole,
    a_get_with_content_arrives_with_it,
    an_upload_that_expects_a_100_is_copied_without_expecting,
    every_method_stays_what_it_is,
    copies_of_one_client_share_one_connection,
);

fn a_get_arrives_as_it_was_sent(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "");
    let copy = mirrored.copy_of(
        "GET /a/b%20c//d?x=1&y=%41? HTTP/1.1\r\naCCEPT: */*\r\nhOST: www.example.com\r\nUser-agent: test/1 (a; b)\r\n\
         Cookie: a=b; c=\"d\"\r\nX-Bytes: \u{e9}\r\n\r\n",
    );
    let authority = mirrored.staging.authority();
    let expected = format!(
        "GET /a/b%20c//d?x=1&y=%41? HTTP/1.1\r\naCCEPT: */*\r\nhOST: {authority}\r\nUser-agent: test/1 (a; b)\r\n\
         Cookie: a=b; c=\"d\"\r\nX-Bytes: \u{e9}\r\n{}\r\n",
        appended()
    );
    assert_eq!(copy.head_without_mark(), expected);
    assert_eq!(copy.content, b"");
}

fn a_post_arrives_whole(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "");
    let content: Vec<u8> = (0..=255).collect();
    let copy = mirrored.copy_of(request_with("POST", "/form", &content));
    let expected = format!(
        "POST /form HTTP/1.1\r\nHost: {}\r\nContent-Length: 256\r\n{}\r\n",
        mirrored.staging.authority(),
        appended()
    );
    assert_eq!(copy.head_without_mark(), expected);
    assert_eq!(copy.content, content);
    assert_eq!(mirrored.origin.received()[0].content, content, "production got it too");
}

fn a_chunked_post_arrives_with_its_length(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "");
    let copy = mirrored.copy_of(
        "POST /up HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\nX-Last: 1\r\n\r\n\
         5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: 1\r\n\r\n",
    );
    assert_eq!(copy.content, b"hello world");
    let expected = format!(
        "POST /up HTTP/1.1\r\nHost: {}\r\nX-Last: 1\r\n{}Content-Length: 11\r\n\r\n",
        mirrored.staging.authority(),
        appended()
    );
    assert_eq!(copy.head_without_mark(), expected);
}

fn a_large_post_arrives_whole(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "CopyBodyLimit 8M");
    let content: Vec<u8> =
        (0..5_000_000_u32).map(|at| at.to_le_bytes()[(at % 3) as usize]).collect();
    let copy = mirrored.copy_of(request_with("PUT", "/file", &content));
    assert!(copy.content == content, "{} bytes of {}", copy.content.len(), content.len());
    assert!(mirrored.origin.received()[0].content == content, "production got it too");
}

fn a_get_with_content_arrives_with_it(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "");
    let copy = mirrored.copy_of(request_with("GET", "/search", b"{\"query\":1}"));
    assert_eq!(copy.request_line(), "GET /search HTTP/1.1");
    assert_eq!(copy.content, b"{\"query\":1}");
}

fn an_upload_that_expects_a_100_is_copied_without_expecting(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "");
    let copies = mirrored.copies_while(|client| {
        client.send("POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.any_response().status, 100);
        client.send("hello");
        assert_eq!(client.response().status, 200);
    });
    assert_eq!(copies.len(), 1, "{copies:#?}");
    assert_eq!((copies[0].field("Expect"), copies[0].content.as_slice()), (None, &b"hello"[..]));
}

fn every_method_stays_what_it_is(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "");
    let methods = [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "PROPFIND",
        "PURGE",
        "FROBNICATE",
        "get",
    ];
    let requests = methods.map(|method| request(method, "/x"));
    let copies = mirrored.copies_of(&requests);
    let lines: Vec<String> = copies.iter().map(|copy| copy.request_line()).collect();
    assert_eq!(lines, methods.map(|method| format!("{method} /x HTTP/1.1")));
}

fn copies_of_one_client_share_one_connection(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "");
    let requests = vec![request("GET", "/"); 20];
    assert_eq!(mirrored.copies_of(&requests).len(), 20);
    assert_eq!(mirrored.staging.connections(), 1);
}

#[test]
fn pipelined_requests_are_copied_each_with_its_content() {
    let mirrored = Mirrored::with(Mpm::Event, "");
    let copies = mirrored.copies_while(|client| {
        let posts = [request_with("POST", "/1", b"one"), request_with("POST", "/2", b"two")];
        client.send([posts.concat(), request("GET", "/3").into_bytes()].concat());
        (0..3).for_each(|_| assert_eq!(client.response().status, 200));
    });
    let contents: Vec<(String, &[u8])> =
        copies.iter().map(|copy| (copy.request_line(), copy.content.as_slice())).collect();
    let line = |line: &str| format!("{line} HTTP/1.1");
    let expected: [(String, &[u8]); 3] =
        [(line("POST /1"), b"one"), (line("POST /2"), b"two"), (line("GET /3"), b"")];
    assert_eq!(contents, expected);
}

#[test]
fn a_post_without_a_byte_of_content_keeps_its_length_of_0() {
    let mirrored = Mirrored::with(Mpm::Event, "");
    let copies = mirrored.copies_of(&[
        request_with("POST", "/a", b"").as_slice(),
        b"POST /b HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]);
    for copy in &copies {
        assert_eq!(copy.field("Content-Length").as_deref(), Some("0"), "{copy:?}");
    }
    assert_eq!(copies.len(), 2);
}

#[test]
fn long_targets_many_fields_and_large_cookies_arrive() {
    let mirrored = Mirrored::with(Mpm::Event, "");
    let path = format!("/{}", "a".repeat(8000));
    let copy = mirrored.copy_of(request("GET", &path));
    assert_eq!(copy.request_line(), format!("GET {path} HTTP/1.1"));

    let fields: String = (0..90).map(|at| format!("X-Field-{at}: {at}\r\n")).collect();
    let cookie = format!("Cookie: session={}\r\n", "c".repeat(7000));
    let copy = mirrored
        .copy_of(format!("GET / HTTP/1.1\r\nHost: www.example.com\r\n{fields}{cookie}\r\n"));
    let head = copy.head_without_mark();
    assert!(head.contains(&format!("\r\n{fields}{cookie}X-Forwarded-For:")), "{head}");
}

#[test]
fn staging_sees_its_own_path_before_the_requests() {
    let mirrored = Mirrored::to(Mpm::Event, "/api/v1 max=1 path=append", |builder| builder);
    let copies = mirrored.copies_of(&[request("GET", "/a?b=c"), request("GET", "/")]);
    let lines: Vec<String> = copies.iter().map(|copy| copy.request_line()).collect();
    assert_eq!(lines, ["GET /api/v1/a?b=c HTTP/1.1", "GET /api/v1/ HTTP/1.1"]);
}

#[test]
fn the_path_is_kept_where_the_targets_ends_in_a_slash() {
    let mirrored = Mirrored::to(Mpm::Event, "/api/v1/ max=1", |builder| builder);
    assert_eq!(mirrored.copy_of(request("GET", "/a?b")).request_line(), "GET /api/v1/a?b HTTP/1.1");
}

#[test]
fn staging_sees_its_own_path_instead_of_the_requests() {
    let mirrored = Mirrored::to(Mpm::Event, "/sink max=1 path=replace", |builder| builder);
    let mut client = mirrored.server.client();
    client.get("/a/b?c=d");
    client.get("/a/b");
    client.get("/?fence=/fence");
    let copies = mirrored.staging.wait_for(3);
    let lines: Vec<String> = copies.iter().map(|copy| copy.request_line()).collect();
    assert_eq!(
        lines,
        ["GET /sink?c=d HTTP/1.1", "GET /sink HTTP/1.1", "GET /sink?fence=/fence HTTP/1.1"]
    );
}

#[test]
fn host_is_the_clients_where_it_is_to_be_preserved() {
    let on = "CopyPreserveHost On";
    for (lines, preserved) in [
        ("", false),
        (on, true),
        ("ProxyPreserveHost On", true),
        ("ProxyPreserveHost On\nCopyPreserveHost Off", false),
        ("<Location \"/x\">\nProxyPreserveHost On\n</Location>", true),
        ("<Location \"/x\">\nCopyPreserveHost On\n</Location>", true),
        ("CopyPreserveHost On\n<Location \"/y\">\nCopyPreserveHost Off\n</Location>", true),
    ] {
        let mirrored = Mirrored::with(Mpm::Event, lines);
        let copy = mirrored.copy_of(request("GET", "/x"));
        let expected =
            if preserved { "www.example.com".to_owned() } else { mirrored.staging.authority() };
        assert_eq!(copy.field("Host"), Some(expected), "{lines}");
        assert_eq!(copy.field("X-Forwarded-Host").as_deref(), Some("www.example.com"), "{lines}");
    }
}

#[test]
fn nothing_but_the_mark_is_added_where_that_is_switched_off() {
    let mirrored = Mirrored::with(Mpm::Event, "CopyAddHeaders Off");
    let copy = mirrored
        .copy_of("GET / HTTP/1.1\r\nHost: www.example.com\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n");
    let authority = mirrored.staging.authority();
    let expected =
        format!("GET / HTTP/1.1\r\nHost: {authority}\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n");
    assert_eq!(copy.head_without_mark(), expected);
}

#[test]
fn the_client_is_added_to_the_chain_it_sent() {
    let mirrored = Mirrored::with(Mpm::Event, "");
    let copy = mirrored.copy_of(
        "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\nHost: www.example.com\r\nx-forwarded-proto: https\r\n\r\n",
    );
    let expected = format!(
        "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1, 127.0.0.1\r\nHost: {}\r\nx-forwarded-proto: https, http\r\n\
         X-Forwarded-Host: www.example.com\r\n\r\n",
        mirrored.staging.authority()
    );
    assert_eq!(copy.head_without_mark(), expected);
}

#[test]
fn what_belongs_to_the_clients_connection_is_left_out() {
    let mirrored = Mirrored::with(Mpm::Event, "");
    let copy = mirrored.copy_of(
        "GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive, X-Private, TE\r\nX-Private: 1\r\n\
         Keep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X\r\nProxy-Connection: keep-alive\r\nX-Public: 1\r\n\r\n",
    );
    let expected = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nX-Public: 1\r\n{}\r\n",
        mirrored.staging.authority(),
        appended()
    );
    assert_eq!(copy.head_without_mark(), expected);
}
