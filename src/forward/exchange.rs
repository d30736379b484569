//! One exchange over one connection: the request written, the answer read, within the deadline.

use std::io::Write;

use ureq::Timeout;
use ureq::unversioned::transport::{NextTimeout, Transport};

use crate::message::Message;
use crate::outcome::{Failure, StatusClass};
use crate::stats::Traffic;

use super::answer::Answer;
use super::fault::Fault;
use super::pace::Deadline;

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

/// Sends `head` and the message's content, and reads the answer, over a connection of its own.
///
/// Adds what was written and read to `traffic`.
pub(super) fn exchange(
    transport: &mut impl Transport,
    head: &[u8],
    message: &Message,
    deadline: &Deadline,
    traffic: &mut Traffic,
) -> Result<Answered, Broken> {
    let mut answer = Answer::to(message.method());
    let before = traffic.received;
    let result = match write(transport, [head, message.content()], deadline, traffic) {
        Ok(()) => read(transport, &mut answer, deadline, traffic),
        // Staging may have answered without reading all of the request, and closed.
        Err(fault) if fault.failure == Failure::Reset => {
            let _ = read(transport, &mut answer, deadline, traffic);
            let answered = answer.class().map(|class| Answered { class, reusable: false });
            answered.ok_or(fault)
        }
        Err(fault) => Err(fault),
    };
    result.map_err(|fault| Broken {
        unanswered: fault.failure == Failure::Reset && traffic.received == before,
        fault,
    })
}

/// Writes all parts, as many bytes at once as the transport takes.
fn write(
    transport: &mut impl Transport,
    mut parts: [&[u8]; 2],
    deadline: &Deadline,
    traffic: &mut Traffic,
) -> Result<(), Fault> {
    const DOING: &str = "write the request";
    loop {
        let amount = fill(transport.buffers().output(), &mut parts);
        if amount == 0 {
            return Ok(());
        }
        let timeout = next(deadline).ok_or_else(|| Fault::late(DOING, deadline))?;
        transport
            .transmit_output(amount, timeout)
            .map_err(|error| Fault::talking(DOING, error, deadline))?;
        traffic.sent = traffic.sent.saturating_add(amount as u64);
    }
}

/// Moves the beginnings of the parts to the output; how many bytes.
fn fill(mut output: &mut [u8], parts: &mut [&[u8]]) -> usize {
    let mut filled: usize = 0;
    for part in parts {
        // Writing to memory does not fail: it takes what there is room for.
        let moved = output.write(part).unwrap_or_default();
        *part = part.get(moved..).unwrap_or_default();
        filled = filled.saturating_add(moved);
    }
    filled
}

fn read(
    transport: &mut impl Transport,
    answer: &mut Answer,
    deadline: &Deadline,
    traffic: &mut Traffic,
) -> Result<Answered, Fault> {
    loop {
        let timeout = next(deadline).ok_or_else(|| Fault::late(answer.part(), deadline))?;
        let open = transport
            .await_input(timeout)
            .map_err(|error| Fault::talking(answer.part(), error, deadline))?;
        let stray = match open {
            true => take_input(transport, answer, traffic)?,
            false if answer.ends_at_close() => true,
            false => {
                let what = format!("{}: closed by staging", answer.part());
                return Err(Fault::new(Failure::Reset, what));
            }
        };
        let ended = answer.is_complete() || !open;
        if let Some(class) = answer.class().filter(|_| ended) {
            let reusable = answer.is_persistent() && !stray;
            return Ok(Answered { class, reusable });
        }
    }
}

/// Feeds the answer with what was received; whether there was more than the answer.
fn take_input(
    transport: &mut impl Transport,
    answer: &mut Answer,
    traffic: &mut Traffic,
) -> Result<bool, Fault> {
    let buffers = transport.buffers();
    let input = buffers.input();
    let (received, fed) = (input.len(), answer.feed(input));
    buffers.input_consume(received);
    traffic.received = traffic.received.saturating_add(received as u64);
    match fed {
        Ok(used) => Ok(used < received),
        Err(wrong) => Err(Fault::new(Failure::Protocol, format!("read the answer: {wrong}"))),
    }
}

/// What is left of the exchange's time, as ureq has it.
fn next(deadline: &Deadline) -> Option<NextTimeout> {
    let after = deadline.left()?.into();
    Some(NextTimeout { after, reason: Timeout::Global, ..NextTimeout::default() })
}
