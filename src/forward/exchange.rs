//! One exchange over one connection: the request written, the answer read, a step at a time.

use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::unversioned::transport::{Buffers, NextTimeout};

use crate::comparing::Keeping;
use crate::message::Message;
use crate::outcome::{Failure, StatusClass};
use crate::stats::Traffic;

use super::allowance::Allowance;
use super::answer::{Answer, PORTION};
use super::fault::{self, Fault};
use super::pace::{Deadline, OnSlow, SLOW};
use super::room;
use super::wire::{self, Wire};

/// A timeout this short means not to wait at all. It is not zero, which layers over the socket refuse.
pub(super) const AT_ONCE: Duration = Duration::from_nanos(1);
/// The most reads of one step, so that who never stops sending does not keep the others waiting.
const READS: usize = 16;
/// Content of which at least so much is to come is not read but thrown away: less comes in one read, with
/// what follows it.
const WORTH_DISCARDING: usize = room::SIZE;

/// How staging answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) class: StatusClass,
    /// Whether the connection may serve the next exchange.
    pub(super) reusable: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) fault: Fault,
    /// Whether the connection closed before a single byte of an answer: as one does that staging had
    /// closed already, when the request was on its way.
    pub(super) unanswered: bool,
}

/// How long a step may wait for staging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until the deadline.
    Long,
    /// While the exchange is not yet [`SLOW`].
    Briefly,
    /// Not at all.
    Not,
}

/// How long a step may wait in all, and who is told when it takes long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until<'a> {
    pub(super) wait: Wait,
    pub(super) deadline: &'a Deadline,
    pub(super) on_slow: &'a OnSlow,
    /// What may be read of long answers.
    pub(super) allowance: &'a Allowance,
}

impl Until<'_> {
    /// How long the transport may wait; `None` where no time is left.
    fn timeout(&self) -> Option<NextTimeout> {
        let after = match self.wait {
            Wait::Not => AT_ONCE,
            Wait::Briefly | Wait::Long => {
                let now = Instant::now();
                let left = self.deadline.left_at(now)?;
                // No single wait need be slow: staging may take or give byte after byte.
                let slow = self.deadline.elapsed_at(now) >= SLOW;
                match self.wait {
                    Wait::Briefly if slow => AT_ONCE,
                    Wait::Briefly => left.min(SLOW),
                    _ => {
                        if slow {
                            self.on_slow.tell();
                        }
                        left
                    }
                }
            }
        };
        Some(NextTimeout { after: after.into(), reason: Timeout::Global, ..NextTimeout::default() })
    }
}

/// What an exchange that goes on is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// Room to write in.
    Room,
    /// The answer, or more of it.
    Answer,
}

/// The end of a step: the answer, or what has to come first.
pub(super) type Step = Result<Result<Answered, Awaits>, Broken>;

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    answer: Answer,
    /// Bytes of the request that are written.
    sent: usize,
    /// Bytes of the answer so far.
    received: u64,
    /// Why the request could not be written to its end.
    cut: Option<Fault>,
    awaits: Awaits,
}

impl Exchange {
    pub(super) fn of(message: &Message) -> Exchange {
        Exchange {
            answer: Answer::to(message.method()),
            sent: 0,
            received: 0,
            cut: None,
            awaits: Awaits::Room,
        }
    }

    /// The same with its answer kept, if it is to be.
    pub(super) fn keeping(self, keeping: Option<Box<Keeping>>) -> Exchange {
        Exchange { answer: self.answer.keeping(keeping), ..self }
    }

    /// What was kept of the answer.
    pub(super) fn take_kept(&mut self) -> Option<Box<Keeping>> {
        self.answer.take_kept()
    }

    /// What is being waited for.
    pub(super) fn awaits(&self) -> Awaits {
        self.awaits
    }

    /// What was being done when the time was over.
    pub(super) fn late(&self, deadline: &Deadline) -> Fault {
        match self.awaits {
            Awaits::Room => Fault::late(WRITING, deadline),
            Awaits::Answer => Fault::late(self.answer.part(), deadline),
        }
    }

    /// The status of the answer, once there is one.
    pub(super) fn status(&self) -> u16 {
        self.answer.status()
    }

