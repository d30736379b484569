//! What this module reads of httpd's `request_rec`, and what it keeps of one from its arrival on.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{child, config, ffi, pool, proxy};
use crate::config::ServerPolicy;
use crate::journey::{Journey, Scope};
use crate::message::{Forwarded, Received};

/// The handler that shows the counters, as `SetHandler` names it.
pub const COPY_STATUS: &CStr = c"copy-status";

/// A request's journey, beside what it looked like on arrival: other modules change `request_rec`.
#[derive(Debug)]
pub struct Passage {
    pub journey: Journey,
    method: *const c_char,
    target: *const c_char,
    /// A shallow copy of the received fields; their texts live as long as the request.
    fields: *const ffi::apr_table_t,
    has_content: bool,
    /// The request asks for an upgrade, which has not brought forth its twin yet.
    awaits_twin: AtomicBool,
}

impl Passage {
    /// Takes note of a client's request, if its server mirrors at all.
    ///
    /// # Safety
    ///
    /// `r` is a root request of httpd's that was just read.
    pub unsafe fn begin(r: *mut ffi::request_rec) -> Option<&'static mut Passage> {
        let mirror = child::mirror()?;
        // SAFETY: the caller vouches for the request; hooks run one after another.
        let request = unsafe { &*r };
        // SAFETY: the request's server, whose configuration was completed before children began.
        let server: &'static ServerPolicy = unsafe { config::server_policy(request.server) };
        if !server.mirrors {
            return None;
        }
        let content = content_length(request);
        let passage = Passage {
            journey: Journey::begin(mirror, server, content),
            method: request.method,
            target: request.unparsed_uri,
            // SAFETY: the request's own pool and table.
            fields: unsafe { ffi::apr_table_copy(request.pool, request.headers_in) },
            has_content: content.is_some(),
            awaits_twin: AtomicBool::new(true),
        };
        // SAFETY: the request's own pool.
        let mut owned = unsafe { pool::own(request.pool, passage) };
        // SAFETY: the request's own vector.
        unsafe {
            ffi::ap_set_module_config(request.request_config, ffi::this(), owned.as_ptr().cast());
        }
        // SAFETY: lives as long as the request, whose callbacks run one after another.
        Some(unsafe { owned.as_mut() })
    }

    /// The passage of a request or of what it was redirected to; `None` where its server mirrors nothing.
    ///
    /// # Safety
    ///
    /// `r` is a request of httpd's, and no other reference to its passage is in use.
    pub unsafe fn of<'a>(r: *const ffi::request_rec) -> Option<&'a mut Passage> {
        // SAFETY: the caller vouches for the request.
        let root = unsafe { root(r) };
        // SAFETY: the request's own vector.
        let passage = unsafe { ffi::ap_get_module_config(root.request_config, ffi::this()) };
        // SAFETY: NULL, or given to the request's pool by `begin`; the caller vouches for the rest.
        unsafe { passage.cast::<Passage>().as_mut() }
    }

    /// Tells the journey the scope that holds for the request; returns whether it was selected.
    pub fn decide(&mut self, request: &ffi::request_rec) -> bool {
        if !self.journey.is_undecided() {
            return false;
        }
        let received = Received {
            // SAFETY: texts of the request's pool, which nobody changes in place.
            method: unsafe { pool::bytes(self.method) },
            // SAFETY: as above.
            target: unsafe { pool::bytes(self.target) },
            fields: self.fields(),
            has_content: self.has_content,
        };
        // SAFETY: as above.
        let client = unsafe { pool::bytes(request.useragent_ip) };
        let proto = scheme(request);
        let scope = Scope {
            // SAFETY: the request's own vector.
            settings: unsafe { config::scope_settings(request.per_dir_config) },
            // SAFETY: as above.
            proxy_preserve_host: unsafe { proxy::preserve_host(request.per_dir_config) },
            client: Forwarded { client, proto },
            copyable: is_copyable(request),
        };
        self.journey.decide(&scope, &received)
    }

    /// The received fields, in order.
    fn fields(&self) -> impl Iterator<Item = (&'static [u8], &'static [u8])> + Clone + use<> {
        // SAFETY: the table made in `begin`.
        let array = unsafe { ffi::apr_table_elts(self.fields) };
        // SAFETY: the array within that table, which nobody changes.
        let array = unsafe { &*array };
        let entries: &'static [ffi::apr_table_entry_t] = match usize::try_from(array.nelts) {
            // SAFETY: a table's array holds `nelts` entries, and nobody else has this table.
            Ok(length) if length > 0 => unsafe {
                std::slice::from_raw_parts(array.elts.cast(), length)
            },
            _ => &[],
        };
        entries.iter().map(|entry| {
            // SAFETY: texts of the request's pool, which nobody changes in place.
            let name = unsafe { pool::bytes(entry.key) };
            // SAFETY: as above.
            (name, unsafe { pool::bytes(entry.val) })
        })
    }

    /// Whether both were asked for in the same words: method and request target.
    pub fn asks_like(&self, request: &ffi::request_rec) -> bool {
        let [ours, our_method, theirs, their_method] =
            [self.target, self.method, request.unparsed_uri, request.method]
                // SAFETY: texts of requests that both live.
                .map(|text| unsafe { pool::bytes(text) });
        ours == theirs && our_method == their_method
    }
}

