//! What mirroring costs while staging is well: throughput, CPU, latency, for each kind of request.

use std::time::Duration;

use crate::cores;
use crate::load::Pace;
use crate::pair::{self, Figure, Pair, Subject, cpu, p50, p99, p999, pair, rate, typical_p99};
use crate::production::{self, Module, Request};
use crate::server::Server;
use crate::sink::Backends;
use crate::status::Status;
use crate::table::{Required, Table};
use crate::{Plan, table};

/// All pairs of one kind of request.
struct Kind {
    request: Request,
    /// At half of what production does at most.
    rate: Option<f64>,
    saturated: Vec<Pair>,
    half: Vec<Pair>,
}

/// Measures on httpds that are started anew for each round.
pub fn measure(plan: &Plan, table: &mut Table) {
    let backends = Backends::start();
    let new = |request| Kind { request, rate: None, saturated: Vec::new(), half: Vec::new() };
    let mut kinds = Request::ALL.map(new);
    let mut elsewhere = new(Request::POST);
    let mut patience = plan.patience;
    for round in 0..plan.pairs {
        eprintln!("exchange, {} of {} …", round + 1, plan.pairs);
        let [off, other, on] = [Module::Off, Module::Elsewhere, Module::On]
            .map(|module| production::start(module, &backends));
        for kind in &mut kinds {
            cores::wait_for_quiet(&mut patience);
            kind.measure([&off, &on], 1, plan.run, &backends);
        }
        elsewhere.measure([&off, &other], 0, plan.run, &backends);
        let status = on.status_when("an outcome for every copy", Status::is_drained);
        status.assert_promise_3();
    }
    for kind in &kinds {
        kind.report_saturated(table);
        kind.report_half(table);
    }
    report_elsewhere(table, &elsewhere);
    let added = |kind: &Kind| table::median_of(kind.half.iter().map(|pair| pair.added(cpu)));
    let posts = [2, 3, 4].map(|at: usize| added(&kinds[at]));
    report_size(table, posts);
}

impl Kind {
    fn measure(&mut self, [off, on]: [&Server; 2], copies: u64, time: Duration, with: &Backends) {
        let off = Subject::httpd(off, self.request, 0);
        let on = Subject::httpd(on, self.request, copies);
        let saturated = pair(&off, &on, with, Pace::Saturate(time));
        let rate = *self.rate.get_or_insert_with(|| round(saturated.off(rate) / 2.0));
        self.saturated.push(saturated);
        self.half.push(pair(&off, &on, with, Pace::Rate(rate, time)));
    }

    fn report_saturated(&self, table: &mut Table) {
        let small = self.request == Request::POST;
        let cpu_ratio = match self.request {
            Request::Post(1) => Required::AtMost(1.30),
            Request::Post(_) => Required::AtMost(1.35),
            _ => Required::Nothing,
        };
        let throughput = if small { Required::AtLeast(0.78) } else { Required::Nothing };
        let delivered = match self.request {
            Request::Post(_) => Required::Always(100.0),
            _ => Required::Nothing,
        };
        let pairs = &self.saturated;
        table.title(format!("{}, as fast as it goes", self.request));
        both(table, ["requests/s, off", "requests/s, mirrored"], pairs, rate);
        table.row("throughput ratio", all(pairs, |pair| pair.ratio(rate)), throughput);
        let names = ["CPU of 1,000 requests, off, ms", "CPU of 1,000 requests, mirrored, ms"];
        both(table, names, pairs, cpu);
        table.row("CPU ratio", all(pairs, |pair| pair.ratio(cpu)), cpu_ratio);
        let forwarders = all(pairs, |pair| pair.on.forwarders);
        table.row("of it in the forwarders, ms", forwarders, Required::Nothing);
        table.row("copies delivered, %", all(pairs, |pair| pair.on.delivered), delivered);
        let noise = all(pairs, |pair| pair.noise(rate));
        table.row("noise: throughput ratio, off", noise, Required::Nothing);
        table.row("noise: CPU ratio, off", all(pairs, |pair| pair.noise(cpu)), Required::Nothing);
        let busy = all(pairs, |pair| pair.off(|run| run.busy));
        table.row("production's core busy, off, %", busy, Required::Nothing);
        table.others(all(pairs, |pair| pair.on.others.max(pair.off(|run| run.others))));
    }

