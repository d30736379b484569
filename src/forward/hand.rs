//! A copy in a forwarder's hand, from the queue to its one outcome.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::boundary::Boundary;
use crate::breaker::{Change, Pass, Sign};
use crate::clock;
use crate::copylog::{Copied, Requested, Told};
use crate::mask::Masks;
use crate::outcome::{Failure, Loss, Outcome, StatusClass};
use crate::queue::{Held, Job};
use crate::stats::{Account, Traffic};
use crate::target::{Limits, Target};

use super::courier::{Courier, Errand, Keep, Progress};
use super::exchange::{Awaits, Wait};
use super::fault::Fault;
use super::pace::Deadline;
use super::scrub::{Unsent, scrub};

/// Why a copy is not taken in hand: it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untaken {
    /// The child has ended.
    Closed,
    /// The target was switched off.
    Off,
    /// The breaker has opened.
    Breaker,
}

/// What is left of a copy that was put down.
pub(super) struct Left {
    /// Its connection, if that may be used again.
    pub(super) courier: Option<Box<dyn Courier>>,
    /// Why it failed, if it did.
    pub(super) fault: Option<Fault>,
    /// What that did to the target's breaker.
    pub(super) change: Option<Change>,
}

/// A copy in hand, which gets its one outcome when it is put down, come what may.
pub(super) struct Hand {
    account: Account,
    pass: Pass,
    message: Option<Held>,
    /// What staging may not see of it, until that is taken out.
    masks: Option<Arc<Masks>>,
    limits: Limits,
    deadline: Deadline,
    /// Where its answer is kept, if that is compared.
    keep: Option<Keep>,
    /// When its time began.
    begun: Instant,
    courier: Option<Box<dyn Courier>>,
    state: State,
    traffic: Traffic,
    /// How long it waited in the queue.
    waited: Duration,
    /// Who is told what became of it.
    told: Option<Told>,
}

enum State {
    /// To be sent, or sent anew.
    Unsent,
    Awaits(Awaits),
    Ended(Result<StatusClass, Fault>),
    Dropped(Loss),
}

impl Hand {
    /// Takes a copy, or drops it where since it was offered the target was switched off, or its breaker has
    /// opened, or the child has ended. Who carries it is hired when it is sent, unless named before.
    pub(super) fn take(
        job: Job,
        taken: Instant,
        (target, account): (&Target, Account),
    ) -> Result<Hand, Untaken> {
        if account.is_closed() {
            // Counted as dropped: not sent, and so not unanswered either.
            job.tell_dropped(Loss::Stopping, None);
            return Err(Untaken::Closed);
        }
        let waited = taken.saturating_duration_since(job.offered);
        if !account.steering().is_on() {
            let pass = job.pass;
            job.tell_dropped(Loss::Off, Some(waited));
            account.breaker().give_back(pass, clock::now);
            account.settle(Outcome::Dropped(Loss::Off), Traffic::default());
            return Err(Untaken::Off);
        }
        let limits = target.limits(&job.limits);
        let confirmed = account.breaker().confirm(job.pass, limits.timeout, clock::now);
        let Some(pass) = confirmed else {
            job.tell_dropped(Loss::Breaker, Some(waited));
            account.settle(Outcome::Dropped(Loss::Breaker), Traffic::default());
            return Err(Untaken::Breaker);
        };
        let Job { message, masks, compare, told, .. } = job;
        // What is yet to be masked may still be dropped as never sent.
        if masks.is_none() {
            account.taken();
        }
        Ok(Hand {
            account,
            pass,
            message: Some(message),
            masks,
            deadline: Deadline::new(taken, limits.timeout),
            limits,
            keep: compare.map(Keep::new),
            begun: taken,
            courier: None,
            state: State::Unsent,
            traffic: Traffic::default(),
            waited,
            told,
        })
    }

    /// How much of it is yet to be masked; `None` where nothing is.
    pub(super) fn unmasked(&self) -> Option<usize> {
        self.masks.as_ref().map(|_| self.content_len())
    }

