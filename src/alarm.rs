//! Wakes a thread that naps until enough waits for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::futex;

/// An alarm for one sleeper at a time. Telling it never blocks, and costs a look unless somebody naps.
///
/// To be woken by another thread costs less than a timer that runs out: a virtual machine has to leave for its host to
/// set one, and again when it is over. One longer than the system's tick is not even set, where the nap ends before.
#[derive(Debug, Default)]
pub struct Alarm {
    /// How many are enough; 0 where nobody naps.
    enough: AtomicU32,
}

impl Alarm {
    /// One more waits, among so many: wakes who naps, if those are enough.
    #[inline]
    pub fn tell(&self, waiting: impl FnOnce() -> usize) {
        let enough = self.enough.load(Ordering::SeqCst);
        if enough > 0 && waiting() >= enough as usize {
            self.ring();
        }
    }

    #[cold]
    fn ring(&self) {
        // Of several that bring enough, one makes the call.
        if self.enough.swap(0, Ordering::Relaxed) > 0 {
            let _ = futex::wake(&self.enough, futex::Flags::PRIVATE, 1);
        }
    }

    /// Sleeps until so many wait, and no longer than that; at times it ends sooner.
    ///
    /// Nothing is overslept: who naps says so before it looks, and who brings something looks after. All threads agree
    /// on the order of that.
    pub fn nap(&self, enough: usize, at_most: Duration, waiting: impl Fn() -> usize) {
        let most = u32::try_from(enough).unwrap_or(u32::MAX);
        self.enough.store(most, Ordering::SeqCst);
        if let (true, Ok(at_most)) = (waiting() < enough, at_most.try_into()) {
            let _ = futex::wait(&self.enough, futex::Flags::PRIVATE, most, Some(&at_most));
        }
        self.enough.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Tells the alarm of one more.
    fn bring(alarm: &Alarm, brought: &AtomicUsize) {
        brought.fetch_add(1, Ordering::SeqCst);
        alarm.tell(|| brought.load(Ordering::SeqCst));
    }

    #[test]
    fn a_nap_ends_when_enough_wait_and_not_before() {
        let (alarm, brought) = (Alarm::default(), AtomicUsize::new(0));
        thread::scope(|scope| {
            let napper = scope.spawn(|| {
                let since = Instant::now();
                alarm.nap(3, LONG, || brought.load(Ordering::SeqCst));
                (brought.load(Ordering::SeqCst), since.elapsed())
            });
            while alarm.enough.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            for _ in 0..2 {
                bring(&alarm, &brought);
                assert_eq!(alarm.enough.load(Ordering::SeqCst), 3, "it goes on");
            }
            bring(&alarm, &brought);
            let (brought, slept) = napper.join().unwrap();
            assert!(brought == 3 && slept < LONG, "{brought} after {slept:?}");
        });
    }

    #[test]
    fn where_enough_wait_already_there_is_no_nap() {
        let (alarm, since) = (Alarm::default(), Instant::now());
        for (enough, waiting) in [(1, 1), (3, 8), (0, 0)] {
            alarm.nap(enough, LONG, || waiting);
        }
        assert!(since.elapsed() < LONG);
    }

    #[test]
    fn a_nap_ends_by_itself_and_then_nobody_is_woken() {
        let (alarm, since) = (Alarm::default(), Instant::now());
        let short = Duration::from_millis(2);
        alarm.nap(2, short, || 1);
        assert!(since.elapsed() >= short);
        alarm.tell(|| panic!("nobody asks for more"));
    }

    #[test]
    fn nothing_is_overslept() {
        const ROUNDS: usize = if cfg!(miri) { 50 } else { 20_000 };
        let (alarm, brought, taken) = (Alarm::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let waiting = || brought.load(Ordering::SeqCst) - taken.load(Ordering::SeqCst);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    let since = Instant::now();
                    alarm.nap(2, LONG, waiting);
                    assert!(since.elapsed() < LONG, "overslept round {round}");
                    while waiting() < 2 {
                        thread::yield_now();
                    }
                    taken.fetch_add(2, Ordering::SeqCst);
                }
            });
            for _ in 0..2 * ROUNDS {
                while waiting() >= 2 {
                    thread::yield_now();
                }
                brought.fetch_add(1, Ordering::SeqCst);
                alarm.tell(waiting);
            }
        });
    }
}
