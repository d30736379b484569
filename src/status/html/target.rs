//! One target's part of the page.

use std::time::Duration;

use maud::{Markup, html};

use super::chart;
use super::controls::Controls;
use super::figures::{ago, bytes, count, rate, short};
use crate::stats::Cell;
use crate::status::counters::{GROUPS, QUANTILES, spoken};
use crate::status::rates::WINDOWS;
use crate::status::reading::{Reading, SampleReading, TargetReading};
use crate::status::text::set_by_hand;

/// Where in the page the target is: its place says it, for a name may be anything.
pub(super) fn anchor(target: &TargetReading) -> String {
    format!("target-{}", target.totals.slot.index())
}

/// How things are, in one word and a colour.
pub(super) fn state(target: &TargetReading) -> Markup {
    let state = target.state();
    let class = match state {
        "copying" => "good",
        "behind" => "warn",
        "paused" | "probing" => "bad",
        _ => "off",
    };
    html! {
        span.state.(class) { (state) }
        @if target.settings.differ() { " " span.mark title="otherwise than configured" { "by hand" } }
    }
}

pub(super) fn section(
    reading: &Reading,
    target: &TargetReading,
    controls: Option<&Controls<'_>>,
) -> Markup {
    html! {
        section.target id=(anchor(target)) {
            h2 { bdi { (target.name()) } " " (state(target)) }
            @if let Some(to) = target.target.as_ref().map(|target| target.destination.to_string())
                && to != target.name() { p.url { (to) } }
            @if let Some(controls) = controls { (controls.for_target(target)) }
            div.columns {
                (now(reading, target))
                (outcomes(target))
                div { (chart::history(&target.series)) (latency(target)) }
            }
        }
    }
}

fn now(reading: &Reading, target: &TargetReading) -> Markup {
    let totals = &target.totals;
    html! {
        table.facts {
            caption { "now" }
            @for ((name, _), window) in WINDOWS.iter().zip(target.rates) {
                (fact(&format!("rate, {}", window_name(name)), html! {
                    @if let Some(window) = window { (rate(window.selected)) } @else { "not known yet" }
                }))
            }
            (fact("sample", sample(target)))
            (fact("most a second", html! {
                @match target.limit {
                    [_, None] => "no limit",
                    [configured, Some(rate)] => {
                        (rate)
                        @if configured != Some(rate) { (by_hand()) }
                    }
                }
            }))
            (fact("queued", html! {
                (count(totals.queued()))
                @if let Some(target) = &target.target { " of " (count(target.pool.queue as u64)) " in each child" }
            }))
            (fact("oldest waits", html! {
                @if target.oldest.is_zero() { "–" } @else { (short(round(target.oldest))) }
            }))
            (fact("in flight", html! { (count(totals.in_flight())) }))
            (fact("forwarders", html! { (count(totals.count(Cell::Forwarders))) }))
            (fact("breaker", breaker(reading, target)))
            (fact("unanswered", html! { (count(totals.count(Cell::Unanswered))) }))
            (fact("sent", html! { (bytes(totals.count(Cell::BytesSent))) }))
            (fact("received", html! { (bytes(totals.count(Cell::BytesReceived))) }))
            @if let Some(set) = set_by_hand(&target.settings) { (fact("by hand", html! { (set) })) }
        }
    }
}

fn window_name(name: &str) -> &str {
    match name {
        "1m" => "1 min",
        "15m" => "15 min",
        _ => name,
    }
}

/// The share of requests that is copied.
fn sample(target: &TargetReading) -> Markup {
    let SampleReading { asked, effective, adapt, lowered, cause, .. } = &target.sample;
    html! {
        (effective) " %"
        @if target.settings.overrides.sample.is_some() { (by_hand()) }
        @if effective != asked { ", configured " (asked) " %" }
        @if *adapt == "on" && *lowered > 0 { ", lowered " (count(*lowered)) " times, last by " (cause) }
    }
}

fn by_hand() -> Markup {
    html! { " " span.mark { "by hand" } }
}

fn fact(name: &str, value: Markup) -> Markup {
    html! { tr { th scope="row" { (name) } td { (value) } } }
}

fn breaker(reading: &Reading, target: &TargetReading) -> Markup {
    let breaker = &target.breaker;
    let since = ago(reading.taken.saturating_sub(breaker.since));
    html! {
        (breaker.state)
        @match breaker.state {
            "off" => {}
            "closed" => {
                " for " (since)
                @if breaker.failures > 0 { ", " (count(breaker.failures)) " failures in a row" }
            }
            _ => {
                " for " (since) ", next try in " (breaker.until.saturating_sub(reading.taken)) " s"
            }
        }
        @match breaker.opened {
            0 => {}
            1 => ", opened once",
            times => { ", opened " (count(times)) " times" }
        }
    }
}

fn outcomes(target: &TargetReading) -> Markup {
    let totals = &target.totals;
    html! {
        table.facts {
            caption { "since counting began" }
            tr { th scope="row" { "selected" } td.n { (count(totals.count(Cell::Selected))) } }
            @for (group, class) in GROUPS.iter().zip(["good", "bad", "warn", "off"]) {
                tr.group {
                    th scope="row" { i.(class) {} (spoken(group.title)) }
                    td.n { (count(group.sum(totals))) }
                }
                @for (name, number) in group.counted(totals) {
                    tr.member { th scope="row" { (spoken(name)) } td.n { (count(number)) } }
                }
            }
        }
    }
}

fn latency(target: &TargetReading) -> Markup {
    html! {
        (chart::latencies(&target.totals))
        @if let Some(mean) = target.mean() {
            p.small {
                "mean " (short(mean))
                @for (name, share) in QUANTILES {
                    @if let Some(latency) = target.totals.latency(share) { ", " (name) " < " (short(latency)) }
                }
            }
        }
    }
}

fn round(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
