//! Lines of the worst that can be, and of what cannot be masked.

use std::time::Duration;

use super::entry::Ended;
use super::line::{self, LONGEST_LINE, Shown};
use super::*;
use crate::config::{Draft, Origin, Place, Policy, ScopeSettings, ServerSettings, find};
use crate::outcome::{Failure, Loss, Outcome};
use crate::stats::Traffic;

fn policy(lines: &[(&str, &str)]) -> Policy {
    let (mut draft, mut scope, mut server) =
        (Draft::default(), ScopeSettings::default(), ServerSettings::default());
    for (directive, arguments) in lines {
        let mut place = Place {
            draft: &mut draft,
            scope: &mut scope,
            server: &mut server,
            which: None,
            in_section: false,
            origin: Origin::default(),
        };
        find(directive).unwrap().apply(&mut place, arguments).unwrap();
    }
    draft.resolve().unwrap()
}

fn written(policy: &Policy, format: &str, copy: Box<Copied>) -> String {
    let production = Production {
        status: u16::MAX,
        begun: 1_709_210_096_789_999,
        took: i64::MAX,
        id: Id::of(&[0x01; 99]),
        parties: None,
    };
    line_of(policy, format, production, Ended::Copy(copy))
}

fn line_of(policy: &Policy, format: &str, production: Production, ended: Ended) -> String {
    let entry = Entry { logs: LogsId(0), target: 0, production: Some(production), ended };
    let mut line = Vec::new();
    let shown = Shown { entry: &entry, policy, pid: u32::MAX };
    line::write(&mut line, &Format::parse(format).unwrap(), &shown);
    String::from_utf8(line).unwrap()
}

fn failed(requested: Requested) -> Box<Copied> {
    let traffic = Traffic {
        sent: u64::MAX,
        received: u64::MAX,
        latency: Duration::MAX,
        connecting: Duration::MAX,
        status: u16::MAX,
        ..Traffic::default()
    };
    Copied::sent(Outcome::Failed(Failure::Internal), traffic, Duration::MAX, requested)
}

#[test]
fn the_longest_line_goes_into_a_pipe_at_once() {
    let name = format!("http://{}/", "a".repeat(240));
    let policy = policy(&[("CopyTarget", &name)]);
    for hostile in [&[0x01; 9000][..], &[b'a'; 9000], "\u{10ffff}".repeat(3000).as_bytes()] {
        let line = written(&policy, "json", failed(Requested::received(hostile, hostile)));
        assert!(line.len() < LONGEST_LINE && line.ends_with("}\n"), "{}", line.len());
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line["path"].as_str().unwrap().ends_with("a...") || hostile[0] != b'a', "{line}");
        let line = written(&policy, "%r %r %r", failed(Requested::received(hostile, hostile)));
        assert!(line.len() == LONGEST_LINE && line.ends_with("...\n"), "{}", line.len());
    }
}

#[test]
fn a_query_that_cannot_be_masked_is_left_out() {
    let long = "query t fixed:".to_owned() + &"x".repeat(200);
    let policy = policy(&[("CopyTarget", "http://a/"), ("CopyMask", &long)]);
    let dropped = |target: &str| {
        let requested = Requested::received(b"GET", target.as_bytes());
        written(&policy, "%m %U%q", Copied::dropped(Loss::Rate, None, requested))
    };
    assert_eq!(dropped("/a?t=1"), format!("GET /a?t={}\n", "x".repeat(200)));
    // Masked, it would be longer than a mask may make it.
    let many = format!("/a?{}", "t=1&".repeat(500));
    assert_eq!(dropped(&many), "GET /a\n");
}

#[test]
fn a_copy_that_a_fault_took_has_a_line_that_says_so() {
    let policy = policy(&[("CopyTarget", "http://a/ name=a")]);
    let line = written(&policy, "%{outcome}copy %{reason}copy %r", Copied::gone());
    assert_eq!(line, "failed internal -\n");
}

fn production() -> Production {
    Production {
        status: 200,
        begun: 1_709_210_096_789_999,
        took: 2210,
        id: Id::of(b"aZ8xOsCoAQoAAHxXFzQAAAAB"),
        parties: None,
    }
}

