//! The breaker of a target: stops copying to a staging that is gone, and finds out when it is back.
//!
//! ```text
//!            failures= in a row                    retry= is over: one copy is let through
//!   closed ────────────────────► open ◄──────────────────────────────► half-open
//!      ▲                              the probe fails, or never ends       │
//!      └───────────────────────────────────────────────────────────────────┘
//!                                 the probe is answered
//! ```
//!
//! A state machine over a few words of shared memory: all children of a server see and change the same
//! state, without a lock, and a child may end at any point. The time is passed in, in milliseconds of a
//! clock on which all children agree.
//!
//! **A copy is let through under a [`Pass`]**, the state it was let through in. Each state has a number
//! of its own, its *turn*, and a report changes the state only if it is still that of the pass: so what
//! was sent before the breaker opened does not open it again after it closed, and a probe that took
//! too long decides nothing.
//!
//! **There is one probe, over all children.** Whoever finds the time over makes the state half-open,
//! which one of them achieves, and has the probe until its lease ends; then the next may. The lease is
//! short while the probe waits in a queue, and is that of the exchange once it is sent. So a child that
//! ends with the probe in hand does not keep the breaker from closing.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Milliseconds on a clock that never goes back.
pub type Millis = u64;

/// How long a probe may wait to be sent before another may take its place, and what an exchange may take
/// beyond its timeout before it is given up for lost.
const LEASE: Millis = 1_000;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// So many failures in a row open it; 0 switches it off.
    pub failures: u32,
    /// How long nothing is sent before a probe is.
    pub retry: Duration,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { failures: 5, retry: Duration::from_secs(10) }
    }
}

impl Rules {
    fn packed(self) -> u64 {
        let retry = u32::try_from(self.retry.as_millis()).unwrap_or(u32::MAX).max(1);
        u64::from(self.failures) << 32 | u64::from(retry)
    }

    fn unpacked(packed: u64) -> Rules {
        let retry = Duration::from_millis(packed & u64::from(u32::MAX));
        Rules { failures: u32::try_from(packed >> 32).unwrap_or(u32::MAX), retry }
    }

    fn retry_at(self, now: Millis) -> Millis {
        now.saturating_add(u64::try_from(self.retry.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What an exchange says about staging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is there: it answered, whatever it said.
    Alive,
    /// It is not: no connection, or none that lasted, or no answer in time.
    Gone,
    /// Nothing.
    None,
}

/// What a report brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The breaker opened, for the `times`th time.
    Opened {
        /// How often it has opened.
        times: u64,
        /// By which rules.
        rules: Rules,
    },
    /// The breaker closed again.
    Closed {
        /// How often it has opened.
        times: u64,
        /// How long it was open.
        after: Duration,
    },
}

/// Under which state a copy was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass(Word);

/// A breaker in shared memory; all zeroes is one that is switched off.
///
/// It has a cache line of its own, which is only written while staging fails.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Breaker {
    word: AtomicU64,
    rules: AtomicU64,
    /// When it last opened or closed, for those who look at it.
    since: AtomicU64,
    /// How often it opened.
    opened: AtomicU64,
}

/// A breaker as it is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its state; `None` where it is switched off.
    pub state: Option<State>,
    /// When it last opened, or closed.
    pub since: Millis,
    /// How often it opened.
    pub opened: u64,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Copies pass; so many in a row failed.
    Closed {
        /// How many failed since the last that did not.
        failures: u64,
    },
    /// None passes before this time; then one does.
    Open {
        /// When the next probe may be sent.
        until: Millis,
    },
    /// One is on its way; where it has not come back by this time, another passes.
    HalfOpen {
        /// When the probe is given up for lost.
        until: Millis,
    },
}

impl Breaker {
    /// One that is switched off.
    pub const fn new() -> Breaker {
        Breaker {
            word: AtomicU64::new(0),
            rules: AtomicU64::new(0),
            since: AtomicU64::new(0),
            opened: AtomicU64::new(0),
        }
    }