    /// How long it takes to send: as long as so many small copies.
    pub(super) fn weight(&self) -> usize {
        /// So much content takes as long as one small copy more.
        const ONE_MORE: usize = 64 * 1024;
        1_usize.saturating_add(self.content_len().saturating_add(ONE_MORE / 2) / ONE_MORE)
    }

    fn content_len(&self) -> usize {
        let content = self.message.iter().flat_map(|message| message.content_pieces());
        content.map(<[u8]>::len).sum()
    }

    /// Takes out what staging may not see; why the copy is dropped, where that cannot be.
    pub(super) fn mask(&mut self) -> Option<Unsent> {
        let (masks, message) = self.masks.take().zip(self.message.take())?;
        match scrubbed(message, &masks, self.told.is_some()) {
            Ok(message) => {
                self.message = Some(message);
                self.account.taken();
                None
            }
            Err((unsent, requested)) => {
                self.keep = None;
                self.account.breaker().give_back(self.pass, clock::now);
                if let (Some(told), Some(requested)) = (self.told.take(), requested) {
                    told.arrive(Copied::dropped(unsent.loss(), Some(self.waited), requested));
                }
                self.account.settle(Outcome::Dropped(unsent.loss()), Traffic::default());
                self.state = State::Dropped(unsent.loss());
                Some(unsent)
            }
        }
    }

