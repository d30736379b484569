//! What copy-status shows: every target's counters as text, as `Key: value` and as JSON.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::breaker::{Millis, State};
use crate::clock;
use crate::select::{Share, Throttle, pressure};
use crate::stats::{Cell, Segment, Totals};

/// How the counters are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A page to read.
    Text,
    /// `Key: value` lines, as mod_status has them for `?auto`.
    Auto,
    /// A JSON document.
    Json,
}

impl Format {
    /// The format a query asks for.
    pub fn of_query(query: &str) -> Format {
        match query.split('&').next() {
            Some("auto") => Format::Auto,
            Some("json") => Format::Json,
            _ => Format::Text,
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Text | Format::Auto => "text/plain; charset=utf-8",
            Format::Json => "application/json",
        }
    }
}

/// The groups of counters: title, prefix of the `?auto` key, and members with their JSON names and
/// `?auto` suffixes.
const GROUPS: [Group; 4] = [
    Group {
        title: "delivered",
        auto: "Delivered",
        members: &[
            (Cell::Delivered2xx, "2xx", "2xx"),
            (Cell::Delivered3xx, "3xx", "3xx"),
            (Cell::Delivered4xx, "4xx", "4xx"),
            (Cell::Delivered5xx, "5xx", "5xx"),
        ],
    },
    Group {
        title: "failed",
        auto: "Failed",
        members: &[
            (Cell::FailedConnect, "connect", "Connect"),
            (Cell::FailedRefused, "refused", "Refused"),
            (Cell::FailedTimeout, "timeout", "Timeout"),
            (Cell::FailedReset, "reset", "Reset"),
            (Cell::FailedProtocol, "protocol", "Protocol"),
            (Cell::FailedDns, "dns", "Dns"),
            (Cell::FailedInternal, "internal", "Internal"),
            (Cell::FailedTls, "tls", "Tls"),
        ],
    },
    Group {
        title: "dropped",
        auto: "Dropped",
        members: &[
            (Cell::DroppedQueueFull, "queue_full", "QueueFull"),
            (Cell::DroppedMemory, "memory", "Memory"),
            (Cell::DroppedBreaker, "breaker", "Breaker"),
            (Cell::DroppedRate, "rate", "Rate"),
            (Cell::DroppedNoMember, "no_member", "NoMember"),
            (Cell::DroppedUnmaskable, "unmaskable", "Unmaskable"),
            (Cell::DroppedOff, "off", "Off"),
            (Cell::DroppedStopping, "stopping", "Stopping"),
            (Cell::DroppedLost, "lost", "Lost"),
        ],
    },
    Group {
        title: "not_copied",
        auto: "NotCopied",
        members: &[
            (Cell::NotCopiedRefused, "refused", "Refused"),
            (Cell::NotCopiedIncomplete, "incomplete", "Incomplete"),
            (Cell::NotCopiedTooLarge, "too_large", "TooLarge"),
            (Cell::NotCopiedNotCopyable, "not_copyable", "NotCopyable"),
            (Cell::NotCopiedLoop, "loop", "Loop"),
            (Cell::NotCopiedOff, "off", "Off"),
            (Cell::NotCopiedMethod, "method", "Method"),
            (Cell::NotCopiedBody, "body", "Body"),
            (Cell::NotCopiedSampled, "sampled", "Sampled"),
            (Cell::NotCopiedCondition, "condition", "Condition"),
        ],
    },
];

struct Group {
    title: &'static str,
    auto: &'static str,
    members: &'static [(Cell, &'static str, &'static str)],
}

impl Group {
    fn sum(&self, totals: &Totals) -> u64 {
        self.members.iter().map(|(cell, ..)| totals.count(*cell)).sum()
    }
}

const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p90", 0.90), ("p99", 0.99)];

/// Renders the counters.
pub fn render(segment: &Segment, format: Format) -> String {
    render_at(segment, format, Now::read())
}

fn render_at(segment: &Segment, format: Format, now: Now) -> String {
    let totals = segment.totals();
    let (started, faults) = (segment.started(), segment.faults().load(Ordering::Relaxed));
    match format {
        Format::Text => text(started, faults, &totals, now),
        Format::Auto => auto(started, faults, &totals, now),
        Format::Json => json(started, faults, &totals, now),
    }
}

/// One moment, as the children's clock has it, and as the world has it, in Unix milliseconds.
#[derive(Clone, Copy, Debug)]
struct Now {
    clock: Millis,
    unix: Millis,
}

impl Now {
    fn read() -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Now { clock: clock::now(), unix }
    }

    /// The nearest Unix second.
    fn unix_seconds(self, time: Millis) -> u64 {
        self.unix.saturating_add(time).saturating_sub(self.clock).saturating_add(500) / 1_000
    }
}

