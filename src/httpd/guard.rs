//! No panic leaves a callback: httpd would abort the child, and every request in it.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::request::Passage;
use super::{ffi, log, witness};
use crate::boundary::Boundary;

/// Runs a callback's work; `fallback` is what httpd is told where it panics.
///
/// The fallback of each callback is what lets production go on: `DECLINED`, or the caller's own answer.
pub fn guard<T>(boundary: Boundary, fallback: T, work: impl FnOnce() -> T) -> T {
    caught(boundary, work).unwrap_or(fallback)
}

/// As [`guard`], for what leaves something half done where it panics: `undo` is run then, and a panic of its own ends there.
pub fn guard_or<T>(
    boundary: Boundary,
    fallback: T,
    work: impl FnOnce() -> T,
    undo: impl FnOnce(),
) -> T {
    caught(boundary, work).unwrap_or_else(|| {
        let _ = catch_unwind(AssertUnwindSafe(undo));
        fallback
    })
}

/// As [`guard`], for what is done about one request: where it panics, the request is not copied, so
/// that what it left behind is not used again.
///
/// # Safety
///
/// `r` is a live request of httpd's.
pub unsafe fn guard_request<T>(
    boundary: Boundary,
    r: *const ffi::request_rec,
    fallback: T,
    work: impl FnOnce() -> T,
) -> T {
    // SAFETY: the caller vouches for the request.
    guard_or(boundary, fallback, work, || unsafe { abandon(r) })
}

fn caught<T>(boundary: Boundary, work: impl FnOnce() -> T) -> Option<T> {
    let work = || {
        boundary.enter();
        let result = work();
        boundary.leave();
        result
    };
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cold]
unsafe fn abandon(r: *const ffi::request_rec) {
    // SAFETY: the caller vouches for the request.
    if let Some(mut passage) = unsafe { Passage::of(r) } {
        // SAFETY: the only look at it: the callback that had one has ended.
        unsafe { passage.as_mut() }.journey.abandon();
    }
    // SAFETY: as above.
    unsafe { witness::forget(r) };
}

/// What panics are counted in before there is shared memory.
static UNSHARED: AtomicU64 = AtomicU64::new(0);
/// NULL, or a counter that lives as long as the server.
static SHARED: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

/// Has every panic counted, in whatever thread, and the 1st, 2nd, 4th, 8th … written to the error log.
pub fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(note)));
}

/// Counts panics in this counter from now on, those of before included.
pub fn count_panics_in(counter: &'static AtomicU64) {
    counter.fetch_add(UNSHARED.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    SHARED.store(ptr::from_ref(counter).cast_mut(), Ordering::Release);
}

fn note(panic: &PanicHookInfo<'_>) {
    // SAFETY: NULL, or given to `count_panics_in`.
    let counter = unsafe { SHARED.load(Ordering::Acquire).as_ref() }.unwrap_or(&UNSHARED);
    let count = counter.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if !count.is_power_of_two() {
        return;
    }
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let line = format!("CPY0091: a fault of mod_copy was caught: {place}: {text} ({count} so far)");
    // SAFETY: NULL, or httpd's main server: see `log`.
    let server = unsafe { ffi::ap_server_conf };
    log::write(ffi::APLOG_ERR, server, &line);
}
