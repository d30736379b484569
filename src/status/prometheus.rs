//! Prometheus's text format, and OpenMetrics, which differs in three details.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::counters::{Counter, DELIVERED, DROPPED, FAILED, NOT_COPIED};
use super::reading::{Reading, TargetReading};
use crate::comparing::Count;
use crate::stats::Cell;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Prometheus,
    OpenMetrics,
}

const BREAKERS: [&str; 4] = ["closed", "open", "half-open", "off"];
/// The latency buckets that are told: 2^6 µs to 2^26 µs. Always the same, whatever was counted.
const LATENCIES: std::ops::RangeInclusive<u32> = 6..=26;
/// The bounds of what requests cost: 2^9 ns to 2^24 ns.
const COSTS: std::ops::RangeInclusive<u32> = 9..=24;

pub(super) fn page(reading: &Reading, dialect: Dialect) -> String {
    let mut out = Out { page: String::new(), dialect };
    of_server(&mut out, reading);
    of_copies(&mut out, &reading.targets);
    of_now(&mut out, &reading.targets);
    if dialect == Dialect::OpenMetrics {
        out.page.push_str("# EOF\n");
    }
    out.page
}

fn of_server(out: &mut Out, reading: &Reading) {
    let version = ("version", env!("CARGO_PKG_VERSION"));
    out.family("build_info", "gauge", "The module's version.").sample(&[version], 1);
    let help = "When counting began, in seconds since 1970.";
    out.family("start_time_seconds", "gauge", help).sample(&[], reading.started);
    out.family("faults", "counter", "Faults of the module that were caught.")
        .sample(&[], reading.faults);
    out.family("log_dropped", "counter", "Lines of CopyLog that were not written.")
        .sample(&[], reading.unlogged);
    let memory = reading.memory;
    out.family("children", "gauge", "Child processes that copy.").sample(&[], memory.children);
    let help = "Memory that copies take, in all child processes.";
    out.family("memory_bytes", "gauge", help).sample(&[], memory.used);
    let help = "Memory that copies take in the child process where they take most.";
    out.family("memory_most_bytes", "gauge", help).sample(&[], memory.most);
    let help = "Memory that copies may take in each child process.";
    out.family("memory_limit_bytes", "gauge", help).sample(&[], memory.limit);
    let costs = &reading.costs;
    let mut family = out.family(
        "request_cost_seconds",
        "histogram",
        "Time that production's requests spend in the module, of one request in 64.",
    );
    let bounds = COSTS.map(|power| Duration::from_nanos(1 << power));
    family.histogram(&[], bounds, costs.histogram(), costs.ours);
    let help = "Time that production took for the requests of mod_copy_request_cost_seconds.";
    let whole = costs.whole.as_secs_f64();
    out.family("request_time_seconds", "counter", help).sample(&[], whole);
}

fn of_copies(out: &mut Out, targets: &[TargetReading]) {
    let help = "Copies offered to the target's queue.";
    out.of_each("selected", "counter", help, targets, |target| target.totals.count(Cell::Selected));
    for group in [DELIVERED, FAILED, DROPPED, NOT_COPIED] {
        let mut family = out.family(group.title, "counter", group.help);
        for target in targets {
            for Counter(cell, name, _) in group.members {
                let labels = [("target", target.name()), (group.label, *name)];
                family.sample(&labels, target.totals.count(*cell));
            }
        }
    }
    let help = "Answers of staging's that were compared with production's, by what came of it.";
    let mut family = out.family("compared", "counter", help);
    for target in targets {
        for count in Count::ALL {
            let labels = [("target", target.name()), ("verdict", count.name())];
            family.sample(&labels, target.compared(count));
        }
    }
    let help = "Bytes of requests written to staging.";
    out.of_each("sent_bytes", "counter", help, targets, |target| {
        target.totals.count(Cell::BytesSent)
    });
    let help = "Bytes of answers read from staging.";
    out.of_each("received_bytes", "counter", help, targets, |target| {
        target.totals.count(Cell::BytesReceived)
    });
    let help =
        "From taking a copy from the queue to the end of staging's answer, of delivered copies.";
    let mut family = out.family("latency_seconds", "histogram", help);
    for target in targets {
        let bounds = LATENCIES.map(|power| Duration::from_micros(1 << power));
        let sum = Duration::from_micros(target.totals.count(Cell::LatencyMicros));
        let labels = [("target", target.name())];
        family.histogram(&labels, bounds, target.totals.latency_histogram(), sum);
    }
    let help = "How often the target's breaker opened.";
    out.of_each("breaker_opened", "counter", help, targets, |target| target.breaker.opened);
}

