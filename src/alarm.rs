//! Wakes a thread that sleeps until enough waits for it.

// A futex wants the system's own kind of atomic, and not what `crate::sync` puts in its place.
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::{Timespec, futex};

/// An alarm for one sleeper at a time. Telling it never blocks, takes no lock, and costs a look unless somebody sleeps.
///
/// It is the machine's time that it saves. A timer that runs out costs a virtual machine several times what waking a
/// thread does: its host is called to set it, and again when it is over. On a busy core one longer than its tick (4 ms,
/// mostly) need not even be set, where the sleep ends before.
#[derive(Debug, Default)]
pub struct Alarm {
    /// How many are enough; 0 where nobody sleeps.
    enough: AtomicU32,
    /// Nothing will ever come.
    is_over: AtomicBool,
}

impl Alarm {
    /// One more waits, among so many: wakes who sleeps, if those are enough.
    #[inline]
    pub fn tell(&self, waiting: impl FnOnce() -> usize) {
        let enough = self.enough.load(Ordering::SeqCst);
        if enough > 0 && waiting() >= enough as usize {
            self.ring();
        }
    }

    /// Nothing will ever come: wakes who sleeps, and lets nobody sleep any more.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Wakes who sleeps, whatever waits, also where somebody began to and did not get to the call: see
    /// [`Offers::rouse`](crate::queue::Offers::rouse).
    pub fn rouse(&self) {
        self.enough.store(0, Ordering::SeqCst);
        let _ = futex::wake(&self.enough, futex::Flags::PRIVATE, 1);
    }

    #[cold]
    fn ring(&self) {
        // Of several that bring enough, one makes the call.
        if self.enough.swap(0, Ordering::SeqCst) > 0 {
            let _ = futex::wake(&self.enough, futex::Flags::PRIVATE, 1);
        }
    }

    /// Sleeps until so many wait, and no longer than that; at times it ends sooner.
    ///
    /// Nothing is overslept: who sleeps says so before it looks, and who brings something looks after. All threads agree
    /// on the order of that.
    pub fn sleep(&self, enough: usize, at_most: Duration, waiting: impl Fn() -> usize) {
        let value = u32::try_from(enough).unwrap_or(u32::MAX);
        let other = self.enough.swap(value, Ordering::SeqCst);
        debug_assert_eq!(other, 0, "two sleep by the same alarm");
        if !self.is_over.load(Ordering::SeqCst) && waiting() < enough {
            let at_most = Timespec::try_from(at_most).ok();
            let _ = futex::wait(&self.enough, futex::Flags::PRIVATE, value, at_most.as_ref());
        }
        self.enough.store(0, Ordering::Relaxed);
    }

    /// Whether somebody sleeps, or is about to.
    #[cfg(test)]
    pub fn is_set(&self) -> bool {
        self.enough.load(Ordering::SeqCst) > 0
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
    fn a_sleep_ends_when_enough_wait_and_not_before() {
        let (alarm, brought) = (Alarm::default(), AtomicUsize::new(0));
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let since = Instant::now();
                alarm.sleep(3, LONG, || brought.load(Ordering::SeqCst));
                (brought.load(Ordering::SeqCst), since.elapsed())
            });
            while !alarm.is_set() && !sleeper.is_finished() {
                thread::yield_now();
            }
            for _ in 0..2 {
                bring(&alarm, &brought);
                assert_eq!(alarm.enough.load(Ordering::SeqCst), 3, "it goes on");
            }
            bring(&alarm, &brought);
            let (brought, slept) = sleeper.join().unwrap();
            assert!(brought == 3 && slept < LONG, "{brought} after {slept:?}");
        });
    }

    #[test]
    fn where_enough_wait_already_nobody_sleeps() {
        let (alarm, since) = (Alarm::default(), Instant::now());
        for (enough, waiting) in [(1, 1), (3, 8), (0, 0)] {
            alarm.sleep(enough, LONG, || waiting);
        }
        assert!(since.elapsed() < LONG);
    }

    #[test]
    fn a_sleep_ends_by_itself_and_then_nobody_is_woken() {
        let (alarm, since) = (Alarm::default(), Instant::now());
        let short = Duration::from_millis(2);
        alarm.sleep(2, short, || 1);
        assert!(since.elapsed() >= short);
        alarm.tell(|| panic!("nobody asks for more"));
    }

    #[test]
    fn where_nothing_will_ever_come_nobody_sleeps() {
        let (alarm, since) = (Alarm::default(), Instant::now());
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| alarm.sleep(1, LONG, || 0));
            while !alarm.is_set() && !sleeper.is_finished() {
                thread::yield_now();
            }
            alarm.end();
        });
        alarm.sleep(1, LONG, || 0);
        assert!(since.elapsed() < LONG);
    }

    #[test]
    fn who_sleeps_is_roused_also_where_a_call_was_broken_off() {
        let (alarm, since) = (Alarm::default(), Instant::now());
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| alarm.sleep(1, LONG, || 0));
            while !alarm.is_set() && !sleeper.is_finished() {
                thread::yield_now();
            }
            // As it is between the two steps of a call.
            alarm.enough.store(0, Ordering::SeqCst);
            while !sleeper.is_finished() {
                alarm.rouse();
                thread::yield_now();
            }
        });
        assert!(since.elapsed() < LONG);
    }

    #[test]
    fn nothing_is_overslept() {
        const ROUNDS: usize = if cfg!(miri) { 20 } else { 2000 };
        let (alarm, brought, taken) = (Alarm::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let waiting = || brought.load(Ordering::SeqCst) - taken.load(Ordering::SeqCst);
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                for round in 1..=ROUNDS {
                    let since = Instant::now();
                    alarm.sleep(2, LONG, waiting);
                    assert!(since.elapsed() < LONG, "overslept round {round}");
                    while waiting() < 2 {
                        thread::yield_now();
                    }
                    taken.fetch_add(2, Ordering::SeqCst);
                }
            });
            for _ in 0..2 * ROUNDS {
                while waiting() >= 2 && !sleeper.is_finished() {
                    thread::yield_now();
                }
                brought.fetch_add(1, Ordering::SeqCst);
                alarm.tell(waiting);
            }
        });
    }
}
