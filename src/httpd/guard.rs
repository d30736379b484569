//! No panic leaves a callback: httpd would abort the child, and every request in it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs a callback's work; `fallback` is what httpd is told where it panics.
///
/// The fallback of each callback is what lets production go on: `DECLINED`, or the caller's own answer.
pub fn guard<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(fallback)
}

/// Has the first panic, and no other, written to the error log as one line.
pub fn log_the_first_panic() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|panic| {
        if !TOLD.swap(true, Ordering::Relaxed) {
            log::error!(
                "CPY0091: a fault of mod_copy was caught, further ones are only counted: {panic}"
            );
        }
    }));
}
