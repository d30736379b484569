//! The page for a browser: readable without any script, light and dark, wide and narrow.
//!
//! maud escapes every value that is put between tags or into attributes; nothing here goes around it but the
//! style sheet, which is ours, and drawings, which are made of numbers alone.

mod chart;
pub(super) mod compare;
mod controls;
mod figures;
mod target;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::counters::COST_QUANTILES;
use super::reading::{Reading, TargetReading};
use crate::stats::Cell;
use figures::{ago, bytes, count, percent, rate, short};

pub use controls::{Controls, Notice};

const STYLE: &str = include_str!("style.css");

/// The whole page; with controls, that of copy-manager.
pub(super) fn page(
    reading: &Reading,
    refresh: Option<u32>,
    controls: Option<&Controls<'_>>,
) -> String {
    let title = if controls.is_some() { "Copy manager" } else { "Copy status" };
    let (present, former): (Vec<_>, Vec<_>) =
        reading.targets.iter().partition(|target| target.target.is_some());
    let main = html! {
        @if let Some(controls) = controls { (controls.notice()) }
        (answers(reading))
        @if let Some(controls) = controls { (controls.for_all(&present)) }
        @if present.is_empty() {
            p.none { "No target is configured: nothing is copied." }
        } @else {
            (overview(&present, controls.is_some()))
        }
        @for target in &present { (target::section(reading, target, controls)) }
        (former_targets(&former))
    };
    let masthead = masthead(reading, refresh, controls.is_none());
    document(title, refresh, &masthead, &main, &footer())
}

/// A whole page of ours.
fn document(
    title: &str,
    refresh: Option<u32>,
    masthead: &Markup,
    main: &Markup,
    footer: &Markup,
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                @if let Some(seconds) = refresh {
                    meta http-equiv="refresh" content=(seconds);
                }
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    (masthead)
                }
                main { (main) }
                (footer)
            }
        }
    };
    page.into_string()
}

/// What mod_status shows of us on its own page, in its manner.
pub(super) fn section(reading: &Reading) -> String {
    let present: Vec<&TargetReading> =
        reading.targets.iter().filter(|target| target.target.is_some()).collect();
    let section = html! {
        hr;
        h2 { "mod_copy" }
        dl {
            dt { "What it costs production: " (cost_in_words(reading)) }
            dt { "Memory of copies: " (memory_in_words(reading)) }
        }
        (overview(&present, false))
    };
    section.into_string()
}

fn masthead(reading: &Reading, refresh: Option<u32>, is_status: bool) -> Markup {
    let version = env!("CARGO_PKG_VERSION");
    let since = ago(reading.taken.saturating_sub(reading.started));
    html! {
        p.about {
            "mod_copy " (version) ", counting for " (since) ", in "
            (count(reading.memory.children)) @if reading.memory.children == 1 { " child" } @else { " children" }
            @if reading.faults > 0 {
                ", " strong.bad { (count(reading.faults)) " faults caught (CPY0091)" }
            }
            @if reading.unlogged > 0 {
                ", " strong.bad { (count(reading.unlogged)) " lines of CopyLog dropped" }
            }
        }
        nav {
            @if is_status {
                span { "Refresh: " }
                @for seconds in [5, 30] {
                    @if refresh == Some(seconds) { strong { (seconds) " s" } }
                    @else { a href={ "?refresh=" (seconds) } { (seconds) " s" } }
                    " "
                }
                @if refresh.is_some() { a href="?html" { "off" } } @else { strong { "off" } }
                span.formats {
                    @if reading.compares { " " a href="?compare" { "compare" } }
                    @for format in ["text", "auto", "json", "prometheus"] {
                        " " a href={ "?" (format) } { (format) }
                    }
                }
            } @else {
                a href="?" { "Reload" } " " a href="?json" { "json" }
            }
        }
    }
}

/// The operator's first two questions, answered.
fn answers(reading: &Reading) -> Markup {
    html! {
        section.answers {
            div.card {
                h2 { "Is it hurting production?" }
                dl {
                    dt { "requests spend in it" } dd { (cost_in_words(reading)) }
                    dt { "memory of copies" } dd { (memory_in_words(reading)) (memory_bar(reading)) }
                }
            }
            div.card {
                h2 { "Is it working?" }
                dl {
                    dt { "copies selected" } dd { (selected_in_words(reading)) }
                    dt { "of those with an outcome" } dd { (delivered_in_words(reading)) }
                }
            }
        }
    }
}

