//! A panic in any callback or thread of ours is caught, counted and logged, and the request is served.

use crate::client::{request, request_with};
use crate::conf::Builder;
use crate::injection::Faults;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::{Server, ask};
use crate::staging::{Mode, Staging};
use crate::wait::wait_for;

on_each_mpm!(
    a_panic_in_a_callback_costs_one_copy_at_most,
    a_panic_in_a_forwarder_costs_no_copy_but_the_one_in_its_hand,
    a_panic_while_a_configuration_is_read_keeps_production_going,
    a_panic_at_a_childs_end_costs_only_what_it_had_in_hand,
);

/// What becomes of the copy: `Either` where it depends on how its content came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copy {
    None,
    Delivered,
    Internal,
    Either,
}

/// Points that a request passes, and what becomes of a copy without and with content.
const CALLBACKS: [(&str, Copy, Copy); 15] = [
    ("Arrive-enter", Copy::None, Copy::None),
    ("Arrive-leave", Copy::None, Copy::None),
    ("Reach-enter", Copy::None, Copy::None),
    ("Reach-leave", Copy::None, Copy::None),
    ("MergeScopes-enter", Copy::None, Copy::None),
    ("MergeScopes-leave", Copy::None, Copy::None),
    ("Decide-enter", Copy::None, Copy::None),
    ("Decide-leave", Copy::Delivered, Copy::None),
    ("Tee-enter", Copy::Delivered, Copy::None),
    ("Tee-leave", Copy::Delivered, Copy::Either),
    ("HandOver-enter", Copy::Internal, Copy::Internal),
    ("Conclude-enter", Copy::Delivered, Copy::Delivered),
    ("Conclude-leave", Copy::Delivered, Copy::Delivered),
    ("PoolCleanup-enter", Copy::Delivered, Copy::Delivered),
    ("PoolCleanup-leave", Copy::Delivered, Copy::Delivered),
];

fn mirroring(mpm: Mpm, staging: &Staging) -> Builder {
    Server::on(mpm)
        .with_faults()
        .vhost(format!("CopyTarget {} name=staging", staging.url("/")))
        .vhost("<Location \"/a\">\nCopyBodyLimit 1000\n</Location>")
        .file("htdocs/a", "production's answer")
        .expect("CPY0091:")
        .expect("on purpose")
}

fn a_panic_in_a_callback_costs_one_copy_at_most(mpm: Mpm) {
    let staging = Staging::start();
    let server = mirroring(mpm, &staging).start();
    let faults = Faults::of(server.root());
    let mut count = 0;
    for (point, bare, with_content) in CALLBACKS {
        let get = request("GET", "/a").into_bytes();
        for (request, expected) in
            [(get, bare), (request_with("POST", "/a", b"hello"), with_content)]
        {
            // What is met, and cleaned up after, where there is content alone.
            let of_content = ["Tee", "PoolCleanup"].iter().any(|of| point.starts_with(of));
            if of_content && request.starts_with(b"GET") {
                continue;
            }
            let before = server.status();
            faults.panic_at(point);
            let response = server.client().exchange(&request);
            assert_eq!(response.status, 200, "{point}\n{}", server.logs());
            assert_eq!(response.text(), "production's answer", "{point}");
            count += 1;
            let after = server.status_when(point, |status| {
                faults.has_panicked(point) && status.faults() == count && status.is_drained()
            });
            let [selected, delivered, internal] = ["selected", "delivered", "failed.internal"]
                .map(|counter| after.sum(counter) - before.sum(counter));
            let became = match (selected, delivered, internal) {
                (0, 0, 0) => Copy::None,
                (1, 1, 0) => Copy::Delivered,
                (1, 0, 1) => Copy::Internal,
                _ => panic!("{point}: {before}\n{after}"),
            };
            let is_expected = became == expected
                || expected == Copy::Either && matches!(became, Copy::None | Copy::Delivered);
            assert!(is_expected, "{point}: {became:?}, not {expected:?}\n{}", server.logs());
        }
    }
    let before = server.status().sum("delivered.2xx");
    assert_eq!(server.client().get("/a").status, 200);
    server.status_when("all is as before", |status| status.sum("delivered.2xx") == before + 1);
    assert_eq!(logged(&server), thinned(count), "{}", server.logs());
    assert!(server.status_page("").text().contains(&format!("were caught: {count}\n")));
    assert!(server.status_page("?auto").text().contains(&format!("CopyFaults: {count}\n")));
}

