//! What each child shows of itself once a second: its memory, and since when its oldest copies wait.

use super::segment::TARGETS;
use crate::breaker::Millis;
use crate::sync::atomic::{AtomicU64, Ordering};

/// One child's gauges.
#[repr(C)]
#[derive(Debug)]
pub struct Gauges {
    memory: AtomicU64,
    limit: AtomicU64,
    /// Since when the oldest copy to each target waits; 0 where none does.
    oldest: [AtomicU64; TARGETS],
}

impl Gauges {
    pub(super) const fn new() -> Gauges {
        Gauges {
            memory: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            oldest: [const { AtomicU64::new(0) }; TARGETS],
        }
    }

    /// Shows how much memory copies take, and how much they may.
    pub fn show_memory(&self, used: u64, limit: u64) {
        self.memory.store(used, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn show_oldest(&self, target: usize, since: Option<Millis>) {
        if let Some(oldest) = self.oldest.get(target) {
            oldest.store(since.unwrap_or_default(), Ordering::Relaxed);
        }
    }

    pub(super) fn memory(&self) -> (u64, u64) {
        (self.memory.load(Ordering::Relaxed), self.limit.load(Ordering::Relaxed))
    }

    pub(super) fn oldest(&self, target: usize) -> Option<Millis> {
        let since = self.oldest.get(target)?.load(Ordering::Relaxed);
        Some(since).filter(|since| *since > 0)
    }

    /// Shows nothing any more, of so many targets.
    pub(super) fn clear(&self, targets: usize) {
        self.show_memory(0, 0);
        (0..targets).for_each(|target| self.show_oldest(target, None));
    }
}

/// What all children show of their memory for copies, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Children that copy.
    pub children: u64,
    /// What all of them use.
    pub used: u64,
    /// What the one with the most uses.
    pub most: u64,
    /// What each may use; the greatest, where a restart has changed it.
    pub limit: u64,
}

impl Memory {
    pub(super) fn add(self, gauges: &Gauges) -> Memory {
        let (used, limit) = gauges.memory();
        Memory {
            children: self.children.saturating_add(1),
            used: self.used.saturating_add(used),
            most: self.most.max(used),
            limit: self.limit.max(limit),
        }
    }
}
