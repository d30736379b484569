//! What lets each outcome be counted once, though the ledger closes while forwarders write theirs.

use super::cells::{Cell, Cells};
use crate::sync::atomic::{AtomicU64, Ordering};

/// Lets the outcomes of this process's copies to one target pass, until it is shut.
///
/// An outcome that has passed is counted by whoever brought it, however long that takes. The copies whose outcome has
/// not passed when the gate shuts are given theirs by whoever shut it. So each has one, and nobody has to wait for
/// anybody to be sure of that.
#[derive(Debug)]
pub(super) struct Gate {
    /// How many copies of this row have their outcome, or soon will; and [`SHUT`].
    passed: AtomicU64,
}

const SHUT: u64 = 1 << 63;

impl Gate {
    /// The gate of a target without copies.
    pub(super) fn new() -> Gate {
        Gate { passed: AtomicU64::new(0) }
    }

    /// A gate of what goes on with these counters. All their copies have an outcome.
    pub(super) fn behind(cells: &Cells) -> Gate {
        Gate { passed: AtomicU64::new(cells.cell(Cell::Selected).load(Ordering::Acquire)) }
    }

    /// Whether one more outcome is to be counted.
    pub(super) fn pass(&self) -> bool {
        self.passed.fetch_add(1, Ordering::AcqRel) & SHUT == 0
    }

    /// Shuts the gate; how many copies need an outcome from whoever does so.
    pub(super) fn shut(&self, cells: &Cells) -> u64 {
        let passed = self.passed.fetch_or(SHUT, Ordering::AcqRel);
        if passed & SHUT != 0 {
            return 0;
        }
        let selected = cells.cell(Cell::Selected).load(Ordering::Acquire);
        selected.saturating_sub(passed)
    }
}
