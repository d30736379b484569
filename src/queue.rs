//! The hand-over: a bounded queue of copies for each target; offering takes no lock, and waits for nobody.
//!
//! Who waits for copies sleeps by an [alarm](crate::alarm), and never by the channel itself, which would have offers take
//! a lock to wake it. Nor does an offer wait for a forwarder that the system has stopped: see [`crate::channel`].

use std::ops::Deref;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::alarm::Alarm;
use crate::bell::Rope;
use crate::breaker::Pass;
use crate::channel::{self, Receiver, Sender, TryRecvError};
use crate::comparing::CopySide;
use crate::copylog::{Copied, Requested, Told};
use crate::mask::Masks;
use crate::message::Message;
use crate::outcome::Loss;
use crate::target::Limits;

/// How often a thread that lingers looks.
const LOOKS: usize = 4;

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
    sender: Sender<Job>,
    /// Of who waits for copies.
    alarm: Arc<Alarm>,
    /// Of who waits for more than the queue.
    rope: Option<Rope>,
    /// Let go after the sender: who is woken finds that nobody will offer any more.
    _end: Arc<End>,
}

/// A place in a target's queue, taken before the copy's job is made: of a full queue nothing more is made.
#[derive(Debug)]
pub struct Reserved<'a> {
    place: channel::Reserved<'a, Job>,
    offers: &'a Offers,
}

impl Reserved<'_> {
    /// Hands a copy over, or lets it go where nobody will take it.
    #[inline]
    pub fn fill(self, job: Job) -> Result<(), Full> {
        let Reserved { place, offers } = self;
        if let Err(refused) = place.fill(job) {
            refused.tell_dropped(Loss::QueueFull, None);
            return Err(Full);
        }
        offers.alarm.tell(|| offers.sender.len());
        if let Some(rope) = &offers.rope {
            rope.pull();
        }
        Ok(())
    }
}

/// The queue holds as many copies as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Wakes who waits when nobody is left who could offer a copy.
#[derive(Debug)]
struct End(Arc<Alarm>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The forwarders' end of a target's queue.
#[derive(Debug)]
pub struct Jobs {
    receiver: Receiver<Job>,
    alarm: Arc<Alarm>,
}

/// A queue of at most `capacity` copies.
pub fn bounded(capacity: usize) -> (Offers, Jobs) {
    let (sender, receiver) = channel::bounded(capacity);
    let alarm = Arc::<Alarm>::default();
    let end = Arc::new(End(Arc::clone(&alarm)));
    let offers = Offers { sender, alarm: Arc::clone(&alarm), rope: None, _end: end };
    (offers, Jobs { receiver, alarm })
}

impl Jobs {
    /// The first that waits; forwarders take turns.
    pub fn try_recv(&self) -> Result<Job, TryRecvError> {
        self.receiver.try_recv()
    }

    /// Sleeps until so many wait, or none will ever come, and no longer than that; at times it ends sooner. One thread at
    /// a time does: who holds the pool's watch.
    pub fn wait_for(&self, enough: usize, at_most: Duration) {
        self.alarm.sleep(enough, at_most, || self.len());
    }

    /// The same, for any copy. Who lingers gives way some times first: of what comes meanwhile nobody has to wake it. But
    /// on a busy core it forgoes its turn by that.
    pub fn wait_for_any(&self, at_most: Duration, lingers: bool) {
        let looks = if lingers { LOOKS } else { 0 };
        for _ in 0..looks {
            if !self.is_empty() {
                return;
            }
            thread::yield_now();
        }
        self.wait_for(1, at_most);
    }

    /// Whether a thread sleeps until they wait, or is about to.
    #[cfg(test)]
    pub fn are_awaited(&self) -> bool {
        self.alarm.is_set()
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

impl Offers {
    /// The same, to somebody who listens to a bell.
    pub fn with_bell(self, rope: Rope) -> Offers {
        Offers { rope: Some(rope), ..self }
    }

    /// A place for one copy, unless the queue is full.
    #[inline]
    pub fn reserve(&self) -> Result<Reserved<'_>, Full> {
        Ok(Reserved { place: self.sender.reserve().ok_or(Full)?, offers: self })
    }

    /// Hands a copy over at once.
    #[cfg(test)]
    pub fn offer(&self, job: Job) -> Result<(), Full> {
        self.reserve()?.fill(job)
    }

    /// Wakes who waits, to look at the queue: where a signal ends a child of prefork's, what it interrupts may be a hand-over
    /// that has [filled](Reserved::fill) a place and woken nobody yet.
    ///
    /// Some nanoseconds before, within the channel, where the next place is claimed and not filled, there is no help: the
    /// forwarder whose turn it is spins until the child has ended, at most for `CopyDrainTimeout`.
    pub fn rouse(&self) {
        self.alarm.rouse();
        if let Some(rope) = &self.rope {
            rope.rouse();
        }
    }

    /// Hands a copy over as an offer does that is interrupted before it wakes anybody.
    #[cfg(test)]
    pub fn offer_unheard(&self, job: Job) {
        self.sender.try_send(job).expect("there is room");
    }

    /// Whether a thread sleeps until copies wait, or is about to.
    #[cfg(test)]
    pub fn are_awaited(&self) -> bool {
        self.alarm.is_set()
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::bell::Bell;

    #[test]
    fn who_waits_for_more_than_the_queue_is_roused_too() {
        let (bell, mut ear) = Bell::new().unwrap();
        let (offers, _jobs) = bounded(1);
        let offers = offers.with_bell(Rope::of(Arc::new(bell)));
        offers.rouse();
        assert_eq!(ear.read(&mut [0; 8]).unwrap(), 1);
    }
}
