//! Every byte that copies hold in a child, counted against `CopyMemory`.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The child's allowance of memory for copies being captured, queued and sent.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    /// An unused allowance of `limit` bytes.
    pub const fn new(limit: usize) -> Budget {
        Budget { used: AtomicUsize::new(0), limit }
    }

    /// Bytes that are leased now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// An empty lease, to be grown as bytes arrive.
    pub fn lease(&'static self) -> Lease {
        Lease { budget: self, bytes: 0 }
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.checked_add(bytes).is_some_and(|after| after <= self.limit);
        if !fits {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// A part of the [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Lease {
    budget: &'static Budget,
    bytes: usize,
}

impl Lease {
    /// Makes the lease cover `bytes` in all; `false`, and unchanged, where the budget does not bear it.
    #[must_use]
    pub fn cover(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 && !self.budget.take(more) {
            return false;
        }
        self.bytes = self.bytes.max(bytes);
        true
    }

    /// Gives back all that the lease holds.
    pub fn release(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }

    /// Takes over what another lease of the same budget holds.
    pub fn join(&mut self, mut other: Lease) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        other.bytes = 0;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_never_passes_the_limit_and_gives_back_what_it_took() {
        static BUDGET: Budget = Budget::new(100);
        let mut first = BUDGET.lease();
        assert!(first.cover(60));
        assert!(first.cover(40), "covering less is no change");
        let mut second = BUDGET.lease();
        assert!(!second.cover(41));
        assert_eq!(BUDGET.used(), 60);
        assert!(second.cover(40));
        first.join(second);
        assert_eq!(BUDGET.used(), 100);
        drop(first);
        assert_eq!(BUDGET.used(), 0);
    }
}
