//! Which targets a request's copies go to: scopes, names, and the switch `MirrorRequest`.

use crate::client::{Client, request, request_with};
use crate::mirrored::Mirrored;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{OK, Staging};

on_each_mpm!(two_targets_get_the_same_request, our_own_copies_are_not_copied_again);

fn two_targets_get_the_same_request(mpm: Mpm) {
    let second = Staging::start();
    let mirrored = Mirrored::with(mpm, &format!("CopyTarget {}", second.url("/v2")));
    let copy = mirrored.copy_of(request_with("POST", "/x", b"hello"));
    // The fence's copy came, too.
    let received = second.wait_for(2);
    let other = received.iter().find(|copy| copy.request_line() == "POST /v2/x HTTP/1.1").unwrap();
    assert_eq!(other.content, copy.content);
    let head = copy.head_without_mark();
    let expected = head.replace("POST /x", "POST /v2/x");
    let expected = expected.replace(&mirrored.staging.authority(), &second.authority());
    assert_eq!(other.head_without_mark(), expected);
    let status = mirrored.server.settled(4);
    let delivered = |url: String| status.target(&url).count("delivered.2xx");
    assert_eq!(
        (delivered(mirrored.staging.url("/")), delivered(second.url("/v2"))),
        (2, 2),
        "{status}"
    );
}

fn our_own_copies_are_not_copied_again(mpm: Mpm) {
    let builder = Server::on(mpm).file("htdocs/a.html", "a");
    let own = format!("CopyTarget http://127.0.0.1:{}/ name=own", builder.port());
    let server = builder.vhost(own).start();
    assert_eq!(server.client().get("/a.html").status, 200);
    let status = server.status_when("the copy of the copy refused", |status| {
        status.sum("not_copied.loop") > 0 && status.is_drained()
    });
    let own = status.target("own");
    assert_eq!(
        (own.count("selected"), own.count("delivered.2xx"), own.count("not_copied.loop")),
        (1, 1, 1),
        "{status}"
    );
}

#[test]
fn a_forged_loop_mark_does_not_keep_a_request_from_being_copied() {
    let mirrored = Mirrored::with(Mpm::Event, "");
    let mark = "0123456789abcdef0123456789abcdef";
    let copy = mirrored
        .copy_of(format!("GET / HTTP/1.1\r\nHost: www.example.com\r\nX-Mod-Copy: {mark}\r\n\r\n"));
    let marks = copy.field("X-Mod-Copy").unwrap();
    let ours = marks.strip_prefix(&format!("{mark}, ")).unwrap();
    assert!(ours.len() == 32 && ours != mark, "{marks}");
}

#[test]
fn every_copy_carries_the_same_mark() {
    let mirrored = Mirrored::with(Mpm::Event, "");
    let copies = mirrored.copies_of(&[request("GET", "/a"), request("GET", "/b")]);
    assert_eq!(copies[0].field("X-Mod-Copy"), copies[1].field("X-Mod-Copy"));
    mirrored.server.graceful();
    let copy = mirrored.copy_of(request("GET", "/c"));
    assert_eq!(copy.field("X-Mod-Copy"), copies[0].field("X-Mod-Copy"), "after a graceful restart");
}

/// Three staging servers, and production with the targets `one`, `two` and `three`.
struct Scopes {
    server: Server,
    stagings: [Staging; 3],
}

impl Scopes {
    /// Production with these lines; ONE, TWO and THREE in them become the servers' URLs.
    fn with(global: &str, vhost: &str) -> Scopes {
        let stagings = [Staging::start(), Staging::start(), Staging::start()];
        let filled = |lines: &str| {
            let urls = stagings.each_ref().map(|staging| staging.url("/"));
            lines.replace("ONE", &urls[0]).replace("TWO", &urls[1]).replace("THREE", &urls[2])
        };
        let server = Server::on(Mpm::Event).global(filled(global)).vhost(filled(vhost)).start();
        Scopes { server, stagings }
    }

    /// How many copies the three get of `GET path`; the accounts must agree.
    fn copies_of(&self, path: &str) -> [usize; 3] {
        let counts = || self.stagings.each_ref().map(Staging::count);
        let before = counts();
        let status = self.server.status();
        let known = status.sum("selected") + status.sum("not_copied");
        Client::connect(self.server.port()).get(path);
        // Where nothing is in scope nothing is counted: then a request that is copied tells that time has passed.
        if path.starts_with("/outside") {
            Client::connect(self.server.port()).get("/counted");
        }
        let counted = |status: &crate::status::Status| {
            status.sum("selected") + status.sum("not_copied") > known && status.is_drained()
        };
        self.server.status_when("the request accounted for", counted).assert_promise_3();
        let after = counts();
        [0, 1, 2].map(|at| after[at] - before[at])
    }
}

