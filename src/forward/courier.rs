//! What carries a copy to staging, as a forwarder sees it: a line, or a test's stand-in.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::comparing::{CopySide, Keeping};
use crate::message::Message;
use crate::outcome::{Loss, StatusClass};
use crate::stats::Traffic;
use crate::target::Limits;

use super::exchange::{Awaits, Wait};
use super::fault::Fault;
use super::pace::{Deadline, OnSlow};

/// A copy to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand<'a> {
    pub(super) message: &'a Message,
    pub(super) limits: &'a Limits,
    pub(super) deadline: &'a Deadline,
    /// Where the answer is kept, if it is compared.
    pub(super) keep: Option<&'a Keep>,
}

/// A place for an answer that is compared.
#[derive(Debug)]
pub(super) struct Keep {
    side: Box<CopySide>,
    came: RefCell<Option<Box<Keeping>>>,
}

impl Keep {
    pub(super) fn new(side: Box<CopySide>) -> Keep {
        Keep { side, came: RefCell::default() }
    }

    /// What keeps an answer to this.
    pub(super) fn keeping(&self, message: &Message) -> Box<Keeping> {
        Box::new(self.side.keeping(message))
    }

    /// The whole answer has come.
    pub(super) fn put(&self, answer: Box<Keeping>) {
        self.came.replace(Some(answer));
    }

    /// Brings word to where answers are compared that staging took the request and gave none, or not all of one.
    pub(super) fn miss(self, message: &Message, taken: Instant) {
        self.side.miss(message, taken.elapsed());
    }

    /// Brings the answer, if one came, to where it is compared.
    pub(super) fn arrive(self, message: &Message, taken: Instant) {
        if let Some(answer) = self.came.into_inner() {
            let latency = answer.took_since(taken).unwrap_or_else(|| taken.elapsed());
            self.side.arrive(*answer, message, latency);
        }
    }
}

/// How far an errand has got.
#[derive(Debug)]
pub(super) enum Progress {
    Awaits(Awaits),
    /// Staging closed the connection as it began to be used again, and to send the copy twice does no
    /// harm: it may be sent anew.
    Stale,
    Ended(Result<StatusClass, Fault>),
    /// There is nobody to carry it to.
    Dropped(Loss),
}

/// Carries one copy at a time to staging, over a connection that it may keep for the next.
///
/// It counts in `traffic` what it writes and reads.
pub(super) trait Courier: Send {
    /// Whether its connection is open although the socket shows something, as it does at its end, too.
    fn is_open(&mut self) -> bool {
        false
    }

    /// Whether it has a connection, as far as it knows.
    fn has_connection(&self) -> bool;

    /// Begins; without a connection, it waits until there is one, whatever `wait` says.
    fn send(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress;

    /// Goes on with what it has begun, and has not ended.
    fn go_on(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress;

    /// What it was doing when the time was over.
    fn late(&self, deadline: &Deadline) -> Fault;

    /// What shows that it can go on.
    fn socket(&self) -> Option<BorrowedFd<'_>>;
}

/// Makes couriers, who tell when they are about to wait for long.
pub(super) type Hire = Box<dyn Fn(OnSlow) -> Box<dyn Courier> + Send + Sync>;
