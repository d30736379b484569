//! What copy-status shows: every target's counters as text, as `Key: value` and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

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
        ],
    },
    Group {
        title: "dropped",
        auto: "Dropped",
        members: &[
            (Cell::DroppedQueueFull, "queue_full", "QueueFull"),
            (Cell::DroppedMemory, "memory", "Memory"),
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
    let totals = segment.totals();
    match format {
        Format::Text => text(segment.started(), &totals),
        Format::Auto => auto(segment.started(), &totals),
        Format::Json => json(segment.started(), &totals),
    }
}

fn text(started: u64, targets: &[Totals]) -> String {
    let mut page = format!("mod_copy {}, counting since {started}\n", env!("CARGO_PKG_VERSION"));
    if targets.is_empty() {
        page.push_str("\nno target is configured\n");
    }
    for totals in targets {
        // Writing to a String cannot fail.
        let _ = text_of_target(&mut page, totals);
    }
    page
}

fn text_of_target(page: &mut String, totals: &Totals) -> std::fmt::Result {
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

fn auto(started: u64, targets: &[Totals]) -> String {
    let mut page = format!("CopyVersion: {}\nCopyStarted: {started}\n", env!("CARGO_PKG_VERSION"));
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
        line("BytesSent", &totals.count(Cell::BytesSent));
        line("BytesReceived", &totals.count(Cell::BytesReceived));
        line("LatencyMeanMicros", &micros(mean(totals)));
        for (name, share) in QUANTILES {
            line(&format!("Latency{}Micros", name.to_uppercase()), &micros(totals.latency(share)));
        }
    }
    page
}

fn json(started: u64, targets: &[Totals]) -> String {
    let targets: Vec<Value> = targets.iter().map(json_of_target).collect();
    json!({ "version": 1, "started": started, "targets": targets }).to_string()
}

fn json_of_target(totals: &Totals) -> Value {
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
mod tests {
    use super::*;
    use crate::outcome::{Failure, Loss, NotCopied, Outcome, StatusClass};
    use crate::stats::{Traffic, tests::segment};

    fn counted() -> Segment {
        let segment = segment(1);
        let slot = segment.slot("http://staging/").unwrap();
        let ledger = Box::leak(Box::new(segment.join(7, |_| true).unwrap()));
        let account = ledger.account(slot);
        account.forwarder(true);
        let latency = Duration::from_micros(300);
        let traffic = Traffic { sent: 10, received: 20, latency };
        for outcome in [
            Outcome::Delivered(StatusClass::Successful),
            Outcome::Delivered(StatusClass::ClientError),
            Outcome::Failed(Failure::Refused),
        ] {
            account.select();
            account.taken();
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
             \x20 bytes      30 sent, 60 received\n\
             \x20 latency    mean 300 µs, p50 below 512 µs, p90 below 512 µs, p99 below 512 µs\n"
        );
    }

    #[test]
    fn auto_has_one_line_for_each_counter() {
        let page = render(&counted(), Format::Auto);
        for line in [
            "CopyTargets: 1",
            "CopyTarget[0]Name: http://staging/",
            "CopyTarget[0]Selected: 5",
            "CopyTarget[0]Delivered: 2",
            "CopyTarget[0]Delivered4xx: 1",
            "CopyTarget[0]FailedRefused: 1",
            "CopyTarget[0]DroppedQueueFull: 1",
            "CopyTarget[0]NotCopiedOff: 1",
            "CopyTarget[0]Queued: 1",
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
        assert_eq!(target["latency_us"]["mean"], 300);
    }

    #[test]
    fn the_query_chooses_the_format() {
        assert_eq!(Format::of_query("auto"), Format::Auto);
        assert_eq!(Format::of_query("json&x"), Format::Json);
        assert_eq!(Format::of_query(""), Format::Text);
        assert_eq!(Format::of_query("refresh=5"), Format::Text);
    }
}
