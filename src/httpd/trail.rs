//! The trail of one request in its own error log, where `LogLevel copy:trace1` or more holds for it: what became of the
//! copy to each target, and from trace2 on what was seen of the request.
//!
//! The level is looked at once, as the request is decided on; where it is lower, nothing is made. The lines come as the
//! request ends, and have no value of a field, no content and no part of its URL.

use std::ptr::NonNull;

use super::request::Passage;
use super::{ffi, log, pool};

/// The fates of a request's copies are given back with its pool: its passage may be one that is not dropped.
struct Trail(NonNull<Passage>);

impl Drop for Trail {
    fn drop(&mut self) {
        // SAFETY: memory of the request's pool, which goes after what the pool drops; the only look at it.
        unsafe { self.0.as_mut() }.journey.forget_fates();
    }
}

/// A request is about to be decided on: has its fates kept, if its level asks for them.
///
/// # Safety
///
/// The passage is the request's, and nobody else looks at it meanwhile.
pub unsafe fn begin(request: &ffi::request_rec, mut passage: NonNull<Passage>) {
    // SAFETY: the caller vouches for it.
    let here = unsafe { passage.as_mut() };
    if here.journey.is_undecided() && log::is_on(request, ffi::APLOG_TRACE1) {
        here.journey.ask_for_fates();
        // SAFETY: the request's own pool.
        unsafe { pool::own(request.pool, Trail(passage)) };
    }
}

/// A request is over: writes its lines, if there are any.
#[inline(always)]
pub fn end(request: &ffi::request_rec, passage: &Passage) {
    if passage.journey.fates().next().is_some() {
        write(request, passage);
    }
}

#[cold]
fn write(request: &ffi::request_rec, passage: &Passage) {
    // Notes for a `CustomLog` may be all that is asked for.
    if !log::is_on(request, ffi::APLOG_TRACE1) {
        return;
    }
    for (name, fate) in passage.journey.fates() {
        log::write_of(request, ffi::APLOG_TRACE1, &format!("copy to {name}: {fate}"));
    }
    if log::is_on(request, ffi::APLOG_TRACE2) {
        log::write_of(request, ffi::APLOG_TRACE2, &seen(passage));
    }
}

/// What was seen of a request: its method, what passed of its content, and the time it has spent here, if it is timed.
fn seen(passage: &Passage) -> String {
    let method = String::from_utf8_lossy(passage.method());
    let content = match passage.journey.captured() {
        Some(captured) => captured.to_string(),
        None if passage.has_content() => "not kept".to_owned(),
        None => "none".to_owned(),
    };
    let spent = match passage.spent {
        spent if spent.is_zero() => "not timed".to_owned(),
        spent => format!("{}us", spent.as_micros()),
    };
    format!("method: {method}, content: {content}, spent here: {spent}")
}