    /// Lets the time that it may take begin now.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.begun, self.deadline) = (now, Deadline::new(now, self.limits.timeout));
    }

    /// Names who carries it.
    pub(super) fn assign(&mut self, courier: Box<dyn Courier>) {
        self.courier = Some(courier);
    }

    /// Takes the copy a step further, unless it has ended.
    pub(super) fn advance(&mut self, wait: Wait, hire: impl FnOnce() -> Box<dyn Courier>) {
        let begins = match self.state {
            State::Unsent => true,
            State::Awaits(_) => false,
            State::Ended(_) | State::Dropped(_) => return,
        };
        let Some(message) = &self.message else { return };
        let (limits, deadline, keep) = (&self.limits, &self.deadline, self.keep.as_ref());
        let errand = Errand { message, limits, deadline, keep };
        let (courier, traffic) = (&mut self.courier, &mut self.traffic);
        let was_written = traffic.whole;
        let progress = catch_unwind(AssertUnwindSafe(|| {
            Boundary::Exchange.enter();
            let courier = courier.get_or_insert_with(hire);
            match begins {
                true => courier.send(&errand, wait, traffic),
                false => courier.go_on(&errand, wait, traffic),
            }
        }));
        if self.traffic.whole && !was_written {
            self.note_written();
        }
        self.state = match progress {
            Ok(Progress::Awaits(what)) => State::Awaits(what),
            Ok(Progress::Stale) => State::Unsent,
            Ok(Progress::Ended(result)) => State::Ended(result),
            Ok(Progress::Dropped(loss)) => State::Dropped(loss),
            Err(_) => {
                // Nobody knows what state it is in.
                self.courier = None;
                let fault = Fault::new(Failure::Internal, "send the copy: a panic");
                State::Ended(Err(fault))
            }
        };
    }

    /// All of it is on its way: while staging thinks about it, its memory serves the next copies, unless it may
    /// have to be sent again, or is what its comparison knows the request by.
    fn note_written(&mut self) {
        self.account.written();
        let message = self.message.as_mut().filter(|message| !message.is_safe());
        if let (Some(message), None) = (message, &self.keep) {
            message.release_content();
        }
    }

    /// What is to be sent, and where is counted what that takes: for who sees to it otherwise than by a courier,
    /// and then [ends](Hand::end) it.
    pub(super) fn errand(&mut self) -> Option<(Errand<'_>, Account, &mut Traffic)> {
        let (limits, deadline, keep) = (&self.limits, &self.deadline, self.keep.as_ref());
        let errand = Errand { message: self.message.as_deref()?, limits, deadline, keep };
        Some((errand, self.account, &mut self.traffic))
    }

    /// What became of it.
    pub(super) fn end(&mut self, result: Result<StatusClass, Fault>) {
        self.state = State::Ended(result);
    }

    /// When it must have ended.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Whether it is to be sent, or sent anew.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self.state, State::Unsent)
    }

    /// Whether it is sent, and not yet answered.
    pub(super) fn awaits_answer(&self) -> bool {
        matches!(self.state, State::Awaits(Awaits::Answer))
    }

    /// What shows that it can go on.
    pub(super) fn poll_fd(&self) -> Option<PollFd<'_>> {
        let flags = match self.state {
            State::Awaits(Awaits::Room) => PollFlags::OUT,
            State::Awaits(Awaits::Answer) => PollFlags::IN,
            _ => return None,
        };
        Some(PollFd::from_borrowed_fd(self.courier.as_ref()?.socket()?, flags))
    }

    /// How long it may still take.
    pub(super) fn left_at(&self, now: Instant) -> Duration {
        self.deadline.left_at(now).unwrap_or_default()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Dropped(_))
    }

    /// Ends what is late, and its connection; but for an answer that has come meanwhile, while the
    /// thread was busy with another.
    pub(super) fn end_if_late(&mut self, now: Instant, hire: impl FnOnce() -> Box<dyn Courier>) {
        if self.has_ended() || self.deadline.left_at(now).is_some() {
            return;
        }
        if self.awaits_answer() {
            self.advance(Wait::Not, hire);
        }
        if !self.has_ended() {
            let late = self.courier.take().map(|courier| courier.late(&self.deadline));
            let late = late.unwrap_or_else(|| Fault::late("send the copy", &self.deadline));
            self.state = State::Ended(Err(late));
        }
    }

    /// Puts the copy down.
    pub(super) fn put_down(mut self, latency: Duration) -> Left {
        self.traffic.latency = latency;
        let courier = self.courier.take().filter(|courier| courier.has_connection());
        let state = std::mem::replace(&mut self.state, State::Unsent);
        let (outcome, fault) = match state {
            State::Ended(Ok(class)) => (Outcome::Delivered(class), None),
            State::Ended(Err(fault)) => (Outcome::Failed(fault.failure), Some(fault)),
            State::Dropped(loss) => (Outcome::Dropped(loss), None),
            _ => (Outcome::Failed(Failure::Internal), None),
        };
        let change = self.settle(outcome);
        Left { courier, fault, change }
    }

    fn settle(&mut self, outcome: Outcome) -> Option<Change> {
        // The message first, so that whoever sees the last outcome finds all memory given back; and the
        // breaker as that outcome leaves it.
        let message = self.message.take()?;
        match self.keep.take() {
            Some(keep) if matches!(outcome, Outcome::Delivered(_)) => {
                keep.arrive(&message, self.begun);
            }
            Some(keep) if self.traffic.whole && is_unanswered(outcome) => {
                keep.miss(&message, self.begun);
            }
            _ => {}
        }
        let told =
            self.told.take().map(|told| (told, Requested::of(&message, self.masks.is_none())));
        drop(message);
        let change = self.account.breaker().report(self.pass, sign(outcome), clock::now);
        // Told before it is counted: a child that has counted all may end.
        if let Some((told, requested)) = told {
            told.arrive(Copied::sent(outcome, self.traffic, self.waited, requested));
        }
        self.account.settle(outcome, self.traffic);
        change
    }
}

/// Masks a copy. One that a fault of ours leaves half done is not sent; what it asked for, where that is to be told.
fn scrubbed(
    message: Held,
    masks: &Masks,
    is_told: bool,
) -> Result<Held, (Unsent, Option<Requested>)> {
    let requested = is_told.then(|| Requested::of(&message, false));
    let scrub = AssertUnwindSafe(|| scrub(message, masks));
    let scrubbed = catch_unwind(scrub).unwrap_or(Err(Unsent::Fault));
    scrubbed.map_err(|unsent| (unsent, requested))
}

