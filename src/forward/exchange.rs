//! One exchange over one connection: the request written, the answer read, a step at a time.

use std::io::Write;
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::unversioned::transport::{NextTimeout, Transport};

use crate::message::Message;
use crate::outcome::{Failure, StatusClass};
use crate::stats::Traffic;

use super::answer::Answer;
use super::fault::{self, Fault};
use super::pace::{Deadline, OnSlow, SLOW};

/// A timeout this short means not to wait at all. It is not zero, which layers over the socket refuse.
pub(super) const AT_ONCE: Duration = Duration::from_nanos(1);
/// The most reads of one step, so that who never stops sending does not keep the others waiting.
const READS: usize = 16;

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
    /// Bytes of the request that the transport has taken, and of these, that the socket has.
    taken: usize,
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
            taken: 0,
            sent: 0,
            received: 0,
            cut: None,
            awaits: Awaits::Room,
        }
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

    /// Goes on writing the message's parts.
    pub(super) fn write<'a, P: Iterator<Item = &'a [u8]>>(
        &mut self,
        transport: &mut impl Transport,
        parts: impl Fn() -> P,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Step {
        match self.transmit(transport, parts, until, traffic) {
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
        transport: &mut impl Transport,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Step {
        let read = self.receive(transport, until, traffic);
        let read = match read {
            Ok(None) => return Ok(Err(Awaits::Answer)),
            Ok(Some(answered)) => Ok(answered),
            Err(fault) => Err(fault),
        };
        let ended = match (self.cut.take(), self.answer.class()) {
            (None, _) => read,
            (Some(_), Some(class)) => Ok(Answered { class, reusable: false }),
            (Some(cut), None) => Err(cut),
        };
        ended.map(Ok).map_err(|fault| self.broken(fault))
    }

    fn broken(&self, fault: Fault) -> Broken {
        Broken { unanswered: fault.failure == Failure::Reset && self.received == 0, fault }
    }

    /// Writes as many bytes at once as the transport takes; whether all are gone.
    fn transmit<'a, P: Iterator<Item = &'a [u8]>>(
        &mut self,
        transport: &mut impl Transport,
        parts: impl Fn() -> P,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Result<bool, Fault> {
        loop {
            let amount = match self.sent < self.taken {
                true => 0,
                false => fill(transport.buffers().output(), parts(), self.taken),
            };
            self.taken = self.taken.saturating_add(amount);
            let rest = self.taken.saturating_sub(self.sent);
            if rest == 0 {
                return Ok(true);
            }
            let timeout = until.timeout().ok_or_else(|| self.late(until.deadline))?;
            match transport.transmit_output(amount, timeout) {
                Ok(()) => {}
                Err(error) if until.wait == Wait::Not && fault::is_timeout(&error) => {
                    return Ok(false);
                }
                Err(error) => return Err(Fault::talking(WRITING, error, until.deadline)),
            }
            self.sent = self.taken;
            traffic.sent = traffic.sent.saturating_add(rest as u64);
        }
    }

    /// Reads until the answer is complete; `None` where it is not yet.
    fn receive(
        &mut self,
        transport: &mut impl Transport,
        until: &Until<'_>,
        traffic: &mut Traffic,
    ) -> Result<Option<Answered>, Fault> {
        for _ in 0..READS {
            let timeout = until.timeout().ok_or_else(|| self.late(until.deadline))?;
            let open = match transport.await_input(timeout) {
                Ok(open) => open,
                Err(error) if fault::is_timeout(&error) => return Ok(None),
                Err(error) => {
                    return Err(Fault::talking(self.answer.part(), error, until.deadline));
                }
            };
            let stray = match open {
                true => self.take_input(transport, traffic)?,
                false if self.answer.ends_at_close() => true,
                false => {
                    let what = format!("{}: closed by staging", self.answer.part());
                    return Err(Fault::new(Failure::Reset, what));
                }
            };
            let ended = self.answer.is_complete() || !open;
            if let Some(class) = self.answer.class().filter(|_| ended) {
                let reusable = self.answer.is_persistent() && !stray;
                return Ok(Some(Answered { class, reusable }));
            }
        }
        Ok(None)
    }

    /// Feeds the answer with what was received; whether there was more than the answer.
    fn take_input(
        &mut self,
        transport: &mut impl Transport,
        traffic: &mut Traffic,
    ) -> Result<bool, Fault> {
        let buffers = transport.buffers();
        let input = buffers.input();
        let (received, fed) = (input.len(), self.answer.feed(input));
        buffers.input_consume(received);
        self.received = self.received.saturating_add(received as u64);
        traffic.received = traffic.received.saturating_add(received as u64);
        match fed {
            Ok(used) => Ok(used < received),
            Err(wrong) => Err(Fault::new(Failure::Protocol, format!("read the answer: {wrong}"))),
        }
    }
}

const WRITING: &str = "write the request";

/// Moves what follows the first `taken` bytes of the parts to the output; how many bytes.
fn fill<'a>(mut output: &mut [u8], parts: impl Iterator<Item = &'a [u8]>, taken: usize) -> usize {
    let (mut skipped, mut filled): (usize, usize) = (taken, 0);
    for part in parts {
        let rest = part.get(skipped..).unwrap_or_default();
        skipped = skipped.saturating_sub(part.len());
        // Writing to memory does not fail: it takes what there is room for.
        filled = filled.saturating_add(output.write(rest).unwrap_or_default());
    }
    filled
}
