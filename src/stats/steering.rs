//! What an operator sets of a target while the server runs, in memory that all children share.
//!
//! Whatever is set holds until it is withdrawn or the server stops: through restarts too, and before what the
//! configuration says. All zeroes is: as configured, and switched on.

use crate::select::{Overrides, Rate, Share};
use crate::sync::atomic::{AtomicU32, Ordering};

/// Bits of the switch, the one word that the request path looks at.
const OFF: u32 = 1;
/// An operator has said so.
const SET: u32 = 2;
/// What the configuration says.
const CONFIGURED_OFF: u32 = 4;
/// A sample or a rate is set.
const SHARED: u32 = 8;

/// What is set of one target. It has a cache line of its own, which is hardly ever written.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Steering {
    switch: AtomicU32,
    /// Parts of a [`Share`], 0 where nothing is set.
    sample: AtomicU32,
    /// Copies a second, 0 where nothing is set.
    rate: AtomicU32,
}

/// All of it at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether the target gets copies.
    pub is_on: bool,
    /// Whether it does by its configuration.
    pub is_configured_on: bool,
    /// Whether an operator has said so.
    pub is_switched: bool,
    /// What an operator has set of its rules.
    pub overrides: Overrides,
}

impl Settings {
    /// Whether anything is other than the configuration says.
    pub fn differ(&self) -> bool {
        self.is_on != self.is_configured_on || self.overrides != Overrides::default()
    }
}

impl Steering {
    pub(super) const fn new() -> Steering {
        Steering { switch: AtomicU32::new(0), sample: AtomicU32::new(0), rate: AtomicU32::new(0) }
    }

    /// Takes over all that is set of it elsewhere.
    pub(super) fn take_over(&self, other: &Steering) {
        let Overrides { sample, rate } = other.overrides();
        self.set_sample(sample);
        self.set_rate(rate);
        self.switch.store(other.switch.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the target gets copies. Costs one load.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.switch.load(Ordering::Relaxed) & OFF == 0
    }

    /// Whether the target gets copies by its rules alone. Costs one load.
    #[inline]
    pub fn is_untouched(&self) -> bool {
        self.switch.load(Ordering::Relaxed) & (OFF | SHARED) == 0
    }

    /// What an operator has set of its rules. Costs one load where that is nothing.
    #[inline]
    pub fn overrides(&self) -> Overrides {
        if self.switch.load(Ordering::Relaxed) & SHARED == 0 {
            return Overrides::default();
        }
        Overrides {
            sample: Share::of(self.sample.load(Ordering::Relaxed)),
            rate: Rate::of(self.rate.load(Ordering::Relaxed)),
        }
    }

    /// Takes over what the configuration says, which holds unless an operator has said something.
    pub fn configure(&self, is_on: bool) {
        self.change(|word| {
            let configured = word & !CONFIGURED_OFF | if is_on { 0 } else { CONFIGURED_OFF };
            if word & SET == 0 { as_configured(configured) } else { configured }
        });
    }

    /// Switches the target on or off, or, with `None`, as it is configured.
    pub fn switch(&self, is_on: Option<bool>) {
        self.change(|word| match is_on {
            Some(is_on) => word & !OFF | SET | if is_on { 0 } else { OFF },
            None => as_configured(word),
        });
    }

    /// Sets its sample, or withdraws what was set.
    pub fn set_sample(&self, sample: Option<Share>) {
        self.sample.store(sample.map_or(0, Share::parts), Ordering::Relaxed);
        self.note_overrides();
    }

    /// Sets the most copies a second, or withdraws what was set.
    pub fn set_rate(&self, rate: Option<Rate>) {
        self.rate.store(rate.map_or(0, Rate::copies), Ordering::Relaxed);
        self.note_overrides();
    }

    /// Of those who set something at once the last finds all that is set.
    fn note_overrides(&self) {
        self.change(|word| {
            let [sample, rate] =
                [&self.sample, &self.rate].map(|value| value.load(Ordering::Relaxed));
            word & !SHARED | if sample | rate == 0 { 0 } else { SHARED }
        });
    }

    /// All that is set.
    pub fn settings(&self) -> Settings {
        let word = self.switch.load(Ordering::Relaxed);
        Settings {
            is_on: word & OFF == 0,
            is_configured_on: word & CONFIGURED_OFF == 0,
            is_switched: word & SET != 0,
            overrides: self.overrides(),
        }
    }

    fn change(&self, to: impl Fn(u32) -> u32) {
        let change = |word| Some(to(word));
        let _ = self.switch.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

fn as_configured(word: u32) -> u32 {
    let off = if word & CONFIGURED_OFF == 0 { 0 } else { OFF };
    word & !(OFF | SET) | off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_says_holds_until_it_is_withdrawn_whatever_is_configured() {
        let steering = Steering::new();
        assert!(steering.is_on());
        steering.configure(false);
        assert!(!steering.is_on());
        steering.switch(Some(true));
        for configured in [false, true, false] {
            steering.configure(configured);
            assert!(steering.is_on());
            assert_eq!(steering.settings().differ(), !configured);
        }
        steering.switch(None);
        assert!(!steering.is_on() && !steering.settings().differ());
        steering.configure(true);
        assert!(steering.is_on());
        steering.switch(Some(false));
        steering.configure(true);
        assert!(!steering.is_on() && steering.settings().is_switched);
    }

    #[test]
    fn a_sample_and_a_rate_are_set_and_withdrawn() {
        let steering = Steering::new();
        assert!(steering.is_untouched() && steering.overrides() == Overrides::default());
        let (sample, rate) = (Share::of(5_000), Rate::of(20));
        steering.set_sample(sample);
        assert_eq!(steering.overrides(), Overrides { sample, rate: None });
        steering.set_rate(rate);
        steering.switch(Some(true));
        steering.configure(true);
        assert_eq!(steering.overrides(), Overrides { sample, rate });
        assert!(steering.settings().differ() && !steering.is_untouched());
        steering.set_sample(None);
        assert_eq!(steering.overrides(), Overrides { sample: None, rate });
        steering.set_rate(None);
        steering.switch(None);
        assert!(!steering.settings().differ() && steering.is_untouched());
    }
}
