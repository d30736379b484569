//! Lines of the worst that can be, and of what cannot be masked.

use std::time::Duration;

use super::line::{self, LONGEST_LINE, Shown};
use super::*;
use crate::config::{Draft, Origin, Place, Policy, ScopeSettings, ServerSettings, find};
use crate::outcome::{Failure, Loss, Outcome};
use crate::stats::Traffic;

pub(super) fn policy(lines: &[(&str, &str)]) -> Policy {
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
    let (target, _) = policy.identified().next().unwrap();
    let entry = Entry { logs: LogsId(0), target, production: Some(production), copy };
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