fn of_now(out: &mut Out, targets: &[TargetReading]) {
    let help = "Copies sent whole and not delivered: not yet, or never.";
    out.of_each("unanswered", "gauge", help, targets, |target| {
        target.totals.count(Cell::Unanswered)
    });
    let help = "Copies that wait in queues.";
    out.of_each("queued", "gauge", help, targets, |target| target.totals.queued());
    let help = "How long the oldest copy has waited, to within a second.";
    out.of_each("queue_oldest_seconds", "gauge", help, targets, |target| {
        target.oldest.as_secs_f64()
    });
    let help = "Copies that forwarders are sending.";
    out.of_each("in_flight", "gauge", help, targets, |target| target.totals.in_flight());
    let help = "Forwarder threads, in all child processes.";
    out.of_each("forwarders", "gauge", help, targets, |target| {
        target.totals.count(Cell::Forwarders)
    });
    let help = "Whether the target gets copies: 0 where it is switched off.";
    out.of_each("on", "gauge", help, targets, |target| u8::from(target.settings.is_on));
    let help = "The share of requests that is copied: what is configured or set, less what pressure takes.";
    out.of_each("sample_ratio", "gauge", help, targets, |target| target.sample.effective / 100.0);
    let help = "Whether an operator has set anything otherwise than it is configured.";
    out.of_each("differs", "gauge", help, targets, |target| u8::from(target.settings.differ()));
    let help = "Whether the configuration in force has the target.";
    out.of_each("configured", "gauge", help, targets, |target| u8::from(target.target.is_some()));
    let help = "1 for the state that the target's breaker is in, else 0.";
    let mut family = out.family("breaker_state", "gauge", help);
    for target in targets {
        for state in BREAKERS {
            let labels = [("target", target.name()), ("state", state)];
            family.sample(&labels, u8::from(target.breaker.state == state));
        }
    }
}

/// The page in the making.
struct Out {
    page: String,
    dialect: Dialect,
}

/// The samples of one metric.
struct Family<'a> {
    page: &'a mut String,
    /// With what its kind puts after it.
    name: String,
}

impl Out {
    /// Begins a metric; what it is called is put between `mod_copy_` and `_total`, where it is a counter.
    fn family(&mut self, name: &str, kind: &str, help: &str) -> Family<'_> {
        let counted = if kind == "counter" { "_total" } else { "" };
        let full = format!("mod_copy_{name}{counted}");
        // OpenMetrics names a counter's metric without what its samples end in.
        let family = match self.dialect {
            Dialect::Prometheus => full.clone(),
            Dialect::OpenMetrics => format!("mod_copy_{name}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.page, "# HELP {family} {help}\n# TYPE {family} {kind}");
        Family { page: &mut self.page, name: full }
    }

    /// A metric with one sample for each target.
    fn of_each<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        targets: &[TargetReading],
        value: impl Fn(&TargetReading) -> V,
    ) {
        let mut family = self.family(name, kind, help);
        for target in targets {
            family.sample(&[("target", target.name())], value(target));
        }
    }
}

impl Family<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.write("", labels, value);
    }

    fn write(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.page, "{}{suffix}", self.name);
        let mut lead = '{';
        for (label, text) in labels {
            let _ = write!(self.page, "{lead}{label}=\"");
            text.chars().for_each(|c| match c {
                '\\' => self.page.push_str("\\\\"),
                '"' => self.page.push_str("\\\""),
                '\n' => self.page.push_str("\\n"),
                c => self.page.push(c),
            });
            self.page.push('"');
            lead = ',';
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.page, "{end} {value}");
    }

    /// Samples of a histogram: `buckets` are its bounds and what fell into each, less than its bound.
    fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        bounds: impl Iterator<Item = Duration>,
        buckets: impl Iterator<Item = (Duration, u64)>,
        sum: Duration,
    ) {
        let buckets: Vec<(Duration, u64)> = buckets.collect();
        let below = |bound: Option<Duration>| -> u64 {
            let fits = |(below, _): &&(Duration, u64)| bound.is_none_or(|bound| *below <= bound);
            // The last has no bound of its own.
            let known = if bound.is_none() { buckets.len() } else { buckets.len() - 1 };
            buckets.iter().take(known).filter(fits).map(|(_, count)| count).sum()
        };
        let count = below(None);
        for bound in bounds {
            let le = bound.as_secs_f64().to_string();
            let labels = [labels, &[("le", &le)]].concat();
            self.write("_bucket", &labels, below(Some(bound)));
        }
        self.write("_bucket", &[labels, &[("le", "+Inf")]].concat(), count);
        self.write("_sum", labels, sum.as_secs_f64());
        self.write("_count", labels, count);
    }
}
