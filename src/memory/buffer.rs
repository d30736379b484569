//! A copy's head and what content fits behind it, in one piece.

use std::ops::Deref;

use super::{Budget, SMALL, wipe};

/// What a copy takes beside its bytes: the record, its reference count, its place in the queues.
const RECORD: usize = 256;

/// What who fills a buffer notes of it: mostly, where the parts of what it holds begin and end.
pub type Marks = [u32; 8];

/// Bytes with a room that does not change, covered by the [`Budget`] as long as they live.
///
/// It is two pointers, however much is noted of it: on their way to a queue copies are moved from hand to hand.
#[derive(Debug)]
pub struct Buffer {
    budget: &'static Budget,
    /// There, until it is dropped.
    sheet: Option<Box<Sheet>>,
}

/// What a buffer is made of, and used again with.
#[derive(Debug)]
pub(super) struct Sheet {
    /// What it holds, and after it what an earlier one left: bytes that can be written over cost less than
    /// such as must be added.
    bytes: Vec<u8>,
    filled: usize,
    marks: Marks,
}

impl Sheet {
    #[inline(always)]
    fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }
}

impl Buffer {
    /// One with room for so many bytes, and at least a small one's.
    #[inline(always)]
    pub(super) fn of(budget: &'static Budget, bytes: usize) -> Option<Buffer> {
        let room = bytes.max(SMALL);
        if !budget.take(leased(room)) {
            return None;
        }
        let spare = if room == SMALL { budget.kept().small.pop() } else { None };
        let mut sheet = match spare {
            Some(spare) => spare,
            None => Buffer::allocate(budget, room)?,
        };
        sheet.filled = 0;
        Some(Buffer { budget, sheet: Some(sheet) })
    }

    #[cold]
    fn allocate(budget: &'static Budget, room: usize) -> Option<Box<Sheet>> {
        let mut bytes = Vec::new();
        // So that every place in it is told by 32 bits.
        let is_tellable = u32::try_from(room).is_ok();
        // What the system does not give is as good as beyond the budget: no reason to abort.
        if !is_tellable || bytes.try_reserve_exact(room).is_err() {
            budget.give_back(leased(room));
            return None;
        }
        bytes.resize(room, 0);
        Some(Box::new(Sheet { bytes, filled: 0, marks: Marks::default() }))
    }

    /// What it is covered by.
    pub fn budget(&self) -> &'static Budget {
        self.budget
    }

    /// The room behind what it holds: to be written over, and then [`filled`](Self::fill).
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        self.sheet.as_mut().map_or(&mut [], |sheet| sheet.room())
    }

    /// So many bytes more have been written.
    #[inline]
    pub fn fill(&mut self, bytes: usize) {
        if let Some(sheet) = &mut self.sheet {
            sheet.filled = sheet.filled.saturating_add(bytes).min(sheet.bytes.len());
        }
    }

    /// What is noted of what it holds.
    #[inline]
    pub fn marks(&self) -> Marks {
        self.sheet.as_ref().map_or(Marks::default(), |sheet| sheet.marks)
    }

    /// Notes this of what it holds.
    #[inline]
    pub fn mark(&mut self, marks: Marks) {
        if let Some(sheet) = &mut self.sheet {
            sheet.marks = marks;
        }
    }

    /// Appends the bytes, if there is room for them all.
    #[must_use]
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let Some(sheet) = &mut self.sheet else { return false };
        let Some(place) = sheet.room().get_mut(..bytes.len()) else { return false };
        place.copy_from_slice(bytes);
        sheet.filled += bytes.len();
        true
    }

    /// What it counts for.
    pub fn leased(&self) -> usize {
        self.sheet.as_ref().map_or(0, |sheet| leased(sheet.bytes.len()))
    }
}

/// What a buffer with so much room counts for.
fn leased(room: usize) -> usize {
    room.saturating_add(RECORD)
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.sheet.as_ref().and_then(|sheet| sheet.bytes.get(..sheet.filled)).unwrap_or_default()
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        let leased = self.leased();
        let Some(mut sheet) = self.sheet.take() else { return };
        if self.budget.wipes {
            // All of them: one that was given up was written to, and not filled.
            wipe(&mut sheet.bytes);
        }
        if sheet.bytes.len() == SMALL {
            // Where there are enough of them, it is freed.
            let _ = self.budget.kept().small.push(sheet);
        }
        self.budget.give_back(leased);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_never_pass_the_limit_and_give_back_what_they_took() {
        static BUDGET: Budget = Budget::new(10_000);
        let first = BUDGET.buffer(6000).unwrap();
        assert!(BUDGET.buffer(10_000 - 6000 - 2 * RECORD + 1).is_none());
        assert_eq!(BUDGET.used(), 6000 + RECORD);
        let second = BUDGET.buffer(10_000 - 6000 - 2 * RECORD).unwrap();
        assert_eq!(BUDGET.used(), 10_000);
        drop(first);
        assert_eq!(BUDGET.used(), second.leased());
        drop(second);
        assert_eq!(BUDGET.used(), 0);
    }

    #[test]
    fn a_buffer_holds_what_was_appended_and_nothing_beyond_its_room() {
        static BUDGET: Budget = Budget::new(1 << 20);
        let mut buffer = BUDGET.buffer(3000).unwrap();
        assert!((0..30_u8).all(|part| buffer.append(&[part; 100])));
        assert!(!buffer.append(b"x"));
        let expected: Vec<u8> = (0..30_u8).flat_map(|part| [part; 100]).collect();
        assert_eq!(&buffer[..], expected);
    }

    #[test]
    fn small_buffers_are_used_again_and_come_back_empty() {
        static BUDGET: Budget = Budget::new(1 << 20);
        let mut first = BUDGET.buffer(10).unwrap();
        assert!(first.append(b"secret"));
        let place = first.as_ptr();
        drop(first);
        let mut second = BUDGET.buffer(SMALL).unwrap();
        assert_eq!((second.as_ptr(), second.len()), (place, 0));
        assert_eq!(second.room().len(), SMALL);
        assert_eq!(BUDGET.used(), SMALL + RECORD);
    }

    #[test]
    fn where_copies_are_wiped_a_buffer_comes_back_without_a_byte_of_them() {
        let budget: &'static Budget = Box::leak(Box::new(Budget::new(1 << 20).wiping(true)));
        for filled in [true, false] {
            let mut first = budget.buffer(10).unwrap();
            first.room()[..6].copy_from_slice(b"secret");
            if filled {
                first.fill(6);
            }
            let place = first.as_ptr();
            drop(first);
            let spare = budget.kept().small.pop().unwrap();
            assert_eq!(spare.bytes.as_ptr(), place);
            assert!(spare.bytes.iter().all(|byte| *byte == 0), "filled: {filled}");
        }
    }

    #[test]
    fn threads_that_take_and_give_back_never_pass_the_limit_together() {
        static BUDGET: Budget = Budget::new((SMALL + RECORD) * 3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..10 {
                        if let Some(mut buffer) = BUDGET.buffer(1) {
                            assert!(buffer.append(&[round; SMALL]));
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
        let buffers: Vec<Buffer> = (0..5).filter_map(|_| BUDGET.buffer(1)).collect();
        assert_eq!(buffers.len(), 5);
        drop(buffers);
        assert_eq!(BUDGET.kept().small.count(), 2);
        assert_eq!(BUDGET.used(), 0);
    }
}
