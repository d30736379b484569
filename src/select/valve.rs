//! What all children share of a target's rules: the bucket of its rate, and how far its sample is held back.

use std::fmt;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds on a clock that never goes back, and on which all children agree.
pub type Nanos = u64;

const SECOND: Nanos = 1_000_000_000;

/// So many copies a second, and as many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// The most there can be.
    pub const MOST: u32 = 1_000_000;

    /// Reads a rate from `1/s` to `1000000/s`.
    pub fn parse(text: &str) -> Option<Rate> {
        let digits = text.strip_suffix("/s")?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let rate = is_number.then(|| digits.parse().ok()).flatten()?;
        (1..=Rate::MOST).contains(&rate).then_some(Rate(rate))
    }

    /// The rate of so many copies a second, if there is one.
    pub fn of(copies: u32) -> Option<Rate> {
        (1..=Rate::MOST).contains(&copies).then_some(Rate(copies))
    }

    /// Copies a second.
    pub fn copies(self) -> u32 {
        self.0
    }

    /// What one copy takes of a second; rounded down, by a thousandth at most.
    fn interval(self) -> Nanos {
        SECOND / u64::from(self.0)
    }
}

/// As the configuration has it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A target's valve in shared memory; all zeroes is one that is open.
#[repr(C)]
#[derive(Debug)]
pub struct Valve {
    /// Where `rate=` is kept.
    pub bucket: Bucket,
    /// How far `adapt=` has lowered the sample.
    pub throttle: Throttle,
    /// Where connections to the target are paid for.
    pub connections: Bucket,
}

impl Valve {
    /// One that is open.
    pub const fn new() -> Valve {
        Valve { bucket: Bucket::new(), throttle: Throttle::new(), connections: Bucket::new() }
    }
}

impl Default for Valve {
    fn default() -> Valve {
        Valve::new()
    }
}

/// A bucket that holds a second's copies, as the time at which it will be empty again (the generic cell rate
/// algorithm, ITU-T I.371): one word, and a child that ends leaves nothing behind.
///
/// It has a cache line of its own, for every copy under a rate writes it.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Bucket(AtomicU64);

impl Bucket {
    /// An empty one.
    pub const fn new() -> Bucket {
        Bucket(AtomicU64::new(0))
    }

    /// Takes a copy in, if there is room. Copies under several rates share the bucket, each with its own
    /// part of the second.
    pub fn admit(&self, rate: Rate, now: Nanos) -> bool {
        let full = now.saturating_add(rate.interval() * u64::from(rate.0));
        let fill = |empty: Nanos| {
            let empty = empty.max(now).saturating_add(rate.interval());
            (empty <= full).then_some(empty)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fill).is_ok()
    }

    /// Takes in what is worth so much, whether there is room or not, but no more than `most` is the time for; when
    /// it will be empty then.
    pub fn fill(&self, worth: Nanos, now: Nanos, most: Nanos) -> Nanos {
        let fill = |empty: Nanos| empty.max(now).saturating_add(worth).min(most.max(empty));
        let filled = |empty| Some(fill(empty));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, filled).map_or(now, fill)
    }

    /// When it will be empty, or was.
    pub fn empty_at(&self) -> Nanos {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket::new()
    }
}

/// How far a target's sample is held back. Requests read it; the one child that watches writes it.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Throttle {
    /// The part of the sample that is held back, of [`Throttle::WHOLE`].
    held: AtomicU64,
    lowered: AtomicU64,
    cause: AtomicU64,
    /// Staging's usual latency in microseconds; 0 while unknown.
    usual: AtomicU64,
    /// Until when one child watches; then another may.
    lease: AtomicU64,
    /// The parts of the sample that the target's own rule asks for, and, in the highest bit, whether any adapts.
    asked: AtomicU64,
}

/// A throttle as it is at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The part of the sample that is held back, of [`Throttle::WHOLE`].
    pub part: u64,
    /// How often it was lowered.
    pub lowered: u64,
    /// Which pressure lowered it last, as it was given to [`Throttle::hold`]; 0 for none.
    pub cause: u64,
    /// The share that the target's own rule asks for, in thousandths of a percent; 0 where there is none.
    pub asked: u64,
    /// Whether some scope's rule for it adapts.
    pub adapts: bool,
    /// Staging's usual latency in microseconds; 0 while unknown.
    pub usual: u64,
}

impl Throttle {
    /// A whole sample.
    pub const WHOLE: u64 = 1 << 32;

    const ADAPTS: u64 = 1 << 63;

    /// One that holds nothing back.
    pub const fn new() -> Throttle {
        Throttle {
            held: AtomicU64::new(0),
            lowered: AtomicU64::new(0),
            cause: AtomicU64::new(0),
            usual: AtomicU64::new(0),
            lease: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        }
    }

    /// Tells what the target's own rule asks for, and whether any rule for it adapts; else nothing is held back.
    pub fn configure(&self, parts: u32, adapts: bool) {
        let flag = if adapts { Throttle::ADAPTS } else { 0 };
        self.asked.store(u64::from(parts) | flag, Ordering::Relaxed);
        if !adapts {
            self.held.store(0, Ordering::Relaxed);
        }
    }

