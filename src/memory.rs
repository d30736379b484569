//! Every byte that copies hold in a child, counted against `CopyMemory`.
//!
//! Not counted is what serves them: the small buffers that are kept for the next ones (at most an
//! eighth of `CopyMemory`, and half a megabyte), the places in the queues, and each connection's own (some 32 KiB, and up to
//! 128 KiB more while the head of an answer arrives that is as long as one may be).

use std::ops::Deref;

use crossbeam_queue::ArrayQueue;
use once_cell::sync::OnceCell;

use crate::sync::atomic::{AtomicUsize, Ordering};

/// The room that a small buffer has: enough for most heads and most forms.
const SMALL: usize = 2048;
/// The most small buffers that are kept for the next copies, of at most an eighth of the allowance.
const SPARES: usize = 256;

/// The child's allowance of memory for copies being captured, queued and sent.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    /// Small buffers that were given back. What one thread allocates and another frees costs the
    /// allocator several times what taking one from here does.
    spares: OnceCell<ArrayQueue<Vec<u8>>>,
}

impl Budget {
    /// An unused allowance of `limit` bytes.
    pub const fn new(limit: usize) -> Budget {
        Budget { used: AtomicUsize::new(0), limit, spares: OnceCell::new() }
    }

    /// Makes the place for spares now, so that no request has to, nor waits for one that does.
    pub fn prepared(self) -> Budget {
        self.spares();
        self
    }

    /// Bytes that are leased now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// An empty buffer, which takes memory as bytes arrive.
    pub fn buffer(&'static self) -> Buffer {
        Buffer { budget: self, leased: 0, bytes: Vec::new(), filled: 0 }
    }

    /// A buffer of these bytes, for tests.
    #[cfg(test)]
    pub(crate) fn filled(&'static self, bytes: &[u8]) -> Buffer {
        let mut buffer = self.buffer();
        assert!(buffer.make_room(bytes.len(), 0), "the test's budget bears its content");
        buffer.extend(bytes);
        buffer
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.checked_add(bytes).is_some_and(|after| after <= self.limit);
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn spares(&self) -> &ArrayQueue<Vec<u8>> {
        let most = (self.limit / SMALL / 8).clamp(1, SPARES);
        self.spares.get_or_init(|| ArrayQueue::new(most))
    }
}

/// Bytes of a copy, covered by the [`Budget`] as long as they live.
#[derive(Debug)]
pub struct Buffer {
    budget: &'static Budget,
    leased: usize,
    /// What it holds, and after it, in a small buffer, what an earlier one left: bytes that can be
    /// written over cost less than such as must be added.
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// Makes room for `bytes` in all, or for up to `desired`; `false` where the
    /// budget or the system does not bear it.
    #[must_use]
    #[inline]
    pub fn make_room(&mut self, bytes: usize, desired: usize) -> bool {
        bytes <= self.bytes.capacity() || self.grow(bytes, desired)
    }

    fn grow(&mut self, bytes: usize, desired: usize) -> bool {
        let small = self.bytes.capacity() == 0 && bytes <= SMALL;
        let desired = if small { SMALL } else { bytes.max(desired) };
        // Where the budget does not bear what is desired, it may bear what is needed.
        let covered = [desired, bytes].into_iter().find(|capacity| self.cover(*capacity));
        let Some(capacity) = covered else { return false };
        let small = small && capacity == SMALL;
        if let Some(spare) = small.then(|| self.budget.spares().pop()).flatten() {
            self.bytes = spare;
            return true;
        }
        self.bytes.truncate(self.filled);
        let more = capacity.saturating_sub(self.filled);
        // What the system does not give is as good as beyond the budget: no reason to abort.
        let grown = self.bytes.try_reserve_exact(more).is_ok();
        if grown && small {
            self.bytes.resize(SMALL, 0);
        }
        grown
    }

    /// Counts `bytes` in all against the budget, which the buffer's own need not be.
    #[must_use]
    pub fn cover(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.leased);
        let covered = more == 0 || self.budget.take(more);
        if covered {
            self.leased = self.leased.max(bytes);
        }
        covered
    }

