//! The handler `copy-status`, and our part of mod_status's page: the counters to look at.

use std::ffi::c_int;
use std::sync::Arc;

use super::guard::guard;
use super::{answer, config, ffi, sys};
use crate::boundary::Boundary;
use crate::status::{CompareSource, Format, Source, is_of_verdict, render, section, verdict};

/// Answers a request for the counters.
///
/// # Safety
///
/// `r` is a live request of httpd's that goes to this handler.
pub unsafe fn show(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: the caller vouches for the request.
    let request = unsafe { &*r };
    guard(Boundary::Status, ffi::HTTP_INTERNAL_SERVER_ERROR as c_int, || {
        if request.method_number != ffi::M_GET as c_int {
            return answer::refuse_method(request, &[ffi::M_GET]);
        }
        let Some(source) = source() else {
            return ffi::HTTP_SERVICE_UNAVAILABLE as c_int;
        };
        let query = answer::query(request);
        let format = Format::of_request(query, answer::field(request, c"Accept"));
        let (status, format, page) = if is_of_verdict(query) {
            let format = if format == Format::Json { format } else { Format::Text };
            let (status, page) = verdict(&source, format, query);
            (status, format, page)
        } else {
            (200, format, render(&source, format, query))
        };
        // SAFETY: the request is this handler's now.
        unsafe { answer::send(r, status, format.media_type(), &page) };
        ffi::HOOK_OK
    })
}

/// What there is to show; what children that have died had in hand is counted as lost by then.
pub fn source() -> Option<Source> {
    let generation = config::generation()?;
    generation.segment.end_the_dead(std::process::id(), sys::is_alive);
    let targets = generation.policy.targets().iter().map(|known| Arc::clone(&known.target));
    let known = generation.policy.targets().iter();
    let criteria = known.map(|known| (known.target.name.clone(), Arc::clone(&known.criteria)));
    let criteria = || criteria.collect();
    let compare = generation.shelf.map(|shelf| CompareSource { shelf, criteria: criteria() });
    let rates = generation.policy.targets().iter().map(|known| known.rule.rate).collect();
    Some(Source { segment: generation.segment, targets: targets.collect(), rates, compare })
}

/// mod_status's `status_hook`: our part of its page, or of its `?auto`.
pub unsafe extern "C" fn append(r: *mut ffi::request_rec, flags: c_int) -> c_int {
    guard(Boundary::Status, ffi::HOOK_OK, || {
        if let Some(source) = source() {
            let is_auto = flags & ffi::AP_STATUS_SHORT as c_int != 0;
            let part = section(&source, is_auto);
            let length = c_int::try_from(part.len()).unwrap_or(c_int::MAX);
            // SAFETY: the part is valid for its length; mod_status passes the request that it answers.
            unsafe { ffi::ap_rwrite(part.as_ptr().cast(), length, r) };
        }
        ffi::HOOK_OK
    })
}