    /// Goes on writing the message's parts.
    pub(super) fn write<'a, P: Iterator<Item = &'a [u8]>>(
        &mut self,
        wire: &mut impl Wire,
        parts: impl Fn() -> P,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Step {
        match self.transmit(wire, parts, until, traffic) {
            Ok(true) => traffic.whole = true,
            Ok(false) => return Ok(Err(Awaits::Room)),
            // Staging may have answered without reading all of the request, and closed.
            Err(fault) if fault.failure == Failure::Reset => self.cut = Some(fault),
            Err(fault) => return Err(Broken { fault, unanswered: false }),
        }
        self.awaits = Awaits::Answer;
        Ok(Err(Awaits::Answer))
    }

    /// Goes on reading the answer, and adds what was read to `traffic`.
    pub(super) fn read(
        &mut self,
        wire: &mut impl Wire,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Step {
        let read = self.receive(wire, until, traffic);
        let read = match read {
            Ok(None) => return Ok(Err(Awaits::Answer)),
            Ok(Some(answered)) => Ok(answered),
            Err(fault) => Err(fault),
        };
        let ended = match (self.cut.take(), self.answer.class()) {
            (None, _) => read,
            (Some(_), Some(class)) => {
                // Perhaps not all of it came.
                self.answer.cut();
                Ok(Answered { class, reusable: false })
            }
            (Some(cut), None) => Err(cut),
        };
        if ended.is_ok() {
            traffic.status = self.answer.status();
        }
        ended.map(Ok).map_err(|fault| self.broken(fault))
    }

    fn broken(&self, fault: Fault) -> Broken {
        Broken { unanswered: fault.failure == Failure::Reset && self.received == 0, fault }
    }

    /// Writes as many bytes as go without waiting for longer; whether all are gone.
    fn transmit<'a, P: Iterator<Item = &'a [u8]>>(
        &mut self,
        wire: &mut impl Wire,
        parts: impl Fn() -> P,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Result<bool, Fault> {
        loop {
            let mut rest = wire::rest(parts(), self.sent).peekable();
            if rest.peek().is_none() {
                return Ok(true);
            }
            let timeout = until.timeout().ok_or_else(|| self.late(until.deadline))?;
            let mut given: usize = 0;
            let parts = rest.by_ref().inspect(|part| given = given.saturating_add(part.len()));
            let written = match wire.write(parts, timeout) {
                Ok(written) => written,
                Err(error) if until.wait != Wait::Long && fault::is_timeout(&error) => {
                    return Ok(false);
                }
                Err(error) => return Err(Fault::talking(WRITING, error, until.deadline)),
            };
            self.sent = self.sent.saturating_add(written);
            traffic.sent = traffic.sent.saturating_add(written as u64);
            // Mostly all goes at once, and the parts need not be laid out again to see that none is left.
            if written == given && rest.next().is_none() {
                return Ok(true);
            }
        }
    }

    /// Reads until the answer is complete; `None` where it is not yet.
    fn receive(
        &mut self,
        wire: &mut impl Wire,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Result<Option<Answered>, Fault> {
        for _ in 0..READS {
            let came = self.take(wire, until, traffic)?;
            match came {
                Came::Nothing => return Ok(None),
                Came::End if !self.answer.ends_at_close() => {
                    let what = format!("{}: closed by staging", self.answer.part());
                    return Err(Fault::new(Failure::Reset, what));
                }
                Came::Answer | Came::More | Came::End => {}
            }
            self.limit(until.allowance);
            let ended = self.answer.is_complete() || came == Came::End;
            if let Some(class) = self.answer.class().filter(|_| ended) {
                let reusable = self.answer.is_persistent() && came == Came::Answer;
                return Ok(Some(Answered { class, reusable }));
            }
        }
        Ok(None)
    }

    /// Ends an answer here that is longer than the target's allowance bears.
    fn limit(&mut self, allowance: &Allowance) {
        while self.answer.is_beyond_allowed() {
            match allowance.take(PORTION, Instant::now()) {
                true => self.answer.allow(),
                false => self.answer.cut(),
            }
        }
    }

    /// Reads once, or throws away what need not be read.
    fn take<W: Wire>(
        &mut self,
        wire: &mut W,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Result<Came, Fault> {
        let timeout = until.timeout().ok_or_else(|| self.late(until.deadline))?;
        let ahead = if W::DISCARDS { self.answer.ahead() } else { 0 };
        let came = match ahead < WORTH_DISCARDING {
            true => wire.read(timeout).map(|open| open.then(|| wire.buffers().input().len())),
            false => {
                wire.discard(ahead, timeout).map(|count| Some(count).filter(|count| *count > 0))
            }
        };
        let count = match came {
            Ok(Some(count)) => count as u64,
            Ok(None) => return Ok(Came::End),
            Err(error) if fault::is_timeout(&error) => return Ok(Came::Nothing),
            Err(error) => return Err(Fault::talking(self.answer.part(), error, until.deadline)),
        };
        self.received = self.received.saturating_add(count);
        traffic.received = traffic.received.saturating_add(count);
        if ahead < WORTH_DISCARDING {
            return self.feed(wire.buffers());
        }
        self.answer.skip(count);
        Ok(Came::Answer)
    }

    /// Feeds the answer with what was received.
    fn feed(&mut self, buffers: &mut dyn Buffers) -> Result<Came, Fault> {
        let input = buffers.input();
        let (received, fed) = (input.len(), self.answer.feed(input));
        buffers.input_consume(received);
        match fed {
            Ok(used) if used < received => Ok(Came::More),
            Ok(_) => Ok(Came::Answer),
            Err(wrong) => Err(Fault::new(Failure::Protocol, format!("read the answer: {wrong}"))),
        }
    }
}

/// What a read gave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Nothing,
    /// Some of the answer, or its rest.
    Answer,
    /// More than the answer.
    More,
    /// The end of the connection.
    End,
}

const WRITING: &str = "write the request";

#[cfg(test)]
mod tests;