    /// Appends bytes, for which [`make_room`](Self::make_room) has made room.
    pub fn extend(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room(), "there is room for what is appended");
        let end = self.filled + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.filled..end) {
            place.copy_from_slice(bytes);
        } else {
            self.bytes.truncate(self.filled);
            self.bytes.extend_from_slice(bytes);
        }
        self.filled = end;
    }

    /// Appends all the parts, or, where the budget or the system does not bear them, nothing.
    #[must_use]
    #[inline(always)]
    pub fn append<const N: usize>(&mut self, parts: [&[u8]; N]) -> bool {
        // Slices of memory that exists: their lengths cannot add up to more than there is.
        let length = parts.iter().map(|part| part.len()).sum();
        let Some(mut place) = self.next(length) else { return false };
        for part in parts {
            let Some((here, rest)) = place.split_at_mut_checked(part.len()) else { return false };
            here.copy_from_slice(part);
            place = rest;
        }
        self.filled += length;
        true
    }

    /// The next bytes, to be written over.
    #[inline]
    fn next(&mut self, length: usize) -> Option<&mut [u8]> {
        let next = self.filled..self.filled + length;
        if self.bytes.len() < next.end && !self.lengthen(next.end) {
            return None;
        }
        self.bytes.get_mut(next)
    }

    #[cold]
    fn lengthen(&mut self, length: usize) -> bool {
        let fits = self.make_room(length, self.capacity().saturating_mul(2));
        if fits {
            let initialised = self.bytes.len().max(length);
            self.bytes.resize(initialised, 0);
        }
        fits
    }

    /// Takes what it holds, and leaves it empty.
    pub fn take(&mut self) -> Buffer {
        let empty = self.budget.buffer();
        std::mem::replace(self, empty)
    }

    /// How many bytes it holds without more memory.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back all that it holds.
    #[inline]
    pub fn release(&mut self) {
        if self.leased > 0 {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.filled = 0;
        if bytes.len() == SMALL && bytes.capacity() == SMALL {
            // Where there are enough of them, it is freed.
            let _ = self.budget.spares().push(bytes);
        }
        self.budget.give_back(std::mem::take(&mut self.leased));
    }

    /// How many more it holds without more memory.
    pub fn room(&self) -> usize {
        self.bytes.capacity().saturating_sub(self.filled)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_never_pass_the_limit_and_give_back_what_they_took() {
        static BUDGET: Budget = Budget::new(10_000);
        let mut first = BUDGET.buffer();
        assert!(first.make_room(6000, 0));
        assert!(first.make_room(4000, 9000), "what fits already is no change");
        let mut second = BUDGET.buffer();
        assert!(!second.make_room(4001, 0));
        assert_eq!((BUDGET.used(), second.capacity()), (6000, 0));
        assert!(second.make_room(3000, 4000));
        assert_eq!((BUDGET.used(), second.capacity()), (10_000, 4000));
        drop(first);
        second.release();
        assert_eq!(BUDGET.used(), 0);
    }

    #[test]
    fn a_growing_buffer_keeps_what_it_holds() {
        static BUDGET: Budget = Budget::new(1 << 20);
        let mut buffer = BUDGET.buffer();
        for chunk in 0..100_u8 {
            let needed = buffer.len() + 100;
            assert!(buffer.make_room(needed, buffer.capacity() * 2));
            buffer.extend(&[chunk; 100]);
        }
        let expected: Vec<u8> = (0..100_u8).flat_map(|chunk| [chunk; 100]).collect();
        assert_eq!(&buffer[..], expected);
        assert_eq!(BUDGET.used(), buffer.capacity());
    }

    #[test]
    fn small_buffers_are_used_again_and_come_back_empty() {
        static BUDGET: Budget = Budget::new(1 << 20);
        let mut first = BUDGET.buffer();
        assert!(first.make_room(10, 0));
        first.extend(b"secret");
        let place = first.as_ptr();
        drop(first);
        let mut second = BUDGET.buffer();
        assert!(second.make_room(SMALL, 0));
        assert_eq!((second.as_ptr(), second.len()), (place, 0));
        assert_eq!(BUDGET.used(), SMALL);
    }

    #[test]
    fn threads_that_take_and_give_back_never_pass_the_limit_together() {
        static BUDGET: Budget = Budget::new(SMALL * 3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..10 {
                        let mut buffer = BUDGET.buffer();
                        if buffer.make_room(SMALL, 0) {
                            buffer.extend(&[round; SMALL]);
                            assert_eq!(buffer[..], [round; SMALL], "it is nobody else's");
                        }
                    }
                });
            }
        });
        assert_eq!(BUDGET.used(), 0);
    }

    #[test]
    fn only_so_many_spares_are_kept() {
        static BUDGET: Budget = Budget::new(SMALL * 8 * 2);
        let buffers: Vec<Buffer> = (0..5)
            .map(|_| {
                let mut buffer = BUDGET.buffer();
                assert!(buffer.make_room(1, 0));
                buffer
            })
            .collect();
        drop(buffers);
        assert_eq!(BUDGET.spares().len(), 2);
        assert_eq!(BUDGET.used(), 0);
    }
}
