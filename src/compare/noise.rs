//! Which differences are noise: what production's own answers differ in too.
//!
//! **With a control**, a second instance of today's release that gets the same requests, each path's differences
//! between production and staging are held against those between production and control, over the requests that
//! all three answered. A path is real where staging differs more often, and by enough of both measures: the
//! *relative* one, the surplus in proportion to all differences seen (`(staging - control) / (staging + control)`),
//! which a path that always differs never passes however often it was seen; and the *absolute* one, the surplus in
//! proportion to all comparisons, which keeps a rare flicker from being called real. All else is noise. So a field that
//! flickers in half of all answers is real as soon as staging's flickers in much more than half.
//!
//! **Without a control**, two things are known of a path's values in production. Where the same request was seen again, and
//! production's value had changed most of the time, staging's would have as well: probably noise. Where it mostly had
//! not changed, it is real, whatever it looks like. Where no request comes twice, the values tell less: a
//! name differs from user to user as a nonce does. Then a path is probably noise only if its values
//! hardly ever come again *and* nearly all of them, on both sides, look like what a machine makes anew: moments, random ids, tokens.
//!
//! Neither learns from a few: below [`FEWEST`] differences a path without a control is real. What is noise is never decided
//! for good: it is told from the counts whenever they are shown, for all that was counted.

/// The fewest differences in a path before its values alone can make it noise.
pub const FEWEST: u64 = 5;
/// The fewest times that a request came again before it can tell.
const FEWEST_AGAIN: u64 = 3;
/// How many of those that came again must have changed, or look generated: nine in ten.
const MOST: f64 = 0.9;
/// How many values may come again where they are said never to: one in twenty.
const HARDLY: f64 = 0.05;

/// How much more often staging must differ from production than the control does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensitivity {
    /// In proportion to all differences that were seen on the path, 0 to 1.
    pub relative: f64,
    /// In proportion to all comparisons of the route, 0 to 1.
    pub absolute: f64,
}

impl Default for Sensitivity {
    fn default() -> Sensitivity {
        Sensitivity { relative: 0.2, absolute: 0.0003 }
    }
}

/// What a difference is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Staging answers differently.
    Real,
    /// The control differs from production as much.
    Noise,
    /// Production's values are such that they would differ from any other answer's.
    ProbableNoise,
}

impl Standing {
    /// The standing as pages spell it.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Real => "real",
            Standing::Noise => "noise",
            Standing::ProbableNoise => "probable noise",
        }
    }
}

/// What is known of one path of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Requests of the route that production, staging and control answered.
    pub controlled: u64,
    /// Of those, how many differ here between production and staging.
    pub paired: u64,
    /// Of those, how many differ here between production and control.
    pub control: u64,
    /// Requests that differ here, with a control or without.
    pub differing: u64,
    /// Of those, how many have values that look generated on both sides.
    pub generated: u64,
    /// What became of production's values.
    pub recurrence: Recurrence,
}

/// How production's values in one path come again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recurrence {
    /// The same request was seen a short time ago, with the same value.
    pub request_same: u64,
    /// The same request was seen a short time ago, with another value.
    pub request_changed: u64,
    /// The value was seen a short time ago, whatever the request.
    pub value_again: u64,
}

impl Evidence {
    /// What the path's differences are taken for.
    pub fn standing(&self, sensitivity: &Sensitivity) -> Standing {
        match self.controlled {
            0 => self.standing_alone(),
            _ => self.standing_beside_control(sensitivity),
        }
    }

    fn standing_beside_control(&self, sensitivity: &Sensitivity) -> Standing {
        let surplus = self.paired.saturating_sub(self.control);
        let relative = share(surplus, self.paired + self.control);
        let absolute = share(surplus, self.controlled);
        // What only differed while no control answered is told by its values.
        if self.paired + self.control == 0 {
            self.standing_alone()
        } else if relative > sensitivity.relative && absolute > sensitivity.absolute {
            Standing::Real
        } else {
            Standing::Noise
        }
    }

    fn standing_alone(&self) -> Standing {
        let Recurrence { request_same, request_changed, value_again } = self.recurrence;
        let again = request_same + request_changed;
        let noise = if self.differing < FEWEST {
            false
        } else if again >= FEWEST_AGAIN {
            share(request_changed, again) >= MOST
        } else {
            share(value_again, self.differing) <= HARDLY
                && share(self.generated, self.differing) >= MOST
        };
        if noise { Standing::ProbableNoise } else { Standing::Real }
    }
}

