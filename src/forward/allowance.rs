//! How much of staging's long answers a target's forwarders read.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::comparing::LONGEST;

/// Bytes in a second. With so many of an endless answer forwarders took as much of a core as with staging that is well,
/// with four times as many half as much again (`make isolation`).
const RATE: u64 = 32 << 20;
/// What may be saved up: the longest answer that is compared.
const MOST: u64 = LONGEST as u64;

/// An allowance of bytes, which refills as time passes.
///
/// Whoever answers without end would else take the time of production's own core, copy by copy.
#[derive(Debug)]
pub(super) struct Allowance(Mutex<State>);

#[derive(Debug)]
struct State {
    left: u64,
    /// Until when it is refilled.
    until: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Allowance {
        Allowance(Mutex::new(State { left: MOST, until: now }))
    }

    /// Takes so many bytes, if there are as many; whether there are.
    pub(super) fn take(&self, bytes: u64, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.until).as_nanos();
        let refill = passed.saturating_mul(RATE.into()) / 1_000_000_000;
        state.left = state.left.saturating_add(refill.try_into().unwrap_or(MOST)).min(MOST);
        state.until = state.until.max(now);
        let taken = state.left.checked_sub(bytes);
        state.left = taken.unwrap_or(state.left);
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_taken_comes_back_with_time_and_no_more_than_may_be_saved_up() {
        let begin = Instant::now();
        let allowance = Allowance::new(begin);
        let at = |millis| begin + Duration::from_millis(millis);
        assert!(allowance.take(MOST - 10, begin) && allowance.take(10, begin));
        assert!(!allowance.take(1, begin));
        assert!(!allowance.take(RATE / 100 + 1, at(10)), "what is not borne is not taken");
        assert!(allowance.take(RATE / 100, at(10)));
        assert!(!allowance.take(1, at(5)), "the past gives nothing");
        assert!(!allowance.take(1, at(10)));
        assert!(!allowance.take(MOST + 1, at(60_000)));
        assert!(allowance.take(MOST, at(60_000)));
    }
}
