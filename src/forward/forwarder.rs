//! One forwarder thread: takes copies while there are any, gives each its one outcome, then rests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use crate::message::Message;
use crate::outcome::{Failure, Outcome, StatusClass};
use crate::queue::Job;
use crate::stats::{Account, Traffic, Trouble};
use crate::target::Limits;

use super::fault::Fault;
use super::pool::{Pool, Rest};

/// A copy that waited this long, while others wait, calls for another forwarder. Longer than a
/// [`NAP`], and what collects meanwhile takes to send.
pub(super) const GROW_AFTER: Duration = Duration::from_millis(3);
/// While copies come this close upon each other, who watches sleeps this long and then looks, rather
/// than wait to be woken: waking a thread costs the request path more than all else it does for us.
const NAP: Duration = Duration::from_micros(500);

/// What carries a forwarder's copies to staging. It is let go when there was none for long.
pub(super) trait Courier {
    /// Sends one copy, and counts in `traffic` what that took; ends within the limits.
    fn deliver(
        &mut self,
        message: &Message,
        limits: &Limits,
        taken: Instant,
        traffic: &mut Traffic,
    ) -> Result<StatusClass, Fault>;
}

/// A thread of the pool, as long as it lives.
pub(super) struct Forwarder {
    pool: Arc<Pool>,
    /// Hired for the first copy, and anew after a panic or a long rest.
    courier: Option<Box<dyn Courier>>,
    /// Whether it holds the watch: see [`Pool`].
    watches: bool,
    /// Set by who calls it back from its rest.
    called: Arc<AtomicBool>,
    /// When the last copy it took was offered, and whether that was within a [`NAP`] of the one before.
    last_offered: Option<Instant>,
    frequent: bool,
    /// Whether the pool has stopped counting on it.
    dismissed: bool,
}

impl Forwarder {
    pub(super) fn new(pool: Arc<Pool>, watches: bool) -> Forwarder {
        Forwarder {
            pool,
            courier: None,
            watches,
            called: Arc::default(),
            last_offered: None,
            frequent: false,
            dismissed: false,
        }
    }

    /// The life of the thread.
    pub(super) fn serve(mut self) {
        loop {
            if !self.watches {
                if let Ok(job) = self.pool.jobs().try_recv() {
                    self.work(job);
                    continue;
                }
                self.watches = self.pool.take_watch();
            }
            let goes_on = if self.watches { self.watch() } else { self.park() };
            if !goes_on {
                return;
            }
        }
    }

    /// Waits for a copy, and sends it; `false` where none will ever come.
    fn watch(&mut self) -> bool {
        let mut job = None;
        if self.frequent {
            self.frequent = false;
            thread::sleep(NAP);
            job = self.pool.jobs().try_recv().ok();
        }
        match job.map_or_else(|| self.pool.jobs().recv_timeout(self.pool.ttl()), Ok) {
            Ok(job) => {
                self.watches = false;
                self.pool.leave_watch();
                self.work(job);
            }
            Err(RecvTimeoutError::Timeout) => self.courier = None,
            Err(RecvTimeoutError::Disconnected) => {
                self.pool.close();
                return false;
            }
        }
        true
    }

    /// Rests until it is called, or no longer needed: then `false`.
    fn park(&mut self) -> bool {
        match self.pool.rest(&self.called) {
            // Called because copies wait, or soon will: no time for a nap.
            Rest::Called => (self.watches, self.frequent) = (true, false),
            Rest::Unwatched => {}
            Rest::Long => self.courier = None,
            Rest::Dismissed => self.dismissed = true,
        }
        !self.dismissed
    }

    fn work(&mut self, job: Job) {
        let taken = Instant::now();
        let Job { message, limits, offered } = job;
        let last = self.last_offered.replace(offered);
        self.frequent = last.is_some_and(|last| offered.saturating_duration_since(last) < NAP);
        let mut hand = Hand::take(self.pool.account());
        if taken.saturating_duration_since(offered) > GROW_AFTER && !self.pool.jobs().is_empty() {
            self.pool.relieve(taken);
        }
        let (pool, courier, traffic) = (&self.pool, &mut self.courier, &mut hand.traffic);
        let sent = catch_unwind(AssertUnwindSafe(|| {
            let courier = courier.get_or_insert_with(|| pool.hire());
            courier.deliver(&message, &limits, taken, traffic)
        }));
        // First, so that whoever sees the last outcome finds all memory given back.
        drop(message);
        let sent = sent.unwrap_or_else(|_| {
            // Nobody knows what state it is in.
            self.courier = None;
            Err(Fault::new(Failure::Internal, "send the copy: a panic"))
        });
        match sent {
            Ok(class) => {
                hand.traffic.latency = taken.elapsed();
                hand.outcome = Outcome::Delivered(class);
            }
            Err(fault) => {
                hand.outcome = Outcome::Failed(fault.failure);
                self.report(&fault);
            }
        }
    }

