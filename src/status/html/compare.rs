//! The page of comparisons for a browser: which routes differ, in what, and what of it is noise.

use std::time::Duration;

use maud::{Markup, html};

use super::figures::{ago, count, percent, short};
use super::{document, footer_of};
use crate::compare::noise::Standing;
use crate::compare::report::{Counts, RouteReport};
use crate::compare::{Example, Verdict};
use crate::comparing::Count;
use crate::status::compare::{Comparisons, Stood, TargetComparisons};

pub(in super::super) fn page(comparisons: &Comparisons, refresh: Option<u32>) -> String {
    let head = html! {
        p.about { "what staging answers otherwise than production" }
        nav {
            a href="?html" { "Copy status" }
            span.formats {
                @for format in ["text", "json"] { " " a href={ "?compare&" (format) } { (format) } }
                " " a href="?verdict" { "verdict" }
            }
        }
    };
    let main = html! {
        @if comparisons.targets.is_empty() {
            p.none { "Nothing was compared yet: CopyCompare says what is." }
        }
        @for target in &comparisons.targets { (of_target(target, comparisons.taken)) }
    };
    let footer = footer_of(
        "Noise is what a control differs in as often; probable noise, what changes in production's own answers from \
         one to the next. Neither fails the verdict.",
    );
    document("Copy compare", refresh, &head, &main, &footer)
}

fn of_target(target: &TargetComparisons, now: u64) -> Markup {
    let total = target.total();
    let routes = target.routes();
    html! {
        section.target id={ "target-" (target.slot.index()) } {
            h2 { bdi { (target.name) } " " (verdict(&target.verdict)) }
            @if let Verdict::Fail(reasons) = &target.verdict {
                ul.reasons { @for reason in reasons { li { (reason) } } }
            }
            p {
                strong { (count(total.compared)) } " compared: "
                (share(total.equal, total.compared)) " equal, "
                (share(total.noise, total.compared)) " in noise alone, "
                strong.(if total.differing > 0 { "bad" } else { "" }) { (share(total.differing, total.compared)) }
                " differ"
                @if let Some(ratio) = target.report.median_ratio() { ". Staging takes " (times(ratio)) }
            }
            (bar(&total))
            p.small {
                (count(target.counted(Count::Shed))) " shed for want of time or memory, "
                (count(target.counted(Count::Unpaired))) " without one of the answers"
                @if target.evicted().routes > 0 {
                    ", " (count(target.evicted().routes)) " routes that were seen least are not listed"
                }
            }
            @if !routes.is_empty() { (overview(target, &routes)) }
            @for (index, (route, counts)) in routes.iter().enumerate() {
                (of_route(target, route, *counts, (index, now)))
            }
        }
    }
}

fn verdict(verdict: &Verdict) -> Markup {
    match verdict {
        Verdict::Pass => html! { span.state.good { "pass" } },
        Verdict::Fail(_) => html! { span.state.bad { "fail" } },
    }
}

fn share(part: u64, whole: u64) -> String {
    percent(if whole == 0 { 0.0 } else { part as f64 / whole as f64 })
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2} × as long")
}

/// Equal, noise and differing, side by side.
fn bar(counts: &Counts) -> Markup {
    let Counts { compared, equal, noise, differing } = *counts;
    let share = |part: u64| 1000.0 * part as f64 / compared.max(1) as f64;
    let parts = [
        (0, equal, "good"),
        (equal, noise, "off"),
        (equal.saturating_add(noise), differing, "bad"),
    ];
    html! {
        svg.shares viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="shares" {
            @for (before, part, class) in parts {
                rect.(class) x=(share(before)) y="0" width=(share(part)) height="10" {}
            }
        }
    }
}

fn anchor(target: &TargetComparisons, index: usize) -> String {
    format!("route-{}-{index}", target.slot.index())
}

fn overview(target: &TargetComparisons, routes: &[(&RouteReport, Counts)]) -> Markup {
    html! {
        div.scroll { table.overview {
            thead { tr {
                th scope="col" { "route" } th.n scope="col" { "compared" } th.n scope="col" { "differ" }
                th.n scope="col" { "noise" } th.n scope="col" { "equal" } th.n scope="col" { "production" }
                th.n scope="col" { "staging" } th.n scope="col" { "median" }
            } }
            tbody { @for (index, (route, counts)) in routes.iter().enumerate() {
                tr {
                    th scope="row" { a href={ "#" (anchor(target, index)) } { bdi { (route.route) } } }
                    td.n { (count(counts.compared)) }
                    td.n.(if counts.differing > 0 { "bad" } else { "" }) { (share(counts.differing, counts.compared)) }
                    td.n { (share(counts.noise, counts.compared)) }
                    td.n { (share(counts.equal, counts.compared)) }
                    @for micros in [route.production_micros, route.staging_micros] {
                        td.n { (mean(micros, route.compared)) }
                    }
                    td.n { @if let Some(ratio) = route.median_ratio() { (times(ratio)) } @else { "–" } }
                }
            } }
        } }
    }
}

fn mean(micros: u64, compared: u64) -> String {
    short(Duration::from_micros(micros.checked_div(compared).unwrap_or_default()))
}

fn of_route(
    target: &TargetComparisons,
    route: &RouteReport,
    counts: Counts,
    (index, now): (usize, u64),
) -> Markup {
    let rows = target.differences(route);
    let is_open = rows.iter().any(|(_, standing)| *standing == Standing::Real);
    html! {
        details id=(anchor(target, index)) open[is_open] {
            summary {
                bdi { (route.route) } ": "
                @if rows.is_empty() { "no difference" } @else {
                    (count(counts.differing)) " of " (count(counts.compared)) " differ"
                }
                ", last compared " (ago(now.saturating_sub(route.last))) " ago"
                @if route.controlled > 0 { ", " (count(route.controlled)) " with a control" }
            }
            @if !rows.is_empty() { div.scroll { table.overview.differences {
                thead { tr {
                    th scope="col" { "where" } th scope="col" { "how" } th.n scope="col" { "differ" }
                    th scope="col" { "taken for" } th scope="col" { "production" } th scope="col" { "staging" }
                    th.n scope="col" { "last seen" }
                } }
                tbody { @for row in &rows { (of_row(row, counts.compared, now)) } }
            } } }
        }
    }
}

fn of_row((row, standing): &Stood<'_>, compared: u64, now: u64) -> Markup {
    let class = match standing {
        Standing::Real => "bad",
        Standing::Noise | Standing::ProbableNoise => "off",
    };
    let values = |value: fn(&Example) -> &str| {
        html! {
            td { @for example in row.examples.iter().flatten() { code { (value(example)) } } }
        }
    };
    html! {
        tr {
            th scope="row" { code { bdi { (row.path) } } }
            td { (row.change.name()) }
            td.n { (share(row.differing, compared)) }
            td { span.state.(class) { (standing.name()) } }
            (values(|example| &example.production))
            (values(|example| &example.staging))
            td.n { (ago(now.saturating_sub(row.last))) " ago" }
        }
    }
}
