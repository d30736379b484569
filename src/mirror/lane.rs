//! The way to one target: why a copy does not go there, counted and told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock;
use crate::config::TargetId;
use crate::fates::Fate;
use crate::forward::Forwarders;
use crate::mask::Masks;
use crate::outcome::{GivenUp, Loss, NotCopied};
use crate::select::Miss;
use crate::stats::{Account, Trouble};
use crate::target::Target;

/// The way to one target.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: TargetId,
    pub(super) target: Arc<Target>,
    pub(super) account: Account,
    pub(super) forwarders: Forwarders,
    pub(super) masks: Option<Arc<Masks>>,
    /// Whether the queue refused a copy, and was not seen half empty since: who is to make one looks at it first.
    pub(super) overflows: AtomicBool,
}

impl Lane {
    /// Why it would take no copy now, so that none need be made for it.
    ///
    /// Until the copy would be complete there may be room again, and what began in a short burst is lost for nothing.
    /// But as long as more copies come than staging bears, any that is made takes the place of another.
    #[inline(always)]
    pub(super) fn obstacle(&self) -> Option<Loss> {
        if !self.account.breaker().would_admit(clock::now) {
            return Some(Loss::Breaker);
        }
        let overflows = self.overflows.load(Ordering::Relaxed);
        (overflows && self.is_full()).then_some(Loss::QueueFull)
    }

    /// Looks at a queue that overflowed.
    #[cold]
    fn is_full(&self) -> bool {
        let (queued, room) = (self.forwarders.queued(), self.target.pool.queue);
        if queued <= room / 2 {
            self.overflows.store(false, Ordering::Relaxed);
        }
        queued >= room
    }

    pub(super) fn give_up(&self, reason: GivenUp) {
        match reason {
            GivenUp::NotCopied(reason) => self.account.not_copied(reason),
            GivenUp::Dropped(loss) => {
                self.account.select();
                self.drop_unsent(loss);
            }
        }
    }

    /// Counts why a request does not go to this target.
    #[inline(always)]
    pub(super) fn pass_over(&self, miss: Miss<'_>) -> Fate {
        let reason = match miss {
            Miss::Method => NotCopied::Method,
            Miss::Body => NotCopied::Body,
            Miss::Sampled => NotCopied::Sampled,
            Miss::Condition => NotCopied::Condition,
            Miss::Unknown(error) => {
                self.tell_unknown(error);
                NotCopied::Condition
            }
            Miss::Rate => {
                self.account.select();
                self.drop_unsent(Loss::Rate);
                return Fate::Dropped(Loss::Rate);
            }
        };
        self.account.not_copied(reason);
        Fate::NotCopied(reason)
    }

    /// The 1st, 2nd, 4th, 8th … time that an expression cannot be evaluated the log is told.
    #[cold]
    fn tell_unknown(&self, error: &[u8]) {
        let count = self.account.trouble(Trouble::Unknown);
        if count.is_power_of_two() {
            let error = String::from_utf8_lossy(error);
            let name = &self.target.name;
            log::warn!(
                "CPY0115: a request is not copied to {name}: an expression cannot be evaluated: {error} \
                 ({count} so far)"
            );
        }
    }

    /// Drops a selected copy before the hand-over; the 1st, 2nd, 4th, 8th … time the log is told.
    pub(super) fn drop_unsent(&self, loss: Loss) {
        self.account.drop_unsent(loss);
        let number = match loss {
            Loss::QueueFull => "CPY0111",
            Loss::Memory => "CPY0112",
            // The log is told when the breaker opens, and a rate is what was asked for.
            Loss::Breaker
            | Loss::Rate
            | Loss::NoMember
            | Loss::Unmaskable
            | Loss::Off
            | Loss::Stopping
            | Loss::Lost => return,
        };
        let count = self.account.trouble(Trouble::Dropped(loss));
        if count.is_power_of_two() {
            let (name, reason) = (&self.target.name, loss.name());
            log::warn!("{number}: a copy to {name} was dropped: {reason} ({count} so far)");
        }
    }
}
