//! How connecting to a target goes of late: what its lines and its pool tell each other of it, and all children
//! each other of how many connections were made.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::select::{Bucket, Nanos};

/// How often there have to be too many for that to be told.
const WORTH_TELLING: u64 = 500;
/// The most that is ever owed: a child that ends has to send what it has, and who makes many connections at once
/// makes others wait no longer.
const MOST_OWED: Nanos = 100_000_000;

/// What an exchange that staging breaks off, or answers with nonsense, is worth beside its connection, in connections:
/// it costs more than one that goes well, and there is nothing to be had for it.
const BROKEN: u64 = 3;

/// Over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Plain,
    Tls,
}

impl Over {
    /// What each connection is worth of one core's time. So many are made in a second at most, in the long run.
    ///
    /// One costs production some ten times what a copy over a kept one does, and TLS several times that.
    const fn each(self) -> Nanos {
        match self {
            Over::Plain => 1_000_000,
            Over::Tls => 4_000_000,
        }
    }
}

/// Whether connections to a target are slow to make, and whether more were made than production should bear.
///
/// Staging that ends its connections, or answers so that they cannot be used again, would else take the time of
/// production's own cores, copy by copy. While it does, copies wait in the queue, as they do for a slow one.
///
/// What is made is counted over all children, for they share the cores; each looks at the count only while it makes
/// connections of its own.
#[derive(Debug)]
pub(super) struct Connecting {
    /// Whether the last connection took long to make.
    slow: AtomicBool,
    /// The cores that connections are made on.
    cores: u64,
    /// How many may be made at once, by what each is worth.
    saved_up: Nanos,
    /// All children's, which is empty when those that were made are paid for.
    made: &'static Bucket,
    /// Whether too many were made when it was last looked at.
    owes: AtomicBool,
    /// How often that began.
    times: AtomicU64,
    /// Whether it became worth telling, and nobody was told yet.
    untold: AtomicBool,
}

impl Connecting {
    /// To a target to which each child may have so many connections.
    pub(super) fn to(max: usize, over: Over, made: &'static Bucket) -> Connecting {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        Connecting::with_cores(cores, max, over, made)
    }

    fn with_cores(cores: u64, max: usize, over: Over, made: &'static Bucket) -> Connecting {
        Connecting {
            slow: AtomicBool::new(false),
            cores,
            saved_up: (over.each() / cores).saturating_mul(max as u64),
            made,
            owes: AtomicBool::new(false),
            times: AtomicU64::new(0),
            untold: AtomicBool::new(false),
        }
    }

