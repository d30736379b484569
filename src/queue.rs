//! The hand-over: a bounded queue of copies for each target; offering never blocks.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use crate::message::Message;
use crate::target::Limits;

/// One copy on its way to one target.
#[derive(Clone, Debug)]
pub struct Job {
    /// The copy, shared with the request's other targets.
    pub message: Arc<Message>,
    /// How long it may take.
    pub limits: Limits,
    /// When it was handed over.
    pub offered: Instant,
}

/// The request path's end of a target's queue.
#[derive(Clone, Debug)]
pub struct Offers(Sender<Job>);

/// The forwarders' end of a target's queue.
pub type Jobs = Receiver<Job>;

/// A queue of at most `capacity` copies.
pub fn bounded(capacity: usize) -> (Offers, Jobs) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    (Offers(sender), receiver)
}

impl Offers {
    /// Hands a copy over, or, where the queue is full, gives it back at once.
    pub fn offer(&self, job: Job) -> Result<(), Job> {
        self.0.try_send(job).map_err(crossbeam_channel::TrySendError::into_inner)
    }

    /// Copies that wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
