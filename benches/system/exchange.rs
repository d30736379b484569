//! CPU and throughput per request: without the module, with it, and with it but no target in scope.

use std::thread;
use std::time::{Duration, Instant};

use crate::cores::{self, Used, used_here};
use crate::load::{self, Done, Pace};
use crate::production::{self, CONNECTIONS, Module, Request};
use crate::server::Server;
use crate::sink::Backends;
use crate::status::Status;
use crate::table::{Required, Table};
use crate::{Plan, wait};

/// What the names of forwarders' threads begin with.
pub const FORWARDERS: &str = "copy-";

/// One run of load on one httpd.
struct Run {
    done: Done,
    /// Production's CPU time per request, in microseconds.
    cpu: f64,
    /// What of it the forwarders took.
    forwarders: f64,
    /// The share of its core that production took while the load went on.
    busy: f64,
    /// The share of both cores that others took meanwhile.
    others: f64,
    copies: Copies,
}

/// What became of a run's copies.
#[derive(Clone, Copy, Default)]
struct Copies {
    selected: u64,
    delivered: u64,
}

impl Copies {
    fn of(status: &Status) -> Copies {
        Copies { selected: status.sum("selected"), delivered: status.sum("delivered") }
    }

    fn delivered_share(&self) -> f64 {
        100.0 * self.delivered as f64 / self.selected.max(1) as f64
    }
}

/// What one httpd gave: the runs of a pair's half.
struct Half {
    saturated: Run,
    post: Run,
    get: Run,
}

/// Measures pairs of runs, in alternating order, each on httpds started anew.
pub fn measure(plan: &Plan, table: &mut Table) {
    let backends = Backends::start();
    let rate = half_of_saturation(&backends, plan);
    let mut patience = plan.patience;
    let mut halves: [Vec<Half>; 3] = Default::default();
    for pair in 0..plan.pairs {
        eprintln!("pair {} of {} …", pair + 1, plan.pairs);
        let servers = [Module::Off, Module::Elsewhere, Module::On]
            .map(|module| (module, production::start(module, &backends)));
        cores::wait_for_quiet(&mut patience);
        let mut order = [0, 1, 2];
        if pair % 2 == 1 {
            order.reverse();
        }
        let mut runs = Runs { backends: &backends, rate, time: plan.run, servers: &servers };
        for (which, half) in order.into_iter().zip(runs.halves(order)) {
            halves[which].push(half);
        }
    }
    report(table, rate, &halves);
}

/// The fixed rate of the CPU figures, below saturation with the module too.
fn half_of_saturation(backends: &Backends, plan: &Plan) -> f64 {
    let server = production::start(Module::Off, backends);
    let pace = Pace::Saturate(plan.run);
    let bytes = Request::Post.bytes();
    let rate = load::run(server.port(), &bytes, pace, CONNECTIONS, backends).rate();
    (rate / 2.0 / 500.0).round() * 500.0
}

/// The runs of a pair: each kind on every httpd in turn, so that what is compared lies close together.
struct Runs<'a> {
    backends: &'a Backends,
    rate: f64,
    time: Duration,
    servers: &'a [(Module, Server); 3],
}

impl Runs<'_> {
    fn halves(&mut self, order: [usize; 3]) -> [Half; 3] {
        let saturated = order.map(|at| self.run(at, Request::Post, Pace::Saturate(self.time)));
        let post = order.map(|at| self.run(at, Request::Post, Pace::Rate(self.rate, self.time)));
        let get = order.map(|at| self.run(at, Request::Get, Pace::Rate(self.rate, self.time)));
        let mut runs = saturated.into_iter().zip(post).zip(get);
        std::array::from_fn(|_| {
            let ((saturated, post), get) = runs.next().unwrap();
            Half { saturated, post, get }
        })
    }

    fn run(&self, at: usize, request: Request, pace: Pace) -> Run {
        let (module, server) = &self.servers[at];
        let (port, bytes) = (server.port(), request.bytes());
        let copies_before = self.copies(*module, server);
        let arrived = self.backends.copies();
        let (used, here, busy) = (Used::by_family(server.pid()), used_here(), cores::busy());
        let begun = Instant::now();
        let done = load::run(port, &bytes, pace, CONNECTIONS, self.backends);
        let took = begun.elapsed().as_secs_f64();
        let while_loaded = Used::by_family(server.pid()).since(&used).as_secs_f64();
        let ours = (used_here() - here).as_secs_f64();
        let others = (cores::busy() - busy).as_secs_f64() - while_loaded - ours;
        if *module == Module::On {
            // What is left in the queues is part of the cost. Where copies are lost, it is over soon.
            wait::poll(Duration::from_millis(100), || {
                (self.backends.copies() >= arrived + done.requests).then_some(())
            });
            thread::sleep(Duration::from_millis(1));
        }
        let after = Used::by_family(server.pid());
        let each = |time: Duration| time.as_secs_f64() * 1e6 / done.requests as f64;
        let copies = self.copies(*module, server);
        Run {
            done,
            cpu: each(after.since(&used)),
            forwarders: each(after.since_by(&used, FORWARDERS)),
            busy: 100.0 * while_loaded / took,
            others: (100.0 * others / (2.0 * took)).max(0.0),
            copies: Copies {
                selected: copies.selected - copies_before.selected,
                delivered: copies.delivered - copies_before.delivered,
            },
        }
    }

    fn copies(&self, module: Module, server: &Server) -> Copies {
        if module == Module::Off {
            return Copies::default();
        }
        let status = server.status_when("an outcome for every copy", Status::is_drained);
        Copies::of(&status)
    }
}