/// What a comparison found in these places, one time each.
fn found(request: &[u8], paths: &[&str]) -> Ended {
    let place = |path: &&str| Differing {
        path: (*path).into(),
        change: "type",
        standing: "real",
        count: 1,
    };
    let found = Found::new(("differing", true), "GET /cart", Requested::seen(request));
    let found = found.answered(404, Duration::from_micros(1873));
    Ended::Comparison(Box::new(found.in_places(paths.iter().map(place), 7)))
}

#[test]
fn the_line_of_a_comparison_says_where_and_never_what() {
    let policy = policy(&[("CopyTarget", "http://a/ name=next")]);
    let ended = || found(b"GET /cart?x=1", &["$.items[*].price", "header:location"]);
    let line = line_of(&policy, "json", production(), ended());
    let expected = r#"{"time":"2024-02-29T12:34:56.789Z","target":"next","method":"GET","path":"/cart?x=1",
        "route":"GET /cart","verdict":"differing","status":404,"production_status":200,"staging_us":1873,
        "production_us":2210,"id":"aZ8xOsCoAQoAAHxXFzQAAAAB","pid":4294967295,"differences":[
        {"places":1,"path":"$.items[*].price","change":"type","standing":"real"},
        {"places":1,"path":"header:location","change":"type","standing":"real"}],"unlisted":7}"#;
    let expected: String = expected.lines().map(str::trim_start).collect();
    assert_eq!(line, expected + "\n");

    let all = "%{verdict}copy %{route}copy %{differences}copy %r %s %{production-status}copy %D %{production}copy";
    let line = line_of(&policy, all, production(), ended());
    let expected = "differing GET /cart $.items[*].price,header:location GET /cart?x=1 HTTP/1.1 404 200 1873 2210\n";
    assert_eq!(line, expected);
    let of_copies = "%{outcome}copy %{reason}copy %{wait}copy %{connect}copy %{sent}copy %b %B";
    assert_eq!(line_of(&policy, of_copies, production(), ended()), "- - - - - - -\n");
    let of_comparisons = "%{verdict}copy %{route}copy %{differences}copy";
    assert_eq!(written(&policy, of_comparisons, Copied::gone()), "- - -\n");
}

#[test]
fn places_that_a_line_has_no_room_for_are_counted() {
    let policy = policy(&[("CopyTarget", &format!("http://{}/", "a".repeat(240)))]);
    let (short, wide) = ("$.a".repeat(30), "\u{20ac}".repeat(50));
    for path in [short.as_str(), wide.as_str()] {
        for target in ["/".to_owned(), "/\u{20ac}".repeat(3000)] {
            let request = format!("GET {target}");
            let line =
                line_of(&policy, "json", production(), found(request.as_bytes(), &[path; 32]));
            assert!(line.len() <= LONGEST_LINE && line.ends_with("}\n"), "{}", line.len());
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let listed = line["differences"].as_array().unwrap().len() as u64;
            assert!((1..32).contains(&listed), "{line}");
            assert_eq!(line["unlisted"].as_u64(), Some(7 + 32 - listed), "{line}");
        }
    }
}

#[test]
fn each_log_has_lines_of_what_it_asks_for() {
    let dropped = Copied::dropped(Loss::Rate, None, Requested::received(b"GET", b"/"));
    let class = crate::outcome::StatusClass::Successful;
    let requested = Requested::received(b"GET", b"/");
    let (traffic, waited) = (Traffic::default(), Duration::ZERO);
    let sent = Copied::sent(Outcome::Delivered(class), traffic, waited, requested);
    let same = Found::new(("equal", false), "GET /", Requested::seen(b"GET /"));
    let ended = [
        Ended::Copy(dropped),
        Ended::Copy(sent),
        Ended::Comparison(Box::new(same)),
        found(b"GET /", &[]),
    ];
    for (which, expected) in [
        (Which::All, [true, true, false, false]),
        (Which::Errors, [true, false, false, false]),
        (Which::Compared, [false, false, true, true]),
        (Which::Differing, [false, false, false, true]),
    ] {
        assert_eq!(ended.each_ref().map(|ended| ended.is_for(which)), expected, "{which:?}");
    }
}
