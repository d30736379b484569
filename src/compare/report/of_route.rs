//! What the comparisons of one route came to.

use super::super::difference::{Change, Comparison, STATUS};
use super::super::noise::{Sensitivity, Standing};
use super::super::route::Route;
use super::pattern::{Pattern, Patterns};
use super::{Counts, Observation, ROWS, Row};

/// Steps of the scale of latencies' ratios in a factor of two: each is 4.4 % above the one before.
const STEPS: f64 = 16.0;
/// Places of that scale, from a sixteenth to sixteen.
pub(super) const RATIOS: usize = 128;

/// What the comparisons of one route came to.
#[derive(Clone, Debug)]
pub struct RouteReport {
    /// The route.
    pub route: Route,
    /// How many comparisons.
    pub compared: u64,
    /// Of those, in how many the control answered too.
    pub controlled: u64,
    /// When the first was made, in seconds since 1970.
    pub first: u64,
    /// When the last was made.
    pub last: u64,
    /// How long production took for all of them, in microseconds.
    pub production_micros: u64,
    /// How long staging took.
    pub staging_micros: u64,
    pub(super) ratios: [u64; RATIOS],
    pub(super) patterns: Patterns,
    pub(super) rows: Vec<Row>,
}

impl RouteReport {
    pub(super) fn new(route: Route, at: u64) -> RouteReport {
        RouteReport {
            route,
            compared: 0,
            controlled: 0,
            first: at,
            last: at,
            production_micros: 0,
            staging_micros: 0,
            ratios: [0; RATIOS],
            patterns: Patterns::default(),
            rows: Vec::new(),
        }
    }

    /// The differences that were seen, between production and staging or production and control.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The middle one of this route alone, as the report tells that of all.
    pub fn median_ratio(&self) -> Option<f64> {
        median(&self.ratios)
    }

    pub(super) fn counts(&self, sensitivity: &Sensitivity) -> Counts {
        self.patterns.counts(self.real(sensitivity))
    }

    /// The rows that are no noise.
    fn real(&self, sensitivity: &Sensitivity) -> Pattern {
        let rows = self.rows.iter().enumerate();
        let real = rows.filter(|(_, row)| {
            row.evidence(self.controlled).standing(sensitivity) == Standing::Real
        });
        real.fold(Pattern::default(), |pattern, (place, _)| pattern.with(place))
    }

    /// Counts a comparison; how many rows had to go for it.
    pub(super) fn record(&mut self, seen: &Observation<'_>, sensitivity: &Sensitivity) -> u64 {
        self.compared += 1;
        self.last = self.last.max(seen.at);
        self.take_latency(seen.staging);
        self.controlled += u64::from(seen.control.is_some());
        // Of what was not compared on both sides, one does not tell of the other.
        let ends =
            |comparison: Option<&Comparison>| comparison.is_some_and(Comparison::ends_at_status);
        let (staging_ends, control_ends) = (ends(Some(seen.staging)), ends(seen.control));
        let (mut pattern, mut evicted) = (Pattern::default(), 0);
        for difference in seen.staging.differences.list() {
            let key = (difference.path.as_str(), difference.change);
            match self.row(key, seen.at, pattern, sensitivity, &mut evicted) {
                // Two paths may be cut to the same.
                Some(place) if pattern.has(place) => {}
                Some(place) => {
                    pattern = pattern.with(place);
                    let paired =
                        seen.control.is_some() && (!control_ends || difference.path == STATUS);
                    if let Some(row) = self.rows.get_mut(place) {
                        row.take(difference, seen.request, seen.at, paired);
                    }
                }
                None => pattern = pattern.with_unlisted(),
            }
        }
        if seen.staging.differences.unlisted() > 0 {
            pattern = pattern.with_unlisted();
        }
        let mut controls = pattern;
        let of_control = seen.control.iter().flat_map(|control| control.differences.list());
        for difference in of_control.filter(|one| !staging_ends || one.path == STATUS) {
            let key = (difference.path.as_str(), difference.change);
            if let Some(place) = self.row(key, seen.at, controls, sensitivity, &mut evicted) {
                controls = controls.with(place);
                if let Some(row) = self.rows.get_mut(place) {
                    row.control += 1;
                    row.last = row.last.max(seen.at);
                }
            }
        }
        // Now that all is known that this comparison tells of noise.
        let real = self.real(sensitivity);
        self.patterns.add(pattern, 1, real);
        evicted
    }

    fn take_latency(&mut self, comparison: &Comparison) {
        let latency = comparison.latency;
        let micros =
            |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.production_micros = self.production_micros.saturating_add(micros(latency.production));
        self.staging_micros = self.staging_micros.saturating_add(micros(latency.staging));
        // An answer that did not come is later than any other.
        let ratio =
            if comparison.lacks_an_answer() { Some(f64::INFINITY) } else { latency.ratio() };
        if let Some(ratio) = ratio {
            let place = (ratio.log2() * STEPS).floor() + (RATIOS / 2) as f64;
            if let Some(count) = self.ratios.get_mut(place.clamp(0.0, (RATIOS - 1) as f64) as usize)
            {
                *count += 1;
            }
        }
    }

    /// The place of a difference, made where there is none, if need be in that of the one seen least often; `None`
    /// where all are `held`.
    fn row(
        &mut self,
        (path, change): (&str, Change),
        at: u64,
        held: Pattern,
        sensitivity: &Sensitivity,
        evicted: &mut u64,
    ) -> Option<usize> {
        let known = self.rows.iter().position(|row| row.change == change && row.path == path);
        if known.is_some() {
            return known;
        }
        let row = Row::new(path, change, at);
        if self.rows.len() < ROWS {
            self.rows.push(row);
            return Some(self.rows.len() - 1);
        }
        let free = self.rows.iter().enumerate().filter(|(place, _)| !held.has(*place));
        let (place, _) = free.min_by_key(|(_, row)| (row.differing + row.control, row.last))?;
        let real = self.real(sensitivity);
        self.patterns.retire(place, real);
        *self.rows.get_mut(place)? = row;
        *evicted += 1;
        Some(place)
    }

    /// Adds what the same route came to elsewhere; how many rows had to go for it.
    pub(super) fn merge(&mut self, other: &RouteReport, sensitivity: &Sensitivity) -> u64 {
        self.compared += other.compared;
        self.controlled += other.controlled;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.production_micros = self.production_micros.saturating_add(other.production_micros);
        self.staging_micros = self.staging_micros.saturating_add(other.staging_micros);
        self.ratios.iter_mut().zip(other.ratios).for_each(|(mine, others)| *mine += others);
        let (mut places, mut held, mut evicted) = (Vec::new(), Pattern::default(), 0);
        for row in &other.rows {
            let place =
                self.row((&row.path, row.change), row.first, held, sensitivity, &mut evicted);
            if let Some(place) = place {
                held = held.with(place);
                if let Some(mine) = self.rows.get_mut(place) {
                    mine.merge(row);
                }
            }
            places.push(place);
        }
        let real = self.real(sensitivity);
        for (pattern, count) in other.patterns.iter() {
            self.patterns.add(pattern.moved(&places), count, real);
        }
        evicted
    }
}

/// The lower end of the place that has the middle one.
pub(super) fn median(ratios: &[u64; RATIOS]) -> Option<f64> {
    let half = ratios.iter().sum::<u64>().div_ceil(2);
    let mut below = 0;
    let place = ratios.iter().position(|count| {
        below += count;
        half > 0 && below >= half
    })?;
    Some(((place as f64 - (RATIOS / 2) as f64) / STEPS).exp2())
}
