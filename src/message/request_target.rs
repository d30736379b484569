//! The request target: as received, and as staging sees it.

use crate::target::PathMode;

/// The received request target with the target URL's path: what it begins with, and what follows.
pub(super) fn map_target<'a>(received: &'a [u8], path: &'a [u8], mode: PathMode) -> [&'a [u8]; 2] {
    if received == b"*" {
        return [received, b""];
    }
    match mode {
        PathMode::Append => [path.strip_suffix(b"/").unwrap_or(path), received],
        PathMode::Replace => {
            let query = received.iter().position(|&byte| byte == b'?');
            [path, query.and_then(|at| received.get(at..)).unwrap_or_default()]
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
