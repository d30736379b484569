//! The configuration as it is written: httpd's tree of all directives.

use super::ffi;

/// Every directive, in the order of the files.
///
/// # Safety
///
/// httpd has read its configuration, and serves no request yet.
pub unsafe fn directives<'a>() -> impl Iterator<Item = &'a ffi::ap_directive_t> {
    // SAFETY: only this thread runs.
    let first = unsafe { ffi::ap_conftree }.cast_const();
    // SAFETY: NULL, or httpd's tree, which lives as long as the configuration.
    let first = unsafe { first.as_ref() };
    // SAFETY: as above.
    std::iter::successors(first, |directive| unsafe { after(directive).as_ref() })
}

/// The directive that comes after in the files: within a section, then beside it, then after what it is in.
fn after(directive: &ffi::ap_directive_t) -> *const ffi::ap_directive_t {
    if !directive.first_child.is_null() {
        return directive.first_child;
    }
    let mut directive = directive;
    loop {
        if !directive.next.is_null() {
            return directive.next;
        }
        // SAFETY: NULL, or the section that it is in.
        match unsafe { directive.parent.as_ref() } {
            Some(section) => directive = section,
            None => return std::ptr::null(),
        }
    }
}
