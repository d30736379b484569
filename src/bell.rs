//! Wakes a thread that waits for copies: at most once for each of its sleeps.
//!
//! A channel can do so too, but crossbeam's looks again and again for some microseconds before it sleeps: that is time
//! which production does not have where it shares its core.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SendFlags, send};
use rustix::thread::futex::{self, Flags, Timespec};

use crate::sync::atomic::{AtomicU32, Ordering};

/// A bell beside a sleeper's bed. Ringing it never blocks, and costs a look unless somebody sleeps.
///
/// **Nothing is overslept.** Who is about to sleep [listens](Bell::listen), and then looks once more at what it
/// waits for; who brings something rings after. Both in one order that all threads agree on: so either the
/// sleeper sees what was brought, or the ringer sees that it listens.
#[derive(Debug, Default)]
pub struct Bell {
    /// Whether somebody does: [`YES`], or zero.
    listened: AtomicU32,
    /// What is written here can be read where it is heard; without, who listens [sleeps](Bell::sleep) by it.
    to_ear: Option<UnixStream>,
}

const YES: u32 = 1;

impl Bell {
    /// A bell that nobody listens to, and where it is heard: there something can be read when it has rung.
    pub fn with_ear() -> io::Result<(Bell, UnixStream)> {
        let (to_ear, ear) = UnixStream::pair()?;
        ear.set_nonblocking(true)?;
        Ok((Bell { to_ear: Some(to_ear), ..Bell::default() }, ear))
    }

    /// Wakes who listens, if anybody does.
    #[inline]
    pub fn ring(&self) {
        if self.listened.load(Ordering::SeqCst) != 0 && self.listened.swap(0, Ordering::SeqCst) != 0
        {
            self.wake();
        }
    }

    fn wake(&self) {
        match &self.to_ear {
            // It fails only where there is more to be heard than anybody cares to hear.
            Some(ear) => drop(send(ear, &[0], SendFlags::DONTWAIT | SendFlags::NOSIGNAL)),
            // It cannot fail where there is such a word.
            None => drop(futex::wake(&self.listened, Flags::PRIVATE, 1)),
        }
    }

    /// Sleeps until it rings, or this long. Only who [listens](Self::listen) and has found nothing does, and to a bell
    /// without an ear.
    ///
    /// It may end early: who slept looks.
    pub fn sleep(&self, at_most: Duration) {
        debug_assert!(self.to_ear.is_none(), "it rings elsewhere");
        // What is too long to be told is as good as for ever.
        let at_most = Timespec::try_from(at_most).ok();
        let _ = futex::wait(&self.listened, Flags::PRIVATE, YES, at_most.as_ref());
    }

    /// From now on the bell rings, once.
    pub fn listen(&self) {
        self.listened.store(YES, Ordering::SeqCst);
    }

    /// It is not to ring any more; it may just have done so.
    pub fn ignore(&self) {
        self.listened.store(0, Ordering::SeqCst);
    }
}

/// The hold that ringers have of a bell: it rings when the last of them is gone, too.
#[derive(Clone, Debug)]
pub struct Rope(Arc<Last>);

#[derive(Debug)]
struct Last(Arc<Bell>);

impl Rope {
    /// A hold of this bell.
    pub fn of(bell: Arc<Bell>) -> Rope {
        Rope(Arc::new(Last(bell)))
    }

    /// Wakes who listens, if anybody does.
    #[inline]
    pub fn pull(&self) {
        self.0.0.ring();
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        self.0.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use super::*;

    /// Longer than anybody should sleep.
    const LONG: Duration = Duration::from_secs(20);

    /// How often it rang since it was last asked.
    fn heard(mut ear: &UnixStream) -> usize {
        ear.read(&mut [0; 64]).unwrap_or(0)
    }

    #[test]
    fn it_rings_for_who_listens_and_once() {
        let (bell, ear) = Bell::with_ear().unwrap();
        bell.ring();
        assert_eq!(heard(&ear), 0, "nobody listens");
        bell.listen();
        assert_eq!(heard(&ear), 0);
        bell.ring();
        bell.ring();
        assert_eq!(heard(&ear), 1);
        bell.listen();
        bell.ignore();
        bell.ring();
        assert_eq!(heard(&ear), 0);
    }

    #[test]
    fn it_rings_when_nobody_is_left_who_could() {
        let (bell, ear) = Bell::with_ear().unwrap();
        bell.listen();
        let rope = Rope::of(Arc::new(bell));
        let other = rope.clone();
        drop(rope);
        assert_eq!(heard(&ear), 0);
        drop(other);
        assert_eq!(heard(&ear), 1);
    }

    #[test]
    fn who_sleeps_by_it_sleeps_until_it_rings_and_no_longer_than_it_may() {
        const SHORT: Duration = Duration::from_millis(1);
        let (bell, begun) = (Bell::default(), Instant::now());
        bell.listen();
        bell.sleep(SHORT);
        assert!(begun.elapsed() >= SHORT, "it does not sleep");
        bell.ring();
        bell.sleep(LONG);
        assert!(begun.elapsed() < LONG, "it rang before");
        bell.listen();
        std::thread::scope(|scope| {
            scope.spawn(|| bell.ring());
            while bell.listened.load(Ordering::SeqCst) != 0 {
                bell.sleep(LONG);
            }
        });
        assert!(begun.elapsed() < LONG, "it rings");
    }

    #[test]
    fn nothing_is_overslept_where_it_is_heard_nor_by_the_bell() {
        let (bell, mut ear) = Bell::with_ear().unwrap();
        ear.set_nonblocking(false).unwrap();
        ear.set_read_timeout(Some(LONG)).unwrap();
        oversleeps_nothing(bell, |_| ear.read(&mut [0; 64]).is_ok());
        oversleeps_nothing(Bell::default(), |bell| {
            let begun = Instant::now();
            bell.sleep(LONG);
            begun.elapsed() < LONG
        });
    }

    /// Brings one thing after another to who sleeps between: whether each sleep ends in time is told by `sleep`.
    fn oversleeps_nothing(bell: Bell, mut sleep: impl FnMut(&Bell) -> bool) {
        const COUNT: usize = 20_000;
        let bell = Arc::new(bell);
        let (sender, queue) = crossbeam_channel::bounded(1);
        let rope = Rope::of(Arc::clone(&bell));
        let ringer = std::thread::spawn(move || {
            for count in 0..COUNT {
                while sender.try_send(count).is_err() {
                    std::thread::yield_now();
                }
                rope.pull();
            }
        });
        let mut expected = 0;
        while expected < COUNT {
            while let Ok(count) = queue.try_recv() {
                assert_eq!(count, expected);
                expected += 1;
            }
            bell.listen();
            if expected < COUNT && queue.is_empty() {
                assert!(sleep(&bell), "overslept {expected}");
            }
            bell.ignore();
        }
        ringer.join().unwrap();
    }
}
