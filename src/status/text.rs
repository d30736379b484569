//! The counters for whoever reads them in a terminal.

use std::fmt::{Result, Write};

use super::counters::{COST_QUANTILES, GROUPS, QUANTILES, spoken};
use super::rates::WINDOWS;
use super::reading::{BreakerReading, Reading, SampleReading, TargetReading};
use crate::select::Rate;
use crate::stats::{Cell, Settings};

pub(super) fn page(reading: &Reading) -> String {
    let started = reading.started;
    let mut page = format!("mod_copy {}, counting since {started}\n", env!("CARGO_PKG_VERSION"));
    // Writing to a String cannot fail.
    let _ = server(&mut page, reading);
    if reading.targets.is_empty() {
        page.push_str("\nno target is configured\n");
    }
    for target in &reading.targets {
        let _ = of_target(&mut page, target);
    }
    page
}

fn server(page: &mut String, reading: &Reading) -> Result {
    if reading.faults > 0 {
        writeln!(page, "\nfaults of mod_copy that were caught: {}", reading.faults)?;
    }
    if reading.unlogged > 0 {
        writeln!(page, "\nlines of CopyLog that were dropped: {}", reading.unlogged)?;
    }
    let memory = reading.memory;
    if memory.children > 0 {
        write!(page, "\nmemory       {} bytes in {} children", memory.used, memory.children)?;
        writeln!(page, ", at most {} of {} in one", memory.most, memory.limit)?;
    }
    if let Some(share) = reading.costs.share() {
        write!(page, "cost         {:.4} % of requests' time", share * 100.0)?;
        for (name, share) in COST_QUANTILES {
            let cost = reading.costs.quantile(share).unwrap_or_default();
            write!(page, ", {name} below {:.1} µs", cost.as_secs_f64() * 1e6)?;
        }
        writeln!(page)?;
    }
    Ok(())
}

fn of_target(page: &mut String, target: &TargetReading) -> Result {
    let totals = &target.totals;
    writeln!(page, "\n{}", target.name_in_line())?;
    if let Some(set) = set_by_hand(&target.settings) {
        writeln!(page, "  by hand    {set}")?;
    }
    writeln!(page, "  {:<11}{}", "selected", totals.count(Cell::Selected))?;
    for group in &GROUPS {
        write!(page, "  {:<11}{}", spoken(group.title), group.sum(totals))?;
        let mut lead = " (";
        for (name, count) in group.counted(totals) {
            write!(page, "{lead}{} {count}", spoken(name))?;
            lead = ", ";
        }
        writeln!(page, "{}", if lead == ", " { ")" } else { "" })?;
    }
    let (queued, in_flight) = (totals.queued(), totals.in_flight());
    let forwarders = totals.count(Cell::Forwarders);
    writeln!(page, "  now        {queued} queued, {in_flight} in flight, {forwarders} forwarders")?;
    if !target.oldest.is_zero() {
        writeln!(page, "  oldest     waits for {:.1} s", target.oldest.as_secs_f64())?;
    }
    if target.rates.iter().any(Option::is_some) {
        write!(page, "  rate      ")?;
        let mut lead = " ";
        for ((name, _), rate) in WINDOWS.iter().zip(target.rates) {
            if let Some(rate) = rate {
                write!(page, "{lead}{:.1}/s {name}", rate.selected)?;
                lead = ", ";
            }
        }
        writeln!(page)?;
    }
    breaker(page, &target.breaker)?;
    sample(page, &target.sample)?;
    limit(page, target.limit)?;
    writeln!(page, "  {:<11}{}", "unanswered", totals.count(Cell::Unanswered))?;
    let (sent, received) = (totals.count(Cell::BytesSent), totals.count(Cell::BytesReceived));
    writeln!(page, "  bytes      {sent} sent, {received} received")?;
    latency(page, target)
}

fn latency(page: &mut String, target: &TargetReading) -> Result {
    write!(page, "  latency   ")?;
    match target.mean() {
        None => write!(page, " none yet")?,
        Some(mean) => write!(page, " mean {} µs", mean.as_micros())?,
    }
    for (name, share) in QUANTILES {
        if let Some(latency) = target.totals.latency(share) {
            write!(page, ", {name} below {} µs", latency.as_micros())?;
        }
    }
    writeln!(page)
}

fn breaker(page: &mut String, breaker: &BreakerReading) -> Result {
    let BreakerReading { state, failures, since, until, opened } = breaker;
    write!(page, "  breaker    {state}")?;
    match *state {
        "off" => return writeln!(page),
        "closed" => write!(page, " since {since}, failures in a row {failures}")?,
        _ => write!(page, " since {since}, next try at {until}")?,
    }
    writeln!(page, ", opened {opened}")
}

fn sample(page: &mut String, sample: &SampleReading) -> Result {
    let SampleReading { asked, effective, adapt, lowered, cause, usual } = sample;
    write!(page, "  sample     {asked}%")?;
    if effective != asked {
        write!(page, ", now {effective}%")?;
    }
    if *adapt == "on" {
        write!(page, ", lowered {lowered}, last cause {cause}, usual {usual} µs")?;
    }
    writeln!(page)
}

fn limit(page: &mut String, limit: [Option<Rate>; 2]) -> Result {
    let told = |rate: Option<Rate>| rate.map_or("no limit".to_owned(), |rate| rate.to_string());
    match limit {
        [None, None] => Ok(()),
        [configured, effective] if configured == effective => {
            writeln!(page, "  at most    {}", told(effective))
        }
        [configured, effective] => {
            writeln!(page, "  at most    {}, configured {}", told(effective), told(configured))
        }
    }
}

/// What an operator has set otherwise than it is configured.
pub(super) fn set_by_hand(settings: &Settings) -> Option<String> {
    let mut set = Vec::new();
    if settings.is_on != settings.is_configured_on {
        set.push(format!("switched {}", if settings.is_on { "on" } else { "off" }));
    }
    set.extend(settings.overrides.sample.map(|sample| format!("sample {sample}")));
    set.extend(settings.overrides.rate.map(|rate| format!("rate {rate}")));
    (!set.is_empty()).then(|| set.join(", "))
}
