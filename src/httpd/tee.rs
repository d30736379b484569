//! The tee: an input filter that sees content on its way to whoever reads it, and changes nothing.
//!
//! It stands right above the filter that takes off the transfer coding, so that it sees what the client
//! sent: before decompression, and whoever reads. It never reads by itself, never asks for more, and
//! returns what it was given.

use std::ffi::{c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::guard::guard_request;
use super::pool::success;
use super::request::{Fields, Passage, entries};
use super::{ffi, meter};
use crate::boundary::Boundary;
use crate::journey::{Journey, Part};

/// httpd's record of the filter; made anew for each configuration.
static FILTER: AtomicPtr<ffi::ap_filter_rec_t> = AtomicPtr::new(ptr::null_mut());

/// Right above HTTP_IN, whose type is `AP_FTYPE_PROTOCOL`.
const TYPE: ffi::ap_filter_type = ffi::ap_filter_type_AP_FTYPE_PROTOCOL - 1;

/// Makes the filter known to httpd.
pub fn register() {
    let name = c"COPY_TEE".as_ptr();
    // SAFETY: httpd copies the name; the function lives as long as the process.
    let filter = unsafe { ffi::ap_register_input_filter(name, Some(tee), None, TYPE) };
    FILTER.store(filter, Ordering::Release);
}

/// Puts the filter into a request's chain, unless it is there.
///
/// # Safety
///
/// `r` is a live request of httpd's, and the passage is its root's.
pub unsafe fn install(r: *mut ffi::request_rec, passage: NonNull<Passage>) {
    let filter = FILTER.load(Ordering::Acquire);
    // SAFETY: the caller vouches for the request.
    let request = unsafe { &*r };
    let mut next = request.input_filters;
    // SAFETY: httpd's chain of filters ends in NULL.
    while let Some(link) = unsafe { next.as_ref() } {
        if link.frec == filter {
            return;
        }
        next = link.next;
    }
    let context = passage.as_ptr().cast::<c_void>();
    // SAFETY: the filter's record, and a context that lives as long as the root request.
    let tee = unsafe { ffi::ap_add_input_filter_handle(filter, context, r, request.connection) };
    // SAFETY: the caller vouches for the request; read anew, for httpd has changed it.
    let protocol = unsafe { (*r).proto_input_filters };
    // mod_proxy_http reads all of a content before it asks the origin, unless `input_filters` begins
    // where `proto_input_filters` does: to it, the tee must be a part of the protocol.
    // SAFETY: NULL, or the link just made.
    if unsafe { tee.as_ref() }.is_some_and(|tee| tee.next == protocol) {
        // SAFETY: the caller vouches for the request, which nobody else changes meanwhile.
        unsafe { (*r).proto_input_filters = tee };
    }
}

unsafe extern "C" fn tee(
    filter: *mut ffi::ap_filter_t,
    brigade: *mut ffi::apr_bucket_brigade,
    mode: ffi::ap_input_mode_t,
    block: ffi::apr_read_type_e,
    bytes: ffi::apr_off_t,
) -> ffi::apr_status_t {
    // SAFETY: httpd's record of this filter in this chain.
    let &ffi::ap_filter_t { next, ctx: context, r, .. } = unsafe { &*filter };
    // SAFETY: the context given to `install`.
    let is_reading = unsafe { &raw mut (*context.cast::<Passage>()).is_reading };
    // HTTP_IN itself reads the trailers through the protocol's filters: they are no content.
    // SAFETY: the passage's own, and hooks and filters run one after another.
    let is_nested = unsafe { is_reading.replace(true) };
    // SAFETY: passed on as they came.
    let status = unsafe { ffi::ap_get_brigade(next, brigade, mode, block, bytes) };
    if is_nested {
        return status;
    }
    // SAFETY: as above.
    unsafe { is_reading.write(false) };
    // SAFETY: the context given to `install`; no hook runs while a filter reads.
    let Passage { journey, watch: answer, .. } = unsafe { &mut *context.cast::<Passage>() };
    if !journey.wants_content() {
        return status;
    }
    // SAFETY: the request that is being read.
    let started = meter::start(unsafe { &*r });
    let work = || {
        match seen(mode, status) {
            // SAFETY: the brigade that the filter below filled, for the request that is being read.
            Seen::Content => unsafe { watch(brigade, r, journey) },
            Seen::Nothing => {}
            Seen::Failure => journey.content(Part::Broken),
        }
        if let (Some(answer), false) = (answer, journey.wants_content()) {
            // SAFETY: the only look at it: what looks at the answer does not read.
            unsafe { answer.as_mut() }.asked();
        }
    };
    // SAFETY: the request that is being read.
    unsafe { guard_request(Boundary::Tee, r, (), work) };
    // SAFETY: the context given to `install`; no hook runs while a filter reads.
    meter::stop(started, unsafe { &mut *context.cast::<Passage>() });
    status
}

/// What a read let the tee see.
enum Seen {
    /// Content was consumed, and is in the brigade.
    Content,
    /// None was consumed.
    Nothing,
    /// Reading failed, or consumed what cannot be told apart: what follows, were it an end, proves
    /// nothing.
    Failure,
}

fn seen(mode: ffi::ap_input_mode_t, status: ffi::apr_status_t) -> Seen {
    const EAGAIN: ffi::apr_status_t = libc::EAGAIN;
    match (mode, status) {
        (
            ffi::ap_input_mode_t_AP_MODE_SPECULATIVE
            | ffi::ap_input_mode_t_AP_MODE_EATCRLF
            | ffi::ap_input_mode_t_AP_MODE_INIT,
            _,
        )
        | (_, EAGAIN) => Seen::Nothing,
        // HTTP_IN serves both from the content.
        (
            ffi::ap_input_mode_t_AP_MODE_READBYTES | ffi::ap_input_mode_t_AP_MODE_GETLINE,
            ffi::APR_OK,
        ) => Seen::Content,
        _ => Seen::Failure,
    }
}

/// Lets the journey see what a brigade holds.
unsafe fn watch(
    brigade: *mut ffi::apr_bucket_brigade,
    r: *const ffi::request_rec,
    journey: &mut Journey,
) {
    let mut bucket = ptr::null_mut();
    while journey.wants_content() {
        // SAFETY: the caller passes a brigade of httpd's; NULL, or a bucket of it.
        match unsafe { ffi::copy_next_bucket(brigade, &raw mut bucket) } {
            ffi::copy_bucket_kind_COPY_BUCKET_NONE => return,
            // SAFETY: the caller passes a live request.
            ffi::copy_bucket_kind_COPY_BUCKET_EOS if is_feigned(unsafe { &*r }) => {
                journey.content(Part::Broken);
            }
            ffi::copy_bucket_kind_COPY_BUCKET_EOS => {
                // SAFETY: the caller passes a live request.
                let trailers = unsafe { (*r).trailers_in };
                // Whoever makes requests of its own may leave it out.
                if !trailers.is_null() {
                    // SAFETY: the request's own table, which HTTP_IN has filled before the end.
                    let trailers = unsafe { entries(trailers) };
                    if !trailers.is_empty() {
                        journey.trailers(Fields::of(trailers));
                    }
                }
                journey.content(Part::End);
            }
            // SAFETY: a bucket of data.
            ffi::copy_bucket_kind_COPY_BUCKET_DATA => unsafe { show(bucket, journey) },
            _ => {}
        }
    }
}

/// Whether an end of the content is none: where the client waits for a 100 and production has decided
/// against the request, HTTP_IN tells whoever reads that there is nothing.
fn is_feigned(request: &ffi::request_rec) -> bool {
    request.expecting_100 != 0 && !(200..300).contains(&request.status)
}

/// Lets the journey see what a bucket holds.
unsafe fn show(bucket: *mut ffi::apr_bucket, journey: &mut Journey) {
    // SAFETY: the caller passes a bucket of httpd's.
    let length = unsafe { (*bucket).length };
    if length == usize::MAX {
        // Of unknown length: it would have to be read, and so changed. None comes from HTTP_IN.
        return journey.content(Part::Broken);
    }
    if !journey.wants_bytes() {
        return journey.content(Part::Skipped(length as u64));
    }
    let (mut data, mut length): (*const c_char, usize) = (ptr::null(), 0);
    // SAFETY: as above; both results are written where the call succeeds.
    let read = unsafe { ffi::copy_bucket_read(bucket, &raw mut data, &raw mut length) };
    if read != success() || data.is_null() {
        return journey.content(Part::Broken);
    }
    // SAFETY: valid until the bucket changes, which is not before the next read.
    journey.content(Part::Bytes(unsafe { std::slice::from_raw_parts(data.cast(), length) }));
}
