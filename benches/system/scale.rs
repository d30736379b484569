//! How the cost grows with targets, child processes, and requests at a time.

use crate::Plan;
use crate::cores;
use crate::exchange::all;
use crate::load::Pace;
use crate::mpm::Mpm;
use crate::pair::{Pair, Subject, cpu, pair, pair_over};
use crate::production::{self, Module, Request, sizes};
use crate::server::Server;
use crate::sink::Backends;
use crate::table::{Required, Table};

/// Requests per second: what four targets make of it is still bearable.
const RATE: f64 = 3000.0;

struct Case {
    name: &'static str,
    children: usize,
    targets: u64,
}

const CASES: [Case; 5] = [
    Case { name: "1 target, 1 child", children: 1, targets: 1 },
    Case { name: "2 targets, 1 child", children: 1, targets: 2 },
    Case { name: "4 targets, 1 child", children: 1, targets: 4 },
    Case { name: "1 target, 2 children", children: 2, targets: 1 },
    Case { name: "1 target, 4 children", children: 4, targets: 1 },
];

/// Requests at a time: what is kept of so many, the caches hold or not.
const AT_A_TIME: [usize; 4] = [2, 8, 16, 32];

/// Measures each.
pub fn measure(plan: &Plan, table: &mut Table) {
    by_spread(plan, table);
    for kib in [64, 1024] {
        by_requests_at_a_time(Request::Post(kib), plan, table);
    }
}

/// CPU as fast as it goes, by how many requests are under way together.
fn by_requests_at_a_time(request: Request, plan: &Plan, table: &mut Table) {
    eprintln!("a {request} by requests at a time …");
    let backends = Backends::start();
    let mut patience = plan.patience;
    let mut cases = AT_A_TIME.map(|at_a_time| (at_a_time, Vec::new()));
    for _ in 0..plan.pairs {
        let servers = [Module::Off, Module::On].map(|module| production::start(module, &backends));
        let [off, on] = [0, 1].map(|at| Subject::httpd(&servers[at], request, at as u64));
        cores::wait_for_quiet(&mut patience);
        for (at_a_time, pairs) in &mut cases {
            pairs.push(pair_over(&off, &on, &backends, Pace::Saturate(plan.run), *at_a_time));
        }
        // What a child has grown to is another's beginning.
        cases.reverse();
    }
    cases.sort_by_key(|(at_a_time, _)| *at_a_time);
    for (at_a_time, pairs) in &cases {
        table.title(format!("{request}, as fast as it goes, {at_a_time} at a time"));
        table.row("CPU ratio", all(pairs, |pair| pair.ratio(cpu)), Required::Nothing);
        let noise = all(pairs, |pair| pair.noise(cpu));
        table.row("noise: CPU ratio, off", noise, Required::Nothing);
        let forwarders = all(pairs, |pair| pair.on.forwarders);
        table.row("of 1,000 requests, in the forwarders, ms", forwarders, Required::Nothing);
        let busy = all(pairs, |pair| pair.off(|run| run.busy));
        table.row("production's core busy, off, %", busy, Required::Nothing);
        let delivered = all(pairs, |pair| pair.on.delivered);
        table.row("copies delivered, %", delivered, Required::Nothing);
        table.others(all(pairs, |pair| pair.on.others.max(pair.off(|run| run.others))));
    }
}

/// What copies add to the CPU time of a request, by how many targets and child processes there are.
fn by_spread(plan: &Plan, table: &mut Table) {
    let mut patience = plan.patience;
    table.title(format!("CPU added to a {}, {RATE:.0}/s, µs", Request::POST));
    for Case { name, children, targets } in CASES {
        eprintln!("{name} …");
        let backends = Backends::start();
        let [off, on] = [(Module::Off, 0), (Module::On, targets)].map(|(module, targets)| {
            let server = start(module, &backends, children, targets);
            (Subject::httpd(&server, Request::POST, targets), server)
        });
        cores::wait_for_quiet(&mut patience);
        let pairs: Vec<Pair> = (0..plan.rounds)
            .map(|_| pair(&off.0, &on.0, &backends, Pace::Rate(RATE, plan.run)))
            .collect();
        table.row(name, all(&pairs, |pair| pair.added(cpu)), Required::Nothing);
        table.others(all(&pairs, |pair| pair.on.others.max(pair.off(|run| run.others))));
    }
}

fn start(module: Module, backends: &Backends, children: usize, targets: u64) -> Server {
    let target = |number| format!("{} name=target-{number}", backends.staging());
    let targets: Vec<String> = (0..targets).map(target).collect();
    let builder = production::configure(Mpm::Event, module, backends, &targets);
    production::start_as(builder.global(sizes(Mpm::Event, children, 64)), backends)
}
