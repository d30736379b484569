//! What `CopyLog` lacks: copies without a line, and how often writing failed.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Counted by whoever has a line to write, and cannot.
#[repr(C)]
#[derive(Debug)]
pub struct Unlogged {
    lines: AtomicU64,
    failures: AtomicU64,
}

impl Unlogged {
    pub(super) const fn new() -> Unlogged {
        Unlogged { lines: AtomicU64::new(0), failures: AtomicU64::new(0) }
    }

    /// Counts lines that were not written.
    pub fn count(&self, lines: u64) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
    }

    /// How many lines were not written.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Counts an attempt to write that failed; how many did so far.
    pub fn fail(&self) -> u64 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}
