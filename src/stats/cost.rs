//! The overhead self-proof: what requests spend in this module, of how long production takes for them.
//!
//! One request of 64 is timed: see `httpd/meter.rs`. Its time falls into a bucket of a histogram that tells times
//! to within a fifth, in its child's own row.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Buckets to a doubling, which is what tells times within a fifth.
const PARTS: usize = 4;
/// From below 64 ns, up to and beyond 2^26 ns, 67 ms.
const FIRST: u32 = 6;
const LAST: u32 = 26;
pub(super) const BUCKETS: usize = (LAST - FIRST) as usize * PARTS + 2;

/// One child's timed requests.
#[repr(C)]
#[derive(Debug)]
pub struct Cost {
    ours: AtomicU64,
    whole: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Cost {
    pub(super) const fn new() -> Cost {
        Cost {
            ours: AtomicU64::new(0),
            whole: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    /// Counts a request that spent so much in this module, of so much in all.
    pub fn count(&self, ours: Duration, whole: Duration) {
        let ours = nanos(ours);
        self.ours.fetch_add(ours, Ordering::Relaxed);
        self.whole.fetch_add(nanos(whole), Ordering::Relaxed);
        if let Some(bucket) = self.buckets.get(bucket(ours)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What all timed requests took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// In this module.
    pub ours: Duration,
    /// In all.
    pub whole: Duration,
    buckets: [u64; BUCKETS],
}

impl Costs {
    pub(super) fn sum<'a>(costs: impl Iterator<Item = &'a Cost>) -> Costs {
        let (mut ours, mut whole, mut buckets) = (0_u64, 0_u64, [0_u64; BUCKETS]);
        for cost in costs {
            ours = ours.saturating_add(cost.ours.load(Ordering::Relaxed));
            whole = whole.saturating_add(cost.whole.load(Ordering::Relaxed));
            for (sum, count) in buckets.iter_mut().zip(&cost.buckets) {
                *sum = sum.saturating_add(count.load(Ordering::Relaxed));
            }
        }
        Costs { ours: Duration::from_nanos(ours), whole: Duration::from_nanos(whole), buckets }
    }

    /// How many requests were timed.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The part of their time that they spent in this module; `None` before the first.
    pub fn share(&self) -> Option<f64> {
        let whole = self.whole.as_secs_f64();
        (whole > 0.0).then(|| self.ours.as_secs_f64() / whole)
    }

    /// What the given share of requests stayed under; `None` before the first.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.histogram().find_map(|(below, count)| {
            seen += count;
            (count > 0 && seen >= rank).then_some(below)
        })
    }

    /// The upper bound of each bucket, and how many requests fell into it; the last has no bound of its own.
    pub fn histogram(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.buckets.iter().copied().enumerate();
        counts.map(|(index, count)| (Duration::from_nanos(below(index)), count))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Bucket 0 is what is below 2^[`FIRST`]; then each doubling has [`PARTS`] of equal width.
fn bucket(nanos: u64) -> usize {
    let power = nanos.checked_ilog2().unwrap_or_default();
    if power < FIRST {
        return 0;
    }
    let part = (nanos >> (power - PARTS.ilog2())) as usize % PARTS;
    ((power - FIRST) as usize * PARTS + part + 1).min(BUCKETS - 1)
}

fn below(index: usize) -> u64 {
    let Some(index) = index.checked_sub(1) else { return 1 << FIRST };
    let (power, part) = (index / PARTS, index % PARTS);
    (1_u64 << (power as u32 + FIRST)) / PARTS as u64 * (PARTS + part + 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_below_its_buckets_bound_and_not_below_the_one_before() {
        for nanos in (0..200).chain((1..45).flat_map(|n| [(1 << n) - 1, 1 << n, 3 << n])) {
            let bucket = bucket(nanos);
            assert!(bucket == BUCKETS - 1 || nanos < below(bucket), "{nanos}");
            assert!(bucket == 0 || nanos >= below(bucket - 1), "{nanos}");
        }
        let bounds: Vec<u64> = (0..BUCKETS).map(below).collect();
        assert!(bounds.is_sorted_by(|one, next| one < next && next * 4 <= one * 5), "{bounds:?}");
    }

    #[test]
    fn quantiles_and_the_share_are_those_of_the_requests() {
        let cost = Cost::new();
        assert_eq!(Costs::sum([&cost].into_iter()).quantile(0.5), None);
        for _ in 0..99 {
            cost.count(Duration::from_nanos(1_000), Duration::from_millis(1));
        }
        cost.count(Duration::from_micros(101), Duration::from_millis(1));
        let costs = Costs::sum([&cost].into_iter());
        assert_eq!(costs.count(), 100);
        assert_eq!(costs.quantile(0.99), Some(Duration::from_nanos(1_024)));
        assert_eq!(costs.quantile(0.999), Some(Duration::from_nanos(114_688)));
        assert!((costs.share().unwrap() - 0.002).abs() < 1e-9);
        let next = Cost::new();
        next.count(Duration::from_nanos(1_000), Duration::from_millis(1));
        assert_eq!(Costs::sum([&cost, &next].into_iter()).count(), 101);
    }
}