/// A breaker as all three formats have it; its times in Unix seconds, 0 where there is none.
struct Breaker {
    state: &'static str,
    failures: u64,
    since: u64,
    until: u64,
    opened: u64,
}

impl Breaker {
    fn of(totals: &Totals, now: Now) -> Breaker {
        let snapshot = totals.breaker;
        let (state, failures, until) = match snapshot.state {
            None => ("off", 0, None),
            Some(State::Closed { failures }) => ("closed", failures, None),
            Some(State::Open { until }) => ("open", 0, Some(until)),
            Some(State::HalfOpen { until }) => ("half-open", 0, Some(until)),
        };
        Breaker {
            state,
            failures,
            since: if state == "off" { 0 } else { now.unix_seconds(snapshot.since) },
            until: until.map_or(0, |until| now.unix_seconds(until)),
            opened: snapshot.opened,
        }
    }
}

/// A target's sample as all three formats have it, in percent.
struct Sample {
    /// What the target's own line asks for.
    asked: f64,
    /// What pressure leaves of that.
    effective: f64,
    adapt: &'static str,
    lowered: u64,
    cause: &'static str,
    /// Staging's usual latency in microseconds, as far as it is watched.
    usual: u64,
}

impl Sample {
    fn of(totals: &Totals) -> Sample {
        let held = totals.held;
        let whole = f64::from(Share::ALL.parts());
        let asked = 100.0 * if held.asked == 0 { 1.0 } else { held.asked as f64 / whole };
        let left = 1.0 - held.part as f64 / Throttle::WHOLE as f64;
        Sample {
            asked,
            // As exact as a thousandth of a percent is of the least that is left.
            effective: (asked * left * 1e6).round() / 1e6,
            adapt: if held.adapts { "on" } else { "off" },
            lowered: held.lowered,
            cause: pressure::Cause::name(held.cause),
            usual: held.usual,
        }
    }
}

fn text(started: u64, faults: u64, targets: &[Totals], now: Now) -> String {
    let mut page = format!("mod_copy {}, counting since {started}\n", env!("CARGO_PKG_VERSION"));
    if faults > 0 {
        let _ = writeln!(page, "\nfaults of mod_copy that were caught: {faults}");
    }
    if targets.is_empty() {
        page.push_str("\nno target is configured\n");
    }
    for totals in targets {
        // Writing to a String cannot fail.
        let _ = text_of_target(&mut page, totals, now);
    }
    page
}

fn text_of_target(page: &mut String, totals: &Totals, now: Now) -> std::fmt::Result {
    writeln!(page, "\n{}", totals.name)?;
    writeln!(page, "  {:<11}{}", "selected", totals.count(Cell::Selected))?;
    for group in &GROUPS {
        let title = group.title.replace('_', " ");
        write!(page, "  {title:<11}{}", group.sum(totals))?;
        let members = group.members.iter().map(|(cell, name, _)| (totals.count(*cell), name));
        let mut lead = " (";
        for (count, name) in members.filter(|(count, _)| *count > 0) {
            write!(page, "{lead}{} {count}", name.replace('_', " "))?;
            lead = ", ";
        }
        writeln!(page, "{}", if lead == ", " { ")" } else { "" })?;
    }
    let (queued, in_flight) = (totals.queued(), totals.in_flight());
    let forwarders = totals.count(Cell::Forwarders);
    writeln!(page, "  now        {queued} queued, {in_flight} in flight, {forwarders} forwarders")?;
    text_of_breaker(page, &Breaker::of(totals, now))?;
    text_of_sample(page, &Sample::of(totals))?;
    writeln!(page, "  {:<11}{}", "unanswered", totals.count(Cell::Unanswered))?;
    let (sent, received) = (totals.count(Cell::BytesSent), totals.count(Cell::BytesReceived));
    writeln!(page, "  bytes      {sent} sent, {received} received")?;
    write!(page, "  latency   ")?;
    match mean(totals) {
        None => write!(page, " none yet")?,
        Some(mean) => write!(page, " mean {} µs", mean.as_micros())?,
    }
    for (name, share) in QUANTILES {
        if let Some(latency) = totals.latency(share) {
            write!(page, ", {name} below {} µs", latency.as_micros())?;
        }
    }
    writeln!(page)
}

fn text_of_breaker(page: &mut String, breaker: &Breaker) -> std::fmt::Result {
    let Breaker { state, failures, since, until, opened } = breaker;
    write!(page, "  breaker    {state}")?;
    match *state {
        "off" => return writeln!(page),
        "closed" => write!(page, " since {since}, failures in a row {failures}")?,
        _ => write!(page, " since {since}, next try at {until}")?,
    }
    writeln!(page, ", opened {opened}")
}

