//! Times what one request of 64 spends in this module, in the callbacks that do any work for it.
//!
//! Which ones is told by the microsecond of their arrival, which httpd has noted anyway: the others pay for a load
//! and a test in each callback. Timed is the work at arrival, decision and end, and on each part of the content; not
//! the three callbacks that only note how far a request has come.

use std::time::Duration;

use super::request::Passage;
use super::{child, ffi};
use crate::clock;
use crate::select::Nanos;

const ONE_IN: ffi::apr_time_t = 64;

/// When a callback's work begins, in nanoseconds of a clock that never goes back; 0 where it is not timed.
#[inline(always)]
pub fn start(request: &ffi::request_rec) -> Nanos {
    if request.request_time % ONE_IN == 0 { look() } else { 0 }
}

#[cold]
fn look() -> Nanos {
    clock::nanos()
}

/// Adds what the work took, if it is timed, to what its request has spent.
#[inline(always)]
pub fn stop(started: Nanos, passage: &mut Passage) {
    if started > 0 {
        add(started, passage);
    }
}

#[cold]
fn add(started: Nanos, passage: &mut Passage) {
    passage.spent += Duration::from_nanos(clock::nanos().saturating_sub(started));
}

/// As [`stop`], for the last callback: counts the request.
#[inline(always)]
pub fn conclude(started: Nanos, passage: &mut Passage, request: &ffi::request_rec) {
    if started > 0 {
        count(started, passage, request);
    }
}

#[cold]
fn count(started: Nanos, passage: &mut Passage, request: &ffi::request_rec) {
    add(started, passage);
    if let Some(mirror) = child::mirror() {
        mirror.count_cost(passage.spent, since(request.request_time));
    }
}

/// How long ago that was, as httpd's clock has it.
fn since(time: ffi::apr_time_t) -> Duration {
    Duration::from_micros(u64::try_from(clock::wall().saturating_sub(time)).unwrap_or_default())
}
