//! A buffer that grows, in one piece.

use std::ops::Deref;

use super::{Budget, SMALL};

/// What a copy takes beside its bytes: the record, its reference count, its place in the queues.
const RECORD: usize = 256;

/// The head of a copy, and what content fits behind it, covered by the [`Budget`] as long as they live.
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
    pub(super) fn of(budget: &'static Budget) -> Buffer {
        Buffer { budget, leased: 0, bytes: Vec::new(), filled: 0 }
    }

    /// Makes room for `more` bytes; `false` where the budget or the system does not bear it.
    #[must_use]
    #[inline]
    pub fn make_room(&mut self, more: usize) -> bool {
        more <= self.room() || self.grow(more)
    }

    #[cold]
    fn grow(&mut self, more: usize) -> bool {
        let Some(needed) = self.filled.checked_add(more) else { return false };
        if self.bytes.capacity() == 0 && needed <= SMALL && self.become_small() {
            return true;
        }
        let doubled = self.bytes.capacity().saturating_mul(2);
        // Where the budget does not bear what is desired, it may bear what is needed.
        let mut capacities = [needed.max(doubled), needed].into_iter();
        let Some(capacity) = capacities.find(|capacity| self.cover(*capacity)) else {
            return false;
        };
        self.bytes.truncate(self.filled);
        // What the system does not give is as good as beyond the budget: no reason to abort.
        self.bytes.try_reserve_exact(capacity.saturating_sub(self.filled)).is_ok()
    }

    /// Becomes a spare small buffer, or a new one.
    fn become_small(&mut self) -> bool {
        if !self.cover(SMALL) {
            return false;
        }
        if let Some(spare) = self.budget.spares().small.pop() {
            self.bytes = spare;
            return true;
        }
        let given = self.bytes.try_reserve_exact(SMALL).is_ok();
        if given {
            self.bytes.resize(SMALL, 0);
        }
        given
    }

    /// Counts so many bytes in all against the budget, and the copy's record.
    fn cover(&mut self, bytes: usize) -> bool {
        let all = bytes.saturating_add(RECORD);
        let covered = self.budget.take(all.saturating_sub(self.leased));
        if covered {
            self.leased = self.leased.max(all);
        }
        covered
    }

    /// Appends the bytes, or, where the budget or the system does not bear them, nothing.
    #[must_use]
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let Some(place) = self.place(bytes.len()) else { return false };
        place.copy_from_slice(bytes);
        self.fill(bytes.len());
        true
    }

    /// Where the next bytes go, to be written over, and then [filled](Self::fill); `None` where the budget or
    /// the system does not bear so many.
    #[inline]
    pub fn place(&mut self, length: usize) -> Option<&mut [u8]> {
        let end = self.filled.checked_add(length)?;
        if self.bytes.len() < end && !self.lengthen(length) {
            return None;
        }
        self.bytes.get_mut(self.filled..end)
    }

    /// The next bytes have been written.
    #[inline]
    pub fn fill(&mut self, length: usize) {
        self.filled = self.filled.saturating_add(length).min(self.bytes.len());
    }

    fn lengthen(&mut self, more: usize) -> bool {
        let fits = self.make_room(more);
        if fits {
            let initialised = self.bytes.len().max(self.filled + more);
            self.bytes.resize(initialised, 0);
        }
        fits
    }

    /// How many more bytes it holds without more memory.
    #[inline]
    pub fn room(&self) -> usize {
        self.bytes.capacity().saturating_sub(self.filled)
    }

    /// What it counts for.
    pub fn leased(&self) -> usize {
        self.leased
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if self.leased == 0 {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.len() == SMALL && bytes.capacity() == SMALL {
            // Where there are enough of them, it is freed.
            let _ = self.budget.spares().small.push(bytes);
        }
        self.budget.give_back(self.leased);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(budget: &'static Budget, bytes: &[u8]) -> Buffer {
        let mut buffer = budget.buffer();
        assert!(buffer.append(bytes));
        buffer
    }

    #[test]
    fn buffers_never_pass_the_limit_and_give_back_what_they_took() {
        static BUDGET: Budget = Budget::new(10_000);
        let first = filled(&BUDGET, &[b'a'; 6000]);
        let mut second = BUDGET.buffer();
        assert!(!second.make_room(10_000 - 6000 - 2 * RECORD + 1));
        assert_eq!((BUDGET.used(), second.room()), (6000 + RECORD, 0));
        assert!(second.make_room(10_000 - 6000 - 2 * RECORD));
        assert_eq!(BUDGET.used(), 10_000);
        drop(first);
        assert_eq!(BUDGET.used(), second.leased());
        drop(second);
        assert_eq!(BUDGET.used(), 0);
    }

    #[test]
    fn what_is_needed_is_taken_where_more_cannot_be_had() {
        static BUDGET: Budget = Budget::new(5000 + RECORD);
        let mut buffer = filled(&BUDGET, &[b'a'; 4000]);
        assert!(buffer.append(&[b'b'; 1000]), "twice as much is beyond the budget");
        assert!(!buffer.append(b"c"));
        assert_eq!((buffer.len(), BUDGET.used()), (5000, 5000 + RECORD));
    }

    #[test]
    fn a_growing_buffer_keeps_what_it_holds() {
        static BUDGET: Budget = Budget::new(1 << 20);
        let mut buffer = BUDGET.buffer();
        for chunk in 0..100_u8 {
            assert!(buffer.append(&[chunk; 60]) && buffer.append(&[chunk; 40]));
        }
        let expected: Vec<u8> = (0..100_u8).flat_map(|chunk| [chunk; 100]).collect();
        assert_eq!(&buffer[..], expected);
        assert_eq!(BUDGET.used(), buffer.len() + buffer.room() + RECORD);
    }

    #[test]
    fn small_buffers_are_used_again_and_come_back_empty() {
        static BUDGET: Budget = Budget::new(1 << 20);
        let first = filled(&BUDGET, b"secret");
        let place = first.as_ptr();
        drop(first);
        let mut second = BUDGET.buffer();
        assert!(second.make_room(SMALL));
        assert_eq!((second.as_ptr(), second.len()), (place, 0));
        assert_eq!(BUDGET.used(), SMALL + RECORD);
    }

    #[test]
    fn threads_that_take_and_give_back_never_pass_the_limit_together() {
        static BUDGET: Budget = Budget::new((SMALL + RECORD) * 3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..10 {
                        let mut buffer = BUDGET.buffer();
                        if buffer.append(&[round; SMALL]) {
                            assert!(BUDGET.used() <= BUDGET.limit);
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
        let buffers: Vec<Buffer> = (0..5).map(|_| filled(&BUDGET, b"a")).collect();
        drop(buffers);
        assert_eq!(BUDGET.spares().small.len(), 2);
        assert_eq!(BUDGET.used(), 0);
    }
}
