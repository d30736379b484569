//! One forwarder thread: takes copies while there are any, sees each to its outcome, then rests.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use crate::boundary::Boundary;
use crate::channel::TryRecvError;
use crate::outcome::Failure;
use crate::queue::Job;

use super::batch::Batch;
use super::fault::Fault;
use super::hand::{Hand, Left};
use super::lines::{self, BATCH, Kept};
use super::pace::SLOW;
use super::pool::{Pool, Rest};
use super::report;

/// A copy that waited this long, while others wait, calls for another forwarder, and has its own leave connections to
/// others. Longer than a [`NAP`], and what collects meanwhile takes to send.
pub(super) const GROW_AFTER: Duration = Duration::from_millis(8);
/// Copies that come this close upon each other are frequent.
const CLOSE: Duration = Duration::from_millis(1);
/// While copies are frequent, who watches is not woken for each of them, but sleeps until half a batch waits, and no
/// longer than this: waking a thread costs the request path more than all else it does for us. Longer than a core's tick,
/// for what [`crate::alarm`] says.
///
/// Half a batch, because forwarders send without a pause: where they share production's core, a request that comes
/// meanwhile waits until the last of these copies is sent, some 50 µs.
const NAP: Duration = Duration::from_millis(5);
/// After a panic, so that one which panics again and again does not take a core.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// A thread of the pool, as long as it lives.
pub(super) struct Forwarder {
    pool: Arc<Pool>,
    /// The copies it has under way.
    batch: Batch,
    /// Idle connections that it is about to use, or to give back.
    couriers: Vec<Kept>,
    /// Permits that it holds: see [`super::lines`].
    permits: usize,
    /// Whether it holds the watch: see [`super::pool`].
    watches: bool,
    /// Set by who calls it back from its rest.
    called: Arc<AtomicBool>,
    /// When the last copy it took was offered, and whether that was [`CLOSE`] upon the one before.
    last_offered: Option<Instant>,
    frequent: bool,
    /// How many copies such as it took last make a batch.
    most: usize,
    /// Whether the pool has stopped counting on it.
    dismissed: bool,
}

impl Forwarder {
    /// One that holds a permit, and the watch if it is to watch.
    pub(super) fn new(pool: Arc<Pool>, watches: bool) -> Forwarder {
        Forwarder {
            pool,
            batch: Batch::default(),
            couriers: Vec::new(),
            permits: 1,
            watches,
            called: Arc::default(),
            last_offered: None,
            frequent: false,
            most: BATCH,
            dismissed: false,
        }
    }

