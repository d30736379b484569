//! At the start: whether access control stands beside each `SetHandler copy-manager`, as far as it can be known.
//!
//! Whether a manager works is decided at each request (see [`super::stranger`]), by what holds there. This only
//! tells early who has forgotten it: another section may have it.

use super::{ffi, log, pool, tree};

/// Directives that keep somebody out, or say that something else does.
const CONTROLS: [&[u8]; 8] = [
    b"Require",
    b"<RequireAll",
    b"<RequireAny",
    b"AuthType",
    b"Allow",
    b"Deny",
    b"CopyManagerOpen",
    b"SSLRequire",
];

/// Warns of each manager beside which nothing keeps anybody out.
///
/// # Safety
///
/// httpd has read its configuration, and serves no request yet.
pub unsafe fn warn(main: *const ffi::server_rec) {
    // Sections are few and not deep: the ones in which one is are looked at when it is found.
    // SAFETY: the caller vouches for the configuration.
    for directive in unsafe { tree::directives() } {
        if is_manager(directive) && !is_controlled(directive) {
            // SAFETY: a text of the tree.
            let file = String::from_utf8_lossy(unsafe { pool::bytes(directive.filename) });
            let line = format!(
                "CPY0204: copy-manager at {file}:{} is refused to all, unless some other section keeps somebody \
                 out: beside it nothing does, as \"Require\" would",
                directive.line_num
            );
            log::write(ffi::APLOG_WARNING, main, &line);
        }
    }
}

fn is_manager(directive: &ffi::ap_directive_t) -> bool {
    is_named(directive, b"SetHandler") && arguments(directive).eq_ignore_ascii_case(b"copy-manager")
}

fn is_controlled(directive: &ffi::ap_directive_t) -> bool {
    // SAFETY: NULL, or the section that it is in.
    let mut section = unsafe { directive.parent.as_ref() };
    while let Some(around) = section {
        let mut next = around.first_child.cast_const();
        // SAFETY: NULL, or the next one in the section.
        while let Some(beside) = unsafe { next.as_ref() } {
            let is_control = CONTROLS.iter().any(|name| is_named(beside, name));
            if is_control && !arguments(beside).eq_ignore_ascii_case(b"all granted") {
                return true;
            }
            next = beside.next;
        }
        // SAFETY: as above.
        section = unsafe { around.parent.as_ref() };
    }
    false
}

fn is_named(directive: &ffi::ap_directive_t, name: &[u8]) -> bool {
    // SAFETY: a text of the tree.
    unsafe { pool::bytes(directive.directive) }.eq_ignore_ascii_case(name)
}

/// What stands after its name, without quotes.
fn arguments(directive: &ffi::ap_directive_t) -> &[u8] {
    // SAFETY: NULL, or a text of the tree.
    let arguments = unsafe { pool::bytes(directive.args) }.trim_ascii();
    let unquoted = arguments.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    unquoted.unwrap_or(arguments)
}
