//! The tee: an input filter that sees content on its way to whoever reads it, and changes nothing.
//!
//! It stands right above the filter that takes off the transfer coding, so that it sees what the client
//! sent: before decompression, and whoever reads. It never reads by itself, never asks for more, and
//! returns what it was given.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::ffi;
use super::guard::guard;
use super::pool::success;
use super::request::Passage;
use crate::journey::Part;

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
pub unsafe fn install(r: *mut ffi::request_rec, passage: &mut Passage) {
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
    let context = ptr::from_mut(passage).cast::<c_void>();
    // SAFETY: the filter's record, and a context that lives as long as the root request.
    unsafe { ffi::ap_add_input_filter_handle(filter, context, r, request.connection) };
}

unsafe extern "C" fn tee(
    filter: *mut ffi::ap_filter_t,
    brigade: *mut ffi::apr_bucket_brigade,
    mode: ffi::ap_input_mode_t,
    block: ffi::apr_read_type_e,
    bytes: ffi::apr_off_t,
) -> ffi::apr_status_t {
    // SAFETY: httpd's record of this filter in this chain.
    let &ffi::ap_filter_t { next, ctx: context, .. } = unsafe { &*filter };
    // SAFETY: passed on as they came.
    let status = unsafe { ffi::ap_get_brigade(next, brigade, mode, block, bytes) };
    if status == success() && mode == ffi::ap_input_mode_t_AP_MODE_READBYTES {
        guard((), || {
            // SAFETY: the context given to `install`; no hook runs while a filter reads.
            let passage = unsafe { &mut *context.cast::<Passage>() };
            // SAFETY: the brigade that the filter below filled.
            unsafe { watch(brigade, passage) };
        });
    }
    status
}

/// Lets the journey see what a brigade holds.
unsafe fn watch(brigade: *mut ffi::apr_bucket_brigade, passage: &mut Passage) {
    let journey = &mut passage.journey;
    // SAFETY: the caller passes a brigade of httpd's.
    let mut bucket = unsafe { ffi::copy_first_bucket(brigade) };
    while !bucket.is_null() && journey.wants_content() {
        // SAFETY: a bucket of that brigade.
        match unsafe { ffi::copy_bucket_kind(bucket) } {
            ffi::copy_bucket_kind_COPY_BUCKET_EOS => journey.content(Part::End),
            ffi::copy_bucket_kind_COPY_BUCKET_DATA => {
                // SAFETY: as above.
                let length = unsafe { (*bucket).length };
                // A bucket of unknown length would have to be read, and so changed: none comes from
                // HTTP_IN, and without its bytes the copy counts as incomplete.
                if journey.wants_bytes() && length != usize::MAX {
                    let mut data: *const c_char = ptr::null();
                    let mut length = 0;
                    // SAFETY: as above; both results are written where the call succeeds.
                    let read =
                        unsafe { ffi::copy_bucket_read(bucket, &raw mut data, &raw mut length) };
                    if read == success() && !data.is_null() {
                        // SAFETY: valid until the bucket changes, which is not before the next read.
                        let bytes = unsafe { std::slice::from_raw_parts(data.cast(), length) };
                        journey.content(Part::Bytes(bytes));
                    }
                } else {
                    journey.content(Part::Skipped(length as u64));
                }
            }
            _ => {}
        }
        // SAFETY: as above.
        bucket = unsafe { ffi::copy_next_bucket(brigade, bucket) };
    }
}