fn text_of_sample(page: &mut String, sample: &Sample) -> std::fmt::Result {
    let Sample { asked, effective, adapt, lowered, cause, usual } = sample;
    write!(page, "  sample     {asked}%")?;
    if *adapt == "on" {
        write!(
            page,
            ", now {effective}%, lowered {lowered}, last cause {cause}, usual {usual} µs"
        )?;
    }
    writeln!(page)
}

fn auto(started: u64, faults: u64, targets: &[Totals], now: Now) -> String {
    let mut page = format!("CopyVersion: {}\nCopyStarted: {started}\n", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(page, "CopyFaults: {faults}");
    let _ = writeln!(page, "CopyTargets: {}", targets.len());
    for (index, totals) in targets.iter().enumerate() {
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(page, "CopyTarget[{index}]{key}: {value}");
        };
        line("Name", &totals.name);
        line("Selected", &totals.count(Cell::Selected));
        for group in &GROUPS {
            line(group.auto, &group.sum(totals));
            for (cell, _, suffix) in group.members {
                line(&format!("{}{suffix}", group.auto), &totals.count(*cell));
            }
        }
        line("Queued", &totals.queued());
        line("InFlight", &totals.in_flight());
        line("Forwarders", &totals.count(Cell::Forwarders));
        let breaker = Breaker::of(totals, now);
        line("BreakerState", &breaker.state);
        line("BreakerFailures", &breaker.failures);
        line("BreakerSince", &breaker.since);
        line("BreakerUntil", &breaker.until);
        line("BreakerOpened", &breaker.opened);
        let sample = Sample::of(totals);
        line("SamplePercent", &sample.asked);
        line("SampleEffectivePercent", &sample.effective);
        line("SampleAdapt", &sample.adapt);
        line("SampleLowered", &sample.lowered);
        line("SampleCause", &sample.cause);
        line("SampleUsualMicros", &sample.usual);
        line("Unanswered", &totals.count(Cell::Unanswered));
        line("BytesSent", &totals.count(Cell::BytesSent));
        line("BytesReceived", &totals.count(Cell::BytesReceived));
        line("LatencyMeanMicros", &micros(mean(totals)));
        for (name, share) in QUANTILES {
            line(&format!("Latency{}Micros", name.to_uppercase()), &micros(totals.latency(share)));
        }
    }
    page
}

fn json(started: u64, faults: u64, targets: &[Totals], now: Now) -> String {
    let targets: Vec<Value> = targets.iter().map(|totals| json_of_target(totals, now)).collect();
    json!({ "version": 1, "started": started, "faults": faults, "targets": targets }).to_string()
}

fn json_of_target(totals: &Totals, now: Now) -> Value {
    let mut target = Map::new();
    let mut member = |name: &str, value: Value| target.insert(name.to_owned(), value);
    member("name", totals.name.as_str().into());
    member("selected", totals.count(Cell::Selected).into());
    for group in &GROUPS {
        let members = group.members.iter();
        let counts =
            members.map(|(cell, name, _)| ((*name).to_owned(), totals.count(*cell).into()));
        member(group.title, Value::Object(counts.collect()));
    }
    member("queued", totals.queued().into());
    member("in_flight", totals.in_flight().into());
    member("forwarders", totals.count(Cell::Forwarders).into());
    let Breaker { state, failures, since, until, opened } = Breaker::of(totals, now);
    let breaker = json!({
        "state": state, "failures": failures, "since": since, "until": until, "opened": opened
    });
    member("breaker", breaker);
    let Sample { asked, effective, adapt, lowered, cause, usual } = Sample::of(totals);
    let sample = json!({
        "percent": asked, "effective_percent": effective,
        "adapt": adapt, "lowered": lowered, "cause": cause, "usual_us": usual
    });
    member("sample", sample);
    member("unanswered", totals.count(Cell::Unanswered).into());
    member("bytes_sent", totals.count(Cell::BytesSent).into());
    member("bytes_received", totals.count(Cell::BytesReceived).into());
    let quantiles = QUANTILES.map(|(name, share)| (name, totals.latency(share)));
    let latencies = [("mean", mean(totals))].into_iter().chain(quantiles);
    let latencies = latencies.map(|(name, latency)| (name.to_owned(), micros(latency).into()));
    member("latency_us", Value::Object(latencies.collect()));
    let buckets = totals.latency_histogram().filter(|(_, count)| *count > 0);
    let buckets =
        buckets.map(|(below, count)| json!({ "below": micros(Some(below)), "count": count }));
    member("latency_histogram_us", buckets.collect::<Vec<_>>().into());
    Value::Object(target)
}

/// The mean latency of delivered copies.
fn mean(totals: &Totals) -> Option<Duration> {
    let delivered = GROUPS.first().map_or(0, |group| group.sum(totals));
    totals.count(Cell::LatencyMicros).checked_div(delivered).map(Duration::from_micros)
}

fn micros(latency: Option<Duration>) -> u64 {
    latency.map_or(0, |latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
