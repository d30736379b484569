//! A JSON document, with names that stay: docs/status.md lists them all, and a test holds the two equal.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::counters::{COST_QUANTILES, Counter, GROUPS, QUANTILES};
use super::rates::{Flow, WINDOWS};
use super::reading::{BreakerReading, Reading, SampleReading, TargetReading};
use crate::select::{Overrides, Rate};
use crate::stats::{Cell, Costs, Settings};

pub(super) fn page(reading: &Reading) -> String {
    let targets: Vec<Value> = reading.targets.iter().map(of_target).collect();
    let memory = reading.memory;
    json!({
        "version": 1,
        "module": env!("CARGO_PKG_VERSION"),
        "started": reading.started,
        "now": reading.taken,
        "faults": reading.faults,
        "log_dropped": reading.unlogged,
        "children": memory.children,
        "memory": { "used": memory.used, "most": memory.most, "limit": memory.limit },
        "cost": cost(&reading.costs),
        "targets": targets,
    })
    .to_string()
}

fn cost(costs: &Costs) -> Value {
    let mut cost = Map::new();
    cost.insert("requests".to_owned(), costs.count().into());
    for (name, share) in COST_QUANTILES {
        let nanos = costs.quantile(share).unwrap_or_default().as_nanos();
        cost.insert(format!("{name}_ns"), u64::try_from(nanos).unwrap_or(u64::MAX).into());
    }
    cost.insert("share".to_owned(), costs.share().unwrap_or_default().into());
    Value::Object(cost)
}

pub(super) fn of_target(reading: &TargetReading) -> Value {
    let totals = &reading.totals;
    let mut target = Map::new();
    let mut member = |name: &str, value: Value| target.insert(name.to_owned(), value);
    member("name", reading.name().into());
    member("state", reading.state().into());
    member("configured", reading.target.is_some().into());
    member("settings", settings(&reading.settings));
    member("selected", totals.count(Cell::Selected).into());
    for group in &GROUPS {
        let members = group.members.iter();
        let counts =
            members.map(|Counter(cell, name, _)| ((*name).to_owned(), totals.count(*cell).into()));
        member(group.title, Value::Object(counts.collect()));
    }
    member("queued", totals.queued().into());
    let oldest = u64::try_from(reading.oldest.as_millis()).unwrap_or(u64::MAX);
    member("oldest_queued_ms", oldest.into());
    member("in_flight", totals.in_flight().into());
    member("forwarders", totals.count(Cell::Forwarders).into());
    let BreakerReading { state, failures, since, until, opened } = reading.breaker;
    let breaker = json!({
        "state": state, "failures": failures, "since": since, "until": until, "opened": opened
    });
    member("breaker", breaker);
    let SampleReading { asked, effective, adapt, lowered, cause, usual } = reading.sample;
    let sample = json!({
        "percent": asked, "effective_percent": effective,
        "adapt": adapt, "lowered": lowered, "cause": cause, "usual_us": usual
    });
    member("sample", sample);
    let [configured, effective] = reading.limit.map(|rate| rate.map(Rate::copies));
    member("rate", json!({ "configured": configured, "effective": effective }));
    member("compared", super::compare::json::counts(|count| reading.compared(count)));
    member("unanswered", totals.count(Cell::Unanswered).into());
    member("bytes_sent", totals.count(Cell::BytesSent).into());
    member("bytes_received", totals.count(Cell::BytesReceived).into());
    let rates = WINDOWS.iter().zip(reading.rates).map(|((name, _), rate)| {
        ((*name).to_owned(), rate.map_or(Value::Null, |rate| self::rate(&rate)))
    });
    member("rates", Value::Object(rates.collect()));
    let quantiles = QUANTILES.map(|(name, share)| (name, totals.latency(share)));
    let latencies = [("mean", reading.mean())].into_iter().chain(quantiles);
    let latencies = latencies.map(|(name, latency)| (name.to_owned(), micros(latency).into()));
    member("latency_us", Value::Object(latencies.collect()));
    let buckets = totals.latency_histogram().filter(|(_, count)| *count > 0);
    let buckets =
        buckets.map(|(below, count)| json!({ "below": micros(Some(below)), "count": count }));
    member("latency_histogram_us", buckets.collect::<Vec<_>>().into());
    Value::Object(target)
}

fn settings(settings: &Settings) -> Value {
    let Overrides { sample, rate } = settings.overrides;
    json!({
        "on": settings.is_on,
        "configured_on": settings.is_configured_on,
        "sample_percent": sample.map(|share| f64::from(share.parts()) / 1_000.0),
        "rate": rate.map(Rate::copies),
        "differ": settings.differ(),
    })
}

fn rate(rate: &Flow) -> Value {
    let Flow { selected, delivered, failed, dropped } = rate;
    json!({ "selected": selected, "delivered": delivered, "failed": failed, "dropped": dropped })
}

pub(super) fn micros(latency: Option<Duration>) -> u64 {
    latency.map_or(0, |latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX))
}
