//! Segments that wait to be used again: the last given back goes first, for a cache may still have it.

use std::sync::{Mutex, MutexGuard};

use crate::sync::atomic::{AtomicUsize, Ordering};

/// As many threads that come at the same moment are served.
const STACKS: usize = 4;

/// Spare segments. Nobody ever waits for a lock of theirs: who finds one held takes the next stack.
#[derive(Debug)]
pub(super) struct Spares {
    stacks: [Mutex<Stack>; STACKS],
    count: AtomicUsize,
}

#[derive(Debug)]
struct Stack {
    segments: Vec<Vec<u8>>,
    /// The most that it holds; it never grows beyond, and so never allocates.
    most: usize,
    /// The fewest that it held since it was last trimmed: nobody needed these.
    unneeded: usize,
}

impl Spares {
    /// None yet, and at most so many, or a few more.
    pub(super) fn at_most(most: usize) -> Spares {
        let most = most.div_ceil(STACKS);
        let stack = || Stack { segments: Vec::with_capacity(most), most, unneeded: 0 };
        Spares { stacks: [(); STACKS].map(|()| Mutex::new(stack())), count: AtomicUsize::new(0) }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn pop(&self) -> Option<Vec<u8>> {
        let segment = self.free_stacks().find_map(|mut stack| {
            let segment = stack.segments.pop();
            stack.unneeded = stack.unneeded.min(stack.segments.len());
            segment
        })?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(segment)
    }

    /// Keeps a segment, or, where there is no room for it, frees it: whether it is kept.
    pub(super) fn push(&self, segment: Vec<u8>) -> bool {
        // Before it is there, so that who takes it never counts down what was not counted.
        self.count.fetch_add(1, Ordering::Relaxed);
        let room = self.free_stacks().find(|stack| stack.segments.len() < stack.most);
        let kept = room.map(|mut stack| stack.segments.push(segment)).is_some();
        if !kept {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        kept
    }

    /// Takes out what nobody has needed since the last time.
    pub(super) fn trim(&self) -> Vec<Vec<u8>> {
        let mut trimmed = Vec::new();
        for mut stack in self.free_stacks() {
            let unneeded = stack.unneeded.min(stack.segments.len());
            // The lowest, which were not touched for the longest time.
            trimmed.extend(stack.segments.drain(..unneeded));
            stack.unneeded = stack.segments.len();
        }
        self.count.fetch_sub(trimmed.len(), Ordering::Relaxed);
        trimmed
    }

    /// The stacks that nobody else looks at right now.
    fn free_stacks(&self) -> impl Iterator<Item = MutexGuard<'_, Stack>> {
        self.stacks.iter().filter_map(|stack| stack.try_lock().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(mark: u8) -> Vec<u8> {
        vec![mark]
    }

    #[test]
    fn the_last_given_back_is_taken_first_and_no_more_than_so_many_are_kept() {
        let spares = Spares::at_most(8);
        assert_eq!((0..10).filter(|mark| spares.push(segment(*mark))).count(), 8);
        assert_eq!(spares.count(), 8);
        assert_eq!(spares.pop(), Some(segment(1)), "each stack has two");
        assert!(spares.push(segment(20)));
        assert_eq!(spares.pop(), Some(segment(20)));
        assert_eq!(std::iter::from_fn(|| spares.pop()).count(), 7);
        assert_eq!(spares.count(), 0);
    }

    #[test]
    fn who_finds_a_stack_held_takes_the_next() {
        let spares = Spares::at_most(2 * STACKS);
        let held = spares.stacks[0].lock().unwrap();
        assert!(spares.push(segment(1)));
        assert_eq!(spares.pop(), Some(segment(1)));
        let all: Vec<_> = spares.stacks[1..].iter().map(|stack| stack.lock().unwrap()).collect();
        assert!(!spares.push(segment(2)));
        assert_eq!(spares.pop(), None);
        drop((held, all));
        assert!(spares.push(segment(2)));
    }

    #[test]
    fn what_nobody_needs_between_two_trims_goes() {
        let spares = Spares::at_most(4 * STACKS);
        (0..4).for_each(|mark| assert!(spares.push(segment(mark))));
        assert!(spares.trim().is_empty(), "they have only just come");
        let used = [spares.pop(), spares.pop()].map(Option::unwrap);
        used.into_iter().for_each(|used| assert!(spares.push(used)));
        assert_eq!(spares.trim(), [segment(0), segment(1)]);
        assert_eq!(spares.count(), 2);
        assert_eq!(spares.trim().len(), 2);
        assert_eq!((spares.trim().len(), spares.count()), (0, 0));
    }
}