impl Recurrence {
    pub(super) fn add(&mut self, other: &Recurrence) {
        self.request_same += other.request_same;
        self.request_changed += other.request_changed;
        self.value_again += other.value_again;
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The most values that are remembered.
const REMEMBERED: usize = 16;

/// The last values of production in one path, by digests, with the requests they answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    seen: [(u32, u32); REMEMBERED],
    next: usize,
    filled: usize,
}

impl Memory {
    /// Takes a value in, and tells what it makes of those before.
    pub(super) fn take(&mut self, request: u64, value: u64, recurrence: &mut Recurrence) {
        let sighting = (request as u32, value as u32);
        let seen = self.seen.get(..self.filled).unwrap_or_default();
        let of_request = seen.iter().filter(|(request, _)| *request == sighting.0);
        if let Some((_, value)) =
            of_request.clone().find(|seen| **seen == sighting).or(of_request.clone().next())
        {
            match *value == sighting.1 {
                true => recurrence.request_same += 1,
                false => recurrence.request_changed += 1,
            }
        }
        recurrence.value_again += u64::from(seen.iter().any(|(_, value)| *value == sighting.1));
        if let Some(place) = self.seen.get_mut(self.next) {
            *place = sighting;
        }
        self.next = (self.next + 1) % REMEMBERED;
        self.filled = (self.filled + 1).min(REMEMBERED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controlled(compared: u64, paired: u64, control: u64) -> Standing {
        let evidence = Evidence {
            controlled: compared,
            paired,
            control,
            differing: paired,
            ..Evidence::default()
        };
        evidence.standing(&Sensitivity::default())
    }

    #[test]
    fn what_differs_as_often_from_the_control_is_noise() {
        for (compared, paired, control) in
            [(100, 100, 100), (100, 50, 48), (100, 50, 60), (1, 1, 1), (100, 0, 3)]
        {
            assert_eq!(
                controlled(compared, paired, control),
                Standing::Noise,
                "{paired} {control}"
            );
        }
    }

    #[test]
    fn what_differs_more_often_by_both_measures_is_real() {
        assert_eq!(controlled(100, 100, 0), Standing::Real);
        assert_eq!(controlled(100, 80, 30), Standing::Real);
        assert_eq!(controlled(100, 30, 25), Standing::Noise, "the relative measure is missed");
        assert_eq!(controlled(10_000, 3, 0), Standing::Noise, "the absolute measure is missed");
        assert_eq!(controlled(10_000, 4, 0), Standing::Real);
    }

    fn alone(values: impl IntoIterator<Item = (u64, u64)>, generated: bool) -> Standing {
        let (mut memory, mut evidence) = (Memory::default(), Evidence::default());
        for (request, value) in values {
            evidence.differing += 1;
            evidence.generated += u64::from(generated);
            memory.take(request, value, &mut evidence.recurrence);
        }
        evidence.standing(&Sensitivity::default())
    }

    #[test]
    fn values_that_change_though_the_request_does_not_are_probably_noise() {
        assert_eq!(alone((0..10).map(|value| (1, value)), false), Standing::ProbableNoise);
        assert_eq!(
            alone((0..10).map(|_| (1, 7)), true),
            Standing::Real,
            "it stays, whatever it looks like"
        );
    }

    #[test]
    fn values_that_never_come_again_must_look_generated_too() {
        assert_eq!(alone((0..50).map(|n| (n, n)), true), Standing::ProbableNoise);
        assert_eq!(alone((0..50).map(|n| (n, n)), false), Standing::Real, "each user has a name");
        assert_eq!(alone((0..50).map(|n| (n, n % 5)), true), Standing::Real);
    }

    #[test]
    fn a_few_differences_are_real() {
        assert_eq!(alone((0..FEWEST - 1).map(|n| (n, n)), true), Standing::Real);
        assert_eq!(alone([], true), Standing::Real);
    }

    #[test]
    fn without_a_control_for_the_requests_that_differ_their_values_tell() {
        let values = Recurrence { request_changed: 10, ..Recurrence::default() };
        let evidence =
            Evidence { controlled: 5, differing: 10, recurrence: values, ..Evidence::default() };
        assert_eq!(evidence.standing(&Sensitivity::default()), Standing::ProbableNoise);
    }
}
