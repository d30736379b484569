//! The hand-over: a bounded queue of copies for each target; offering never blocks.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use crate::bell::{Bell, Rope};
use crate::breaker::Pass;
use crate::comparing::CopySide;
use crate::copylog::{Copied, Requested, Told};
use crate::mask::Masks;
use crate::message::Message;
use crate::outcome::Loss;
use crate::target::Limits;

/// One copy on its way to one target.
#[derive(Debug)]
pub struct Job {
    /// The copy.
    pub message: Held,
    /// How long it may take, where its target says nothing else.
    pub limits: Limits,
    /// When it was handed over.
    pub offered: Instant,
    /// What its target's breaker let it through under.
    pub pass: Pass,
    /// What of it the target may not see.
    pub masks: Option<Arc<Masks>>,
    /// What its answer is brought to, where that is compared.
    pub compare: Option<Box<CopySide>>,
    /// Who is told what became of it, where a `CopyLog` has a line of it.
    pub told: Option<Told>,
}

impl Job {
    /// Tells that it was dropped, having waited so long, if it left the queue at all.
    #[cold]
    pub fn tell_dropped(self, loss: Loss, waited: Option<Duration>) {
        if let Some(told) = self.told {
            told.arrive(Copied::dropped(loss, waited, Requested::of(&self.message, false)));
        }
    }
}

/// A copy, as one target has it.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most copies go to one target, without an allocation")]
pub enum Held {
    /// For this target alone.
    Alone(Message),
    /// Shared with the request's other targets.
    Shared(Arc<Message>),
}

impl Held {
    /// The copy, for somebody else to share.
    pub fn share(self) -> Arc<Message> {
        match self {
            Held::Alone(message) => Arc::new(message),
            Held::Shared(message) => message,
        }
    }

    /// Gives back large content that nobody else has: it will not be sent again.
    pub fn release_content(&mut self) {
        if let Held::Alone(message) = self {
            message.release_content();
        }
    }
}

impl Deref for Held {
    type Target = Message;

    fn deref(&self) -> &Message {
        match self {
            Held::Alone(message) => message,
            Held::Shared(message) => message,
        }
    }
}

/// The request path's end of a target's queue.
#[derive(Clone, Debug)]
pub struct Offers {
    // Before the rope: who hears that the last one lets go of it finds the queue closed.
    sender: Sender<Job>,
    rope: Rope,
}

/// The queue held as many copies as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The forwarders' end of a target's queue.
#[derive(Debug)]
pub struct Jobs {
    receiver: Receiver<Job>,
    bell: Arc<Bell>,
}

/// A queue of at most `capacity` copies, and a bell that rings for who waits for them.
pub fn bounded(capacity: usize, bell: Bell) -> (Offers, Jobs) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let bell = Arc::new(bell);
    (Offers { sender, rope: Rope::of(Arc::clone(&bell)) }, Jobs { receiver, bell })
}

impl Offers {
    /// Hands a copy over, or, where the queue is full, lets it go at once.
    #[inline]
    pub fn offer(&self, job: Job) -> Result<(), Full> {
        self.sender.try_send(job).map_err(|refused| {
            refused.into_inner().tell_dropped(Loss::QueueFull, None);
            Full
        })?;
        self.rope.pull();
        Ok(())
    }

    /// Copies that wait.
    pub fn len(&self) -> usize {
        self.sender.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.sender.is_empty()
    }
}

impl Jobs {
    /// The next copy, if one waits.
    #[inline]
    pub fn try_recv(&self) -> Result<Job, TryRecvError> {
        self.receiver.try_recv()
    }

    /// The next copy, as soon as there is one; waits for it this long. Only one thread at a time does.
    pub fn recv_timeout(&self, at_most: Duration) -> Result<Job, RecvTimeoutError> {
        let begun = Instant::now();
        loop {
            self.bell.listen();
            // What came before nobody rang for.
            let found = match self.receiver.try_recv() {
                Ok(job) => Ok(job),
                Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => match at_most.checked_sub(begun.elapsed()) {
                    Some(left) if !left.is_zero() => {
                        self.bell.sleep(left);
                        continue;
                    }
                    _ => Err(RecvTimeoutError::Timeout),
                },
            };
            self.bell.ignore();
            return found;
        }
    }

    /// What rings for who waits for copies, and for more.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Copies that wait.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}