    fn report_half(&self, table: &mut Table) {
        let pairs = &self.half;
        let rate = self.rate.unwrap_or_default();
        table.title(format!("{}, at half of that: {rate:.0}/s, open loop", self.request));
        both(table, ["p50, off, µs", "p50, mirrored, µs"], pairs, p50);
        both(table, ["p99, off, µs", "p99, mirrored, µs"], pairs, p99);
        let p99_ratio = all(pairs, |pair| pair.ratio(p99));
        table.row("p99 ratio", p99_ratio, Required::AtMost(1.10));
        let typical = all(pairs, |pair| pair.ratio(typical_p99));
        table.row("p99 ratio, typical 50 ms", typical, Required::Nothing);
        both(table, ["p99.9, off, µs", "p99.9, mirrored, µs"], pairs, p999);
        table.row("noise: p99 ratio, off", all(pairs, |pair| pair.noise(p99)), Required::Nothing);
        let noise = all(pairs, |pair| pair.noise(typical_p99));
        table.row("noise: p99 ratio, typical 50 ms, off", noise, Required::Nothing);
        let busy = |run: &pair::Run| run.busy;
        let names = ["production's core busy, off, %", "production's core busy, mirrored, %"];
        both(table, names, pairs, busy);
        table.row("CPU ratio", all(pairs, |pair| pair.ratio(cpu)), Required::Nothing);
        let large = matches!(self.request, Request::Post(kib) if kib > 1);
        // A tenth of a core for 10,000 copies per second.
        let most = if large { Required::Nothing } else { Required::AtMost(10.0) };
        table.row("CPU added by a copy, µs", all(pairs, |pair| pair.added(cpu)), most);
        let noise = all(pairs, |pair| (pair.off[1].cpu - pair.off[0].cpu).abs());
        table.row("noise: CPU, off, µs", noise, Required::Nothing);
        let delivered = all(pairs, |pair| pair.on.delivered);
        table.row("copies delivered, %", delivered, Required::Always(100.0));
        table.others(all(pairs, |pair| pair.on.others.max(pair.off(|run| run.others))));
    }
}

fn report_elsewhere(table: &mut Table, kind: &Kind) {
    table.title(format!("{}, the module loaded, no target in scope", kind.request));
    let noise = all(&kind.half, |pair| (pair.off[1].cpu - pair.off[0].cpu).abs());
    let added = all(&kind.half, |pair| pair.added(cpu));
    table.row("CPU added, µs", added, Required::Noise(noise.clone()));
    table.row("noise: CPU, off, µs", noise, Required::Nothing);
    let throughput = all(&kind.saturated, |pair| pair.ratio(rate));
    table.row("throughput ratio", throughput, Required::Nothing);
}

/// What a copy costs by the size of its content: what it costs without any, and each 64 KiB of it.
fn report_size(table: &mut Table, [small, medium, large]: [f64; 3]) {
    table.title("CPU added by a copy, by its size, µs".into());
    table.row("whatever its size", vec![small], Required::Nothing);
    table.row("for 64 KiB, up to 64 KiB", vec![medium - small], Required::Nothing);
    table.row("for 64 KiB, up to 1 MiB", vec![(large - medium) / 15.0], Required::Nothing);
}

/// A figure without and with copies.
pub fn both(table: &mut Table, names: [&'static str; 2], pairs: &[Pair], figure: Figure) {
    let [off, on] = names;
    table.row(off, all(pairs, |pair| pair.off(figure)), Required::Nothing);
    table.row(on, all(pairs, |pair| figure(&pair.on)), Required::Nothing);
}

/// A figure of each pair.
pub fn all(pairs: &[Pair], figure: impl Fn(&pair::Pair) -> f64) -> Vec<f64> {
    pairs.iter().map(figure).collect()
}

/// Two significant digits.
pub fn round(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 1.0);
    (rate / unit).round() * unit
}