/// Whether staging, which was there, gave no answer that can be read.
fn is_unanswered(outcome: Outcome) -> bool {
    let failures = [Failure::Timeout, Failure::Reset, Failure::Protocol];
    matches!(outcome, Outcome::Failed(failure) if failures.contains(&failure))
}

/// What an outcome says about staging. What talks nonsense is there: to send it less would help nobody.
pub(super) fn sign(outcome: Outcome) -> Sign {
    match outcome {
        Outcome::Delivered(_) | Outcome::Failed(Failure::Protocol) => Sign::Alive,
        Outcome::Failed(Failure::Internal) | Outcome::Dropped(_) => Sign::None,
        Outcome::Failed(
            Failure::Connect
            | Failure::Refused
            | Failure::Timeout
            | Failure::Reset
            | Failure::Dns
            | Failure::Tls
            | Failure::Proxy,
        ) => Sign::Gone,
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if self.masks.is_some() {
            self.account.taken();
        }
        self.settle(Outcome::Failed(Failure::Internal));
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;

    use super::super::testing::{Counters, LIMITS, budget, job, message_of, plain_target};
    use super::*;
    use crate::compare::Aspects;
    use crate::comparing::{Comparer, Lines, Manner, Plan, pair};

    /// Writes a copy whole, and has no answer.
    struct Writing;

    impl Courier for Writing {
        fn has_connection(&self) -> bool {
            true
        }

        fn send(&mut self, _: &Errand<'_>, _: Wait, traffic: &mut Traffic) -> Progress {
            traffic.whole = true;
            Progress::Awaits(Awaits::Answer)
        }

        fn go_on(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
            self.send(errand, wait, traffic)
        }

        fn late(&self, deadline: &Deadline) -> Fault {
            Fault::late("write", deadline)
        }

        fn socket(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    #[test]
    fn content_that_is_written_is_held_only_where_it_is_still_needed() {
        const CONTENT: usize = 300_000;
        let side = || {
            let aspects = Aspects { headers: false, body: false };
            let manner = Manner { aspects, limit: None, ignored: Lines::NONE };
            let plan = Plan { target: 0, manner };
            pair(&Comparer::idle(), plan, false).1
        };
        for (method, compare, is_held) in
            [("POST", None, false), ("GET", None, true), ("POST", Some(side()), true)]
        {
            let (budget, counters) = (budget(), Counters::new());
            let message = message_of(method, Some(&[b'#'; CONTENT]), budget);
            let job = Job { compare: compare.map(Box::new), ..job(message, LIMITS) };
            counters.account.select();
            let taken = Hand::take(job, Instant::now(), (&plain_target(), counters.account));
            let mut hand = taken.unwrap_or_else(|untaken| panic!("{untaken:?}"));
            assert!(budget.used() >= CONTENT);
            hand.advance(Wait::Not, || Box::new(Writing));
            assert!(hand.awaits_answer());
            assert_eq!(budget.used() >= CONTENT, is_held, "{method}");
            drop(hand);
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn whoever_answers_is_there_and_connections_that_fail_or_last_too_long_are_not() {
        let gone: Vec<Failure> = Failure::ALL
            .into_iter()
            .filter(|failure| sign(Outcome::Failed(*failure)) == Sign::Gone)
            .collect();
        let expected = [
            Failure::Connect,
            Failure::Refused,
            Failure::Timeout,
            Failure::Reset,
            Failure::Dns,
            Failure::Tls,
            Failure::Proxy,
        ];
        assert_eq!(gone, expected);
        let alive =
            [Outcome::Delivered(StatusClass::ServerError), Outcome::Failed(Failure::Protocol)];
        assert_eq!(alive.map(sign), [Sign::Alive; 2]);
        assert_eq!(sign(Outcome::Failed(Failure::Internal)), Sign::None);
    }
}
