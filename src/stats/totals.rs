//! What all children together counted of one target.

use std::time::Duration;

use crate::breaker::Snapshot;
use crate::select::Held;

use super::cells::{CELLS, Cell, LATENCY_BUCKETS};
use super::segment::Slot;

/// What all children counted of one target.
#[derive(Clone, Debug)]
pub struct Totals {
    /// The target's name.
    pub name: String,
    /// Its place.
    pub slot: Slot,
    /// Its breaker.
    pub breaker: Snapshot,
    /// How far its sample is held back.
    pub held: Held,
    cells: [u64; CELLS],
}

impl Totals {
    pub(super) fn new(
        name: String,
        slot: Slot,
        breaker: Snapshot,
        held: Held,
        cells: [u64; CELLS],
    ) -> Totals {
        Totals { name, slot, breaker, held, cells }
    }

    /// One counter.
    pub fn count(&self, cell: Cell) -> u64 {
        self.cells.get(cell as usize).copied().unwrap_or_default()
    }

    /// The sum of some counters.
    pub fn sum(&self, cells: &[Cell]) -> u64 {
        cells.iter().map(|&cell| self.count(cell)).sum()
    }

    /// Copies that wait in queues.
    pub fn queued(&self) -> u64 {
        self.count(Cell::Selected)
            .saturating_sub(self.sum(&Cell::UNSENT))
            .saturating_sub(self.count(Cell::Taken))
            .min(self.pending())
    }

    /// Copies that forwarders are sending.
    pub fn in_flight(&self) -> u64 {
        self.pending().saturating_sub(self.queued())
    }

    /// Copies without an outcome yet.
    pub fn pending(&self) -> u64 {
        self.count(Cell::Selected).saturating_sub(self.sum(&Cell::OUTCOMES))
    }

    /// The latency that the given share of delivered copies stayed under, an upper bound within a
    /// factor of two; `None` before the first delivery.
    pub fn latency(&self, share: f64) -> Option<Duration> {
        let buckets = self.cells.get(Cell::NAMED..Cell::NAMED + LATENCY_BUCKETS)?;
        let total: u64 = buckets.iter().sum();
        let rank = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return Some(Duration::from_micros(1_u64 << index));
            }
        }
        None
    }

    /// The histogram of latencies: the upper bound of each bucket, and how many deliveries fell into it.
    pub fn latency_histogram(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let buckets = self.cells.get(Cell::NAMED..Cell::NAMED + LATENCY_BUCKETS);
        let counts = buckets.unwrap_or_default().iter().copied().enumerate();
        counts.map(|(index, count)| (Duration::from_micros(1_u64 << index), count))
    }
}