impl Passage {
    /// Whether this is the first time that the upgraded request's twin asks.
    pub fn take_upgrade(&self) -> bool {
        self.awaits_twin.swap(false, Ordering::Relaxed)
    }
}

/// The client's request at the root of redirects and subrequests.
unsafe fn root<'a>(r: *const ffi::request_rec) -> &'a ffi::request_rec {
    // SAFETY: the caller passes a request of httpd's.
    let mut request = unsafe { &*r };
    loop {
        let parent = if request.prev.is_null() { request.main } else { request.prev };
        // SAFETY: NULL, or the request that brought forth this one, and outlives it.
        match unsafe { parent.as_ref() } {
            Some(parent) => request = parent,
            None => return request,
        }
    }
}

/// Whether a client asked for this itself: no subrequest, and not what an internal redirect made.
pub fn is_root(request: &ffi::request_rec) -> bool {
    request.main.is_null() && request.prev.is_null()
}

/// A received field's value, as the request has it now.
pub fn field<'a>(request: &'a ffi::request_rec, name: &CStr) -> Option<&'a [u8]> {
    // SAFETY: the request's own table; the name ends in NUL.
    let value = unsafe { ffi::apr_table_get(request.headers_in, name.as_ptr()) };
    // SAFETY: not NULL: a text of the request's pool.
    (!value.is_null()).then(|| unsafe { pool::bytes(value) })
}

/// Whether content follows the head, and how much (`None` where chunked). The same for `HEAD` as for
/// any method: httpd reads what is announced.
fn content_length(request: &ffi::request_rec) -> Option<Option<u64>> {
    if field(request, c"Transfer-Encoding").is_some() {
        return Some(None);
    }
    let length = std::str::from_utf8(field(request, c"Content-Length")?).ok()?;
    let length: u64 = length.trim().parse().ok()?;
    (length > 0).then_some(Some(length))
}

/// Not for a handler of our own, nor a response that the server pushes unasked.
fn is_copyable(request: &ffi::request_rec) -> bool {
    // SAFETY: the request's own table; the name ends in NUL.
    let pushed = unsafe { ffi::apr_table_get(request.subprocess_env, c"H2_PUSHED".as_ptr()) };
    // SAFETY: NULL, or a text of the request's pool: mod_http2 sets an empty one for what was asked.
    unsafe { pool::bytes(pushed) }.is_empty() && !is_handled_by(request, COPY_STATUS)
}

/// Whether the request goes to the handler of that name.
pub fn is_handled_by(request: &ffi::request_rec, handler: &CStr) -> bool {
    // SAFETY: NULL, or a text that lives as long as the request.
    !request.handler.is_null() && unsafe { CStr::from_ptr(request.handler) } == handler
}

fn scheme(request: &ffi::request_rec) -> &'static str {
    // SAFETY: a request of httpd's.
    let scheme = unsafe { ffi::ap_run_http_scheme(ptr::from_ref(request)) };
    // SAFETY: a text of the module that answered.
    if unsafe { pool::bytes(scheme) } == b"https" { "https" } else { "http" }
}
