//! How the cost grows with targets and child processes.

use crate::Plan;
use crate::cores;
use crate::exchange::all;
use crate::load::Pace;
use crate::mpm::Mpm;
use crate::pair::{Pair, Subject, cpu, pair};
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

/// What copies add to the CPU time of a request, for each case.
pub fn measure(plan: &Plan, table: &mut Table) {
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