    /// The limit of a sample (see [`super::Share::limit`]) with its part held back. Costs one load.
    pub fn lower(&self, limit: Option<u64>) -> Option<u64> {
        let kept = Throttle::WHOLE.saturating_sub(self.held());
        if kept == Throttle::WHOLE {
            return limit;
        }
        let lowered = (u128::from(limit.unwrap_or(u64::MAX)) * u128::from(kept)) >> 32;
        Some(u64::try_from(lowered).unwrap_or(u64::MAX))
    }

    /// The part that is held back.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Holds this part back, because of this pressure if it is more than before. Only who has the lease.
    pub fn hold(&self, part: u64, cause: u64) {
        if part > self.held.swap(part, Ordering::Relaxed) {
            self.cause.store(cause, Ordering::Relaxed);
            self.lowered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Staging's usual latency in microseconds, if known.
    pub fn usual(&self) -> Option<u64> {
        Some(self.usual.load(Ordering::Relaxed)).filter(|micros| *micros > 0)
    }

    /// Keeps staging's usual latency for whoever watches next. Only who has the lease.
    pub fn keep_usual(&self, micros: u64) {
        self.usual.store(micros, Ordering::Relaxed);
    }

    /// Takes the lease, or prolongs it: at most one child has it at a time. `mine` is what it was for who
    /// calls; all times in milliseconds.
    pub fn lease(&self, mine: &mut u64, now: u64, span: u64) -> bool {
        let held = self.lease.load(Ordering::Relaxed);
        let until = now.saturating_add(span);
        if held != *mine && now < held {
            return false;
        }
        let taken =
            self.lease.compare_exchange(held, until, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        *mine = if taken { until } else { 0 };
        taken
    }

    /// As it is now.
    pub fn snapshot(&self) -> Held {
        let asked = self.asked.load(Ordering::Relaxed);
        Held {
            part: self.held(),
            lowered: self.lowered.load(Ordering::Relaxed),
            cause: self.cause.load(Ordering::Relaxed),
            asked: asked & !Throttle::ADAPTS,
            adapts: asked & Throttle::ADAPTS != 0,
            usual: self.usual.load(Ordering::Relaxed),
        }
    }
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_numbers_a_second() {
        assert_eq!(Rate::parse("500/s"), Some(Rate(500)));
        assert_eq!(Rate::parse("1000000/s"), Some(Rate(1_000_000)));
        for text in ["", "/s", "0/s", "500", "500/min", "1000001/s", "-1/s", "1.5/s", "+1/s"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_bucket_takes_a_second_of_copies_at_once_and_then_the_rate() {
        for rate in [1, 3, 7, 500, 999_999, 1_000_000] {
            let (bucket, rate) = (Bucket::new(), Rate(rate));
            let at = |now: Nanos| (0..=rate.0).filter(|_| bucket.admit(rate, now)).count() as u32;
            assert_eq!(at(5 * SECOND), rate.0, "at once");
            assert_eq!(at(5 * SECOND), 0, "full");
            assert_eq!(at(5 * SECOND + rate.interval() - 1), 0, "not yet");
            let later = 5 * SECOND + 10 * rate.interval();
            assert_eq!(at(later), rate.0.min(10), "what has run out");
            assert_eq!(at(100 * SECOND), rate.0, "it is never more than full");
        }
    }

    #[test]
    fn copies_under_two_rates_share_the_second() {
        let bucket = Bucket::new();
        assert_eq!((0..100).filter(|_| bucket.admit(Rate(10), SECOND)).count(), 10);
        assert!(!bucket.admit(Rate(1000), SECOND));
        assert!(bucket.admit(Rate(1000), SECOND + SECOND / 1000));
        assert!(!bucket.admit(Rate(10), SECOND + SECOND / 1000));
    }

    #[test]
    fn a_lease_has_one_holder_until_it_is_over() {
        let throttle = Throttle::new();
        let (mut first, mut second) = (0, 0);
        assert!(throttle.lease(&mut first, 100, 1000));
        assert!(!throttle.lease(&mut second, 200, 1000));
        assert!(throttle.lease(&mut first, 300, 1000), "prolonged");
        assert!(!throttle.lease(&mut second, 1200, 1000));
        assert!(throttle.lease(&mut second, 1300, 1000), "over");
        assert!(!throttle.lease(&mut first, 1400, 1000), "the former has lost it");
    }

    #[test]
    fn what_is_held_back_lowers_the_limit() {
        let throttle = Throttle::new();
        assert_eq!((throttle.lower(None), throttle.lower(Some(1 << 60))), (None, Some(1 << 60)));
        throttle.hold(Throttle::WHOLE / 4, 2);
        assert_eq!(throttle.lower(Some(1 << 60)), Some(3 << 58));
        assert_eq!(throttle.lower(None), Some((3 << 62) - 1));
        throttle.hold(Throttle::WHOLE / 8, 1);
        let Held { part, lowered, cause, .. } = throttle.snapshot();
        assert_eq!((part, lowered, cause), (Throttle::WHOLE / 8, 1, 2), "raised again");
        throttle.configure(10_000, false);
        assert_eq!((throttle.held(), throttle.snapshot().asked), (0, 10_000));
    }
}
