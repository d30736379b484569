//! The copies that one forwarder has under way: all sent, then each answered in its own time.

use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};

use super::courier::Courier;
use super::exchange::Wait;
use super::hand::Hand;
use super::pace::SLOW;
use super::scrub::Unsent;

/// Content that is so long may take long to mask: it may be compressed.
const MUCH: usize = 16 * 1024;

/// Copies under way, in the order they were taken, all at the same time.
///
/// **None waits for another's answer.** None is waited for but by [`poll`], all together, save three:
/// one copy alone, as any blocking client does; the last of several, for less than
/// [`SLOW`], because when its answer is there so are most; and a new connection. Where
/// staging closed a kept one as it was used, that is made when the others have ended or are slow, one at a
/// time, and they are looked at between: so none is late that was answered in time.
///
/// Each has its own deadline, connection and end. What staging does not take at once is written as it
/// takes it.
#[derive(Default)]
pub(super) struct Batch(Vec<Hand>);

impl Batch {
    pub(super) fn add(&mut self, hand: Hand) {
        self.0.push(hand);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes out of each copy what staging may not see, and then lets the time of all begin: none has to bear
    /// what masking another takes. When that was; `None` where nothing was to be masked.
    ///
    /// `dropped` hears of each that is dropped, `on_slow` when it takes long, which it may do often.
    pub(super) fn mask(
        &mut self,
        on_slow: impl Fn(),
        mut dropped: impl FnMut(Unsent),
    ) -> Option<Instant> {
        let begun = Instant::now();
        let mut masked = false;
        for hand in &mut self.0 {
            let Some(content) = hand.unmasked() else { continue };
            masked = true;
            if content >= MUCH || begun.elapsed() >= SLOW {
                on_slow();
            }
            hand.mask().into_iter().for_each(&mut dropped);
        }
        let now = masked.then(Instant::now)?;
        self.0.iter_mut().for_each(|hand| hand.begin(now));
        Some(now)
    }

    /// Sends all, and takes the answers that come at once.
    pub(super) fn send(&mut self, hire: impl Fn() -> Box<dyn Courier>) {
        let wait = if self.len() > 1 { Wait::Not } else { Wait::Long };
        for hand in &mut self.0 {
            hand.advance(wait, &hire);
        }
        let mut wait = Wait::Briefly;
        for hand in self.0.iter_mut().rev().filter(|hand| hand.awaits_answer()) {
            hand.advance(wait, &hire);
            wait = Wait::Not;
        }
    }

    /// Waits until one can go on, until the first deadline, and no longer than for `patience` where they are
    /// not yet slow; those that can, do. Sends one anew whose connection was stale, where the others need
    /// not wait for that.
    pub(super) fn go_on(
        &mut self,
        now: Instant,
        patience: Option<Duration>,
        hire: impl Fn() -> Box<dyn Courier>,
    ) {
        let mut wait = self.0.iter().map(|hand| hand.left_at(now)).min().unwrap_or_default();
        wait = wait.min(patience.unwrap_or(Duration::MAX));
        let free = patience.is_none() || self.0.iter().all(Hand::is_unsent);
        let alone = self.len() == 1;
        if free && let Some(stale) = self.0.iter_mut().find(|hand| hand.is_unsent()) {
            stale.advance(if alone { Wait::Long } else { Wait::Not }, &hire);
            wait = Duration::ZERO;
        }
        let ready = ready(&self.0, wait);
        for (hand, ready) in self.0.iter_mut().zip(ready) {
            if ready {
                hand.advance(Wait::Not, &hire);
            }
        }
    }

    /// Takes out those that have ended, and those that are late.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        hire: impl Fn() -> Box<dyn Courier>,
    ) -> impl Iterator<Item = Hand> {
        self.0.extract_if(.., move |hand| {
            hand.end_if_late(now, &hire);
            hand.has_ended()
        })
    }
}

/// Which can go on, as soon as one can.
fn ready(hands: &[Hand], wait: Duration) -> Vec<bool> {
    const PAUSE: Duration = Duration::from_millis(1);
    let mut sockets: Vec<PollFd<'_>> = hands.iter().filter_map(Hand::poll_fd).collect();
    let wait = Timespec::try_from(wait).ok();
    if poll(&mut sockets, wait.as_ref()).is_err() {
        // Out of memory, or interrupted: to look at all of them, in a moment, is never wrong.
        thread::sleep(PAUSE);
        return hands.iter().map(|_| true).collect();
    }
    let mut polled = sockets.iter();
    let ready = |hand: &Hand| {
        let socket = hand.poll_fd().and_then(|_| polled.next());
        socket.is_some_and(|socket| !socket.revents().is_empty())
    };
    hands.iter().map(ready).collect()
}

#[cfg(test)]
mod tests;
