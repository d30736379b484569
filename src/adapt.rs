//! The thread that watches the pressure on production and on staging, and lowers the samples of rules that adapt.
//!
//! Every child has one, and for each target one of them has the lease: it looks every 100 ms, the others
//! only whether the lease is over, because its child has ended. What they find is in shared memory, where the
//! request path reads one word.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use crate::boundary::Boundary;
use crate::breaker::Millis;
use crate::clock;
use crate::select::Throttle;
use crate::select::pressure::{Governor, Reading};
use crate::stats::{Cell, Segment, Slot};

/// How often is looked.
const TICK: Duration = Duration::from_millis(100);
/// How long a lease lasts, and how often the others look whether it is over.
const LEASE: Millis = 1_000;

/// Starts the thread for these targets; `busy` tells which part of production's workers is, if known.
///
/// It lives as long as the process, holds no lock while it sleeps, and never touches httpd's memory itself.
/// Signals must be blocked, for threads inherit the mask.
pub fn start(segment: Segment, slots: &[Slot], busy: fn() -> Option<f64>) -> io::Result<()> {
    let watch = |slot: &Slot| Watch { slot: *slot, lease: 0, governor: None };
    let mut watches: Vec<Watch> = slots.iter().map(watch).collect();
    let builder = thread::Builder::new().name("copy-adapt".to_owned()).stack_size(256 << 10);
    builder.spawn(move || {
        loop {
            let watched = catch_unwind(AssertUnwindSafe(|| {
                Boundary::Adapt.enter();
                look(segment, &mut watches, busy)
            }));
            let has_lease = watched.unwrap_or_default();
            thread::sleep(if has_lease { TICK } else { Duration::from_millis(LEASE) });
        }
    })?;
    Ok(())
}

/// One look at every target whose lease this child has; tells whether that is any.
fn look(segment: Segment, watches: &mut [Watch], busy: fn() -> Option<f64>) -> bool {
    let mut leased = watches.iter_mut().filter_map(|watch| watch.leased(segment)).peekable();
    if leased.peek().is_none() {
        return false;
    }
    let (busy, now) = (busy(), Duration::from_millis(clock::now()));
    leased.for_each(|(governor, slot)| govern(governor, segment, slot, busy, now));
    true
}

/// Who watches one target, as long as this child has the lease.
#[derive(Debug)]
struct Watch {
    slot: Slot,
    lease: Millis,
    governor: Option<Governor>,
}

impl Watch {
    fn leased(&mut self, segment: Segment) -> Option<(&mut Governor, Slot)> {
        let throttle = &segment.valve(self.slot).throttle;
        if !throttle.lease(&mut self.lease, clock::now(), LEASE) {
            self.governor = None;
            return None;
        }
        let governor = self.governor.get_or_insert_with(|| Governor::new(throttle.usual()));
        Some((governor, self.slot))
    }
}

fn govern(governor: &mut Governor, segment: Segment, slot: Slot, busy: Option<f64>, now: Duration) {
    const ANSWERED: [Cell; 4] =
        [Cell::Delivered2xx, Cell::Delivered3xx, Cell::Delivered4xx, Cell::Delivered5xx];
    let throttle: &Throttle = &segment.valve(slot).throttle;
    let totals = segment.totals_of(slot);
    let reading = Reading {
        busy,
        queued: totals.queued(),
        taken: totals.count(Cell::Taken),
        answered: totals.sum(&ANSWERED),
        micros: totals.count(Cell::LatencyMicros),
    };
    let (held, cause) = governor.step(now, reading, throttle.held());
    throttle.hold(held, cause.map_or(0, |cause| cause as u64));
    if let Some(usual) = governor.usual() {
        throttle.keep_usual(usual);
    }
}
