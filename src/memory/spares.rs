//! What waits to be used again: the last given back goes first, for a cache may still have it.

use std::sync::{Mutex, MutexGuard};

use crate::sync::atomic::{AtomicUsize, Ordering};

/// As many threads that come at the same moment are served.
const STACKS: usize = 4;

/// Spare pieces. Nobody ever waits for a lock of theirs: who finds one held takes the next stack. So a forwarder that the
/// system stops while it gives one back holds up no request, as it does where one spins until that is done.
#[derive(Debug)]
pub(super) struct Spares<T> {
    stacks: [Mutex<Stack<T>>; STACKS],
    count: AtomicUsize,
}

#[derive(Debug)]
struct Stack<T> {
    pieces: Vec<T>,
    /// The most that it holds; it never grows beyond, and so never allocates.
    most: usize,
    /// The fewest that it held since it was last trimmed: nobody needed these.
    unneeded: usize,
}

impl<T> Spares<T> {
    /// None yet, and at most so many.
    pub(super) fn at_most(most: usize) -> Spares<T> {
        let stack = |at: usize| {
            let most = most.saturating_add(at) / STACKS;
            Mutex::new(Stack { pieces: Vec::with_capacity(most), most, unneeded: 0 })
        };
        Spares { stacks: std::array::from_fn(stack), count: AtomicUsize::new(0) }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn pop(&self) -> Option<T> {
        let piece = self.free_stacks().find_map(|mut stack| {
            let piece = stack.pieces.pop();
            stack.unneeded = stack.unneeded.min(stack.pieces.len());
            piece
        })?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(piece)
    }

    /// Keeps a piece, or, where there is no room for it, frees it: whether it is kept.
    pub(super) fn push(&self, piece: T) -> bool {
        // Before it is there, so that who takes it never counts down what was not counted.
        self.count.fetch_add(1, Ordering::Relaxed);
        let room = self.free_stacks().find(|stack| stack.pieces.len() < stack.most);
        let kept = room.map(|mut stack| stack.pieces.push(piece)).is_some();
        if !kept {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        kept
    }

    /// Takes out what nobody has needed since the last time.
    pub(super) fn trim(&self) -> Vec<T> {
        let mut trimmed = Vec::new();
        for mut stack in self.free_stacks() {
            let unneeded = stack.unneeded.min(stack.pieces.len());
            // The lowest, which were not touched for the longest time.
            trimmed.extend(stack.pieces.drain(..unneeded));
            stack.unneeded = stack.pieces.len();
        }
        self.count.fetch_sub(trimmed.len(), Ordering::Relaxed);
        trimmed
    }

    /// The stacks that nobody else looks at right now.
    fn free_stacks(&self) -> impl Iterator<Item = MutexGuard<'_, Stack<T>>> {
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
    fn as_many_are_kept_as_may_be_and_none_more() {
        for most in 0..10 {
            let spares = Spares::at_most(most);
            assert_eq!((0..20).filter(|mark| spares.push(*mark)).count(), most);
            assert_eq!(std::iter::from_fn(|| spares.pop()).count(), most);
        }
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
