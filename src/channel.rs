//! A bounded channel, on which no sender ever waits for a receiver.
//!
//! crossbeam's channel takes no lock to hand something over. But where it is full, the next place is the one that a
//! receiver comes to, and between claiming that place and giving it back a sender that looks at it spins. When the system
//! stops the receiver just there, requests would spin for as long as it stays stopped: on a busy core some milliseconds,
//! and long where the receiver gives way to all others.
//!
//! Here the places in use are counted beside: a receiver gives its place back to the count when it has given it back to
//! the channel, and a sender that finds no place in the count looks at none in the channel. Receivers take turns, or one
//! that was stopped would be overtaken at its place: the count would tell of a place given back, and the next in the
//! channel be the one still claimed. They wait for each other, and no sender waits for them.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use crossbeam_channel::TryRecvError;

/// A channel in which at most so many wait: one at least.
pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let most = most.max(1);
    let (sender, receiver) = crossbeam_channel::bounded(most);
    let in_use = Arc::new(AtomicUsize::new(0));
    let sender = Sender { sender, in_use: Arc::clone(&in_use), most };
    (sender, Receiver { receiver, in_use, turn: Mutex::new(()) })
}

/// Where things are put in.
#[derive(Debug)]
pub struct Sender<T> {
    sender: crossbeam_channel::Sender<T>,
    in_use: Arc<AtomicUsize>,
    most: usize,
}

/// Where they are taken out, in their order.
#[derive(Debug)]
pub struct Receiver<T> {
    receiver: crossbeam_channel::Receiver<T>,
    in_use: Arc<AtomicUsize>,
    /// Of who takes something out.
    turn: Mutex<()>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { sender: self.sender.clone(), in_use: Arc::clone(&self.in_use), most: self.most }
    }
}

impl<T> Sender<T> {
    /// Takes a place for one thing, unless all are in use.
    #[inline]
    pub fn reserve(&self) -> Option<Reserved<'_, T>> {
        let one_more = |in_use: usize| (in_use < self.most).then_some(in_use.wrapping_add(1));
        // Whoever sees a place given back sees it empty.
        self.in_use.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).ok()?;
        Some(Reserved(self))
    }

    /// Puts this in, or gives it back where all places are in use, or nobody will take it.
    #[inline]
    pub fn try_send(&self, it: T) -> Result<(), T> {
        match self.reserve() {
            Some(place) => place.fill(it),
            None => Err(it),
        }
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

/// A place that is nobody else's until it is filled, or dropped.
#[derive(Debug)]
pub struct Reserved<'a, T>(&'a Sender<T>);

impl<T> Reserved<'_, T> {
    /// Puts this in, or gives it back where nobody will take it.
    #[inline]
    pub fn fill(self, it: T) -> Result<(), T> {
        self.0.sender.try_send(it).map_err(|refused| refused.into_inner())?;
        mem::forget(self);
        Ok(())
    }
}

impl<T> Drop for Reserved<'_, T> {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T> Receiver<T> {
    /// The first that waits; an error where none does.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.receiver.try_recv()?;
        self.give_back();
        Ok(first)
    }

    /// All that wait, one after another.
    pub fn try_iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
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
            let (sender, receiver) = bounded(most);
            for _ in 0..3 {
                let sent = (0..most + 2).filter(|it| sender.try_send(*it).is_ok()).count();
                assert_eq!((sent, sender.len()), (most, most));
                assert_eq!(sender.try_send(99), Err(99));
                assert!(receiver.try_iter().eq(0..most) && sender.is_empty());
            }
        }
    }

    #[test]
    fn while_a_receiver_is_at_a_place_it_is_nobody_elses() {
        let (sender, receiver) = bounded(8);
        while sender.try_send(()).is_ok() {}
        // As one that is stopped between the two.
        receiver.receiver.try_recv().unwrap();
        assert_eq!(sender.try_send(()), Err(()));
        receiver.give_back();
        assert_eq!(sender.try_send(()), Ok(()));
    }

    #[test]
    fn a_receiver_that_is_stopped_at_its_place_is_not_overtaken() {
        let (sender, receiver) = bounded(2);
        assert_eq!([1, 2, 3].map(|it| sender.try_send(it)), [Ok(()), Ok(()), Err(3)]);
        // As one that is stopped as it takes something out.
        let turn = receiver.turn.lock().unwrap();
        let begins = Barrier::new(2);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                begins.wait();
                receiver.try_recv()
            });
            begins.wait();
            for _ in 0..100 {
                thread::yield_now();
                assert_eq!(sender.try_send(3), Err(3));
            }
            assert!(!other.is_finished());
            drop(turn);
            assert_eq!(other.join().unwrap(), Ok(1));
        });
        assert_eq!(sender.try_send(3), Ok(()));
        assert!(receiver.try_iter().eq([2, 3]));
    }

    #[test]
    fn a_place_is_nobody_elses_until_it_is_filled_or_dropped() {
        let (sender, receiver) = bounded(1);
        let place = sender.reserve().unwrap();
        assert!(sender.reserve().is_none() && receiver.is_empty());
        drop(place);
        sender.reserve().unwrap().fill(7).unwrap();
        assert!(sender.reserve().is_none());
        assert_eq!(receiver.try_recv(), Ok(7));
        assert!(sender.reserve().is_some());
    }

    #[test]
    fn what_threads_send_others_receive_once_and_in_order() {
        const EACH: usize = if cfg!(miri) { 20 } else { 20_000 };
        let (sender, receiver) = bounded(3);
        let received = thread::scope(|scope| {
            for thread in 0..2 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for it in 0..EACH {
                        while sender.try_send((thread, it)).is_err() {
                            thread::yield_now();
                        }
                    }
                });
            }
            drop(sender);
            let receive = || {
                let mut received = Vec::new();
                loop {
                    match receiver.try_recv() {
                        Ok(it) => received.push(it),
                        Err(TryRecvError::Empty) => thread::yield_now(),
                        Err(TryRecvError::Disconnected) => return received,
                    }
                }
            };
            let receivers = [(); 2].map(|()| scope.spawn(receive));
            receivers.map(|receiver| receiver.join().unwrap())
        });
        for received in &received {
            for thread in 0..2 {
                let of_one = received.iter().filter(|(sender, _)| *sender == thread);
                assert!(of_one.is_sorted(), "out of order");
            }
        }
        let mut all = received.concat();
        all.sort_unstable();
        assert!(
            all.into_iter().eq((0..2).flat_map(|thread| (0..EACH).map(move |it| (thread, it))))
        );
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
            let (sender, receiver) = bounded(MOST);
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
