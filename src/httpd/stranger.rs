//! Whether anybody may reach a place: httpd is asked whether it would let a stranger in.
//!
//! Access control is spread over modules, and none tells what is configured. What can be asked of all of them is
//! the question they are there to answer. So a copy of the request is shown to them, from an address that nobody
//! has, without a user, without fields and without variables: where it passes, everybody does.

use std::ffi::{CStr, c_int};
use std::ptr;

use super::ffi;

/// Of ranges that are reserved, and never will be a client's (RFC 1112 section 4, RFC 3701).
const ADDRESSES: [(&CStr, u32); 2] = [(c"240.0.0.1", ffi::APR_INET), (c"3ffe::1", ffi::APR_INET6)];

/// Whether the request would have been let in, whoever had sent it.
///
/// # Safety
///
/// `r` is a live request of httpd's, which access control has let in.
pub unsafe fn would_be_let_in(r: *mut ffi::request_rec) -> bool {
    // Access control by addresses may know ranges of either kind.
    // SAFETY: the caller vouches for the request.
    ADDRESSES.into_iter().any(|address| unsafe { would_be_let_in_from(r, address) })
}

unsafe fn would_be_let_in_from(r: *mut ffi::request_rec, (text, family): (&CStr, u32)) -> bool {
    // SAFETY: the caller vouches for the request; its fields are plain data.
    let mut stranger = unsafe { r.read() };
    let pool = stranger.pool;
    let mut address = ptr::null_mut();
    // SAFETY: the request's own pool; a literal address is not looked up.
    let status = unsafe {
        ffi::apr_sockaddr_info_get(&mut address, text.as_ptr(), family as i32, 0, 0, pool)
    };
    if status != ffi::APR_OK {
        // Where APR knows no IPv6, no client has such an address.
        return family == ffi::APR_INET;
    }
    let quiet =
        ffi::ap_logconf { module_levels: ptr::null_mut(), level: ffi::APLOG_EMERG as c_int };
    stranger.log = &quiet;
    stranger.useragent_addr = address;
    stranger.useragent_ip = text.as_ptr().cast_mut();
    // Nor is its name looked up.
    stranger.useragent_host = c"".as_ptr().cast_mut();
    stranger.user = ptr::null_mut();
    stranger.ap_auth_type = ptr::null_mut();
    // Not the client's own request: what access control makes of it is not told as that one's.
    stranger.main = r;
    for table in [&mut stranger.headers_in, &mut stranger.subprocess_env, &mut stranger.notes] {
        // SAFETY: the request's own pool.
        *table = unsafe { ffi::apr_table_make(pool, 1) };
    }
    let [headers, errors] = [stranger.headers_out, stranger.err_headers_out]
        // SAFETY: the request's own tables and pool.
        .map(|table| unsafe { ffi::apr_table_copy(pool, table) });
    (stranger.headers_out, stranger.err_headers_out) = (headers, errors);
    let stranger = &raw mut stranger;
    // SAFETY: a request that looks as any other for as long as the hooks run.
    let first = unsafe { ffi::ap_run_access_checker(stranger) } == ffi::HOOK_OK;
    // SAFETY: as above.
    let then = unsafe { ffi::ap_run_access_checker_ex(stranger) } == ffi::HOOK_OK;
    // SAFETY: as above.
    match unsafe { ffi::ap_satisfies(stranger) } as u32 {
        ffi::SATISFY_ANY => first || then,
        _ => first && then,
    }
}