    /// Gives it its rules, which hold at once for all who use it. Where they are the former ones, it
    /// goes on in its state.
    pub fn configure(&self, rules: Rules, now: Millis) {
        let before = self.rules.swap(rules.packed(), Ordering::AcqRel);
        if before == rules.packed() {
            return;
        }
        if before == 0 {
            self.since.store(now, Ordering::Relaxed);
        }
        // Whoever reports by the former rules meanwhile has not seen this change, and fails to make its own.
        self.update(|word| {
            Some(match word.state() {
                _ if rules.failures == 0 => word.next(State::Closed { failures: 0 }),
                State::Closed { failures } => word.next(State::Closed { failures }),
                State::Open { until } | State::HalfOpen { until } => {
                    word.next(State::Open { until: until.min(rules.retry_at(now)) })
                }
            })
        });
    }

    /// Whether a copy would be let through. Costs one load while closed, and the clock else.
    #[inline(always)]
    pub fn would_admit(&self, now: impl FnOnce() -> Millis) -> bool {
        match self.load().state() {
            State::Closed { .. } => true,
            State::Open { until } | State::HalfOpen { until } => now() >= until,
        }
    }

    /// Lets a copy through to the queue, or not; of all that come when it is time for a probe, one.
    #[inline(always)]
    pub fn admit(&self, now: impl FnOnce() -> Millis) -> Option<Pass> {
        let word = self.load();
        match word.state() {
            State::Closed { .. } => Some(Pass(word)),
            State::Open { until } | State::HalfOpen { until } => {
                let now = now();
                let lease = State::HalfOpen { until: now.saturating_add(LEASE) };
                (now >= until).then(|| self.exchange(word, word.next(lease))).flatten()
            }
        }
    }

    /// Lets a copy that was in the queue be sent, in an exchange of at most this long, or not: the
    /// breaker may have opened meanwhile, or another have become the probe.
    pub fn confirm(
        &self,
        pass: Pass,
        span: Duration,
        now: impl FnOnce() -> Millis,
    ) -> Option<Pass> {
        let Pass(admitted) = pass;
        if let State::HalfOpen { .. } = admitted.state() {
            let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            let until = now().saturating_add(span).saturating_add(LEASE);
            return self.exchange(admitted, admitted.next(State::HalfOpen { until }));
        }
        let word = self.load();
        matches!(word.state(), State::Closed { .. }).then_some(Pass(word))
    }

    /// A copy that was let through is not sent, for another reason: a probe's place is free again.
    pub fn give_back(&self, pass: Pass, now: impl FnOnce() -> Millis) {
        let Pass(word) = pass;
        if let State::HalfOpen { .. } = word.state() {
            self.exchange(word, word.next(State::Open { until: now() }));
        }
    }

    /// Takes into account how an exchange ended. Costs one load while closed and all is well.
    pub fn report(&self, pass: Pass, sign: Sign, now: impl FnOnce() -> Millis) -> Option<Change> {
        let Pass(sent) = pass;
        match (sent.state(), sign) {
            (State::HalfOpen { .. }, Sign::None) => {
                self.give_back(pass, now);
                None
            }
            (State::HalfOpen { .. }, Sign::Gone) => {
                let until = self.rules().retry_at(now());
                self.exchange(sent, sent.next(State::Open { until }));
                None
            }
            (State::HalfOpen { .. }, Sign::Alive) => {
                self.exchange(sent, sent.next(State::Closed { failures: 0 }))?;
                let (now, times) = (now(), self.opened.load(Ordering::Relaxed));
                let since = self.since.swap(now, Ordering::Relaxed);
                let after = Duration::from_millis(now.saturating_sub(since));
                Some(Change::Closed { times, after })
            }
            (_, Sign::Alive) => {
                self.update(|word| match word.state() {
                    State::Closed { failures: 1.. } => {
                        Some(word.with(State::Closed { failures: 0 }))
                    }
                    _ => None,
                });
                None
            }
            (_, Sign::Gone) => self.count_failure(sent, now()),
            (_, Sign::None) => None,
        }
    }

