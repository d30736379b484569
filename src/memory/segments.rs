//! Content in pieces of one size: nothing moves when it grows, and nothing is copied twice.

use super::{Budget, SEGMENT};

/// Bytes in segments, covered by the [`Budget`] as long as they live.
#[derive(Debug)]
pub struct Segments {
    budget: &'static Budget,
    /// Whether copies go before what it holds.
    is_aside: bool,
    /// Most copies have none.
    list: Option<Box<List>>,
}

/// All are full but the last.
#[derive(Debug, Default)]
struct List(Vec<Vec<u8>>);

impl Segments {
    pub(super) fn of(budget: &'static Budget, is_aside: bool) -> Segments {
        Segments { budget, is_aside, list: None }
    }

    /// Appends the bytes, or, where the budget or the system does not bear them, only the first of them.
    #[must_use]
    pub fn append(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Some(last) = self.with_room() else { return false };
            let room = SEGMENT.saturating_sub(last.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, b""));
            last.extend_from_slice(now);
            bytes = later;
        }
        true
    }

    /// The last segment, or a new one where that is full.
    fn with_room(&mut self) -> Option<&mut Vec<u8>> {
        let List(list) = &mut **self.list.get_or_insert_default();
        let is_full = list.last().is_none_or(|last| last.len() >= SEGMENT);
        if is_full {
            list.try_reserve(1).ok()?;
            let segment = match self.is_aside {
                true => self.budget.segment_aside(),
                false => self.budget.segment(),
            };
            list.push(segment?);
        }
        list.last_mut()
    }

    /// All that it holds, which it then holds no more.
    #[inline]
    pub fn take(&mut self) -> Segments {
        let &mut Segments { budget, is_aside, .. } = self;
        Segments { budget, is_aside, list: self.list.take() }
    }

    /// How many bytes there is room for beside what is leased now.
    pub fn room(&self) -> usize {
        self.budget.left(self.is_aside)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.all().iter().map(Vec::len).sum()
    }

    /// The pieces, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.all().iter().map(Vec::as_slice)
    }

    /// Gives back all that it holds.
    pub fn release(&mut self) {
        let List(list) = self.list.take().map(|list| *list).unwrap_or_default();
        for segment in list {
            self.budget.spare(segment);
        }
    }

    #[inline]
    fn all(&self) -> &[Vec<u8>] {
        self.list.as_ref().map_or(&[], |list| &list.0)
    }
}

impl Drop for Segments {
    #[inline]
    fn drop(&mut self) {
        if self.list.is_some() {
            self.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::super::SEGMENT_LEASE;
    use super::*;

    #[test]
    fn bytes_stay_in_order_whatever_parts_they_come_in() {
        static BUDGET: Budget = Budget::new(1 << 20);
        let bytes: Vec<u8> = (0..5 * SEGMENT / 2).map(|at| (at / 7) as u8).collect();
        for part in [SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 1000] {
            let mut segments = BUDGET.segments();
            assert!(bytes.chunks(part).all(|part| segments.append(part)));
            assert_eq!(segments.iter().collect::<Vec<_>>().concat(), bytes);
            assert_eq!((segments.len(), segments.iter().count()), (bytes.len(), 3));
            assert_eq!(BUDGET.used(), 3 * SEGMENT_LEASE);
        }
        assert_eq!(BUDGET.used(), 0);
    }

    #[test]
    fn segments_are_used_again_and_come_back_empty() {
        static BUDGET: Budget = Budget::new(8 * SEGMENT_LEASE);
        let mut first = BUDGET.segments();
        assert!(first.append(b"secret"));
        let place = first.iter().next().unwrap().as_ptr();
        drop(first);
        let mut second = BUDGET.segments();
        assert!(second.append(b"x"));
        assert_eq!(second.iter().next(), Some(&b"x"[..]));
        assert_eq!(second.iter().next().unwrap().as_ptr(), place);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri's memory is not the process's")]
    fn where_copies_are_wiped_a_segment_comes_back_without_a_byte_of_them() {
        for wipes in [true, false] {
            let budget: &'static Budget =
                Box::leak(Box::new(Budget::new(8 * SEGMENT_LEASE).wiping(wipes)));
            let mut first = budget.segments();
            assert!(first.append(b"secret"));
            let place = first.iter().next().unwrap().as_ptr().addr();
            drop(first);
            let mut left = [b'?'; 6];
            // It is among the spares, empty: what lies there, only the system tells.
            let memory = std::fs::File::open("/proc/self/mem").unwrap();
            memory.read_exact_at(&mut left, place as u64).unwrap();
            assert_eq!(&left, if wipes { &[0; 6] } else { b"secret" });
        }
    }

    #[test]
    fn what_is_beyond_the_limit_is_refused_and_leaves_the_rest_to_others() {
        static BUDGET: Budget = Budget::new(3 * SEGMENT_LEASE);
        let mut first = BUDGET.segments();
        assert!(first.append(&[0; 2 * SEGMENT]));
        let mut second = BUDGET.segments();
        assert!(!second.append(&[0; 2 * SEGMENT]));
        second.release();
        assert!(first.append(&[0; SEGMENT]));
        assert!(!first.append(b"x"));
        drop(first);
        assert_eq!(BUDGET.used(), 0);
    }

    #[test]
    fn what_copies_go_before_takes_half_of_the_budget_and_spares_like_any_other() {
        static BUDGET: Budget = Budget::new(8 * SEGMENT_LEASE);
        let mut first = BUDGET.segments();
        assert!(first.append(&[0; 3 * SEGMENT]));
        let mut aside = BUDGET.segments_aside();
        assert!(aside.append(&[0; SEGMENT]) && !aside.append(b"x"), "copies have half of it");
        assert!(first.append(&[0; SEGMENT]), "which go on");
        first.release();
        assert!(aside.append(&[0; 3 * SEGMENT]) && !aside.append(b"x"));
        assert_eq!(BUDGET.used(), 4 * SEGMENT_LEASE);
        assert_eq!(BUDGET.kept().segments.count(), 1, "the others are used again");
        drop(aside);
        assert_eq!(BUDGET.used(), 0);
    }

    #[test]
    fn spares_make_room_for_what_needs_it() {
        static BUDGET: Budget = Budget::new(16 * SEGMENT_LEASE);
        let mut segments = BUDGET.segments();
        assert!(segments.append(&[0; 16 * SEGMENT]));
        segments.release();
        assert_eq!(
            (BUDGET.used(), BUDGET.kept().segments.count()),
            (0, 8),
            "half of them are kept"
        );
        let buffer = BUDGET.buffer(9 * SEGMENT).expect("one of them is freed");
        assert_eq!(BUDGET.kept().segments.count(), 7);
        assert!(BUDGET.used.load(crate::sync::atomic::Ordering::Relaxed) <= BUDGET.limit);
        drop(buffer);
        assert_eq!(BUDGET.used(), 0);
    }
}
