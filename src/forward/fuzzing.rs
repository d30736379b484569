//! The door for `fuzz/`: what reads staging's bytes, for the fuzz targets alone.

use std::fmt;
use std::time::{Duration, Instant};

pub use ureq;
use ureq::unversioned::transport::{Buffers, Transport};

use crate::message::Message;
use crate::outcome::{Failure, StatusClass};
use crate::stats::Traffic;
use crate::target::Aim;

use super::allowance::Allowance;
use super::exchange::{self, Awaits, Until, Wait};
use super::layered::Layered;
use super::pace::{Deadline, OnSlow};
use super::{answer, room};

/// An answer as it arrives.
#[derive(Debug)]
pub struct Answer(answer::Answer);

impl Answer {
    /// The answer to a request of this method.
    pub fn to(method: &[u8]) -> Answer {
        Answer(answer::Answer::to(method))
    }

    /// Takes the next bytes; how many of them are the answer's, or what is wrong with it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        self.0.feed(bytes)
    }

    /// The class of the final status, once known.
    pub fn class(&self) -> Option<StatusClass> {
        self.0.class()
    }

    /// Whether it is whole.
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// Whether the connection's end is its end.
    pub fn ends_at_close(&self) -> bool {
        self.0.ends_at_close()
    }

    /// Whether the connection may serve the next exchange.
    pub fn is_persistent(&self) -> bool {
        self.0.is_persistent()
    }

    /// The room taken by what is not yet whole.
    pub fn room(&self) -> usize {
        self.0.room()
    }
}

/// A connection's buffers.
pub fn buffers() -> impl Buffers + fmt::Debug + Send + Sync + 'static {
    room::Room::default()
}

/// How an exchange ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The answer's class, and whether the connection may serve the next exchange.
    Answered(StatusClass, bool),
    /// What is counted, what the log is told, and whether the request may be sent again.
    Broken(Failure, String, bool),
    /// It still waits after so many steps.
    Waits,
}

/// Takes an exchange over `transport` as many steps as it needs, at most `steps`; none of them waits. The
/// transport is given back.
pub fn exchange<T: Transport>(
    transport: T,
    message: &Message,
    aim: &Aim,
    steps: usize,
    traffic: &mut Traffic,
) -> (End, T) {
    const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
    let deadline = &Deadline::new(Instant::now(), NEVER);
    let on_slow = &OnSlow::new(|| {});
    let allowance = &Allowance::new(Instant::now());
    let until = &Until { wait: Wait::Not, deadline, on_slow, allowance };
    let mut exchange = exchange::Exchange::of(message);
    let mut wire = Layered::from(transport);
    let mut step = || match exchange.awaits() {
        Awaits::Room => exchange.write(&mut wire, || message.parts(aim), until, traffic),
        Awaits::Answer => exchange.read(&mut wire, until, traffic),
    };
    let end = (0..steps).find_map(|_| match step() {
        Ok(Ok(answered)) => Some(End::Answered(answered.class, answered.reusable)),
        Ok(Err(_)) => None,
        Err(broken) => {
            Some(End::Broken(broken.fault.failure, broken.fault.what, broken.unanswered))
        }
    });
    (end.unwrap_or(End::Waits), wire.into_inner())
}
