//! What all comparisons of a child came to: counts and examples by route and path, in bounded memory.
//!
//! At most [`ROUTES`] routes are kept, and of each at most [`ROWS`] differences. A newcomer to a full table takes
//! the place of the one that was seen least often, of several such of the one not seen for the longest time: what
//! keeps coming stays, and what comes once contends with its like. What had to go is counted.
//!
//! How many requests differ *in something that is no noise* can only be told when noise is known, which is after they
//! were counted. So a route also counts its comparisons by pattern: by which of its rows differed together.

mod encoded;
mod of_route;
mod pattern;
mod row;

pub use of_route::RouteReport;
pub use row::Row;

use super::difference::Comparison;
use super::noise::{Sensitivity, Standing};
use super::route::Route;
use of_route::{RATIOS, median};

/// The most routes of a report.
pub const ROUTES: usize = 128;
/// The most differences of a route: places in a pattern.
pub const ROWS: usize = 32;
/// One comparison to be counted.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// When, in seconds since 1970.
    pub at: u64,
    /// The request's route.
    pub route: &'a Route,
    /// A digest of the whole request, which the same request has again.
    pub request: u64,
    /// Production's answer beside staging's.
    pub staging: &'a Comparison,
    /// Production's answer beside that of the control, where there is one and it answered.
    pub control: Option<&'a Comparison>,
}

/// Counts and examples by route and path.
#[derive(Clone, Debug, Default)]
pub struct Report {
    routes: Vec<RouteReport>,
    evicted: Evicted,
    sensitivity: Sensitivity,
}

/// What had to go to make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Routes.
    pub routes: u64,
    /// Their comparisons.
    pub compared: u64,
    /// Of those, how many differed in something that was no noise then.
    pub differing: u64,
    /// Differences of routes that are still here.
    pub rows: u64,
}

/// Comparisons by what they came to: each is one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub compared: u64,
    /// The answers are the same.
    pub equal: u64,
    /// The answers differ in noise alone.
    pub noise: u64,
    /// The answers differ in something that is no noise.
    pub differing: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.compared += other.compared;
        self.equal += other.equal;
        self.noise += other.noise;
        self.differing += other.differing;
    }
}

impl Report {
    /// An empty report that calls noise what these thresholds say.
    pub fn new(sensitivity: Sensitivity) -> Report {
        Report { sensitivity, ..Report::default() }
    }

    /// Counts one comparison.
    pub fn record(&mut self, observation: &Observation<'_>) {
        let sensitivity = self.sensitivity;
        let place = match self.place(observation.route) {
            Some(place) => place,
            None => {
                self.make_room();
                self.routes.push(RouteReport::new(observation.route.clone(), observation.at));
                self.routes.len() - 1
            }
        };
        if let Some(route) = self.routes.get_mut(place) {
            self.evicted.rows += route.record(observation, &sensitivity);
        }
    }

    /// The routes, in no order.
    pub fn routes(&self) -> &[RouteReport] {
        &self.routes
    }

    /// What had to go.
    pub fn evicted(&self) -> Evicted {
        self.evicted
    }

    /// What a route's row is taken for.
    pub fn standing(&self, route: &RouteReport, row: &Row) -> Standing {
        row.evidence(route.controlled).standing(&self.sensitivity)
    }

    /// A route's comparisons by what they came to.
    pub fn counts(&self, route: &RouteReport) -> Counts {
        route.counts(&self.sensitivity)
    }

    /// All comparisons by what they came to. Of routes that had to go, what did not differ is in no other
    /// count than `compared`.
    pub fn total(&self) -> Counts {
        let Evicted { compared, differing, .. } = self.evicted;
        let mut total = Counts { compared, differing, ..Counts::default() };
        self.routes.iter().for_each(|route| total.add(self.counts(route)));
        total
    }

    /// How many times as long as production staging took in the middle one of all comparisons, rounded down by at
    /// most 4.4 %; within a sixteenth and sixteen.
    pub fn median_ratio(&self) -> Option<f64> {
        let mut all = [0; RATIOS];
        for route in &self.routes {
            all.iter_mut().zip(route.ratios).for_each(|(all, count)| *all += count);
        }
        median(&all)
    }

    /// Adds what another report has. Examples stay as they are where there are two already.
    pub fn merge(&mut self, other: &Report) {
        let Evicted { routes, compared, differing, rows } = other.evicted;
        self.evicted.routes += routes;
        self.evicted.compared += compared;
        self.evicted.differing += differing;
        self.evicted.rows += rows;
        for route in &other.routes {
            if let Some(known) =
                self.place(&route.route).and_then(|place| self.routes.get_mut(place))
            {
                self.evicted.rows += known.merge(route, &self.sensitivity);
                continue;
            }
            let least = self.least().and_then(|place| self.routes.get(place));
            if self.routes.len() == ROUTES
                && least.is_some_and(|least| least.compared >= route.compared)
            {
                self.evicted.count(route, &self.sensitivity);
            } else {
                self.make_room();
                self.routes.push(route.clone());
            }
        }
    }

    fn place(&self, route: &Route) -> Option<usize> {
        self.routes.iter().position(|known| known.route == *route)
    }

    /// The route that goes first.
    fn least(&self) -> Option<usize> {
        let routes = self.routes.iter().enumerate();
        routes.min_by_key(|(_, route)| (route.compared, route.last)).map(|(place, _)| place)
    }

    fn make_room(&mut self) {
        if self.routes.len() < ROUTES {
            return;
        }
        if let Some(least) = self.least() {
            let route = self.routes.swap_remove(least);
            self.evicted.count(&route, &self.sensitivity);
        }
    }
}

impl Evicted {
    fn count(&mut self, route: &RouteReport, sensitivity: &Sensitivity) {
        self.routes += 1;
        self.compared += route.compared;
        self.differing += route.counts(sensitivity).differing;
    }
}

#[cfg(test)]
pub(super) mod tests;