    /// Whether the last connection took long to make.
    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Notes whether a connection takes long to make.
    pub(super) fn note_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }

    /// Counts a connection.
    pub(super) fn count(&self, over: Over, now: Nanos) {
        self.owe(over.each() / self.cores, now);
    }

    /// Counts what staging did to the exchange on a connection.
    pub(super) fn count_broken(&self, over: Over, now: Nanos) {
        self.owe((over.each() / self.cores).saturating_mul(BROKEN), now);
    }

    fn owe(&self, worth: Nanos, now: Nanos) {
        let full = now.saturating_add(self.saved_up);
        let most = full.saturating_add(MOST_OWED);
        let paid = self.made.fill(worth, now, most);
        if paid > full && !self.owes.swap(true, Ordering::Relaxed) {
            let times = self.times.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if times.is_multiple_of(WORTH_TELLING) {
                self.untold.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether there were too many for long since this was asked last.
    pub(super) fn is_news(&self) -> bool {
        self.untold.load(Ordering::Relaxed) && self.untold.swap(false, Ordering::Relaxed)
    }

    /// How long no connection is to be made, in nanoseconds; `None` where one may be. It reads no clock as long as
    /// one may.
    pub(super) fn owed(&self, now: impl FnOnce() -> Nanos) -> Option<Nanos> {
        if !self.owes.load(Ordering::Relaxed) {
            return None;
        }
        let owed = self.made.empty_at().saturating_sub(now().saturating_add(self.saved_up));
        if owed == 0 {
            self.owes.store(false, Ordering::Relaxed);
        }
        (owed > 0).then_some(owed)
    }
}

#[cfg(test)]
impl Default for Connecting {
    fn default() -> Connecting {
        Connecting::to(20, Over::Plain, Box::leak(Box::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::Over::{Plain, Tls};
    use super::*;

    const MILLI: Nanos = 1_000_000;

    fn bucket() -> &'static Bucket {
        Box::leak(Box::default())
    }

    #[test]
    fn what_staging_breaks_off_is_worth_three_connections_more() {
        let connecting = Connecting::with_cores(2, 4, Plain, bucket());
        let owed = |millis| connecting.owed(|| millis * MILLI);
        let broken = || {
            connecting.count(Plain, 5 * MILLI);
            connecting.count_broken(Plain, 5 * MILLI);
            owed(5)
        };
        assert_eq!((broken(), broken()), (None, Some(2 * MILLI)));
        assert_eq!(owed(7), None);
    }

    #[test]
    fn as_many_as_a_child_may_have_are_made_at_once_and_then_one_in_each_millisecond() {
        let connecting = Connecting::with_cores(1, 20, Plain, bucket());
        let count = |millis| connecting.count(Plain, millis * MILLI);
        let owed = |millis| connecting.owed(|| millis * MILLI).map(|owed| owed / MILLI);
        for made in 1..=20 {
            count(5);
            assert_eq!(owed(5), None, "{made}");
        }
        count(5);
        count(5);
        assert_eq!((owed(5), owed(6), owed(7)), (Some(2), Some(1), None));
        assert_eq!(owed(6), None, "no clock is read");
        count(7);
        assert_eq!((owed(7), owed(1000)), (Some(1), None));
        (0..20).for_each(|_| count(1000));
        assert_eq!(owed(1000), None, "saved up again, and no more");
        count(1000);
        assert_eq!(owed(1000), Some(1));
    }

    #[test]
    fn no_more_than_a_tenth_of_a_second_is_ever_owed() {
        let connecting = Connecting::with_cores(1, 20, Plain, bucket());
        (0..1000).for_each(|_| connecting.count(Plain, 0));
        assert_eq!(connecting.owed(|| 0), Some(MOST_OWED));
        assert_eq!(connecting.owed(|| MOST_OWED), None);
    }

    #[test]
    fn there_are_more_where_there_are_cores_and_fewer_over_tls() {
        for (cores, over, worth) in [(1, Tls, 4 * MILLI), (4, Plain, MILLI / 4), (4, Tls, MILLI)] {
            let connecting = Connecting::with_cores(cores, 20, over, bucket());
            (0..21).for_each(|_| connecting.count(over, 0));
            assert_eq!(connecting.owed(|| 0), Some(worth), "{cores} {over:?}");
        }
    }

    #[test]
    fn what_one_child_makes_others_find_made() {
        let made = bucket();
        let [one, other] = [(); 2].map(|()| Connecting::with_cores(1, 20, Plain, made));
        (0..30).for_each(|_| one.count(Plain, 0));
        assert_eq!(other.owed(|| 0), None, "it makes none");
        other.count(Plain, 0);
        assert_eq!(other.owed(|| 0), Some(11 * MILLI));
        assert_eq!(one.owed(|| 0), Some(11 * MILLI));
    }

    #[test]
    fn it_is_told_when_there_were_too_many_for_long_and_then_again() {
        let connecting = Connecting::with_cores(1, 1, Plain, bucket());
        let mut told = Vec::new();
        for round in 1..=1250 {
            // Two at once, which are paid for when the next come.
            (0..2).for_each(|_| connecting.count(Plain, 2 * round * MILLI));
            assert_eq!(connecting.owed(|| 2 * round * MILLI), Some(MILLI));
            assert_eq!(connecting.owed(|| (2 * round + 1) * MILLI), None);
            told.extend(connecting.is_news().then_some(round));
        }
        assert_eq!(told, [500, 1000]);
    }
}