    /// The life of the thread, which survives a panic.
    pub(super) fn live(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            self.recover();
        }
    }

    /// After a panic: the copies in hand fail, their connections end, and their permits are given back.
    fn recover(&mut self) {
        self.batch = Batch::default();
        self.couriers.clear();
        self.give_back();
        let fault = Fault::new(Failure::Internal, "forward copies: a panic");
        report::ended(self.pool.account(), self.pool.name(), Some(&fault), None);
        thread::sleep(PAUSE);
    }

    /// Takes turns with the others until no copy will ever come, or it is no longer needed.
    fn serve(&mut self) {
        loop {
            Boundary::Forwarder.enter();
            let owed = self.pool.owed();
            if !self.watches {
                if owed.is_none()
                    && let Ok(job) = self.pool.jobs().try_recv()
                {
                    self.work(job);
                    continue;
                }
                self.watches = self.pool.take_watch();
            }
            let goes_on = match owed {
                _ if !self.watches => self.park(),
                None => self.watch(),
                Some(owed) => {
                    thread::sleep(owed);
                    true
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Waits for copies, and sends them; `false` where none will ever come.
    fn watch(&mut self) -> bool {
        let naps = mem::take(&mut self.frequent);
        let jobs = self.pool.jobs();
        if naps {
            jobs.wait_for(self.enough(), NAP);
        } else {
            jobs.wait_for_any(self.pool.ttl(), self.lingers());
        }
        match jobs.try_recv() {
            Ok(job) => {
                self.watches = false;
                self.pool.leave_watch();
                self.work(job);
            }
            Err(TryRecvError::Empty) if naps => {}
            Err(TryRecvError::Empty) => self.pool.expire(),
            Err(TryRecvError::Disconnected) => {
                self.pool.close();
                return false;
            }
        }
        true
    }

    /// Rests until it is called, or no longer needed: then `false`.
    fn park(&mut self) -> bool {
        self.permits = 0;
        match self.pool.rest(&self.called) {
            // Called because copies wait, or soon will: no time for a nap.
            Rest::Called => (self.watches, self.frequent) = (true, false),
            Rest::Unwatched => {}
            Rest::Dismissed => {
                self.dismissed = true;
                return false;
            }
        }
        self.permits = 1;
        true
    }

    /// Sends this copy, and as many that wait as there may be connections for; ends when each has
    /// its outcome.
    fn work(&mut self, job: Job) {
        let taken = Instant::now();
        let long = taken.saturating_duration_since(job.offered) > GROW_AFTER;
        let Some(first) = self.take(job, taken) else { return };
        self.gather(first, long, taken);
        if !self.pool.jobs().is_empty() {
            if self.pool.is_dragging() {
                self.pool.promote();
            } else if long {
                self.pool.relieve(taken);
            }
        }
        let pool = Arc::clone(&self.pool);
        let dropped = |unsent| report::unsent(pool.account(), pool.name(), unsent);
        let begun = self.batch.mask(|| pool.promote(), dropped).unwrap_or(taken);
        self.batch.send(|| pool.hire());
        let mut now = Instant::now();
        self.put_down(begun, now);
        while self.batch.len() > 0 {
            let patience = SLOW.checked_sub(now.saturating_duration_since(begun));
            if patience.is_none() {
                self.pool.drags(true);
                self.pool.promote();
            }
            self.batch.go_on(now, patience, || pool.hire());
            now = Instant::now();
            self.put_down(begun, now);
        }
        self.pool.drags(now.saturating_duration_since(begun) >= SLOW);
    }

    /// Whether it gives way some times before it sleeps. Where its last batch was one heavy copy it does not: beside
    /// sending that, a wake-up that is saved is little, and on a full core the next one would wait for its next turn.
    fn lingers(&self) -> bool {
        self.most > 1
    }

    /// How many copies to be woken for, of which the queue is to take as many meanwhile.
    fn enough(&self) -> usize {
        self.most.min(self.pool.target().pool.queue) / 2
    }

    /// Takes, beside this copy, as many that wait as there are idle connections for, and permits to make some; but
    /// what is heavy, or waits for `long`, is left to others in part, if there are any: on a busy core it takes several.
    fn gather(&mut self, mut first: Hand, long: bool, taken: Instant) {
        let pool = Arc::clone(&self.pool);
        let others = pool.jobs().len().min(self.most.saturating_sub(1));
        let mut new = pool.take_lines(others, long, taken, &mut self.couriers);
        self.permits = self.couriers.len().max(1).saturating_add(new);
        lines::retain_open(&mut self.couriers);
        self.couriers.reverse();
        if let Some(kept) = self.couriers.pop() {
            first.assign(kept.courier);
        }
        let mut weight = first.weight();
        self.batch.add(first);
        while (!self.couriers.is_empty() || new > 0)
            && weight < BATCH
            && let Ok(job) = pool.jobs().try_recv()
        {
            let Some(mut hand) = self.take(job, taken) else { continue };
            match self.couriers.pop() {
                Some(kept) => hand.assign(kept.courier),
                None => new = new.saturating_sub(1),
            }
            weight = weight.saturating_add(hand.weight());
            self.batch.add(hand);
        }
        let copies = self.batch.len();
        self.most = BATCH.saturating_mul(copies).checked_div(weight).unwrap_or(BATCH).max(1);
        self.give_back();
    }

    /// Takes a copy in hand, unless it is dropped.
    fn take(&mut self, job: Job, taken: Instant) -> Option<Hand> {
        let last = self.last_offered.replace(job.offered);
        self.frequent =
            last.is_some_and(|last| job.offered.saturating_duration_since(last) < CLOSE);
        // Why not, is counted.
        Hand::take(job, taken, (self.pool.target(), self.pool.account())).ok()
    }

    /// Puts down the copies that have ended, and gives their connections back, but for one permit.
    fn put_down(&mut self, begun: Instant, now: Instant) {
        let latency = now.saturating_duration_since(begun);
        let pool = Arc::clone(&self.pool);
        for hand in self.batch.ended(now, || pool.hire()) {
            let Left { courier, fault, change } = hand.put_down(latency);
            self.couriers.extend(courier.map(|courier| Kept { courier, used: now }));
            report::ended(pool.account(), pool.name(), fault.as_ref(), change);
        }
        self.give_back();
    }

    /// Gives back idle connections, and permits that are not needed, but for one.
    fn give_back(&mut self) {
        let surplus = self.permits.saturating_sub(self.batch.len().max(1));
        if surplus > 0 || !self.couriers.is_empty() {
            self.pool.give_back(surplus, self.couriers.drain(..));
            self.permits = self.permits.saturating_sub(surplus);
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if self.watches {
            self.pool.leave_watch();
        }
        // Connections first: their permits let others make new ones.
        self.batch = Batch::default();
        self.couriers.clear();
        self.pool.lose(self.permits, self.dismissed);
    }
}

#[cfg(test)]
mod tests;
