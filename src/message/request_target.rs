//! The request target: as received, and as staging sees it.

use crate::target::PathMode;

/// Joins the received request target and the target URL's path.
pub(super) fn write_target(received: &[u8], path: &[u8], mode: PathMode, out: &mut Vec<u8>) {
    if received == b"*" {
        return out.extend_from_slice(received);
    }
    match mode {
        PathMode::Append => {
            out.extend_from_slice(path.strip_suffix(b"/").unwrap_or(path));
            out.extend_from_slice(received);
        }
        PathMode::Replace => {
            out.extend_from_slice(path);
            let query = received.iter().position(|&byte| byte == b'?');
            out.extend_from_slice(query.and_then(|at| received.get(at..)).unwrap_or_default());
        }
    }
}

/// The origin-form of a request target: what follows the authority of an absolute-form.
///
/// An absolute-form names production's authority, which would overrule the copy's `Host`
/// (RFC 9112 section 3.2.2).
pub(super) fn origin_form(target: &[u8]) -> (&'static [u8], &[u8]) {
    if target.first() == Some(&b'/') {
        return (b"", target);
    }
    let Some(scheme_end) = target.windows(3).position(|window| window == b"://") else {
        return (b"", target);
    };
    let rest = target.get(scheme_end.saturating_add(3)..).unwrap_or_default();
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(at) if rest.get(at) == Some(&b'/') => (b"", rest.get(at..).unwrap_or_default()),
        Some(at) => (b"/", rest.get(at..).unwrap_or_default()),
        None => (b"/", b""),
    }
}
