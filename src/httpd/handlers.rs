//! The handlers of our own, told apart from all others by one hook.

use std::ffi::{c_char, c_int};

use super::{ffi, manager, request, status};

/// A handler of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// `copy-status` shows the counters.
    Status,
    /// `copy-manager` changes what is copied.
    Manager,
}

impl Own {
    /// The one that the request goes to, if it is ours: mostly the first letter tells.
    #[inline(always)]
    pub fn of(request: &ffi::request_rec) -> Option<Own> {
        // SAFETY: NULL, or a text that lives as long as the request.
        let first = unsafe { request.handler.as_ref() };
        first.filter(|first| **first == b'c' as c_char).and_then(|_| Own::named(request))
    }

    #[cold]
    fn named(request: &ffi::request_rec) -> Option<Own> {
        let known = [(c"copy-status", Own::Status), (c"copy-manager", Own::Manager)];
        known
            .into_iter()
            .find(|(name, _)| request::is_handled_by(request, name))
            .map(|(_, own)| own)
    }
}

/// `handler`: answers what our own handlers are asked for.
pub unsafe extern "C" fn handle(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd passes a live request to its hooks.
    match Own::of(unsafe { &*r }) {
        // Before their guards: what those tell httpd is to meet no other request.
        None => ffi::HOOK_DECLINED,
        // SAFETY: as above.
        Some(Own::Status) => unsafe { status::show(r) },
        // SAFETY: as above.
        Some(Own::Manager) => unsafe { manager::handle(r) },
    }
}
