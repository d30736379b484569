//! Copies a second, now and of late, from the time series.

use crate::stats::{Growth, SPAN};

/// What became of copies, each second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Copies offered to the target's queue.
    pub selected: f64,
    /// Copies that staging answered.
    pub delivered: f64,
    /// Copies that failed.
    pub failed: f64,
    /// Copies that were dropped.
    pub dropped: f64,
}

/// The windows that rates are told of: their names, and how many spans they have.
pub const WINDOWS: [(&str, usize); 3] = [("now", 2), ("1m", 12), ("15m", 180)];

/// The rates of each of the [`WINDOWS`]; `None` where nothing is known of it.
pub fn rates(series: &[Option<Growth>]) -> [Option<Flow>; 3] {
    WINDOWS.map(|(_, spans)| rate(series.get(series.len().saturating_sub(spans)..)?))
}

/// The rate over the spans that are known.
fn rate(spans: &[Option<Growth>]) -> Option<Flow> {
    let known: Vec<&Growth> = spans.iter().flatten().collect();
    if known.is_empty() {
        return None;
    }
    let seconds = known.len() as f64 * SPAN as f64 / 1_000.0;
    let sum = |of: fn(&Growth) -> u32| {
        known.iter().map(|growth| f64::from(of(growth))).sum::<f64>() / seconds
    };
    Some(Flow {
        selected: sum(|growth| growth.selected),
        delivered: sum(|growth| growth.delivered),
        failed: sum(|growth| growth.failed),
        dropped: sum(|growth| growth.dropped),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_spans_that_are_known() {
        let growth = |selected| Some(Growth { selected, ..Growth::default() });
        let mut series = vec![None; 180];
        assert_eq!(rates(&series), [None; 3]);
        series[178] = growth(50);
        let [now, minute, quarter] = rates(&series).map(|rate| rate.unwrap().selected);
        assert_eq!([now, minute, quarter], [10.0; 3]);
        series[100] = growth(150);
        let [now, minute, quarter] = rates(&series).map(|rate| rate.unwrap().selected);
        assert_eq!([now, minute, quarter], [10.0, 10.0, 20.0]);
        series[170] = growth(0);
        let [now, minute, _] = rates(&series).map(|rate| rate.unwrap().selected);
        assert_eq!([now, minute], [10.0, 5.0]);
    }
}
