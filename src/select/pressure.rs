//! How far pressure lowers a target's sample: at once by half, and slowly back up.
//!
//! Pure: what was measured, and when, is passed in. Of what the rule asks for, half is taken away at most once
//! a [`PAUSE`] while there is pressure, down to [`LEAST`]; without pressure, all that was taken away comes back
//! within [`RECOVERY`] at most, evenly.

use std::time::Duration;

use super::Throttle;

/// Production is busy when this part of httpd's workers is.
pub const BUSY: f64 = 0.8;
/// A queue has aged when copies wait this long for a forwarder.
pub const AGED: Duration = Duration::from_millis(500);
/// Staging is slow when its latency of the last second or so is so many times the usual one …
pub const SLOW: f64 = 2.0;
/// … and this much more.
pub const SLOWER_BY: Duration = Duration::from_millis(5);
/// What latency is usual, as an average over about this time.
pub const USUAL_OVER: Duration = Duration::from_secs(60);
/// How long a lowered sample is watched before it is lowered again.
pub const PAUSE: Duration = Duration::from_secs(1);
/// The smallest part of the sample that is left.
pub const LEAST: f64 = 1.0 / 64.0;
/// How long it takes until a sample is whole again.
pub const RECOVERY: Duration = Duration::from_secs(60);

/// What latency is recent, as an average over about this time.
const RECENT_OVER: Duration = Duration::from_secs(1);

/// Why a sample is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Cause {
    /// httpd's workers are busy.
    Busy = 1,
    /// Copies wait.
    Queue = 2,
    /// Staging takes longer than usual.
    Slow = 3,
}

impl Cause {
    /// As `copy-status` spells the number that was kept of it.
    pub fn name(number: u64) -> &'static str {
        match number {
            1 => "busy",
            2 => "queue",
            3 => "slow",
            _ => "none",
        }
    }
}

/// What there is to see of a target at one moment; the counts are totals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The part of httpd's workers that is busy, if known.
    pub busy: Option<f64>,
    /// Copies that wait.
    pub queued: u64,
    /// Copies that forwarders took.
    pub taken: u64,
    /// Copies that were answered …
    pub answered: u64,
    /// … and how long that took, in microseconds.
    pub micros: u64,
}

/// Who watches one target.
#[derive(Debug, Default)]
pub struct Governor {
    last: Option<(Duration, Reading)>,
    /// How long copies wait.
    wait: Duration,
    /// The recent and the usual latency, in microseconds.
    recent: Option<f64>,
    usual: Option<f64>,
    lowered: Option<Duration>,
}

impl Governor {
    /// One that knows what latency was usual before, in microseconds.
    pub fn new(usual: Option<u64>) -> Governor {
        Governor { usual: usual.map(|micros| micros as f64), ..Governor::default() }
    }

    /// The usual latency, in microseconds.
    pub fn usual(&self) -> Option<u64> {
        self.usual.map(|micros| micros as u64)
    }

    /// How much of the sample is to be held back from now on, of [`Throttle::WHOLE`], and why.
    pub fn step(&mut self, now: Duration, reading: Reading, held: u64) -> (u64, Option<Cause>) {
        let Some((then, last)) = self.last.replace((now, reading)) else { return (held, None) };
        let passed = now.saturating_sub(then);
        self.see_queue(passed, last, reading);
        self.see_latency(passed, last, reading);
        let Some(cause) = self.cause(reading) else {
            let back = Throttle::WHOLE as f64 * share_of(passed, RECOVERY);
            return (held.saturating_sub(back as u64), None);
        };
        if self.lowered.is_some_and(|lowered| now.saturating_sub(lowered) < PAUSE) {
            return (held, Some(cause));
        }
        self.lowered = Some(now);
        let kept = Throttle::WHOLE.saturating_sub(held) / 2;
        let least = (Throttle::WHOLE as f64 * LEAST) as u64;
        (Throttle::WHOLE.saturating_sub(kept.max(least)), Some(cause))
    }

    fn cause(&self, reading: Reading) -> Option<Cause> {
        if reading.busy.is_some_and(|busy| busy >= BUSY) {
            return Some(Cause::Busy);
        }
        if self.wait >= AGED {
            return Some(Cause::Queue);
        }
        let (recent, usual) = self.recent.zip(self.usual)?;
        let is_slow = recent >= usual * SLOW && recent - usual >= SLOWER_BY.as_micros() as f64;
        is_slow.then_some(Cause::Slow)
    }

    /// How long copies wait, by how many do and how many leave (Little's law); where none leaves, so much longer.
    fn see_queue(&mut self, passed: Duration, last: Reading, reading: Reading) {
        let left = reading.taken.saturating_sub(last.taken);
        self.wait = match (reading.queued, left) {
            (0, _) => Duration::ZERO,
            (_, 0) => self.wait.saturating_add(passed),
            (queued, left) => passed.mul_f64(queued as f64 / left as f64),
        };
    }