fn a_panic_in_a_forwarder_costs_no_copy_but_the_one_in_its_hand(mpm: Mpm) {
    let staging = Staging::start();
    let builder = mirroring(mpm, &staging);
    let named = format!("CopyTarget http://localhost:{}/ name=named", staging.port());
    let server = builder
        .global("CopyDNSRefresh 1ms")
        .vhost(format!("<Location \"/named\">\n{named}\n</Location>"))
        .expect("CPY0107:")
        .start();
    let faults = Faults::of(server.root());
    // One connection, so that one child copies.
    let mut client = server.client();
    // Its addresses are known then, however late the lookup at the child's start was.
    client.get("/named");
    let mut selected = 1;
    assert_eq!(server.settled(selected).target("named").count("delivered"), 1);
    let mut panic = |point, path| {
        faults.panic_at(point);
        // The thread that is to panic may be one that rests until there is more to do.
        wait_for(point, || {
            client.get(path);
            selected += 1;
            server.settled(selected);
            faults.has_panicked(point).then_some(())
        });
        server.status()
    };
    let status = panic("Forwarder-enter", "/a");
    assert_eq!((status.sum("failed"), status.sum("dropped")), (0, 0), "{status}");
    let status = panic("Exchange-enter", "/a");
    assert_eq!(status.target("staging").count("failed.internal"), 1, "{status}");
    let status = panic("Lookup-enter", "/named");
    assert_eq!(status.target("named").count("failed"), 0, "its addresses are kept\n{status}");
    let status = server.status_when("all three counted", |status| status.faults() == 3);
    assert_eq!(status.sum("failed"), 1, "{status}");
    client.get("/a");
    server.settled(selected + 1);
    assert!(server.status().target("staging").count("forwarders") > 0);
}

#[test]
fn a_panic_of_who_watches_the_pressure_costs_nothing() {
    let staging = Staging::start();
    let lines = format!("CopyTarget {} name=staging adapt=on", staging.url("/"));
    let server = Server::on(Mpm::Event).with_faults().vhost(lines).file("htdocs/a", "a");
    let server = server.expect("CPY0091:").expect("on purpose").start();
    Faults::of(server.root()).panic_at("Adapt-enter");
    server.status_when("a panic", |status| status.faults() == 1);
    server.status_when("a usual latency", |status| {
        assert_eq!(server.client().get("/a").status, 200);
        status.target("staging").count("sample.usual_us") > 0
    });
}

#[test]
fn a_panic_of_the_pulse_costs_nothing() {
    let staging = Staging::start();
    let server = mirroring(Mpm::Event, &staging).start();
    Faults::of(server.root()).panic_at("Pulse-enter");
    server.status_when("a panic", |status| status.faults() == 1);
    server.status_when("a rate", |status| {
        server.client().get("/a");
        status.0["targets"][0]["rates"]["now"]["selected"].as_f64() > Some(0.0)
    });
}

#[test]
fn a_panic_of_who_sees_or_compares_answers_costs_no_more_than_a_comparison() {
    let staging = Staging::start();
    let server = mirroring(Mpm::Event, &staging).vhost("CopyCompare headers body").start();
    let faults = Faults::of(server.root());
    let compared = |server: &Server| {
        let target = &server.status().0["targets"][0]["compared"];
        ["equal", "noise", "differing"]
            .iter()
            .filter_map(|made| target[*made].as_u64())
            .sum::<u64>()
    };
    for (point, count) in ["Witness-enter", "Witness-leave", "Compare-enter"].into_iter().zip(1..) {
        faults.panic_at(point);
        wait_for(point, || {
            let response = server.client().get("/a");
            assert_eq!((response.status, response.text().as_str()), (200, "production's answer"));
            faults.has_panicked(point).then_some(())
        });
        server.status_when(point, |status| status.faults() == count);
        let before = compared(&server);
        wait_for("another comparison", || {
            server.client().get("/a");
            (compared(&server) > before).then_some(())
        });
    }
}

