//! Pairs of runs: production without copies, with them, and without again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cores::{Others, Used};
use crate::load::{self, Done, Pace, serve_until};
use crate::production::{CONNECTIONS, Request};
use crate::server::Server;
use crate::sink::Backends;

/// What the names of forwarders' threads begin with.
pub const FORWARDERS: &str = "copy-";

/// What a load is run on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its processes are this one and its children.
    pub pid: u32,
    pub port: u16,
    pub request: Arc<[u8]>,
    /// Copies that staging should read, for each request.
    pub copies: u64,
}

impl Subject {
    /// httpd, as it is asked for this.
    pub fn httpd(server: &Server, request: Request, copies: u64) -> Subject {
        Subject { pid: server.pid(), port: server.port(), request: request.bytes(), copies }
    }
}

/// One run of load.
#[derive(Clone, Debug)]
pub struct Run {
    pub done: Done,
    /// Production's CPU time per request, in microseconds, copies that were still queued included.
    pub cpu: f64,
    /// What of it the forwarders took.
    pub forwarders: f64,
    /// The share of its core that production took while the load went on, in percent.
    pub busy: f64,
    /// The share of both cores that others took meanwhile, in percent.
    pub others: f64,
    /// The share of the copies that staging read whole, in percent.
    pub delivered: f64,
}

/// Runs a load.
pub fn run(subject: &Subject, pace: Pace, backends: &Backends) -> Run {
    run_over(subject, pace, CONNECTIONS, backends)
}

/// Runs a load over so many connections.
pub fn run_over(subject: &Subject, pace: Pace, connections: usize, backends: &Backends) -> Run {
    run_telling(subject, pace, connections, backends, |_| ())
}

/// As [`run_over`]; tells how many requests have been answered, each time that some are.
pub fn run_telling(
    subject: &Subject,
    pace: Pace,
    connections: usize,
    backends: &Backends,
    tell: impl FnMut(u64),
) -> Run {
    /// Where copies are lost, none comes any more.
    const LEFT_OVER: Duration = Duration::from_millis(200);
    let Subject { pid, port, request, copies } = subject;
    let arrived = backends.copies();
    let used = Used::by_family(*pid);
    let (others, begun) = (Others::than(*pid), Instant::now());
    let done = load::run_telling(*port, request, pace, connections, backends, tell);
    let took = begun.elapsed().as_secs_f64();
    let while_loaded = Used::by_family(*pid).since(&used).as_secs_f64();
    let others = Others::than(*pid).since(&others).as_secs_f64();
    let expected = done.requests * copies;
    let mut sinks = backends.hold();
    serve_until(&mut sinks, LEFT_OVER, |sinks| sinks.copies() >= arrived + expected);
    let read = sinks.copies() - arrived;
    // Forwarders read the last answers.
    serve_until(&mut sinks, Duration::from_millis(2), |_| false);
    drop(sinks);
    let after = Used::by_family(*pid);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / done.requests as f64;
    Run {
        cpu: each(after.since(&used)),
        forwarders: each(after.since_by(&used, FORWARDERS)),
        busy: 100.0 * while_loaded / took,
        others: 100.0 * others / (2.0 * took),
        delivered: 100.0 * read as f64 / expected.max(1) as f64,
        done,
    }
}

/// With copies, between two runs without.
#[derive(Clone, Debug)]
pub struct Pair {
    pub off: [Run; 2],
    pub on: Run,
}

/// Runs the same load without copies, with them, and without again, so that what drifts is seen and cancels out.
pub fn pair(off: &Subject, on: &Subject, backends: &Backends, pace: Pace) -> Pair {
    pair_over(off, on, backends, pace, CONNECTIONS)
}

/// As [`pair`], over so many connections.
pub fn pair_over(
    off: &Subject,
    on: &Subject,
    backends: &Backends,
    pace: Pace,
    connections: usize,
) -> Pair {
    let run = |subject| run_over(subject, pace, connections, backends);
    let (before, on, after) = (run(off), run(on), run(off));
    Pair { off: [before, after], on }
}

/// A figure of a run.
pub type Figure = fn(&Run) -> f64;

impl Pair {
    /// Without copies.
    pub fn off(&self, figure: Figure) -> f64 {
        self.off.iter().map(figure).sum::<f64>() / 2.0
    }

    /// With copies against without.
    pub fn ratio(&self, figure: Figure) -> f64 {
        figure(&self.on) / self.off(figure)
    }

    /// What copies add.
    pub fn added(&self, figure: Figure) -> f64 {
        figure(&self.on) - self.off(figure)
    }

    /// Without copies against without.
    pub fn noise(&self, figure: Figure) -> f64 {
        figure(&self.off[1]) / figure(&self.off[0])
    }
}

pub fn cpu(run: &Run) -> f64 {
    run.cpu
}

pub fn rate(run: &Run) -> f64 {
    run.done.rate()
}

pub fn p50(run: &Run) -> f64 {
    run.done.latency(0.5)
}

pub fn p99(run: &Run) -> f64 {
    run.done.latency(0.99)
}

pub fn typical_p99(run: &Run) -> f64 {
    run.done.typical_latency(0.99)
}

pub fn p999(run: &Run) -> f64 {
    run.done.latency(0.999)
}
