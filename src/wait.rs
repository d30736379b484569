//! How unit tests wait for what other threads bring about.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes that comes at all; shorter than the ttl that targets have by default, after which
/// idle threads end of themselves.
const LONG: Duration = Duration::from_secs(20);

/// Gives way until it is so; fails where it does not come about.
#[track_caller]
pub fn until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < LONG, "it never came about");
        thread::yield_now();
    }
}
