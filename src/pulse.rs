//! What each child does once a second beside copying: it shows its gauges, and records the time series.
//!
//! A thread of its own does, so that neither requests nor forwarders have a part in it: they only count.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use crate::boundary::Boundary;
use crate::breaker::Millis;
use crate::clock;
use crate::mirror::Mirror;

const PERIOD: Millis = 1_000;
/// Nothing that it does is deep.
const STACK: usize = 128 * 1024;

/// Starts the thread, which lives as long as the child. Signals must be blocked, for it inherits the mask.
pub fn start(mirror: &'static Mirror) -> io::Result<()> {
    let mut ages: Vec<Ages> = mirror.accounts().map(|_| Ages::default()).collect();
    let beat = move || {
        loop {
            // A panic is counted and logged where it happens; the next second may be better.
            let _ = catch_unwind(AssertUnwindSafe(|| show(mirror, &mut ages, clock::now())));
            // On the second, as all children see it: so the spans of the series end when they should.
            thread::sleep(Duration::from_millis(PERIOD - clock::now() % PERIOD));
        }
    };
    thread::Builder::new().name("copy-pulse".to_owned()).stack_size(STACK).spawn(beat).map(drop)
}

fn show(mirror: &Mirror, ages: &mut [Ages], now: Millis) {
    Boundary::Pulse.enter();
    for (account, ages) in mirror.accounts().zip(ages) {
        let (entered, left) = account.passage();
        account.show_oldest(ages.note(entered, left, now));
    }
    mirror.show_memory();
    mirror.record(now);
    Boundary::Pulse.leave();
}

/// How many copies had entered a queue at each pulse at which some new ones had: the queue is first in, first
/// out, so that says since when its oldest has been there, without any copy being looked at.
#[derive(Debug, Default)]
struct Ages(VecDeque<(u64, Millis)>);

impl Ages {
    /// Takes note of the queue's counters; since when, at least, its oldest waits.
    fn note(&mut self, entered: u64, left: u64, now: Millis) -> Option<Millis> {
        let Ages(ages) = self;
        let last = ages.back().map_or(0, |(entered, _)| *entered);
        // What an opening breaker took out of the queue stood at its front, and has never entered.
        let gone = last.saturating_sub(entered);
        ages.iter_mut().for_each(|(entered, _)| *entered = entered.saturating_sub(gone));
        if ages.back().is_none_or(|(last, _)| *last < entered) {
            ages.push_back((entered, now));
        }
        while ages.front().is_some_and(|(entered, _)| *entered <= left) {
            ages.pop_front();
        }
        ages.front().map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_as_old_as_the_pulse_that_first_saw_it() {
        let mut ages = Ages::default();
        assert_eq!(ages.note(0, 0, 1_000), None);
        assert_eq!(ages.note(3, 3, 2_000), None, "what has left again was never seen");
        assert_eq!(ages.note(5, 3, 3_000), Some(3_000));
        assert_eq!(ages.note(9, 4, 4_000), Some(3_000), "the fifth waits since then");
        assert_eq!(ages.note(9, 5, 5_000), Some(4_000));
        assert_eq!(ages.note(9, 8, 9_000), Some(4_000), "nothing leaves, nothing comes");
        assert_eq!(ages.note(9, 9, 10_000), None);
        assert_eq!(ages.note(10, 9, 11_000), Some(11_000));
    }

    #[test]
    fn what_a_breaker_takes_out_of_the_queue_leaves_the_others_as_old_as_they_are() {
        let mut ages = Ages::default();
        ages.note(4, 0, 1_000);
        ages.note(10, 0, 2_000);
        assert_eq!(ages.note(7, 0, 3_000), Some(1_000), "three of the first four are gone");
        assert_eq!(ages.note(7, 1, 4_000), Some(2_000));
        assert_eq!(ages.note(1, 1, 5_000), None, "all of them");
        assert_eq!(ages.note(2, 1, 6_000), Some(6_000));
    }
}
