//! What mirroring costs while staging is not well.

use std::time::Duration;

use crate::Plan;
use crate::conf::Builder;
use crate::cores;
use crate::exchange::{all, both};
use crate::load::Pace;
use crate::mpm::Mpm;
use crate::pair::{self, Pair, Subject, cpu, pair, rate};
use crate::production::{self, Module, Request};
use crate::server::Server;
use crate::sink::{Backends, Staging};
use crate::table::{Required, Table};

/// How long staging is unwell before anything is measured. Its breaker is open by then, but where it stalls, for no
/// exchange times out: all forwarders wait, and the queue is full.
const BEFORE: Duration = Duration::from_millis(1500);
/// Some hundredths of the throughput are to be told from noise: many pairs of runs, and short ones.
const MANY: usize = 6;
const SHORT: u32 = 4;

const CASES: [(&str, Staging); 4] = [
    ("staging slow: answers after 500 ms", Staging::Slow(Duration::from_millis(500))),
    ("staging stalled: reads, never answers", Staging::Stalled),
    ("staging dead: refuses connections", Staging::Dead),
    ("staging swallows SYNs", Staging::SwallowsSyn),
];

/// Measures POSTs of 1 KiB under each fault.
pub fn measure(plan: &Plan, table: &mut Table) {
    let mut patience = plan.patience;
    for (name, staging) in CASES {
        eprintln!("{name} …");
        let backends = Backends::with(staging);
        let [off, on] = [Module::Off, Module::On].map(|module| start(module, &backends));
        let [off, on] = [(&off, 0), (&on, 1)]
            .map(|(server, copies)| Subject::httpd(server, Request::POST, copies));
        pair::run(&on, Pace::Saturate(BEFORE), &backends);
        cores::wait_for_quiet(&mut patience);
        let pairs: Vec<Pair> = (0..MANY * plan.pairs)
            .map(|_| pair(&off, &on, &backends, Pace::Saturate(plan.run / SHORT)))
            .collect();
        table.title(format!("{}, as fast as it goes, {name}", Request::POST));
        both(table, ["requests/s, off", "requests/s, mirrored"], &pairs, rate);
        let required = match staging {
            Staging::Slow(_) => Required::Nothing,
            _ => Required::AtLeast(0.97),
        };
        table.row("throughput ratio", all(&pairs, |pair| pair.ratio(rate)), required);
        table.row("CPU ratio", all(&pairs, |pair| pair.ratio(cpu)), Required::Nothing);
        let noise = all(&pairs, |pair| pair.noise(rate));
        table.row("noise: throughput ratio, off", noise, Required::Nothing);
        table.others(all(&pairs, |pair| pair.on.others.max(pair.off(|run| run.others))));
    }
}

fn start(module: Module, backends: &Backends) -> Server {
    // No exchange times out, and no thread ends, while it is measured.
    let target = format!("{} timeout=1h ttl=1h", backends.staging());
    let builder = production::configure(Mpm::Event, module, backends, &[target]);
    production::start_as(ends_soon(builder, module), backends)
}

/// What staging will never answer is not waited for at the end.
pub fn ends_soon(builder: Builder, module: Module) -> Builder {
    match module {
        Module::Off => builder,
        _ => builder.global("CopyDrainTimeout 1ms"),
    }
}
