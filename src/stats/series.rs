//! The last 15 minutes: what was counted in every 5 seconds of them, for each target.
//!
//! Counters are only ever added to, so their growth from one moment to the next is all there is to know. Once a
//! second each child's pulse asks whether a span of 5 seconds has ended that nobody has recorded yet; of all
//! children, the one that wins a single exchange does, and nobody waits. The request path and the forwarders
//! have no part in it.

use super::cells::Cell;
use super::segment::TARGETS;
use super::totals::Totals;
use crate::breaker::Millis;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How long a span is.
pub const SPAN: Millis = 5_000;
/// How many spans are kept.
pub const SPANS: usize = 180;
/// What is counted of a span: see [`Growth`].
const KINDS: usize = 4;

/// What became of the copies of one span: how many were selected and, of those or of earlier ones, delivered,
/// failed and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Copies offered to the target's queue.
    pub selected: u32,
    /// Copies that staging answered.
    pub delivered: u32,
    /// Copies that failed.
    pub failed: u32,
    /// Copies that were dropped.
    pub dropped: u32,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct Series {
    /// The number of the span that has begun; 0 before the first.
    begun: AtomicU64,
    /// The number of the span that each place holds.
    numbers: [AtomicU64; SPANS],
    /// The counters of each target as of the last record.
    before: [[AtomicU64; KINDS]; TARGETS],
    growth: [[[AtomicU32; KINDS]; SPANS]; TARGETS],
}

impl Series {
    pub(super) const fn new() -> Series {
        Series {
            begun: AtomicU64::new(0),
            numbers: [const { AtomicU64::new(0) }; SPANS],
            before: [const { [const { AtomicU64::new(0) }; KINDS] }; TARGETS],
            growth: [const { [const { [const { AtomicU32::new(0) }; KINDS] }; SPANS] }; TARGETS],
        }
    }

    /// Records the span that has ended, unless that was done, or none has. Whoever comes first calls `totals`.
    pub(super) fn record(&self, now: Millis, totals: impl FnOnce() -> Vec<Totals>) {
        let current = number(now);
        let begun = self.begun.load(Ordering::Relaxed);
        if begun >= current {
            return;
        }
        let won = self.begun.compare_exchange(begun, current, Ordering::AcqRel, Ordering::Relaxed);
        if won.is_err() {
            return;
        }
        let ended = current.saturating_sub(1);
        let place = place(ended);
        for ((totals, before), growth) in totals().iter().zip(&self.before).zip(&self.growth) {
            let Some(growth) = growth.get(place) else { continue };
            for ((total, before), growth) in kinds(totals).iter().zip(before).zip(growth) {
                let grown = total.saturating_sub(raise(before, *total));
                growth.store(u32::try_from(grown).unwrap_or(u32::MAX), Ordering::Relaxed);
            }
        }
        // Of the span before the first record nobody knows when it began to be counted.
        if begun > 0
            && let Some(number) = self.numbers.get(place)
        {
            number.store(ended, Ordering::Release);
        }
    }

    /// The spans before this moment, the oldest first; `None` where nothing was recorded.
    pub(super) fn of(&self, target: usize, now: Millis) -> Vec<Option<Growth>> {
        let growth = self.growth.get(target);
        let current = number(now);
        let back = (1..=SPANS as u64).rev();
        back.map(|back| {
            let wanted = current.checked_sub(back).filter(|wanted| *wanted > 0)?;
            let place = place(wanted);
            let held = self.numbers.get(place)?.load(Ordering::Acquire);
            let [selected, delivered, failed, dropped] = growth?.get(place)?;
            let load = |count: &AtomicU32| count.load(Ordering::Relaxed);
            (held == wanted).then(|| Growth {
                selected: load(selected),
                delivered: load(delivered),
                failed: load(failed),
                dropped: load(dropped),
            })
        })
        .collect()
    }
}

/// Never 0: the clock's first span is the 1st.
fn number(now: Millis) -> u64 {
    now / SPAN + 1
}

fn place(number: u64) -> usize {
    usize::try_from(number % SPANS as u64).unwrap_or_default()
}

fn kinds(totals: &Totals) -> [u64; KINDS] {
    let [delivered, failed, dropped] = [Cell::DELIVERED, Cell::FAILED, Cell::DROPPED];
    let sums = [delivered, failed, dropped].map(|cells| totals.sum(cells));
    let [delivered, failed, dropped] = sums;
    [totals.count(Cell::Selected), delivered, failed, dropped]
}

/// Raises what was before to `total`, never lowers it: who was kept from running may come late. Returns what
/// it was.
fn raise(before: &AtomicU64, total: u64) -> u64 {
    let higher = |before| (before < total).then_some(total);
    match before.fetch_update(Ordering::AcqRel, Ordering::Relaxed, higher) {
        Ok(before) | Err(before) => before,
    }
}
