//! The time an exchange has, and who is told when it drags.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A wait, or an exchange, this long is slow: another forwarder had better watch the queue meanwhile.
///
/// It is the timeout of every first wait, and so costs no system call while staging is fast. The
/// kernel rounds it up to its tick, by up to 8 ms.
pub(super) const SLOW: Duration = Duration::from_millis(2);

/// Told when its thread waits, or is about to wait, for long; may be told often.
#[derive(Clone)]
pub(super) struct OnSlow(Arc<dyn Fn() + Send + Sync>);

impl OnSlow {
    pub(super) fn new(tell: impl Fn() + Send + Sync + 'static) -> OnSlow {
        OnSlow(Arc::new(tell))
    }

    pub(super) fn tell(&self) {
        (self.0)();
    }
}

impl fmt::Debug for OnSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnSlow")
    }
}

/// When an exchange must have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    from: Instant,
    span: Duration,
}

impl Deadline {
    /// `span` after `from`.
    pub(super) fn new(from: Instant, span: Duration) -> Deadline {
        Deadline { from, span }
    }

    /// The whole time of the exchange.
    pub(super) fn span(&self) -> Duration {
        self.span
    }

    /// The time that is left; `None` where there is none.
    pub(super) fn left(&self) -> Option<Duration> {
        self.left_at(Instant::now())
    }

    /// The same, as it is `now`.
    pub(super) fn left_at(&self, now: Instant) -> Option<Duration> {
        self.span.checked_sub(self.elapsed_at(now)).filter(|left| !left.is_zero())
    }

    /// The time that has passed `now`.
    pub(super) fn elapsed_at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.from)
    }
}

/// How long one operation may still wait. It reads no clock until the first wait was slow.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    whole: Duration,
    stalled: Option<Instant>,
    on_slow: &'a OnSlow,
}

impl Patience<'_> {
    pub(super) fn new(whole: Duration, on_slow: &OnSlow) -> Patience<'_> {
        Patience { whole, stalled: None, on_slow }
    }

    /// The next wait; `None` where no time is left.
    pub(super) fn next(&self) -> Option<Duration> {
        let wait = match self.stalled {
            None => SLOW.min(self.whole),
            Some(since) => self.whole.checked_sub(SLOW)?.checked_sub(since.elapsed())?,
        };
        Some(wait).filter(|wait| !wait.is_zero())
    }

    /// The last wait ended, and what was waited for did not come.
    pub(super) fn stalled(&mut self) {
        if self.stalled.is_none() {
            self.stalled = Some(Instant::now());
            self.on_slow.tell();
        }
    }
}
