//! What copies take of a child's memory: 1,024 of them queued, and 10,000 of them per second.

use std::fs;
use std::time::Duration;

use crate::faults::ends_soon;
use crate::load::{self, Pace};
use crate::mpm::Mpm;
use crate::pair::{Subject, rate, run_over};
use crate::production::{self, Module, Request};
use crate::server::Server;
use crate::sink::{Backends, Staging};
use crate::table::{Required, Table};
use crate::{Plan, processes, wait};

const QUEUED: u64 = 1024;
const RATE: f64 = 10_000.0;

/// Fills a child's queue, and sees what its memory grew by; then the same under load.
pub fn measure(plan: &Plan, table: &mut Table) {
    let mut grown = [Vec::new(), Vec::new()];
    for round in 0..plan.rounds {
        eprintln!("memory, {} of {} …", round + 1, plan.rounds);
        let [resident, proportional] = grow();
        grown[0].push(resident);
        grown[1].push(proportional);
    }
    let [resident, proportional] = grown;
    table.title(format!("{QUEUED} queued copies of 1 KiB"));
    table.row("growth of the child's RSS, MB", resident, Required::AtMost(8.0));
    table.row("growth of the child's PSS, MB", proportional, Required::AtMost(8.0));
    for request in [Request::Static, Request::POST] {
        let rounds: Vec<[f64; 2]> = (0..plan.rounds).map(|_| under_load(request, plan)).collect();
        let of = |at: usize| rounds.iter().map(|round| round[at]).collect();
        table.title(format!("{request}, {RATE:.0}/s asked for"));
        table.row("requests/s, mirrored", of(0), Required::Nothing);
        table.row("peak of the RSS over that of off, MB", of(1), Required::AtMost(8.0));
    }
}

/// What the child's RSS and PSS grow by, in megabytes.
fn grow() -> [f64; 2] {
    let backends = Backends::with(Staging::Stalled);
    let target = format!("{} max=1 queue={QUEUED} timeout=60s", backends.staging());
    let builder = production::configure(Mpm::Event, Module::On, &backends, &[target])
        .vhost("<Location \"/origin/warm\">\nMirrorRequest Off\n</Location>");
    let server = production::start_cold(ends_soon(builder, Module::On), &backends);
    let before = Peak::of(&server);
    // One is under way.
    let bytes = Request::POST.bytes();
    load::run(server.port(), &bytes, Pace::Count(QUEUED + 1), 32, &backends);
    wait::wait_for("a copy under way", || (backends.copies() == 1).then_some(()));
    let after = Peak::of(&server);
    server.status_when("a full queue", |status| status.sum("queued") == QUEUED);
    let grown = |figure: fn(&Peak) -> f64| (figure(&after) - figure(&before)) / 1e6;
    [grown(|peak| peak.resident), grown(|peak| peak.proportional)]
}

/// Requests per second, and what their copies add to the peak of the RSS, in megabytes.
fn under_load(request: Request, plan: &Plan) -> [f64; 2] {
    let backends = Backends::start();
    let [(_, off), (rate, on)] = [Module::Off, Module::On].map(|module| {
        let server = production::start(module, &backends);
        let subject = Subject::httpd(&server, request, 1);
        let pace = Pace::Rate(RATE, plan.run.max(Duration::from_secs(1)));
        let run = run_over(&subject, pace, 48, &backends);
        (rate(&run), Peak::of(&server).resident)
    });
    [rate, (on - off) / 1e6]
}

/// The memory of httpd's children, in bytes.
pub struct Peak {
    /// The largest RSS that they ever had.
    pub resident: f64,
    /// The PSS that they have now.
    proportional: f64,
}

impl Peak {
    pub fn of(server: &Server) -> Peak {
        let mut peak = Peak { resident: 0.0, proportional: 0.0 };
        for child in processes::children(server.pid()) {
            peak.resident += bytes(child, "status", "VmHWM:");
            peak.proportional += bytes(child, "smaps_rollup", "Pss:");
        }
        peak
    }
}

fn bytes(process: u32, file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}