#[test]
fn a_panic_in_a_page_is_an_error_of_that_request() {
    let staging = Staging::start();
    let section = |name: &str, more: &str| {
        format!("<Location \"/{name}\">\nSetHandler {name}\n{more}</Location>")
    };
    let server = mirroring(Mpm::Event, &staging)
        .vhost(section("copy-status", ""))
        .vhost(section("copy-manager", "CopyManagerOpen On\n"))
        .start();
    let faults = Faults::of(server.root());
    for (point, page) in [("Status-enter", "/copy-status"), ("Manager-enter", "/copy-manager")] {
        faults.panic_at(point);
        assert_eq!(server.client().get(page).status, 500, "{point}");
        assert_eq!(server.client().get(page).status, 200, "{point}");
    }
    assert_eq!(server.status().faults(), 2);
}

fn a_panic_while_a_configuration_is_read_keeps_production_going(mpm: Mpm) {
    let staging = Staging::start();
    let server = mirroring(mpm, &staging).start();
    let faults = Faults::of(server.root());
    let points = [
        "RegisterHooks-enter",
        "RegisterHooks-leave",
        "CreateScope-enter",
        "CreateServer-enter",
        "MergeServers-enter",
        "PreConfig-enter",
        "PostConfig-enter",
        "PostConfig-leave",
        "ChildInit-enter",
        "ChildInit-leave",
        "PoolCleanup-enter",
    ];
    for (point, count) in points.into_iter().zip(1..) {
        faults.panic_at(point);
        server.graceful();
        wait_for(point, || faults.has_panicked(point).then_some(()));
        assert_eq!(server.client().get("/a").text(), "production's answer", "{point}");
        server.graceful();
        let status = server.status();
        assert_eq!(status.faults(), count, "{point}\n{}", server.logs());
        let delivered = status.sum("delivered.2xx");
        server.client().get("/a");
        server.status_when(point, |status| status.sum("delivered.2xx") == delivered + 1);
    }
    assert_eq!(logged(&server), thinned(points.len() as u64), "{}", server.logs());
}

fn a_panic_at_a_childs_end_costs_only_what_it_had_in_hand(mpm: Mpm) {
    for (point, outcome) in
        [("ChildCleanup-enter", "dropped.lost"), ("ChildCleanup-leave", "dropped.stopping")]
    {
        let staging = Staging::start();
        staging.set(Mode::Stalled);
        let mut builder = mirroring(mpm, &staging).global("CopyDrainTimeout 50ms");
        if mpm == Mpm::Prefork {
            builder = builder
                .sizes("StartServers 1\nServerLimit 1\nMaxRequestWorkers 1\n")
                .expect("AH00161:");
        }
        let server = builder.start();
        server.client().get("/a");
        server.status_when("a copy under way", |status| status.sum("in_flight") == 1);
        Faults::of(server.root()).panic_at(point);
        server.graceful();
        let status = server.settled(1);
        assert_eq!(status.sum(outcome), 1, "{point}\n{status}");
        assert_eq!(status.faults(), 1, "{point}");
    }
}

#[test]
fn a_panic_in_a_directive_or_its_check_is_a_configuration_error() {
    let staging = Staging::start();
    let condition = "MirrorRequest staging \"expr=%{REQUEST_URI} == '/'\"";
    for point in ["Directive-enter", "Expression-enter", "CheckConfig-enter"] {
        let builder = mirroring(Mpm::Event, &staging)
            .vhost(format!("<Location \"/b\">\n{condition}\n</Location>"));
        Faults::of(builder.root()).panic_at(point);
        let verdict = builder.configtest();
        assert!(!verdict.passed, "{point}: {verdict:?}");
        assert!(
            verdict.stderr.contains("CPY0091: a fault of mod_copy was caught: src/"),
            "{verdict:?}"
        );
        assert!(builder.configtest().passed, "{point}");
    }
}

#[test]
fn a_panic_while_the_configuration_is_printed_is_told_and_the_syntax_is_ok() {
    let staging = Staging::start();
    let builder = mirroring(Mpm::Event, &staging);
    Faults::of(builder.root()).panic_at("TestConfig-enter");
    builder.write();
    let printed = ask(builder.root(), &["-t", "-D", "DUMP_COPY"]);
    let told = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert!(printed.status.success() && printed.stdout.is_empty(), "{told}");
    assert!(told.contains("CPY0091:") && told.contains("Syntax OK"), "{told}");
}

/// How many lines tell of so many panics: one of the 1st, 2nd, 4th, 8th …
fn thinned(count: u64) -> usize {
    usize::try_from(count.ilog2()).unwrap() + 1
}

fn logged(server: &Server) -> usize {
    server.logged("CPY0091:")
}
