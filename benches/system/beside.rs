//! An ideal mirror at half load, on production's core: how long requests wait for what no mirror does without.
//!
//! Who loads production wakes it, and production's threads make no call for that: as the answer to every so many requests
//! has come, no earlier. It copies the content of these, sends them, and sleeps. Their answers it reads as it comes to use
//! their connections again: they are long there, so that it waits for none, and none wakes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::Plan;
use crate::cores;
use crate::exchange::round;
use crate::ideal::{Kept, cpu};
use crate::load::Pace;
use crate::pair::{self, Figure, Pair, Run, Subject, p50, p99, rate, typical_p99};
use crate::production::{CONNECTIONS, Request};
use crate::sink::Backends;
use crate::table::{Required, Table};

/// How many copies are sent together: as many as the module's forwarders are woken for.
fn at_a_time(request: Request) -> u64 {
    match request {
        Request::Post(1024) => 1,
        Request::Post(64) => 4,
        _ => 8,
    }
}

/// Measures it in turn with production alone.
pub fn measure(
    subject: &Subject,
    request: Request,
    plan: &Plan,
    backends: &Backends,
    table: &mut Table,
) {
    let half = round(rate(&pair::run(subject, Pace::Saturate(plan.run), backends)) / 2.0);
    let pace = Pace::Rate(half, plan.run);
    let pairs: Vec<Pair> = (0..plan.pairs)
        .map(|_| {
            let alone = || pair::run(subject, pace, backends);
            let (before, on) = (alone(), mirrored(subject, pace, at_a_time(request), backends));
            Pair { off: [before, alone()], on }
        })
        .collect();
    let all = |figure: &dyn Fn(&Pair) -> f64| pairs.iter().map(figure).collect();
    table.title(format!("an ideal mirror of a {request}, at half load: {half:.0}/s, open loop"));
    let figures: [(_, Figure); 3] =
        [("p50 ratio", p50), ("p99 ratio", p99), ("p99 ratio, typical 50 ms", typical_p99)];
    for (name, figure) in figures {
        table.row(name, all(&|pair| pair.ratio(figure)), Required::Nothing);
    }
    let noise = all(&|pair| pair.noise(typical_p99));
    table.row("noise: p99 ratio, typical 50 ms, off", noise, Required::Nothing);
    let added = all(&|pair| pair.added(pair::cpu));
    table.row("CPU added by a copy, µs", added, Required::Nothing);
    table.others(all(&|pair| pair.on.others));
}

/// A run of load with the mirror beside it, whose CPU time counts as production's.
fn mirrored(subject: &Subject, pace: Pace, at_a_time: u64, backends: &Backends) -> Run {
    let (due, ended) = (&AtomicU64::new(0), &AtomicBool::new(false));
    thread::scope(|scope| {
        let (is_ready, ready) = mpsc::channel();
        let mirror = scope.spawn(move || {
            let mut copies = Kept::some(&subject.request, backends);
            cores::stay_on_productions();
            is_ready.send(()).unwrap();
            mirror(&mut copies, due, ended)
        });
        ready.recv().unwrap();
        let end = End(ended, mirror.thread().clone());
        let mut run = pair::run_telling(subject, pace, CONNECTIONS, backends, |answered| {
            if answered - due.load(Ordering::Relaxed) >= at_a_time {
                due.store(answered, Ordering::Release);
                mirror.thread().unpark();
            }
        });
        due.store(run.done.requests, Ordering::Release);
        drop(end);
        let mut sinks = backends.hold();
        while !mirror.is_finished() {
            sinks.serve();
        }
        run.cpu += mirror.join().unwrap().as_secs_f64() * 1e6 / run.done.requests as f64;
        run
    })
}

/// Ends the mirror, also where the load panics.
struct End<'a>(&'a AtomicBool, thread::Thread);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        self.1.unpark();
    }
}

/// Sends as many copies as are due, over one connection after another, until all has ended: the CPU time of that.
fn mirror(copies: &mut [Kept<'_>], due: &AtomicU64, ended: &AtomicBool) -> Duration {
    let (begun, mut sent) = (cpu(), 0);
    loop {
        // Whoever sees the end sees all that is due by then.
        let is_over = ended.load(Ordering::Acquire);
        let due = due.load(Ordering::Acquire) as usize;
        if sent == due && !is_over {
            thread::park();
        }
        while sent < due {
            let at = sent % copies.len();
            if sent >= copies.len() {
                copies[at].read_answer();
            }
            copies[at].send();
            sent += 1;
        }
        if is_over {
            copies.iter_mut().take(sent).for_each(Kept::read_answer);
            return cpu() - begun;
        }
    }
}
