//! All that is told, as of one moment: every format shows the same reading.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::compare::CompareSource;
use super::counters::DELIVERED;
use super::rates::{Flow, rates};
use crate::breaker::{Millis, State};
use crate::clock;
use crate::comparing::Count;
use crate::select::{Rate, Share, Throttle, pressure};
use crate::stats::{Cell, Costs, Growth, Memory, Segment, Settings, Totals};
use crate::target::Target;

/// A target is behind when copies wait this long for it.
const BEHIND: Duration = Duration::from_secs(2);

/// Where a reading is taken.
#[derive(Clone, Debug)]
pub struct Source {
    /// The counters of all children.
    pub segment: Segment,
    /// The targets of the configuration in force.
    pub targets: Vec<Arc<Target>>,
    /// `rate=` of their own lines, in the same order; none beyond its end.
    pub rates: Vec<Option<Rate>>,
    /// What was compared, if anything ever was.
    pub compare: Option<CompareSource>,
}

/// What there is to tell at one moment.
#[derive(Debug)]
pub struct Reading {
    /// When counting began, in Unix seconds.
    pub(super) started: u64,
    /// The moment, in Unix seconds.
    pub(super) taken: u64,
    /// Whether anything was ever compared.
    pub(super) compares: bool,
    /// Panics that were caught.
    pub(super) faults: u64,
    /// Copies without the line in a `CopyLog` that they should have.
    pub(super) unlogged: u64,
    pub(super) memory: Memory,
    pub(super) costs: Costs,
    pub(super) targets: Vec<TargetReading>,
}

/// What there is to tell of one target.
#[derive(Debug)]
pub(super) struct TargetReading {
    pub(super) totals: Totals,
    /// Where its copies go; `None` where the configuration no longer has it.
    pub(super) target: Option<Arc<Target>>,
    pub(super) settings: Settings,
    pub(super) breaker: BreakerReading,
    pub(super) sample: SampleReading,
    /// The most copies a second: as it is configured, and as it is.
    pub(super) limit: [Option<Rate>; 2],
    /// How long the oldest copy has waited, to within a second.
    pub(super) oldest: Duration,
    pub(super) series: Vec<Option<Growth>>,
    pub(super) rates: [Option<Flow>; 3],
    /// What came of comparing its answers, in the order of [`Count::ALL`].
    pub(super) compared: [u64; Count::ALL.len()],
}

/// A target's sample, in percent.
#[derive(Debug)]
pub(super) struct SampleReading {
    /// What the target's own line asks for.
    pub(super) asked: f64,
    /// What is copied: pressure leaves so much of that, or of what an operator has set.
    pub(super) effective: f64,
    pub(super) adapt: &'static str,
    pub(super) lowered: u64,
    pub(super) cause: &'static str,
    /// Staging's usual latency in microseconds, as far as it is watched.
    pub(super) usual: u64,
}

/// A breaker; its times in Unix seconds, 0 where there is none.
#[derive(Debug)]
pub(super) struct BreakerReading {
    pub(super) state: &'static str,
    pub(super) failures: u64,
    pub(super) since: u64,
    pub(super) until: u64,
    pub(super) opened: u64,
}

/// One moment, as the children's clock has it, and as the world has it, in Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) clock: Millis,
    pub(super) unix: Millis,
}

impl Now {
    pub(super) fn read() -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Now { clock: clock::now(), unix }
    }

    /// The nearest Unix second.
    fn unix_seconds(self, time: Millis) -> u64 {
        self.unix.saturating_add(time).saturating_sub(self.clock).saturating_add(500) / 1_000
    }
}

impl Reading {
    /// Reads all that is counted, now.
    pub fn take(source: &Source) -> Reading {
        Reading::take_at(source, Now::read())
    }