fn cost_in_words(reading: &Reading) -> Markup {
    let costs = &reading.costs;
    let Some(share) = costs.share() else {
        return html! { "not measured yet" };
    };
    html! {
        strong { (percent(share)) } " of their time: "
        @for (index, (name, share)) in COST_QUANTILES.iter().enumerate() {
            @if index > 0 { ", " }
            (quantile_name(name)) " " (short(costs.quantile(*share).unwrap_or_default()))
        }
        " " span.small { "(" (count(costs.count())) " requests timed, one in 64)" }
    }
}

/// `p999` as people write it.
fn quantile_name(name: &str) -> &str {
    if name == "p999" { "p99.9" } else { name }
}

fn memory_in_words(reading: &Reading) -> Markup {
    let memory = reading.memory;
    html! {
        strong { (bytes(memory.most)) } " of " (bytes(memory.limit)) " in the fullest child, "
        (bytes(memory.used)) " in all"
    }
}

fn memory_bar(reading: &Reading) -> Markup {
    let memory = reading.memory;
    html! {
        meter min="0" max=(memory.limit.max(1)) high=(memory.limit.max(1) / 10 * 8) value=(memory.most) {
            (memory.most) " of " (memory.limit)
        }
    }
}

fn selected_in_words(reading: &Reading) -> Markup {
    let selected: u64 = sum(reading, &[Cell::Selected]);
    let now: Option<f64> = reading
        .targets
        .iter()
        .filter_map(|target| target.rates.first().copied().flatten().map(|rate| rate.selected))
        .reduce(|one, other| one + other);
    html! {
        strong { (count(selected)) }
        @if let Some(now) = now { ", " (rate(now)) " now" }
    }
}

fn delivered_in_words(reading: &Reading) -> Markup {
    let outcomes = sum(reading, &Cell::OUTCOMES);
    if outcomes == 0 {
        return html! { "none yet" };
    }
    let share = |cells: &[Cell]| percent(sum(reading, cells) as f64 / outcomes as f64);
    html! {
        strong { (share(Cell::DELIVERED)) } " delivered, "
        (share(Cell::FAILED)) " failed, " (share(Cell::DROPPED)) " dropped"
    }
}

fn sum(reading: &Reading, cells: &[Cell]) -> u64 {
    reading.targets.iter().map(|target| target.totals.sum(cells)).sum()
}

fn overview(targets: &[&TargetReading], with_controls: bool) -> Markup {
    html! {
        div.scroll { table.overview {
            thead { tr {
                th scope="col" { "target" } th scope="col" { "state" }
                th.n scope="col" { "now" } th.n scope="col" { "1 min" } th.n scope="col" { "15 min" }
                th.n scope="col" { "selected" } th.n scope="col" { "delivered" }
                th.n scope="col" { "failed" } th.n scope="col" { "dropped" }
                th.n scope="col" { "queued" } th.n scope="col" { "in flight" }
                th.n scope="col" { "p99" }
                @if !with_controls { th scope="col" { "15 minutes" } }
            } }
            tbody { @for target in targets { (row(target, with_controls)) } }
        } }
    }
}

fn row(target: &TargetReading, with_controls: bool) -> Markup {
    let totals = &target.totals;
    let sums = [Cell::DELIVERED, Cell::FAILED, Cell::DROPPED].map(|cells| totals.sum(cells));
    html! {
        tr {
            th scope="row" { a href={ "#" (target::anchor(target)) } { bdi { (target.name()) } } }
            td { (target::state(target)) }
            @for window in target.rates {
                td.n { @if let Some(window) = window { (rate(window.selected)) } @else { "–" } }
            }
            td.n { (count(totals.count(Cell::Selected))) }
            @for (sum, class) in sums.iter().zip(["", "bad", "warn"]) {
                td.n.(if *sum > 0 { class } else { "" }) { (count(*sum)) }
            }
            td.n { (count(totals.queued())) }
            td.n { (count(totals.in_flight())) }
            td.n { @if let Some(p99) = totals.latency(0.99) { "< " (short(p99)) } @else { "–" } }
            @if !with_controls { td { (chart::spark(&target.series)) } }
        }
    }
}

/// Targets whose counters are kept, though the configuration no longer has them.
fn former_targets(targets: &[&TargetReading]) -> Markup {
    html! {
        @if !targets.is_empty() {
            details {
                summary { (targets.len()) " targets of earlier configurations" }
                (overview(targets, false))
            }
        }
    }
}

fn footer() -> Markup {
    footer_of(
        "Rates are of copies selected; latencies are upper bounds within a factor of two. Each target's delivered, \
         failed and dropped copies add up to those selected, once none waits.",
    )
}

fn footer_of(text: &str) -> Markup {
    html! { footer { p { (text) } } }
}