fn report(table: &mut Table, rate: f64, [off, elsewhere, on]: &[Vec<Half>; 3]) {
    let one = |halves: &[Half], figure: &dyn Fn(&Half) -> f64| -> Vec<f64> {
        halves.iter().map(figure).collect()
    };
    let two = |halves: &[Half], figure: &dyn Fn(&Half, &Half) -> f64| -> Vec<f64> {
        halves.iter().zip(off).map(|(with, without)| figure(with, without)).collect()
    };

    table.title(format!("1 KiB POST to an origin, {rate:.0} requests/s"));
    table.row(
        "CPU per request, module off, µs",
        one(off, &|half| half.post.cpu),
        Required::Nothing,
    );
    table.row("CPU per request, mirrored, µs", one(on, &|half| half.post.cpu), Required::Nothing);
    let added = |with: &Half, without: &Half| with.post.cpu - without.post.cpu;
    table.row("CPU added per copy, µs", two(on, &added), Required::AtMost(10.0));
    let forwarders = one(on, &|half| half.post.forwarders);
    table.row("of it in the forwarders, µs", forwarders, Required::Nothing);
    let path = |with: &Half, without: &Half| added(with, without) - with.post.forwarders;
    table.row("of it on httpd's threads, µs", two(on, &path), Required::Nothing);
    let ratio = |with: &Half, without: &Half| with.post.cpu / without.post.cpu;
    table.row("CPU ratio", two(on, &ratio), Required::Nothing);
    let delivered = |half: &Half| half.post.copies.delivered_share();
    table.row("copies delivered of requests, %", one(on, &delivered), Required::Always(100.0));
    let noise: Vec<f64> =
        off.windows(2).map(|two| (two[0].post.cpu - two[1].post.cpu).abs()).collect();
    let elsewhere_added = two(elsewhere, &added);
    table.row("CPU added, no target in scope, µs", elsewhere_added, Required::Noise(noise.clone()));
    table.row("noise: off against off, µs", noise, Required::Nothing);

    table.title("1 KiB POST to an origin, at saturation".into());
    table.row(
        "requests/s, module off",
        one(off, &|half| half.saturated.done.rate()),
        Required::Nothing,
    );
    table.row(
        "requests/s, mirrored",
        one(on, &|half| half.saturated.done.rate()),
        Required::Nothing,
    );
    let ratio =
        |with: &Half, without: &Half| with.saturated.done.rate() / without.saturated.done.rate();
    table.row("throughput ratio", two(on, &ratio), Required::Nothing);
    table.row("throughput ratio, no target in scope", two(elsewhere, &ratio), Required::Nothing);
    let added = |with: &Half, without: &Half| with.saturated.cpu - without.saturated.cpu;
    table.row("CPU added per request, µs", two(on, &added), Required::Nothing);
    let lost = |half: &Half| 100.0 - half.saturated.copies.delivered_share();
    table.row("copies lost, %", one(on, &lost), Required::Nothing);
    table.row(
        "production's core busy, off, %",
        one(off, &|half| half.saturated.busy),
        Required::Nothing,
    );
    table.row(
        "production's core busy, on, %",
        one(on, &|half| half.saturated.busy),
        Required::Nothing,
    );

    let others = |half: &Half| half.saturated.others;
    let both = one(off, &others).into_iter().chain(one(on, &others)).collect();
    table.row("both cores taken by others, %", both, Required::Nothing);

    table.title(format!("GET of a static file of 1 KiB, {rate:.0} requests/s"));
    table.row("CPU per request, module off, µs", one(off, &|half| half.get.cpu), Required::Nothing);
    let added = |with: &Half, without: &Half| with.get.cpu - without.get.cpu;
    table.row("CPU added per copy, µs", two(on, &added), Required::AtMost(10.0));
    let delivered = |half: &Half| half.get.copies.delivered_share();
    table.row("copies delivered of requests, %", one(on, &delivered), Required::Always(100.0));
    table.row("CPU added, no target in scope, µs", two(elsewhere, &added), Required::Nothing);
}
