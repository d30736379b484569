//! A JSON document, with names that stay: docs/compare.md lists them all.

use serde_json::{Map, Value, json};

use super::{Comparisons, Stood, TargetComparisons};
use crate::compare::report::{Counts, Evicted, RouteReport};
use crate::compare::{Example, Verdict};
use crate::comparing::Count;

pub(in super::super) fn page(comparisons: &Comparisons) -> String {
    let targets: Vec<Value> = comparisons.targets.iter().map(of_target).collect();
    json!({ "version": 1, "now": comparisons.taken, "targets": targets }).to_string()
}

/// How often each was counted, by its name.
pub(in super::super) fn counts(counted: impl Fn(Count) -> u64) -> Value {
    let counts = Count::ALL.iter().map(|count| (count.name().to_owned(), counted(*count).into()));
    Value::Object(counts.collect::<Map<_, _>>())
}

fn of_target(target: &TargetComparisons) -> Value {
    let routes = target.routes();
    let routes: Vec<Value> = routes.iter().map(|(route, c)| of_route(target, route, *c)).collect();
    let Evicted { routes: evicted, compared: unlisted, rows, .. } = target.evicted();
    let Counts { compared, equal, noise, differing } = target.total();
    json!({
        "name": target.name,
        "counted": counts(|count| target.counted(count)),
        "compared": compared, "equal": equal, "noise": noise, "differing": differing,
        "median_ratio": target.report.median_ratio(),
        "verdict": verdict(&target.verdict),
        "evicted": { "routes": evicted, "compared": unlisted, "differences": rows },
        "routes": routes,
    })
}

pub(super) fn verdict(verdict: &Verdict) -> Value {
    let reasons = match verdict {
        Verdict::Pass => Vec::new(),
        Verdict::Fail(reasons) => reasons.iter().map(ToString::to_string).collect(),
    };
    json!({ "pass": *verdict == Verdict::Pass, "reasons": reasons })
}

fn of_route(target: &TargetComparisons, route: &RouteReport, counts: Counts) -> Value {
    let Counts { compared, equal, noise, differing } = counts;
    let differences: Vec<Value> = target.differences(route).iter().map(of_row).collect();
    let mean = |sum: u64| sum.checked_div(route.compared).unwrap_or_default();
    json!({
        "route": route.route.as_str(),
        "compared": compared, "equal": equal, "noise": noise, "differing": differing,
        "controlled": route.controlled,
        "first": route.first, "last": route.last,
        "production_mean_us": mean(route.production_micros),
        "staging_mean_us": mean(route.staging_micros),
        "median_ratio": route.median_ratio(),
        "differences": differences,
    })
}

fn of_row((row, standing): &Stood<'_>) -> Value {
    let examples = row.examples.iter().flatten();
    let examples: Vec<Value> = examples
        .map(|Example { production, staging }| json!({ "production": production, "staging": staging }))
        .collect();
    json!({
        "path": row.path, "change": row.change.name(), "standing": standing.name(),
        "differing": row.differing, "places": row.places, "control": row.control,
        "first": row.first, "last": row.last,
        "examples": examples,
    })
}
