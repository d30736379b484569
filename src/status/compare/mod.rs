//! `?compare`: where staging answers otherwise, as of one moment; and `?verdict`: whether it may go live.
//!
//! ```text
//! mod.rs      what all children have compared, merged
//! json.rs     a document; docs/compare.md is its schema
//! text.rs     for whoever reads it in a terminal
//! verdict.rs  200 or 409, for a deployment's pipeline
//! ../html/compare.rs   the page for a browser
//! ```

pub(super) mod json;
pub(super) mod text;
mod verdict;

use std::sync::Arc;

pub use verdict::verdict;

use super::reading::{Now, Source};
use crate::compare::noise::Standing;
use crate::compare::report::{Counts, Evicted, RouteReport, Row};
use crate::compare::{Report, Verdict};
use crate::comparing::{Count, Criteria, Shelf};
use crate::stats::Slot;

/// Where comparisons are read.
#[derive(Clone, Debug)]
pub struct CompareSource {
    /// The reports of all children.
    pub shelf: Shelf,
    /// The criteria of each target of the configuration, by its name.
    pub criteria: Vec<(String, Arc<Criteria>)>,
}

/// What was compared, as of one moment.
#[derive(Debug, Default)]
pub(super) struct Comparisons {
    /// The moment, in Unix seconds.
    pub(super) taken: u64,
    pub(super) targets: Vec<TargetComparisons>,
}

/// What was compared of one target's copies.
#[derive(Debug)]
pub(super) struct TargetComparisons {
    pub(super) name: String,
    pub(super) slot: Slot,
    pub(super) report: Report,
    counts: [u64; Count::ALL.len()],
    /// What its thresholds say.
    pub(super) verdict: Verdict,
}

/// A row, and what it is taken for.
pub(super) type Stood<'a> = (&'a Row, Standing);

impl Comparisons {
    /// Reads all reports, now.
    pub(super) fn take(source: &Source) -> Comparisons {
        let taken = Now::read().unix / 1_000;
        let Some(CompareSource { shelf, criteria }) = &source.compare else {
            return Comparisons { taken, targets: Vec::new() };
        };
        let mut reports = shelf.reports();
        let of_target = |(name, slot): (String, Slot)| {
            let report = reports.remove(&slot.index());
            let counts = Count::ALL.map(|count| shelf.counted(slot, count));
            if report.is_none() && counts.iter().all(|count| *count == 0) {
                return None;
            }
            let report = report.unwrap_or_default();
            let known = criteria.iter().find(|(known, _)| *known == name);
            let thresholds = known.map(|(_, criteria)| criteria.thresholds).unwrap_or_default();
            let verdict = report.verdict(&thresholds);
            Some(TargetComparisons { name, slot, report, counts, verdict })
        };
        let named = source.segment.totals().into_iter().map(|totals| (totals.name, totals.slot));
        Comparisons { taken, targets: named.filter_map(of_target).collect() }
    }
}

impl TargetComparisons {
    pub(super) fn counted(&self, count: Count) -> u64 {
        self.counts.get(count as usize).copied().unwrap_or_default()
    }

    pub(super) fn total(&self) -> Counts {
        self.report.total()
    }

    pub(super) fn evicted(&self) -> Evicted {
        self.report.evicted()
    }

    /// Its routes with their counts: those that differ most come first.
    pub(super) fn routes(&self) -> Vec<(&RouteReport, Counts)> {
        let routes = self.report.routes().iter();
        let mut routes: Vec<_> = routes.map(|route| (route, self.report.counts(route))).collect();
        routes.sort_by_key(|(route, counts)| {
            std::cmp::Reverse((counts.differing, counts.noise, route.compared))
        });
        routes
    }

    /// A route's differences, those that are no noise first, and of each kind those that come most often.
    pub(super) fn differences<'a>(&self, route: &'a RouteReport) -> Vec<Stood<'a>> {
        // What only the control differs in is no difference of staging's.
        let rows = route.rows().iter().filter(|row| row.differing > 0);
        let mut rows: Vec<_> = rows.map(|row| (row, self.report.standing(route, row))).collect();
        rows.sort_by_key(|(row, standing)| {
            (*standing != Standing::Real, std::cmp::Reverse(row.differing))
        });
        rows
    }
}
