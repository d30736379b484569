//! The counters as they are shown.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::reading::Now;
use super::*;
use crate::breaker::{Rules, Sign};
use crate::clock;
use crate::outcome::{Failure, Loss, NotCopied, Outcome, StatusClass};
use crate::select::{Rate, Share, Throttle, pressure};
use crate::stats::{SPAN, Segment, Traffic, tests::segment};
use crate::target::{Target, Url};

/// What is shown where the targets of these names are configured.
fn shown(segment: &Segment, names: &[&str], format: Format) -> String {
    let now = Now { clock: clock::now(), unix: 1_700_000_000_000 };
    shown_at(segment, names, format, now)
}

fn shown_at(segment: &Segment, names: &[&str], format: Format, now: Now) -> String {
    let targets: Vec<Arc<Target>> = names.iter().map(|name| Arc::new(target(name))).collect();
    let source = Source { segment: *segment, targets, rates: Vec::new(), compare: None };
    show(&Reading::take_at(&source, now), format, "")
}

fn target(name: &str) -> Target {
    let url = Url::parse("http://staging.internal.net/api").unwrap();
    Target { name: name.to_owned(), ..Target::at(url) }
}

const NAME: &str = "http://staging/";

fn counted() -> Segment {
    let segment = segment(1);
    let slot = segment.slot("http://staging/").unwrap();
    let ledger = Box::leak(Box::new(segment.join(7, |_| true).unwrap()));
    let account = ledger.account(slot);
    account.forwarder(true);
    let latency = Duration::from_micros(300);
    let traffic = Traffic { sent: 10, received: 20, whole: true, latency, ..Traffic::default() };
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
        shown(&counted(), &[NAME], Format::Text).split_once('\n').unwrap().1,
        "\nmemory       0 bytes in 1 children, at most 0 of 0 in one\n\
         \nhttp://staging/\n\
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
    let page = shown(&counted(), &[NAME], Format::Auto);
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
    let page: Value = serde_json::from_str(&shown(&counted(), &[NAME], Format::Json)).unwrap();
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
    let expect = |state: &str, failures: u64, since: u64, until: u64, opened: u64, text: &str| {
        let now = Now { clock: 90_400, unix: 1_700_000_000_000 };
        let [page, auto, json] = [Format::Text, Format::Auto, Format::Json]
            .map(|format| shown_at(&segment, &[NAME], format, now));
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
    expect("off", 0, 0, 0, 0, "off");
    breaker.configure(Rules { failures: 2, retry: Duration::from_secs(10) }, 60_000);
    let fail = |now| {
        breaker.report(breaker.admit(|| now).unwrap(), Sign::Gone, || now);
    };
    fail(70_000);
    let text = "closed since 1699999970, failures in a row 1, opened 0";
    expect("closed", 1, 1_699_999_970, 0, 0, text);
    fail(80_000);
    let text = "open since 1699999990, next try at 1700000000, opened 1";
    expect("open", 0, 1_699_999_990, 1_700_000_000, 1, text);
    breaker.admit(|| 90_200).unwrap();
    let text = "half-open since 1699999990, next try at 1700000001, opened 1";
    expect("half-open", 0, 1_699_999_990, 1_700_000_001, 1, text);
}

#[test]
fn a_sample_is_shown_with_what_pressure_leaves_of_it() {
    let segment = counted();
    let throttle = &segment.valve(segment.slot(NAME).unwrap()).throttle;
    throttle.configure(12_345, true);
    throttle.keep_usual(900);
    throttle.hold(Throttle::WHOLE / 4 * 3, pressure::Cause::Slow as u64);
    let [page, auto, json] =
        [Format::Text, Format::Auto, Format::Json].map(|format| shown(&segment, &[NAME], format));
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
fn the_query_chooses_the_format_and_then_the_accept_field() {
    let asked = |query| Format::of_request(query, "*/*");
    assert_eq!(asked("auto"), Format::Auto);
    assert_eq!(asked("json&x"), Format::Json);
    assert_eq!(asked("refresh=5&html"), Format::Html);
    assert_eq!(asked("prometheus="), Format::Prometheus);
    assert_eq!(asked(""), Format::Text);
    assert_eq!(asked("refresh=5"), Format::Text);
    let accepted = |accept| Format::of_request("refresh=5", accept);
    assert_eq!(accepted("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Html);
    assert_eq!(accepted("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), Format::Prometheus);
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    assert_eq!(accepted(prometheus), Format::OpenMetrics);
    assert_eq!(Format::of_request("prometheus", prometheus), Format::OpenMetrics);
    assert_eq!(Format::of_request("json", "text/html"), Format::Json);
    assert_eq!(accepted(""), Format::Text);
}

#[test]
fn a_page_is_read_again_after_the_seconds_that_were_asked_for() {
    let asked =
        ["", "refresh", "refresh=5", "html&refresh=30", "refresh=0", "refresh=x;url=//evil"];
    assert_eq!(asked.map(refresh), [None, Some(10), Some(5), Some(30), None, None]);
    let source =
        Source { segment: segment(1), targets: Vec::new(), rates: Vec::new(), compare: None };
    let page = |query| render(&source, Format::Html, query);
    assert!(page("refresh=5").contains(r#"<meta http-equiv="refresh" content="5">"#));
    assert!(!page("refresh=5;url=//evil").contains("http-equiv"));
}

/// Names that try to be more than text, in one format or another.
const HOSTILE: [&str; 5] = [
    r#"<script>alert(1)</script>"#,
    r#""><img src=x onerror=alert(1)>"#,
    "' onmouseover='alert(1)' x='",
    "a\"} 1\nmod_copy_selected_total{target=\"b\\",
    "line\nfeed & \u{202e}turned\u{0}",
];

#[test]
fn a_hostile_name_is_text_in_every_format() {
    let segment = segment(1);
    for name in HOSTILE {
        segment.slot(name).unwrap();
    }
    let page = shown(&segment, &HOSTILE, Format::Html);
    for tag in ["<script", "<img", "onerror=alert(1)>", "' onmouse", "&quot;&gt;&lt;img"] {
        let is_escaped = tag.starts_with('&');
        assert_eq!(
            page.contains(tag) || tag == "' onmouse",
            is_escaped || tag == "' onmouse",
            "{tag}"
        );
    }
    let json: Value = serde_json::from_str(&shown(&segment, &HOSTILE, Format::Json)).unwrap();
    for (index, name) in HOSTILE.iter().enumerate() {
        assert_eq!(json["targets"][index]["name"], *name);
    }
    let metrics = shown(&segment, &HOSTILE, Format::Prometheus);
    let selected = metrics.lines().filter(|line| line.starts_with("mod_copy_selected_total{"));
    assert_eq!(selected.count(), HOSTILE.len(), "{metrics}");
    let auto = shown(&segment, &HOSTILE, Format::Auto);
    assert!(auto.lines().all(|line| line.starts_with("Copy")), "{auto}");
}

#[test]
fn the_manager_escapes_what_it_says_too() {
    let segment = segment(1);
    segment.slot(HOSTILE[1]).unwrap();
    let targets = vec![Arc::new(target(HOSTILE[1]))];
    let notice = Notice::Refused(HOSTILE[0].to_owned());
    let controls = Controls { nonce: "5ec2e7", notice: Some(&notice) };
    let page = render_controls(
        &Source { segment, targets, rates: Vec::new(), compare: None },
        "",
        &controls,
    );
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains(r#"name="nonce" value="5ec2e7""#));
    assert!(page.contains("&quot;&gt;&lt;img src=x onerror=alert(1)&gt;"));
}

#[test]
fn rates_and_the_series_come_from_what_every_five_seconds_brought() {
    let segment = counted();
    let slot = segment.slot(NAME).unwrap();
    let account = Box::leak(Box::new(segment.join(8, |pid| pid != 7).unwrap())).account(slot);
    segment.record(SPAN * 100);
    for _ in 0..50 {
        account.select();
        account.drop_unsent(Loss::Memory);
    }
    segment.record(SPAN * 100 + 4_999);
    let now = Now { clock: SPAN * 101 + 1, unix: 1_700_000_000_000 };
    assert!(segment.series(slot, now.clock).iter().all(Option::is_none), "it is not over");
    segment.record(now.clock);
    segment.record(now.clock + 1);
    let json: Value =
        serde_json::from_str(&shown_at(&segment, &[NAME], Format::Json, now)).unwrap();
    let rates = &json["targets"][0]["rates"];
    for window in ["now", "1m", "15m"] {
        let expected = json!({"selected": 10.0, "delivered": 0.0, "failed": 0.0, "dropped": 10.0});
        assert_eq!(rates[window], expected);
    }
    let page = shown_at(&segment, &[NAME], Format::Html, now);
    assert!(page.contains(r#"<path class="warn" d="M179 100V0H180V100Z"/>"#), "{page}");
    let later = Now { clock: SPAN * 400, ..now };
    let json: Value =
        serde_json::from_str(&shown_at(&segment, &[NAME], Format::Json, later)).unwrap();
    assert_eq!(json["targets"][0]["rates"]["15m"], Value::Null, "all of it is long ago");
}

#[test]
fn what_an_operator_has_set_is_shown_as_such() {
    let segment = counted();
    let steering = segment.steering(segment.slot(NAME).unwrap());
    assert!(!shown(&segment, &[NAME], Format::Html).contains("by hand"));
    steering.switch(Some(false));
    steering.set_sample(Share::of(2_500));
    steering.set_rate(Rate::of(40));
    let [text, html, auto, json, metrics] =
        [Format::Text, Format::Html, Format::Auto, Format::Json, Format::Prometheus]
            .map(|format| shown(&segment, &[NAME], format));
    assert!(text.contains("  by hand    switched off, sample 2.5%, rate 40/s\n"), "{text}");
    assert!(html.contains("switched off, sample 2.5%, rate 40/s"), "{html}");
    assert!(auto.contains("CopyTarget[0]On: 0\nCopyTarget[0]Differs: 1\n"), "{auto}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let expected = json!({
        "on": false, "configured_on": true, "sample_percent": 2.5, "rate": 40, "differ": true
    });
    assert_eq!(json["targets"][0]["settings"], expected);
    assert!(metrics.contains("mod_copy_on{target=\"http://staging/\"} 0\n"), "{metrics}");
}

#[test]
fn the_most_copies_a_second_are_shown_beside_what_is_configured() {
    let segment = counted();
    let steering = segment.steering(segment.slot(NAME).unwrap());
    let shown = |configured: Option<Rate>, format| {
        let targets = vec![Arc::new(target(NAME))];
        let source = Source { segment, targets, rates: vec![configured], compare: None };
        show(&Reading::take(&source), format, "")
    };
    for (set, configured, text, html, json) in [
        (None, None, None, "no limit", [Value::Null, Value::Null]),
        (None, Rate::of(500), Some("500/s"), "500/s", [500.into(), 500.into()]),
        (
            Rate::of(40),
            Rate::of(500),
            Some("40/s, configured 500/s"),
            "40/s",
            [500.into(), 40.into()],
        ),
        (Rate::of(40), None, Some("40/s, configured no limit"), "40/s", [Value::Null, 40.into()]),
    ] {
        steering.set_rate(set);
        let page = shown(configured, Format::Text);
        let line = page.lines().find_map(|line| line.strip_prefix("  at most    "));
        assert_eq!(line, text, "{page}");
        let page = shown(configured, Format::Html);
        let (_, fact) = page.split_once("most a second").unwrap();
        assert!(fact.split("</tr>").next().unwrap().contains(html), "{fact}");
        let page: Value = serde_json::from_str(&shown(configured, Format::Json)).unwrap();
        let [configured, effective] = json;
        let expected = json!({ "configured": configured, "effective": effective });
        assert_eq!(page["targets"][0]["rate"], expected);
    }
}

#[test]
fn metrics_have_their_help_and_type_once_and_histograms_add_up() {
    let segment = counted();
    let metrics = shown(&segment, &[NAME], Format::Prometheus);
    for line in [
        "mod_copy_selected_total{target=\"http://staging/\"} 5",
        "mod_copy_delivered_total{target=\"http://staging/\",class=\"4xx\"} 1",
        "mod_copy_failed_total{target=\"http://staging/\",reason=\"refused\"} 1",
        "mod_copy_latency_seconds_bucket{target=\"http://staging/\",le=\"0.000256\"} 0",
        "mod_copy_latency_seconds_bucket{target=\"http://staging/\",le=\"0.000512\"} 2",
        "mod_copy_latency_seconds_bucket{target=\"http://staging/\",le=\"+Inf\"} 2",
        "mod_copy_latency_seconds_sum{target=\"http://staging/\"} 0.0006",
        "mod_copy_latency_seconds_count{target=\"http://staging/\"} 2",
        "mod_copy_breaker_state{target=\"http://staging/\",state=\"off\"} 1",
        "# TYPE mod_copy_selected_total counter",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line} in\n{metrics}");
    }
    let mut types: Vec<&str> = metrics.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let count = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), count);
    let open = shown(&segment, &[NAME], Format::OpenMetrics);
    assert!(open.contains("# TYPE mod_copy_selected counter\nmod_copy_selected_total{"), "{open}");
    assert!(open.ends_with("\n# EOF\n"), "{open}");
}

#[test]
fn a_target_that_is_no_longer_configured_is_told_apart() {
    let segment = counted();
    segment.slot("other").unwrap();
    let page = shown(&segment, &["other"], Format::Html);
    assert!(page.contains("1 targets of earlier configurations"), "{page}");
    assert_eq!(page.matches("<section class=\"target\"").count(), 1);
    assert!(shown(&segment, &["other"], Format::Auto).contains("State: not configured\n"));
}
