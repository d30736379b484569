//! Wakes a thread that waits for more than a queue: at most once for each of its sleeps.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::net::{SendFlags, send};

use crate::sync::atomic::{AtomicBool, Ordering};

/// A bell beside a sleeper's bed. Ringing it never blocks, and costs a look unless somebody sleeps.
///
/// **Nothing is overslept.** Who is about to sleep [listens](Bell::listen), and then looks once more at what it
/// waits for; who brings something rings after. Both in one order that all threads agree on: so either the
/// sleeper sees what was brought, or the ringer sees that it listens.
#[derive(Debug)]
pub struct Bell {
    /// What is written here the sleeper may read.
    rope: UnixStream,
    listened: AtomicBool,
}

impl Bell {
    /// A bell that nobody listens to, and where it is heard: there something can be read when it has rung.
    pub fn new() -> io::Result<(Bell, UnixStream)> {
        let (rope, ear) = UnixStream::pair()?;
        ear.set_nonblocking(true)?;
        Ok((Bell { rope, listened: AtomicBool::new(false) }, ear))
    }

    /// Wakes who listens, if anybody does.
    #[inline]
    pub fn ring(&self) {
        if self.listened.load(Ordering::SeqCst) && self.listened.swap(false, Ordering::SeqCst) {
            self.sound();
        }
    }

    /// Wakes who listens, also where somebody began to and did not get to the call.
    fn rouse(&self) {
        self.listened.store(false, Ordering::SeqCst);
        self.sound();
    }

    fn sound(&self) {
        // It fails only where there is more to be heard than anybody cares to hear.
        let _ = send(&self.rope, &[0], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }

    /// From now on the bell rings, once.
    pub fn listen(&self) {
        self.listened.store(true, Ordering::SeqCst);
    }

    /// It is not to ring any more; it may just have done so.
    pub fn ignore(&self) {
        self.listened.store(false, Ordering::SeqCst);
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

    /// Wakes who listens, also where another pull was broken off halfway.
    pub fn rouse(&self) {
        self.0.0.rouse();
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
    use std::time::Duration;

    use super::*;

    /// How often it rang since it was last asked.
    fn heard(mut ear: &UnixStream) -> usize {
        ear.read(&mut [0; 64]).unwrap_or(0)
    }

    #[test]
    fn it_rings_for_who_listens_and_once() {
        let (bell, ear) = Bell::new().unwrap();
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
        let (bell, ear) = Bell::new().unwrap();
        bell.listen();
        let rope = Rope::of(Arc::new(bell));
        let other = rope.clone();
        drop(rope);
        assert_eq!(heard(&ear), 0);
        drop(other);
        assert_eq!(heard(&ear), 1);
    }

    #[test]
    fn who_listens_is_roused_also_where_a_pull_was_broken_off() {
        let (bell, ear) = Bell::new().unwrap();
        let rope = Rope::of(Arc::new(bell));
        rope.0.0.listen();
        // As it is between the two steps of a pull.
        rope.0.0.listened.store(false, Ordering::SeqCst);
        rope.pull();
        assert_eq!(heard(&ear), 0);
        rope.rouse();
        assert_eq!(heard(&ear), 1);
    }

    #[test]
    fn nothing_is_overslept() {
        const COUNT: usize = 20_000;
        let (bell, mut ear) = Bell::new().unwrap();
        ear.set_nonblocking(false).unwrap();
        ear.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
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
                assert!(ear.read(&mut [0; 64]).is_ok(), "overslept {expected}");
            }
            bell.ignore();
        }
        ringer.join().unwrap();
    }
}
