//! Which staging server has which fault when, and when httpd is restarted: made from the seed.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::LOOK;
use crate::chance::Chance;
use crate::faults::{Fault, Length, Then};
use crate::ledger::TARGETS;
use crate::server::Server;
use crate::stagings::Stagings;

/// Faults of which a server can tell what it has received: it reads all that was sent, sooner or later.
const EXACT: [(u32, Fault); 18] = [
    (24, Fault::None),
    (2, Fault::NeverReads),
    (2, Fault::NeverAnswers),
    (3, Fault::AnswersAfter(Duration::from_millis(5))),
    (2, Fault::AnswersAfter(Duration::from_millis(60))),
    (1, Fault::AnswersAfter(Duration::from_secs(5))),
    (1, Fault::Drip),
    (2, Fault::ResetBeforeHead),
    (1, Fault::ResetWithinHead),
    (1, Fault::ResetAfterHead),
    (1, Fault::Garbage),
    (1, Fault::HugeHead),
    (1, Fault::EndlessBody),
    (1, Fault::FloodOf1xx),
    (1, Fault::WrongContentLength(Length::TooLong)),
    (2, Fault::WrongContentLength(Length::TooShort)),
    (3, Fault::ClosesKeptConnections),
    (3, Fault::ClosesWhenUsedAgain),
];

/// Faults that leave some requests in the dark: the kernel refuses connections, or resets those it has made but not
/// yet handed over, and early answers may end an exchange in the middle of a request.
const INEXACT: [(u32, Fault); 6] = [
    (3, Fault::Dead),
    (2, Fault::SwallowSyn),
    (2, Fault::Flapping(Duration::from_millis(300))),
    (2, Fault::AnswersBeforeBody(Then::Reads)),
    (2, Fault::AnswersBeforeBody(Then::Closes)),
    (2, Fault::AnswersBeforeBody(Then::Hangs)),
];

pub struct Schedule {
    faults: [Vec<(Duration, Fault)>; TARGETS],
    restarts: Vec<Duration>,
}

impl Schedule {
    pub fn of(seed: u64, time: Duration) -> Schedule {
        let faults = std::array::from_fn(|at| {
            let mut chance = Chance::of(seed, u64::MAX - at as u64);
            let choices = match at {
                0 => EXACT.to_vec(),
                _ => [&EXACT[..], &INEXACT].concat(),
            };
            // Each begins well.
            times(&mut chance, time, 300, 2500)
                .map(|begin| (begin, chance.weighted(&choices)))
                .collect()
        });
        let mut chance = Chance::of(seed, u64::MAX / 2);
        Schedule { faults, restarts: times(&mut chance, time, 4000, 15_000).collect() }
    }

    /// Switches the faults when it is time.
    pub fn switch(&self, stagings: &Stagings, begun: Instant, over: &AtomicBool) {
        let mut switches: Vec<_> = self
            .faults
            .iter()
            .zip(stagings.all())
            .flat_map(|(faults, staging)| {
                faults.iter().map(move |(begin, fault)| (*begin, *fault, staging))
            })
            .collect();
        switches.sort_by_key(|(begin, ..)| *begin);
        for (begin, fault, staging) in switches {
            while begun.elapsed() < begin {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(begin.saturating_sub(begun.elapsed()).min(LOOK));
            }
            staging.server.set(fault);
        }
    }

    /// Restarts httpd gracefully when it is time.
    pub fn restart(&self, server: &Server, begun: Instant) {
        for begin in &self.restarts {
            thread::sleep(begin.saturating_sub(begun.elapsed()));
            server.graceful();
        }
    }
}

/// Times until the end, so many milliseconds apart.
fn times(
    chance: &mut Chance,
    end: Duration,
    least: usize,
    most: usize,
) -> impl Iterator<Item = Duration> + use<> {
    let mut at = Duration::ZERO;
    let mut times = Vec::new();
    loop {
        at += Duration::from_millis(chance.between(least, most) as u64);
        if at >= end {
            return times.into_iter();
        }
        times.push(at);
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["first", "second", "third"];
        for (name, faults) in names.into_iter().zip(&self.faults) {
            write!(f, "{name} target: well")?;
            for (begin, fault) in faults {
                write!(f, ", {:.1} s {fault:?}", begin.as_secs_f64())?;
            }
            writeln!(f)?;
        }
        write!(f, "graceful restarts:")?;
        for begin in &self.restarts {
            write!(f, " {:.1} s", begin.as_secs_f64())?;
        }
        Ok(())
    }
}
