//! What our handlers answer with: a page, and the fields that keep it to those it is for.

use std::ffi::{CStr, c_int};

use super::{ffi, pool};

/// What no page of ours needs, and so none may: scripts, frames, anything from elsewhere.
const POLICY: &CStr = c"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

/// Fields of every answer.
const FIELDS: [(&CStr, &CStr); 6] = [
    (c"Cache-Control", c"no-store"),
    (c"Content-Security-Policy", POLICY),
    (c"X-Content-Type-Options", c"nosniff"),
    (c"X-Frame-Options", c"DENY"),
    // The page's own forms are to say where they come from, and other sites are not to learn it.
    (c"Referrer-Policy", c"same-origin"),
    (c"Vary", c"Accept"),
];

/// Sends the page; a client that went away is httpd's concern.
///
/// # Safety
///
/// `r` is a live request of httpd's that is the caller's to answer.
pub unsafe fn send(r: *mut ffi::request_rec, status: u16, media_type: &str, page: &str) {
    // SAFETY: the caller vouches for the request.
    let request = unsafe { &mut *r };
    request.status = c_int::from(status);
    for (name, value) in FIELDS {
        // SAFETY: the request's own table; both texts are static.
        unsafe { ffi::apr_table_setn(request.headers_out, name.as_ptr(), value.as_ptr()) };
    }
    // SAFETY: the request's own pool.
    let media_type = unsafe { pool::text(request.pool, media_type) };
    // SAFETY: the text lives as long as the request.
    unsafe { ffi::ap_set_content_type(r, media_type) };
    let length = c_int::try_from(page.len()).unwrap_or(c_int::MAX);
    // SAFETY: the page is valid for its length. `HEAD` is cut by httpd.
    unsafe { ffi::ap_rwrite(page.as_ptr().cast(), length, r) };
}

/// Refuses a request's method: httpd says which are allowed.
pub fn refuse_method(request: &ffi::request_rec, allowed: &[u32]) -> c_int {
    // SAFETY: the request's own list, which it has from its beginning.
    if let Some(list) = unsafe { request.allowed_methods.as_mut() } {
        list.method_mask = allowed.iter().fold(0, |methods, method| methods | 1 << method);
    }
    ffi::HTTP_METHOD_NOT_ALLOWED as c_int
}

/// A received field; empty where there is none, or it is no text.
pub fn field<'a>(request: &'a ffi::request_rec, name: &CStr) -> &'a str {
    // SAFETY: the request's own table; the name ends in NUL.
    let value = unsafe { ffi::apr_table_get(request.headers_in, name.as_ptr()) };
    // SAFETY: NULL, or a text of the request's pool.
    std::str::from_utf8(unsafe { pool::bytes(value) }).unwrap_or_default()
}

/// The request's query; empty where there is none, or it is no text.
pub fn query(request: &ffi::request_rec) -> &str {
    // SAFETY: NULL, or a text of the request's pool.
    std::str::from_utf8(unsafe { pool::bytes(request.args) }).unwrap_or_default()
}
