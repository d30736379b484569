//! The counters as they are shown.

use super::*;
use crate::breaker::{Rules, Sign};
use crate::outcome::{Failure, Loss, NotCopied, Outcome, StatusClass};
use crate::stats::{Traffic, tests::segment};

fn counted() -> Segment {
    let segment = segment(1);
    let slot = segment.slot("http://staging/").unwrap();
    let ledger = Box::leak(Box::new(segment.join(7, |_| true).unwrap()));
    let account = ledger.account(slot);
    account.forwarder(true);
    let latency = Duration::from_micros(300);
    let traffic = Traffic { sent: 10, received: 20, whole: true, latency };
    for outcome in [
        Outcome::Delivered(StatusClass::Successful),
        Outcome::Delivered(StatusClass::ClientError),
        Outcome::Failed(Failure::Refused),
    ] {
        account.select();
        account.taken();
        account.written();
        account.settle(outcome, traffic);
    }
    account.select();
    account.drop_unsent(Loss::QueueFull);
    account.select();
    account.not_copied(NotCopied::Off);
    segment
}

#[test]
fn the_page_can_be_read() {
    assert_eq!(
        render(&counted(), Format::Text).split_once('\n').unwrap().1,
        "\nhttp://staging/\n\
         \x20 selected   5\n\
         \x20 delivered  2 (2xx 1, 4xx 1)\n\
         \x20 failed     1 (refused 1)\n\
         \x20 dropped    1 (queue full 1)\n\
         \x20 not copied 1 (off 1)\n\
         \x20 now        1 queued, 0 in flight, 1 forwarders\n\
         \x20 breaker    off\n\
         \x20 sample     100%\n\
         \x20 unanswered 1\n\
         \x20 bytes      30 sent, 60 received\n\
         \x20 latency    mean 300 µs, p50 below 512 µs, p90 below 512 µs, p99 below 512 µs\n"
    );
}

#[test]
fn auto_has_one_line_for_each_counter() {
    let page = render(&counted(), Format::Auto);
    for line in [
        "CopyFaults: 0",
        "CopyTargets: 1",
        "CopyTarget[0]Name: http://staging/",
        "CopyTarget[0]Selected: 5",
        "CopyTarget[0]Delivered: 2",
        "CopyTarget[0]Delivered4xx: 1",
        "CopyTarget[0]FailedRefused: 1",
        "CopyTarget[0]DroppedQueueFull: 1",
        "CopyTarget[0]NotCopiedOff: 1",
        "CopyTarget[0]Queued: 1",
        "CopyTarget[0]Unanswered: 1",
        "CopyTarget[0]LatencyP99Micros: 512",
    ] {
        assert!(page.lines().any(|other| other == line), "{line} in\n{page}");
    }
}

#[test]
fn json_holds_the_same_numbers() {
    let page: Value = serde_json::from_str(&render(&counted(), Format::Json)).unwrap();
    let target = &page["targets"][0];
    assert_eq!(target["name"], "http://staging/");
    assert_eq!(target["selected"], 5);
    assert_eq!(target["delivered"]["2xx"], 1);
    assert_eq!(target["failed"]["refused"], 1);
    assert_eq!(target["dropped"]["queue_full"], 1);
    assert_eq!(target["not_copied"]["off"], 1);
    assert_eq!(target["unanswered"], 1);
    assert_eq!(target["latency_us"]["mean"], 300);
}

#[test]
fn a_breaker_is_shown_with_its_state_and_times() {
    let segment = counted();
    let breaker = segment.breaker(segment.slot("http://staging/").unwrap());
    let shown = |state: &str, failures: u64, since: u64, until: u64, opened: u64, text: &str| {
        let now = Now { clock: 90_400, unix: 1_700_000_000_000 };
        let [page, auto, json] =
            [Format::Text, Format::Auto, Format::Json].map(|at| render_at(&segment, at, now));
        assert!(page.contains(&format!("\n  breaker    {text}\n")), "{page}");
        let json: Value = serde_json::from_str(&json).unwrap();
        let expected = json!({
            "state": state, "failures": failures, "since": since, "until": until, "opened": opened
        });
        assert_eq!(json["targets"][0]["breaker"], expected);
        for (key, value) in [
            ("State", state.to_owned()),
            ("Failures", failures.to_string()),
            ("Since", since.to_string()),
            ("Until", until.to_string()),
            ("Opened", opened.to_string()),
        ] {
            let line = format!("CopyTarget[0]Breaker{key}: {value}\n");
            assert!(auto.contains(&line), "{line} in\n{auto}");
        }
    };
    shown("off", 0, 0, 0, 0, "off");
    breaker.configure(Rules { failures: 2, retry: Duration::from_secs(10) }, 60_000);
    let fail = |now| {
        breaker.report(breaker.admit(|| now).unwrap(), Sign::Gone, || now);
    };
    fail(70_000);
    let text = "closed since 1699999970, failures in a row 1, opened 0";
    shown("closed", 1, 1_699_999_970, 0, 0, text);
    fail(80_000);
    let text = "open since 1699999990, next try at 1700000000, opened 1";
    shown("open", 0, 1_699_999_990, 1_700_000_000, 1, text);
    breaker.admit(|| 90_200).unwrap();
    let text = "half-open since 1699999990, next try at 1700000001, opened 1";
    shown("half-open", 0, 1_699_999_990, 1_700_000_001, 1, text);
}

#[test]
fn a_sample_is_shown_with_what_pressure_leaves_of_it() {
    let segment = counted();
    let throttle = &segment.valve(segment.slot("http://staging/").unwrap()).throttle;
    throttle.configure(12_345, true);
    throttle.keep_usual(900);
    throttle.hold(Throttle::WHOLE / 4 * 3, pressure::Cause::Slow as u64);
    let [page, auto, json] =
        [Format::Text, Format::Auto, Format::Json].map(|format| render(&segment, format));
    let text = "\n  sample     12.345%, now 3.08625%, lowered 1, last cause slow, usual 900 µs\n";
    assert!(page.contains(text), "{page}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let expected = json!({
        "percent": 12.345, "effective_percent": 3.08625,
        "adapt": "on", "lowered": 1, "cause": "slow", "usual_us": 900
    });
    assert_eq!(json["targets"][0]["sample"], expected);
    for line in [
        "SamplePercent: 12.345",
        "SampleEffectivePercent: 3.08625",
        "SampleAdapt: on",
        "SampleLowered: 1",
        "SampleCause: slow",
        "SampleUsualMicros: 900",
    ] {
        assert!(auto.contains(&format!("CopyTarget[0]{line}\n")), "{line} in\n{auto}");
    }
}

#[test]
fn the_query_chooses_the_format() {
    assert_eq!(Format::of_query("auto"), Format::Auto);
    assert_eq!(Format::of_query("json&x"), Format::Json);
    assert_eq!(Format::of_query(""), Format::Text);
    assert_eq!(Format::of_query("refresh=5"), Format::Text);
}