#[test]
fn an_inner_scope_that_names_targets_replaces_the_outer_ones() {
    let scopes = Scopes::with(
        "CopyTarget ONE",
        "<Location \"/a\">\nCopyTarget TWO\nCopyTarget THREE\n</Location>\n\
         <Location \"/a/b\">\nMirrorRequest ONE\n</Location>\n\
         <Location \"/c\">\nCopyPreserveHost On\n</Location>",
    );
    assert_eq!(scopes.copies_of("/"), [1, 0, 0], "inherited from the server");
    assert_eq!(scopes.copies_of("/a"), [0, 1, 1], "replaced");
    assert_eq!(scopes.copies_of("/a/b"), [1, 0, 0], "replaced again");
    assert_eq!(scopes.copies_of("/c"), [1, 0, 0], "another directive replaces no targets");
}

#[test]
fn mirror_request_switches_off_and_on_again() {
    let scopes = Scopes::with(
        "",
        "CopyTarget ONE\n<Location \"/off\">\nMirrorRequest Off\n</Location>\n\
         <Location \"/off/on\">\nMirrorRequest On\n</Location>\n\
         <Location \"/off/other\">\nMirrorRequest TWO\n</Location>",
    );
    assert_eq!(scopes.copies_of("/"), [1, 0, 0]);
    assert_eq!(scopes.copies_of("/off"), [0, 0, 0]);
    let status = scopes.server.status();
    assert_eq!((status.sum("not_copied.off"), status.sum("not_copied")), (1, 1), "{status}");
    assert_eq!(scopes.copies_of("/off/on"), [1, 0, 0]);
    assert_eq!(scopes.copies_of("/off/other"), [0, 1, 0]);
}

#[test]
fn a_target_may_be_defined_switched_off_and_be_switched_on_further_in() {
    let scopes = Scopes::with(
        "",
        "CopyTarget ONE\nMirrorRequest Off\n<Location \"/on\">\nMirrorRequest On\n</Location>",
    );
    assert_eq!(scopes.copies_of("/"), [0, 0, 0]);
    assert_eq!(scopes.copies_of("/on"), [1, 0, 0]);
}

#[test]
fn mirror_request_selects_by_name_and_url_among_what_is_defined() {
    let scopes = Scopes::with(
        "CopyTarget ONE name=one\nCopyTarget TWO name=two",
        "<Location \"/a\">\nMirrorRequest one\n</Location>\n\
         <Location \"/b\">\nMirrorRequest two THREE\n</Location>\n\
         <Location \"/c\">\nMirrorRequest Off\n</Location>",
    );
    assert_eq!(scopes.copies_of("/"), [1, 1, 0]);
    assert_eq!(scopes.copies_of("/a"), [1, 0, 0]);
    assert_eq!(scopes.copies_of("/b"), [0, 1, 1]);
    assert_eq!(scopes.copies_of("/c"), [0, 0, 0]);
    scopes.server.status().target("two");
}

#[test]
fn mirror_request_alone_is_enough() {
    let scopes = Scopes::with("", "MirrorRequest TWO");
    assert_eq!(scopes.copies_of("/"), [0, 1, 0]);
}

#[test]
fn nothing_is_copied_outside_of_a_targets_scope() {
    let scopes = Scopes::with("", "<Location \"/counted\">\nCopyTarget ONE\n</Location>");
    assert_eq!(scopes.copies_of("/outside"), [1, 0, 0], "the one of /counted");
    let status = scopes.server.status();
    assert_eq!((status.sum("selected"), status.sum("not_copied")), (1, 0), "{status}");
}

#[test]
fn a_directory_and_an_if_section_are_scopes() {
    let staging = Staging::with_answer(OK);
    let builder = Server::on(Mpm::Event).file("htdocs/in/a.html", "a").file("htdocs/b.html", "b");
    let directory = builder.root().join("htdocs/in");
    let server = builder
        .vhost(format!(
            "<Directory \"{}\">\nCopyTarget {}\n</Directory>",
            directory.display(),
            staging.url("/")
        ))
        .vhost(format!(
            "<If \"%{{QUERY_STRING}} == 'copy'\">\nCopyTarget {}\n</If>",
            staging.url("/")
        ))
        .start();
    for path in ["/b.html", "/in/a.html", "/b.html?copy"] {
        assert_eq!(server.client().get(path).status, 200);
    }
    server.settled(2);
    let mut lines: Vec<String> =
        staging.received().iter().map(|copy| copy.request_line()).collect();
    lines.sort();
    assert_eq!(lines, ["GET /b.html?copy HTTP/1.1", "GET /in/a.html HTTP/1.1"]);
}
