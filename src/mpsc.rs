//! A bounded channel of many senders and one receiver, which no sender ever waits for.
//!
//! crossbeam's channel takes no lock to hand something over. But where it is full, the next place is the one that the
//! receiver comes to, and between claiming that place and giving it back a sender that looks at it spins. When the system
//! stops the receiver just there, requests would spin for as long as it stays stopped: on a busy core some milliseconds,
//! and long where the receiver gives way to all others.
//!
//! Here the places in use are counted beside: a receiver gives its place back to the count when it has given it back to
//! the channel, and a sender that finds no place in the count looks at none in the channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A channel in which at most so many wait: one at least.
pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(most);
    let in_use = Arc::new(AtomicUsize::new(0));
    let sender = Sender { sender, in_use: Arc::clone(&in_use), most };
    (sender, Receiver { receiver, in_use })
}

/// Where things are put in.
#[derive(Debug)]
pub struct Sender<T> {
    sender: crossbeam_channel::Sender<T>,
    in_use: Arc<AtomicUsize>,
    most: usize,
}

/// Where they are taken out, in their order, by one thread: of several, one might be overtaken at its place.
#[derive(Debug)]
pub struct Receiver<T> {
    receiver: crossbeam_channel::Receiver<T>,
    in_use: Arc<AtomicUsize>,
}

impl<T> Sender<T> {
    /// Puts this in, or gives it back where as many wait as may, or nobody will take it. Others that are being refused
    /// at this moment count as waiting.
    pub fn try_send(&self, it: T) -> Result<(), T> {
        // Whoever sees a place given back sees it empty.
        let has_place = self.in_use.fetch_add(1, Ordering::Acquire) < self.most;
        let sent = match has_place {
            true => self.sender.try_send(it).map_err(|refused| refused.into_inner()),
            false => Err(it),
        };
        sent.inspect_err(|_| {
            self.in_use.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.sender.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.sender.is_empty()
    }
}

impl<T> Receiver<T> {
    /// The first that waits.
    pub fn try_recv(&mut self) -> Option<T> {
        let first = self.receiver.try_recv().ok()?;
        self.give_back();
        Some(first)
    }

    /// All that wait, one after another.
    pub fn try_iter(&mut self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.try_recv())
    }

    fn give_back(&self) {
        self.in_use.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn as_many_wait_as_may_and_come_out_in_their_order() {
        for most in [1, 3, 50] {
            let (sender, mut receiver) = bounded(most);
            for _ in 0..3 {
                let sent = (0..most + 2).filter(|it| sender.try_send(*it).is_ok()).count();
                assert_eq!((sent, sender.len()), (most, most));
                assert_eq!(sender.try_send(99), Err(99));
                assert!(receiver.try_iter().eq(0..most) && sender.is_empty());
            }
        }
    }

    #[test]
    fn while_the_receiver_is_at_a_place_it_is_nobody_elses() {
        let (sender, receiver) = bounded(8);
        while sender.try_send(()).is_ok() {}
        // As one that is stopped between the two.
        receiver.receiver.try_recv().unwrap();
        assert_eq!(sender.try_send(()), Err(()));
        receiver.give_back();
        assert_eq!(sender.try_send(()), Ok(()));
    }

    #[test]
    fn what_nobody_will_take_is_given_back() {
        let (sender, receiver) = bounded(1);
        drop(receiver);
        for _ in 0..3 {
            assert_eq!(sender.try_send(7), Err(7));
        }
        assert_eq!(sender.in_use.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn threads_that_send_at_the_same_moment_get_every_place_and_no_more() {
        const THREADS: usize = 4;
        const MOST: usize = 5;
        for _ in 0..if cfg!(miri) { 3 } else { 500 } {
            let (sender, mut receiver) = bounded(MOST);
            let start = Barrier::new(THREADS);
            let sent: usize = thread::scope(|scope| {
                let send = || {
                    start.wait();
                    (0..MOST).filter(|it| sender.try_send(*it).is_ok()).count()
                };
                let threads = [(); THREADS].map(|()| scope.spawn(send));
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!((sent, receiver.try_iter().count()), (MOST, MOST));
            assert_eq!(sender.in_use.load(Ordering::Relaxed), 0);
        }
    }
}