    /// Closes it, whatever brought it about; whether it was not closed.
    pub fn reset(&self, now: Millis) -> bool {
        let mut was_closed = false;
        // What is under way, in the former turn, decides nothing any more.
        self.update(|word| {
            was_closed = matches!(word.state(), State::Closed { .. });
            Some(word.next(State::Closed { failures: 0 }))
        });
        if !was_closed {
            self.since.store(now, Ordering::Relaxed);
        }
        !was_closed
    }

    /// As it is now.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.load().state();
        Snapshot {
            state: (self.rules().failures > 0).then_some(state),
            since: self.since.load(Ordering::Relaxed),
            opened: self.opened.load(Ordering::Relaxed),
        }
    }

    /// One more failure in a row, of an exchange that was begun since the breaker last closed.
    fn count_failure(&self, sent: Word, now: Millis) -> Option<Change> {
        let mut rules = Rules::default();
        let counted = self.update(|word| {
            let State::Closed { failures } = word.state() else { return None };
            // Read after the word: if that is newer than the last change of the rules, so are these.
            rules = self.rules();
            if rules.failures == 0 || word.turn() != sent.turn() {
                return None;
            }
            let failures = failures.saturating_add(1);
            Some(if failures < u64::from(rules.failures) {
                word.with(State::Closed { failures })
            } else {
                word.next(State::Open { until: rules.retry_at(now) })
            })
        })?;
        if let State::Closed { .. } = counted.state() {
            return None;
        }
        self.since.store(now, Ordering::Relaxed);
        let times = self.opened.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        Some(Change::Opened { times, rules })
    }

    fn rules(&self) -> Rules {
        Rules::unpacked(self.rules.load(Ordering::Acquire))
    }

    fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Makes `to` of `from`, if it is still that.
    fn exchange(&self, Word(from): Word, to: Word) -> Option<Pass> {
        let Word(new) = to;
        let made = self.word.compare_exchange(from, new, Ordering::AcqRel, Ordering::Acquire);
        made.is_ok().then_some(Pass(to))
    }

    /// Makes of the state what `change` makes of it, unless that is nothing; returns what it made.
    fn update(&self, mut change: impl FnMut(Word) -> Option<Word>) -> Option<Word> {
        loop {
            let word = self.load();
            let changed = change(word)?;
            if self.exchange(word, changed).is_some() {
                return Some(changed);
            }
        }
    }
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker::new()
    }
}

/// A state and its turn in one word: 2 bits of tag, 22 of turn, 40 of failures, or of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(u64);

const VALUE_BITS: u32 = 40;
const TURN_BITS: u32 = 22;
const VALUES: u64 = (1 << VALUE_BITS) - 1;
const TURNS: u64 = (1 << TURN_BITS) - 1;

impl Word {
    fn state(self) -> State {
        let Word(word) = self;
        let value = word & VALUES;
        match word >> (VALUE_BITS + TURN_BITS) {
            0 => State::Closed { failures: value },
            1 => State::Open { until: value },
            _ => State::HalfOpen { until: value },
        }
    }

    fn turn(self) -> u64 {
        self.0 >> VALUE_BITS & TURNS
    }

    /// This state in the same turn.
    fn with(self, state: State) -> Word {
        Word::of(self.turn(), state)
    }

    /// This state in the next turn.
    fn next(self, state: State) -> Word {
        Word::of(self.turn().wrapping_add(1) & TURNS, state)
    }

    fn of(turn: u64, state: State) -> Word {
        let (tag, value) = match state {
            State::Closed { failures } => (0, failures),
            State::Open { until } => (1, until),
            State::HalfOpen { until } => (2, until),
        };
        Word(tag << (VALUE_BITS + TURN_BITS) | turn << VALUE_BITS | value.min(VALUES))
    }
}

#[cfg(test)]
mod tests;
