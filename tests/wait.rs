//! Waiting for a condition, with a bound, instead of sleeping for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a slow, busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

const INTERVAL: Duration = Duration::from_millis(5);

/// What `attempt` gives as soon as it gives something; `None` when it gave nothing within `bound`.
pub fn poll<T>(bound: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + bound;
    loop {
        if let Some(value) = attempt() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}

/// As [`poll`] with [`PATIENCE`]; fails the test with `what` when nothing came.
pub fn wait_for<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    poll(PATIENCE, attempt).unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}"))
}
