//! How unit tests wait for what other threads bring about.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes that comes at all, with a sanitizer on a busy machine too.
const LONG: Duration = Duration::from_secs(60);

/// Gives way until it is so; fails where it does not come about.
#[track_caller]
pub fn until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < LONG, "it never came about");
        thread::yield_now();
    }
}