    pub(super) fn take_at(source: &Source, now: Now) -> Reading {
        let Source { segment, targets, rates, compare } = source;
        let of_target = |totals: Totals| {
            let place = targets.iter().position(|target| target.name == totals.name);
            let target = place.and_then(|place| targets.get(place)).cloned();
            let rate = place.and_then(|place| rates.get(place).copied()).flatten();
            let compared = compare.as_ref().map_or(
                [0; Count::ALL.len()],
                |CompareSource { shelf, .. }| {
                    Count::ALL.map(|count| shelf.counted(totals.slot, count))
                },
            );
            let reading = TargetReading::take(segment, totals, target, now);
            let [_, set] = reading.limit;
            TargetReading { compared, limit: [rate, set.or(rate)], ..reading }
        };
        Reading {
            started: segment.started(),
            taken: now.unix / 1_000,
            compares: compare.is_some(),
            faults: segment.faults().load(Ordering::Relaxed),
            unlogged: segment.unlogged().lines(),
            memory: segment.memory(),
            costs: segment.costs(),
            targets: segment.totals().into_iter().map(of_target).collect(),
        }
    }
}

impl TargetReading {
    fn take(
        segment: &Segment,
        totals: Totals,
        target: Option<Arc<Target>>,
        now: Now,
    ) -> TargetReading {
        let slot = totals.slot;
        let series = segment.series(slot, now.clock);
        let settings = segment.steering(slot).settings();
        let waiting = segment.oldest(slot).filter(|_| totals.queued() > 0);
        let oldest = waiting.map_or(0, |since| now.clock.saturating_sub(since));
        TargetReading {
            target,
            settings,
            breaker: BreakerReading::of(&totals, now),
            sample: SampleReading::of(&totals, settings),
            limit: [None, settings.overrides.rate],
            oldest: Duration::from_millis(oldest),
            rates: rates(&series),
            series,
            compared: [0; Count::ALL.len()],
            totals,
        }
    }

    /// Whether anything was counted of comparisons.
    pub(super) fn is_compared(&self) -> bool {
        self.compared.iter().any(|count| *count > 0)
    }

    /// How often comparing its answers came to that.
    pub(super) fn compared(&self, count: Count) -> u64 {
        self.compared.get(count as usize).copied().unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        &self.totals.name
    }

    /// Its name for formats where a line's end means something.
    pub(super) fn name_in_line(&self) -> String {
        let is_plain = |c: &char| !c.is_control();
        self.name().chars().map(|c| if is_plain(&c) { c } else { '\u{fffd}' }).collect()
    }

    /// One word for how things are.
    pub(super) fn state(&self) -> &'static str {
        match (&self.target, self.settings.is_on, self.breaker.state) {
            (None, ..) => "not configured",
            (_, false, _) => "switched off",
            (.., "open") => "paused",
            (.., "half-open") => "probing",
            _ if self.oldest >= BEHIND => "behind",
            _ => "copying",
        }
    }

    /// The mean latency of delivered copies.
    pub(super) fn mean(&self) -> Option<Duration> {
        let sum = self.totals.count(Cell::LatencyMicros);
        sum.checked_div(DELIVERED.sum(&self.totals)).map(Duration::from_micros)
    }
}

impl SampleReading {
    fn of(totals: &Totals, settings: Settings) -> SampleReading {
        let held = totals.held;
        let percent = |parts: f64| 100.0 * parts / f64::from(Share::ALL.parts());
        let asked = if held.asked == 0 { 100.0 } else { percent(held.asked as f64) };
        let set = settings.overrides.sample.map(|share| percent(f64::from(share.parts())));
        let left = 1.0 - held.part as f64 / Throttle::WHOLE as f64;
        SampleReading {
            asked,
            // As exact as a thousandth of a percent is of the least that is left.
            effective: (set.unwrap_or(asked) * left * 1e6).round() / 1e6,
            adapt: if held.adapts { "on" } else { "off" },
            lowered: held.lowered,
            cause: pressure::Cause::name(held.cause),
            usual: held.usual,
        }
    }
}

impl BreakerReading {
    fn of(totals: &Totals, now: Now) -> BreakerReading {
        let snapshot = totals.breaker;
        let (state, failures, until) = match snapshot.state {
            None => ("off", 0, None),
            Some(State::Closed { failures }) => ("closed", failures, None),
            Some(State::Open { until }) => ("open", 0, Some(until)),
            Some(State::HalfOpen { until }) => ("half-open", 0, Some(until)),
        };
        BreakerReading {
            state,
            failures,
            since: if state == "off" { 0 } else { now.unix_seconds(snapshot.since) },
            until: until.map_or(0, |until| now.unix_seconds(until)),
            opened: snapshot.opened,
        }
    }
}
