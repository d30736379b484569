//! `Key: value` lines, as mod_status has them for `?auto`.

use std::fmt::{Display, Write};

use super::counters::{COST_QUANTILES, Counter, GROUPS, QUANTILES};
use super::json::micros;
use super::rates::WINDOWS;
use super::reading::{Reading, TargetReading};
use crate::stats::Cell;

pub(super) fn page(reading: &Reading) -> String {
    let mut page = String::new();
    let mut line = |key: &str, value: &dyn Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "Copy{key}: {value}");
    };
    line("Version", &env!("CARGO_PKG_VERSION"));
    line("Started", &reading.started);
    line("Faults", &reading.faults);
    line("LogDropped", &reading.unlogged);
    line("Children", &reading.memory.children);
    line("MemoryUsed", &reading.memory.used);
    line("MemoryMost", &reading.memory.most);
    line("MemoryLimit", &reading.memory.limit);
    line("CostRequests", &reading.costs.count());
    for (name, share) in COST_QUANTILES {
        let cost = reading.costs.quantile(share).unwrap_or_default();
        line(&format!("Cost{}Nanos", name.to_uppercase()), &cost.as_nanos());
    }
    line("CostPercent", &format_args!("{:.4}", reading.costs.share().unwrap_or_default() * 100.0));
    line("Targets", &reading.targets.len());
    for (index, target) in reading.targets.iter().enumerate() {
        of_target(target, &mut |key, value| {
            let _ = writeln!(page, "CopyTarget[{index}]{key}: {value}");
        });
    }
    page
}

fn of_target(target: &TargetReading, line: &mut dyn FnMut(&str, &dyn Display)) {
    let totals = &target.totals;
    line("Name", &target.name_in_line());
    line("State", &target.state());
    line("On", &u8::from(target.settings.is_on));
    line("Differs", &u8::from(target.settings.differ()));
    line("Selected", &totals.count(Cell::Selected));
    for group in &GROUPS {
        line(group.auto, &group.sum(totals));
        for Counter(cell, _, suffix) in group.members {
            line(&format!("{}{suffix}", group.auto), &totals.count(*cell));
        }
    }
    line("Queued", &totals.queued());
    line("OldestMillis", &target.oldest.as_millis());
    line("InFlight", &totals.in_flight());
    line("Forwarders", &totals.count(Cell::Forwarders));
    let breaker = &target.breaker;
    line("BreakerState", &breaker.state);
    line("BreakerFailures", &breaker.failures);
    line("BreakerSince", &breaker.since);
    line("BreakerUntil", &breaker.until);
    line("BreakerOpened", &breaker.opened);
    let sample = &target.sample;
    line("SamplePercent", &sample.asked);
    line("SampleEffectivePercent", &sample.effective);
    line("SampleAdapt", &sample.adapt);
    line("SampleLowered", &sample.lowered);
    line("SampleCause", &sample.cause);
    line("SampleUsualMicros", &sample.usual);
    line("Unanswered", &totals.count(Cell::Unanswered));
    line("BytesSent", &totals.count(Cell::BytesSent));
    line("BytesReceived", &totals.count(Cell::BytesReceived));
    for ((name, _), rate) in WINDOWS.iter().zip(target.rates) {
        let selected = rate.unwrap_or_default().selected;
        line(&format!("Rate{}", name.to_uppercase()), &format_args!("{selected:.1}"));
    }
    line("LatencyMeanMicros", &micros(target.mean()));
    for (name, share) in QUANTILES {
        let key = format!("Latency{}Micros", name.to_uppercase());
        line(&key, &micros(totals.latency(share)));
    }
}