    /// Tells the log of the 1st, 2nd, 4th, 8th … failure of its kind.
    fn report(&self, fault: &Fault) {
        let count = self.pool.account().trouble(Trouble::Failed(fault.failure));
        if count.is_power_of_two() {
            log::warn!("{}", log_line(fault, self.pool.name(), count));
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if self.watches {
            self.pool.leave_watch();
        }
        self.pool.lose(self.dismissed);
    }
}

/// A copy in hand, which gets its one outcome when it is put down, come what may.
struct Hand {
    account: Account,
    outcome: Outcome,
    traffic: Traffic,
}

impl Hand {
    fn take(account: Account) -> Hand {
        account.taken();
        let outcome = Outcome::Failed(Failure::Internal);
        Hand { account, outcome, traffic: Traffic::default() }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.account.settle(self.outcome, self.traffic);
    }
}

fn log_line(fault: &Fault, target: &str, count: u64) -> String {
    let Fault { failure, what } = fault;
    let (number, reason) = (number(*failure), failure.name());
    format!("{number}: copying to {target} failed: {reason}: {what} ({count} so far)")
}

/// The number of a failure in the error log.
fn number(failure: Failure) -> &'static str {
    match failure {
        Failure::Connect => "CPY0101",
        Failure::Refused => "CPY0102",
        Failure::Timeout => "CPY0103",
        Failure::Reset => "CPY0104",
        Failure::Protocol => "CPY0105",
        Failure::Dns => "CPY0106",
        Failure::Internal => "CPY0107",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::Forwarders;
    use super::super::testing::{
        Counters, Hired, LIMITS, budget, job, message, message_of, target,
    };
    use super::*;
    use crate::stats::Cell;
    use crate::target::Pool as Size;

    #[test]
    fn a_panic_fails_its_copy_alone() {
        let counters = Counters::new();
        let hired = Arc::new(AtomicUsize::new(0));
        let couriers = Arc::clone(&hired);
        let hire = Hired::each(move |_| {
            couriers.fetch_add(1, Ordering::SeqCst);
            |message: &Message| match message.method() {
                b"PURGE" => panic!("on purpose"),
                _ => Ok(StatusClass::Successful),
            }
        });
        let size = Size { max: 1, ..Size::default() };
        let forwarders =
            Forwarders::with_couriers(target("staging", size), counters.account, hire).unwrap();
        for method in ["GET", "PURGE", "GET", "GET"] {
            counters.account.select();
            forwarders.offer(job(message(method, None), LIMITS)).unwrap();
        }
        let totals = counters.until(|totals| totals.pending() == 0);
        assert_eq!(totals.count(Cell::Delivered2xx), 3);
        assert_eq!(totals.count(Cell::FailedInternal), 1);
        assert_eq!(totals.count(Cell::Forwarders), 1);
        assert_eq!(hired.load(Ordering::SeqCst), 2, "and takes its courier along");
    }

    #[test]
    fn memory_is_given_back_before_the_outcome_shows() {
        let counters = Counters::new();
        let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
        let target = target("staging", Size::default());
        let forwarders = Forwarders::with_couriers(target, counters.account, hire).unwrap();
        let budget = budget();
        for _ in 0..200 {
            counters.account.select();
            let message = message_of("POST", Some(&[b'x'; 1024]), budget);
            forwarders.offer(job(message, LIMITS)).unwrap();
            counters.until(|totals| totals.pending() == 0);
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn a_failure_is_logged_with_its_number_and_reason() {
        let fault = Fault::new(
            Failure::Refused,
            "connect to 127.0.0.1:1: Connection refused (os error 111)",
        );
        assert_eq!(
            log_line(&fault, "beta", 4),
            "CPY0102: copying to beta failed: refused: connect to 127.0.0.1:1: \
             Connection refused (os error 111) (4 so far)"
        );
        let numbers: Vec<_> = Failure::ALL.into_iter().map(number).collect();
        assert_eq!(numbers.first(), Some(&"CPY0101"));
        assert!(numbers.is_sorted_by(|one, next| one < next));
    }
}
