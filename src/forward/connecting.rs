//! How connecting to a target goes of late: what its lines and its pool tell each other of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Plain,
    Tls,
}

impl Over {
    /// What each connection is worth: so many are made in a second at most, in the long run.
    ///
    /// One costs production's cores some ten times what a copy over a kept one does, and TLS as much again, or more.
    const fn each(self) -> Duration {
        match self {
            Over::Plain => Duration::from_millis(1),
            Over::Tls => Duration::from_millis(4),
        }
    }
}

/// How often there have to be too many for that to be told: copies waited for half a second in all, at least.
const WORTH_TELLING: u64 = 500;

/// Whether connections to a target are slow to make, and whether more were made than production should bear.
///
/// Staging that ends its connections, or answers so that they cannot be used again, would else take the time of
/// production's own cores, copy by copy. While it does, copies wait in the queue, as they do for a slow one.
#[derive(Debug)]
pub(super) struct Connecting {
    /// Whether the last connection took long to make.
    slow: AtomicBool,
    since: Instant,
    /// How many may be made at once, by what each is worth, in nanoseconds.
    saved_up: u64,
    /// By when all that were made are paid for, in nanoseconds since then.
    paid: AtomicU64,
    /// Whether that was to come when it was last looked at.
    owes: AtomicBool,
    /// How often that began.
    times: AtomicU64,
    /// Whether it became worth telling, and nobody was told yet.
    untold: AtomicBool,
}

impl Connecting {
    /// To a target that may have so many connections.
    pub(super) fn to(max: usize, over: Over) -> Connecting {
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        Connecting {
            slow: AtomicBool::new(false),
            since: Instant::now(),
            saved_up: nanos(over.each()).saturating_mul(max),
            paid: AtomicU64::new(0),
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
    pub(super) fn count(&self, over: Over, now: Instant) {
        let now = self.at(now);
        let pay = |paid: u64| paid.max(now).saturating_add(nanos(over.each()));
        // What was saved up was paid in advance.
        let at = now.saturating_add(self.saved_up);
        let before =
            self.paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(pay(paid)));
        let after = before.map_or(0, pay);
        if after > at && !self.owes.swap(true, Ordering::Relaxed) {
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

    /// How long no connection is to be made; `None` where one may be. It reads no clock as long as one may.
    pub(super) fn owed(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if !self.owes.load(Ordering::Relaxed) {
            return None;
        }
        let at = self.at(now()).saturating_add(self.saved_up);
        let owed = self.paid.load(Ordering::Relaxed).saturating_sub(at);
        if owed == 0 {
            self.owes.store(false, Ordering::Relaxed);
            return None;
        }
        Some(Duration::from_nanos(owed))
    }

    fn at(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.since))
    }
}

#[cfg(test)]
impl Default for Connecting {
    fn default() -> Connecting {
        Connecting::to(20, Over::Plain)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Over::Plain;
    use super::*;

    const EACH: Duration = Plain.each();

    #[test]
    fn as_many_as_the_target_may_have_are_made_at_once_and_then_one_in_each_millisecond() {
        let connecting = Connecting::to(20, Plain);
        let at = |millis| connecting.since + Duration::from_millis(millis);
        for made in 1..=20 {
            connecting.count(Plain, at(5));
            assert_eq!(connecting.owed(|| at(5)), None, "{made}");
        }
        connecting.count(Plain, at(5));
        connecting.count(Plain, at(5));
        assert_eq!(connecting.owed(|| at(5)), Some(EACH * 2));
        assert_eq!(connecting.owed(|| at(6)), Some(EACH));
        assert_eq!(connecting.owed(|| at(7)), None);
        assert_eq!(connecting.owed(|| at(6)), None, "no clock is read");
        connecting.count(Plain, at(7));
        assert_eq!(connecting.owed(|| at(7)), Some(EACH));
        assert_eq!(connecting.owed(|| at(1000)), None);
        (0..20).for_each(|_| connecting.count(Plain, at(1000)));
        assert_eq!(connecting.owed(|| at(1000)), None, "saved up again, and no more");
        connecting.count(Plain, at(1000));
        assert_eq!(connecting.owed(|| at(1000)), Some(EACH));
    }

    #[test]
    fn over_tls_they_are_fewer() {
        let connecting = Connecting::to(20, Over::Tls);
        (0..21).for_each(|_| connecting.count(Over::Tls, connecting.since));
        assert_eq!(connecting.owed(|| connecting.since), Some(EACH * 4));
    }

    #[test]
    fn it_is_told_when_there_were_too_many_for_long_and_then_again() {
        let connecting = Connecting::to(1, Plain);
        let at = |millis| connecting.since + Duration::from_millis(millis);
        let mut told = Vec::new();
        for round in 1..=1250 {
            // Two at once, which are paid for when the next come.
            (0..2).for_each(|_| connecting.count(Plain, at(2 * round)));
            assert_eq!(connecting.owed(|| at(2 * round)), Some(EACH));
            assert_eq!(connecting.owed(|| at(2 * round + 1)), None);
            told.extend(connecting.is_news().then_some(round));
        }
        assert_eq!(told, [500, 1000]);
    }
}
