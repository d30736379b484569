//! When in doubt the copy is lost: refused in a roundabout way, answered before the scope is known, read in part.

use crate::client::{request, request_with};
use crate::files::Files;
use crate::mpm::{Mpm, on_each_mpm};
use crate::staging::Staging;

on_each_mpm!(
    what_is_refused_is_not_copied_however_the_refusal_is_answered,
    what_is_redirected_to_where_it_is_refused_is_not_copied,
    what_an_application_behind_a_rewrite_rule_forbids_is_copied,
    what_is_answered_before_its_sections_are_looked_at_is_copied_only_without_sections,
    an_unread_chunked_upload_of_a_client_that_waits_for_a_100_is_incomplete,
);

fn what_is_refused_is_not_copied_however_the_refusal_is_answered(mpm: Mpm) {
    let files = Files::with(mpm, |builder| {
        builder
            .vhost("<Location \"/private\">\nRequire all denied\nErrorDocument 403 http://127.0.0.1/login\n</Location>")
            .vhost("<Location \"/local\">\nRequire all denied\nErrorDocument 403 /a.html\n</Location>")
            .vhost("<Location \"/off\">\nRequire all denied\nMirrorRequest Off\n</Location>")
            .expect("AH01630:")
    });
    for (path, expected) in [("/private", 302), ("/local", 403), ("/off", 403)] {
        let (status, copies) = files.answer_to(request("GET", path));
        assert_eq!((status, copies.len()), (expected, 0), "{path}: {copies:#?}");
    }
    assert_eq!(files.not_copied("refused"), 2, "{}", files.server.status());
    assert_eq!(files.not_copied("off"), 1, "{}", files.server.status());
}

fn what_is_redirected_to_where_it_is_refused_is_not_copied(mpm: Mpm) {
    let files = Files::with(mpm, |builder| {
        let htdocs = builder.root().join("htdocs");
        builder
            .modules(&["rewrite"])
            .vhost("<Location \"/private\">\nRequire all denied\n</Location>")
            .vhost(format!(
                "<Directory \"{}\">\nOptions +FollowSymLinks\nRewriteEngine On\n\
                 RewriteRule \"^secret$\" \"/private/x\"\nRewriteRule \"^open$\" \"/a.html\"\n</Directory>",
                htdocs.display()
            ))
            .expect("AH01630:")
    });
    let (status, copies) = files.answer_to(request_with("POST", "/secret", b"hello"));
    assert_eq!((status, copies.len()), (403, 0), "{copies:#?}");
    assert_eq!(files.not_copied("refused"), 1, "{}", files.server.status());
    let copy =
        files.assert_one_copy(request_with("POST", "/open", b"hello"), 200, "POST /open HTTP/1.1");
    assert_eq!(copy.content, b"hello");
}

fn what_an_application_behind_a_rewrite_rule_forbids_is_copied(mpm: Mpm) {
    let origin = Staging::with_answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let files = Files::with(mpm, |builder| {
        let htdocs = builder.root().join("htdocs");
        builder
            .modules(&["rewrite", "proxy", "proxy_http"])
            .vhost(format!("ProxyPass \"/app/\" \"{}\"", origin.url("/")))
            .vhost(format!(
                "<Directory \"{}\">\nOptions +FollowSymLinks\nRewriteEngine On\n\
                 RewriteRule \"^front$\" \"/app/x\"\nRewriteRule \"^counters$\" \"/status\"\n</Directory>",
                htdocs.display()
            ))
            .vhost("<Location \"/status\">\nSetHandler copy-status\n</Location>")
    });
    for path in ["/app/x", "/front"] {
        files.assert_one_copy(request("GET", path), 403, &format!("GET {path} HTTP/1.1"));
    }
    let (status, copies) = files.answer_to(request("GET", "/counters"));
    assert_eq!((status, copies.len()), (200, 0), "{copies:#?}");
    assert_eq!(files.not_copied("not_copyable"), 1, "{}", files.server.status());
}

fn what_is_answered_before_its_sections_are_looked_at_is_copied_only_without_sections(mpm: Mpm) {
    let plain = Files::with(mpm, |builder| builder);
    plain.assert_one_copy(request("GET", "/a%2Fb"), 404, "GET /a%2Fb HTTP/1.1");

    let sections = Files::with(mpm, |builder| {
        builder.vhost("<Location \"/off\">\nMirrorRequest Off\n</Location>")
    });
    let (status, copies) = sections.answer_to(request("GET", "/off/a%2Fb"));
    assert_eq!((status, copies.len()), (404, 0), "{copies:#?}");
    assert_eq!(sections.not_copied("not_copyable"), 1, "{}", sections.server.status());
}

fn an_unread_chunked_upload_of_a_client_that_waits_for_a_100_is_incomplete(mpm: Mpm) {
    let files = Files::with(mpm, |builder| {
        builder.modules(&["alias"]).vhost("Redirect \"/moved\" \"http://elsewhere.test/\"")
    });
    let mut client = files.server.client();
    client.send(
        "POST /moved HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\
         Expect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.any_response().status, 302, "no 100 was provoked");
    let status =
        files.server.status_when("the upload counted", |status| status.sum("not_copied") > 0);
    assert_eq!((status.sum("not_copied.incomplete"), status.sum("selected")), (1, 0), "{status}");
}
