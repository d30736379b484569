//! Many exchanges at the same time: a staging that takes 500 ms for each of 2,000 copies per second.

use std::time::{Duration, Instant};

use crate::Plan;
use crate::cores;
use crate::load::Pace;
use crate::memory::Peak;
use crate::mpm::Mpm;
use crate::pair::{Run, Subject, p50, p99, run_over};
use crate::production::{self, Module, Request};
use crate::sink::{Backends, Staging};
use crate::table::{Required, Table};

const RATE: f64 = 2000.0;
const LATENCY: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 32;
/// Nearly all that are under way once there are enough connections: Little's law, less 5 %.
const NEEDED: usize = 950;

/// What one round gave.
struct Round {
    off: Run,
    on: Run,
    /// Seconds from a step until staging had [`NEEDED`] copies in its hand.
    after_load: f64,
    after_latency: f64,
    resident: f64,
}

pub fn measure(plan: &Plan, table: &mut Table) {
    let mut patience = plan.patience;
    let rounds: Vec<Round> = (0..plan.rounds)
        .map(|round| {
            eprintln!("concurrency, {} of {} …", round + 1, plan.rounds);
            measure_round(plan, &mut patience)
        })
        .collect();
    let all = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect();
    table.title(format!(
        "{}, {RATE:.0}/s, staging answers after {} ms, max=1500",
        Request::POST,
        LATENCY.as_millis()
    ));
    let delivered = all(&|round| round.on.delivered);
    table.row("copies delivered, %", delivered, Required::Always(100.0));
    table.row("RSS over that of off, MB", all(&|round| round.resident), Required::AtMost(100.0));
    table.row("p50, off, µs", all(&|round| p50(&round.off)), Required::Nothing);
    table.row("p50, mirrored, µs", all(&|round| p50(&round.on)), Required::Nothing);
    table.row("p99, off, µs", all(&|round| p99(&round.off)), Required::Nothing);
    table.row("p99, mirrored, µs", all(&|round| p99(&round.on)), Required::Nothing);
    let ratio = all(&|round| p99(&round.on) / p99(&round.off));
    table.row("p99 ratio", ratio, Required::AtMost(1.10));
    let added = all(&|round| round.on.cpu - round.off.cpu);
    table.row("CPU added by a copy, µs", added, Required::Nothing);
    // Half a second of it no pool can help: that long it takes until so many copies exist.
    let load = all(&|round| round.after_load);
    table.row("until 950 are under way, s: load steps", load, Required::AtMost(1.0));
    let latency = all(&|round| round.after_latency);
    table.row("until 950 are under way, s: latency steps", latency, Required::AtMost(1.0));
    table.others(all(&|round| round.on.others.max(round.off.others)));
}

fn measure_round(plan: &Plan, patience: &mut Duration) -> Round {
    let after_load = step(None, plan);
    let after_latency = step(Some(plan.run), plan);
    let backends = Backends::with(Staging::Slow(LATENCY));
    let [off, on] = [Module::Off, Module::On].map(|module| start(module, &backends));
    cores::wait_for_quiet(patience);
    let [off_subject, on_subject] =
        [&off, &on].map(|server| Subject::httpd(server, Request::POST, 1));
    let pace = Pace::Rate(RATE, 3 * plan.run);
    // The pool has its size before latency and delivery are looked at.
    for subject in [&off_subject, &on_subject] {
        run_over(subject, Pace::Rate(RATE, 2 * LATENCY), CONNECTIONS, &backends);
    }
    let run = |subject| run_over(subject, pace, CONNECTIONS, &backends);
    let (off_run, on_run) = (run(&off_subject), run(&on_subject));
    let resident = (Peak::of(&on).resident - Peak::of(&off).resident) / 1e6;
    Round { off: off_run, on: on_run, after_load, after_latency, resident }
}

/// How long after a step staging has as many copies in its hand as there should be: a step in load, or, that long
/// after the load began, in latency.
fn step(fast_for: Option<Duration>, plan: &Plan) -> f64 {
    let before = if fast_for.is_some() { Staging::Well } else { Staging::Slow(LATENCY) };
    let backends = Backends::with(before);
    let server = start(Module::On, &backends);
    let at = Instant::now() + fast_for.unwrap_or_default();
    backends.slow_down(at, LATENCY, NEEDED);
    let time = fast_for.unwrap_or_default() + 2 * plan.run.max(LATENCY) + LATENCY;
    let subject = Subject::httpd(&server, Request::POST, 1);
    run_over(&subject, Pace::Rate(RATE, time), CONNECTIONS, &backends);
    backends.found().map_or(f64::INFINITY, |found| (found - at).as_secs_f64())
}

fn start(module: Module, backends: &Backends) -> crate::server::Server {
    let target = format!("{} max=1500", backends.staging());
    let builder = production::configure(Mpm::Event, module, backends, &[target]);
    // Warm without copies: the pool is still small when the load begins.
    let warm = match module {
        Module::Off => "",
        _ => "<Location \"/origin/warm\">\nMirrorRequest Off\n</Location>",
    };
    production::start_cold(builder.vhost(warm), backends)
}
