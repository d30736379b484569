//! The time that all children of a server agree on.

use rustix::time::{ClockId, clock_gettime};

use crate::breaker::Millis;
use crate::select::Nanos;

/// Milliseconds since some moment before the server started; they never go back.
pub fn now() -> Millis {
    nanos() / 1_000_000
}

/// Microseconds since 1970, as httpd counts them.
pub fn wall() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

/// As [`now`], in nanoseconds.
pub fn nanos() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let part = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(part)
}