    fn see_latency(&mut self, passed: Duration, last: Reading, reading: Reading) {
        let answered = reading.answered.saturating_sub(last.answered);
        if answered == 0 {
            return;
        }
        let latency = reading.micros.saturating_sub(last.micros) as f64 / answered as f64;
        let average = |before: Option<f64>, over| match before {
            Some(before) => before + (latency - before) * share_of(passed, over),
            None => latency,
        };
        self.recent = Some(average(self.recent, RECENT_OVER));
        self.usual = Some(average(self.usual, USUAL_OVER));
    }
}

/// How much of a span has passed, at most all.
fn share_of(passed: Duration, span: Duration) -> f64 {
    (passed.as_secs_f64() / span.as_secs_f64()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// A target with 10 copies in each tick, each answered within a millisecond.
    struct Scene {
        governor: Governor,
        now: Duration,
        reading: Reading,
        held: u64,
    }

    impl Scene {
        fn new() -> Scene {
            let reading = Reading { busy: Some(0.1), ..Reading::default() };
            let (governor, now, held) = (Governor::new(None), Duration::from_secs(100), 0);
            let mut scene = Scene { governor, now, reading, held };
            scene.pass(20, 1_000);
            assert_eq!(scene.kept(), 1.0);
            scene
        }

        /// So many ticks, with answers of this latency; the last cause.
        fn pass(&mut self, ticks: u32, micros: u64) -> Option<Cause> {
            let mut last = None;
            for _ in 0..ticks {
                self.now += TICK;
                self.reading.taken += 10;
                self.reading.answered += 10;
                self.reading.micros += 10 * micros;
                let (held, cause) = self.governor.step(self.now, self.reading, self.held);
                (self.held, last) = (held, cause);
            }
            last
        }

        fn kept(&self) -> f64 {
            (Throttle::WHOLE - self.held) as f64 / Throttle::WHOLE as f64
        }
    }

    #[test]
    fn busy_workers_halve_the_sample_each_second_down_to_the_least() {
        let mut scene = Scene::new();
        scene.reading.busy = Some(BUSY);
        assert_eq!(scene.pass(1, 1_000), Some(Cause::Busy));
        assert_eq!(scene.kept(), 0.5);
        scene.pass(9, 1_000);
        assert_eq!(scene.kept(), 0.5, "not twice within a second");
        scene.pass(1, 1_000);
        assert_eq!(scene.kept(), 0.25);
        scene.pass(1000, 1_000);
        assert_eq!(scene.kept(), LEAST);
    }

    #[test]
    fn what_was_held_back_comes_back_slowly_and_wholly() {
        let mut scene = Scene::new();
        scene.reading.busy = Some(1.0);
        scene.pass(1, 1_000);
        scene.reading.busy = Some(0.5);
        scene.pass(1, 1_000);
        assert!(scene.kept() > 0.5 && scene.kept() < 0.51, "{}", scene.kept());
        scene.pass(150, 1_000);
        assert!(scene.kept() > 0.74 && scene.kept() < 0.77, "{}", scene.kept());
        scene.pass(200, 1_000);
        assert_eq!(scene.kept(), 1.0);
    }

    #[test]
    fn a_queue_that_ages_lowers_the_sample() {
        let mut scene = Scene::new();
        scene.reading.queued = 10;
        assert_eq!(scene.pass(10, 1_000), None, "they wait 100 ms");
        scene.reading.queued = 50;
        assert_eq!(scene.pass(1, 1_000), Some(Cause::Queue), "they wait 500 ms");
    }

    #[test]
    fn a_queue_that_nobody_takes_from_ages() {
        let mut scene = Scene::new();
        scene.reading.queued = 1;
        let mut stalled = || {
            scene.now += TICK;
            scene.governor.step(scene.now, scene.reading, 0).1
        };
        assert_eq!((stalled(), stalled(), stalled(), stalled()), (None, None, None, None));
        assert_eq!(stalled(), Some(Cause::Queue));
    }

    #[test]
    fn staging_that_slows_lowers_the_sample_until_that_is_usual() {
        let mut scene = Scene::new();
        assert_eq!(scene.pass(50, 4_000), None, "slower, but by little");
        assert_eq!(scene.pass(20, 50_000), Some(Cause::Slow));
        assert!(scene.kept() < 1.0);
        scene.pass(3_000, 50_000);
        assert_eq!(scene.kept(), 1.0, "so it is now");
    }

    #[test]
    fn where_nothing_is_known_nothing_is_lowered() {
        let mut scene = Scene::new();
        scene.reading.busy = None;
        assert_eq!(scene.pass(10, 1_000), None);
        assert_eq!(scene.kept(), 1.0);
    }
}
