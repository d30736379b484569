//! `%{copy-target}n` and `%{copy-outcome}n` for httpd's own logs.
//!
//! They are set as a request ends, before any module logs it, and only where the configuration names them: a request
//! pays nothing for notes that nobody reads.

use std::ffi::CStr;

use super::{ffi, pool, request, tree};
use crate::journey::Journey;

const TARGET: &CStr = c"copy-target";
const OUTCOME: &CStr = c"copy-outcome";

/// Whether some directive names them, be it in a log's format or in an expression.
///
/// # Safety
///
/// httpd has read its configuration, and serves no request yet.
pub unsafe fn are_named() -> bool {
    // SAFETY: the caller vouches for the configuration.
    let mut directives = unsafe { tree::directives() };
    directives.any(|directive| {
        // SAFETY: NULL, or a text of the tree.
        let arguments = unsafe { pool::bytes(directive.args) }.to_ascii_lowercase();
        [TARGET, OUTCOME]
            .iter()
            .any(|name| memchr::memmem::find(&arguments, name.to_bytes()).is_some())
    })
}

/// Sets them for a request that is over, and for what it was redirected to, of which logs speak.
pub fn set(request: &ffi::request_rec, journey: &Journey) {
    let Some([target, outcome]) = journey.notes() else { return };
    let last = request::answered(request);
    for (name, text) in [(TARGET, &target), (OUTCOME, &outcome)] {
        // SAFETY: the request's own pool.
        let text = unsafe { pool::text(request.pool, text) };
        for notes in [request.notes, last.notes] {
            // SAFETY: a table of that pool, or of one that goes before it; the texts live as long.
            unsafe { ffi::apr_table_setn(notes, name.as_ptr(), text) };
        }
    }
}
