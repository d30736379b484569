//! The handler `copy-status`: the counters as a page.

use std::ffi::c_int;

use super::guard::guard;
use super::{config, ffi, pool, request, sys};
use crate::boundary::Boundary;
use crate::status::{Format, render};

/// `handler`: answers requests for the counters.
pub unsafe extern "C" fn handle(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd passes a live request to its hooks.
    let request = unsafe { &*r };
    // Before the guard: what it tells httpd is to meet no other request.
    if !request::is_handled_by(request, request::COPY_STATUS) {
        return ffi::HOOK_DECLINED;
    }
    guard(Boundary::Status, ffi::HTTP_INTERNAL_SERVER_ERROR as c_int, || {
        if request.method_number != ffi::M_GET as c_int {
            return ffi::HTTP_METHOD_NOT_ALLOWED as c_int;
        }
        let Some(generation) = config::generation() else {
            return ffi::HTTP_SERVICE_UNAVAILABLE as c_int;
        };
        // A signal that ends this child in between would leave the move half done.
        sys::with_signals_blocked(|| generation.segment.fold_the_dead(sys::is_alive));
        // SAFETY: NULL, or a text of the request's pool.
        let query = unsafe { pool::bytes(request.args) };
        let format = Format::of_query(&String::from_utf8_lossy(query));
        let page = render(&generation.segment, format);
        // SAFETY: the request is this handler's now.
        unsafe { answer(r, format, &page) };
        ffi::HOOK_OK
    })
}

/// Sends the page; a client that went away is httpd's concern.
unsafe fn answer(r: *mut ffi::request_rec, format: Format, page: &str) {
    // SAFETY: the caller passes a live request.
    let request = unsafe { &*r };
    let headers = request.headers_out;
    // SAFETY: the request's own pool.
    let media_type = unsafe { pool::text(request.pool, format.media_type()) };
    // SAFETY: the text lives as long as the request.
    unsafe { ffi::ap_set_content_type(r, media_type) };
    // SAFETY: the request's own table; both texts are static.
    unsafe { ffi::apr_table_setn(headers, c"Cache-Control".as_ptr(), c"no-store".as_ptr()) };
    let length = c_int::try_from(page.len()).unwrap_or(c_int::MAX);
    // SAFETY: the page is valid for its length. `HEAD` is cut by httpd.
    unsafe { ffi::ap_rwrite(page.as_ptr().cast(), length, r) };
}
