//! What copies over HTTP/2 cost, against the same over HTTP/1.1: at once, and with 100 of them in flight.

use std::time::Duration;

use crate::Plan;
use crate::cores;
use crate::load::Pace;
use crate::mpm::Mpm;
use crate::pair::{Figure, Pair, Subject, cpu, pair};
use crate::production::{self, Module, Request};
use crate::server::Server;
use crate::sink::{Backends, Staging};
use crate::status::Status;
use crate::table::{Required, Table};

const RATE: f64 = 2000.0;
/// How long staging takes: at [`RATE`] few copies are in flight, or 100.
const LATENCIES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(50)];
/// Microseconds for each copy, milliseconds for 1,000.
const FORWARDERS: Figure = |run| run.forwarders;

pub fn measure(plan: &Plan, table: &mut Table) {
    let mut patience = plan.patience;
    for latency in LATENCIES {
        let rounds: Vec<Pair> = (0..plan.pairs)
            .map(|round| {
                eprintln!("http2, {latency:?}, {} of {} …", round + 1, plan.pairs);
                measure_round(plan, latency, &mut patience)
            })
            .collect();
        let all = |figure: &dyn Fn(&Pair) -> f64| rounds.iter().map(figure).collect();
        table.title(match latency.as_millis() {
            0 => format!("{}, {RATE:.0}/s, copies over HTTP/2 against HTTP/1.1", Request::POST),
            ms => format!("The same, staging answers after {ms} ms: 100 in flight"),
        });
        let delivered = |pair: &Pair| pair.on.delivered.min(pair.off[0].delivered);
        table.row("copies delivered, %", all(&delivered), Required::Always(100.0));
        let [plain, http2] = [all(&|pair| pair.off(FORWARDERS)), all(&|pair| FORWARDERS(&pair.on))];
        table.row("CPU of 1,000 copies, HTTP/1.1, ms", plain, Required::Nothing);
        table.row("CPU of 1,000 copies, HTTP/2, ms", http2, Required::Nothing);
        let most = || if latency.is_zero() { Required::Nothing } else { Required::AtMost(1.0) };
        table.row("the same, as a ratio", all(&|pair| pair.ratio(FORWARDERS)), most());
        let noise = all(&|pair| pair.noise(FORWARDERS));
        table.row("the same, noise", noise, Required::Nothing);
        table.row("all of httpd's CPU, as a ratio", all(&|pair| pair.ratio(cpu)), most());
        table.row("the same, noise", all(&|pair| pair.noise(cpu)), Required::Nothing);
        table.others(all(&|pair| {
            pair.off.iter().map(|run| run.others).fold(pair.on.others, f64::max)
        }));
    }
}

/// A run with copies over HTTP/2, between two with copies over HTTP/1.1.
fn measure_round(plan: &Plan, latency: Duration, patience: &mut Duration) -> Pair {
    let slow = if latency.is_zero() { Staging::Well } else { Staging::Slow(latency) };
    let backends = Backends::with(slow).and_http2(latency);
    let servers = [backends.staging(), backends.http2()].map(|staging| start(&staging, &backends));
    let [plain, http2] =
        [&servers[0], &servers[1]].map(|server| Subject::httpd(server, Request::POST, 1));
    let measured = |time| pair(&plain, &http2, &backends, Pace::Rate(RATE, time));
    cores::wait_for_quiet(patience);
    // The connections are made before.
    measured(plan.run);
    let pair = measured(4 * plan.run);
    for server in &servers {
        server.status_when("an outcome for every copy", Status::is_drained).assert_promise_3();
    }
    pair
}

fn start(staging: &str, backends: &Backends) -> Server {
    let targets = [format!("{staging} max=200")];
    let builder = production::configure(Mpm::Event, Module::On, backends, &targets);
    // Warm without copies: as fast as it goes, there would be more than the queue holds.
    let warm = "<Location \"/origin/warm\">\nMirrorRequest Off\n</Location>";
    production::start_cold(builder.vhost(warm), backends)
}
