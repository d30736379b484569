//! The hooks that a request passes: arrival, decision, conclusion.

use std::ffi::c_int;
use std::ptr;

use super::guard::guard;
use super::request::{self, Passage};
use super::{config, ffi, tee};

/// `post_read_request`: takes note of a client's request before any module changes it.
pub unsafe extern "C" fn arrive(r: *mut ffi::request_rec) -> c_int {
    guard(ffi::HOOK_DECLINED, || {
        // SAFETY: httpd passes a live request to its hooks.
        let request = unsafe { &*r };
        // SAFETY: as above.
        if request::is_root(request) && !unsafe { is_upgraded_twin(request) } {
            // SAFETY: a root request that was just read.
            if let Some(passage) = unsafe { Passage::begin(r) } {
                if passage.journey.wants_content() {
                    // SAFETY: as above; the passage lives as long as the request.
                    unsafe { tee::install(r, passage) };
                }
                remember_upgrade(request, passage);
            }
        }
        ffi::HOOK_DECLINED
    })
}

/// `insert_filter`: the scope is known and access control has passed.
pub unsafe extern "C" fn decide(r: *mut ffi::request_rec) {
    guard((), || {
        // SAFETY: httpd passes a live request to its hooks.
        let request = unsafe { &*r };
        if !request.main.is_null() {
            return;
        }
        // SAFETY: the only reference: hooks run one after another.
        let Some(passage) = (unsafe { Passage::of(r) }) else {
            return;
        };
        if request.prev.is_null() {
            passage.decide(request);
        }
        if passage.journey.wants_content() {
            // Content negotiation and internal redirects may have taken the tee out.
            // SAFETY: a live request; the passage lives as long as its root.
            unsafe { tee::install(r, passage) };
        }
    });
}

/// `log_transaction`: whatever is still open is settled now.
pub unsafe extern "C" fn conclude(r: *mut ffi::request_rec) -> c_int {
    guard(ffi::HOOK_DECLINED, || {
        // SAFETY: httpd passes a live request to its hooks.
        let request = unsafe { &*r };
        // SAFETY: the only reference: hooks run one after another.
        if let Some(passage) = unsafe { Passage::of(r) }
            && passage.journey.is_open()
        {
            const REFUSALS: [u32; 3] = [
                ffi::HTTP_UNAUTHORIZED,
                ffi::HTTP_FORBIDDEN,
                ffi::HTTP_PROXY_AUTHENTICATION_REQUIRED,
            ];
            if passage.journey.is_undecided()
                && REFUSALS.map(|s| s as c_int).contains(&request.status)
            {
                // SAFETY: the request's own vector.
                let settings = unsafe { config::scope_settings(request.per_dir_config) };
                passage.journey.refuse(&settings);
            } else {
                passage.decide(request);
                passage.journey.conclude();
            }
        }
        ffi::HOOK_DECLINED
    })
}

/// Has the connection remember a request that asks for an upgrade to HTTP/2: should it be granted, the
/// same request arrives a second time, as the first stream (RFC 7540 section 3.2).
fn remember_upgrade(request: &ffi::request_rec, passage: &mut Passage) {
    /// Taken back with the request, before its memory goes.
    struct Remembered(*mut ffi::ap_conf_vector_t);
    impl Drop for Remembered {
        fn drop(&mut self) {
            // SAFETY: the connection outlives its requests.
            unsafe { ffi::ap_set_module_config(self.0, ffi::this(), ptr::null_mut()) };
        }
    }
    if request::field(request, c"Upgrade").is_none() {
        return;
    }
    // SAFETY: the request's connection.
    let connection = unsafe { (*request.connection).conn_config };
    // SAFETY: the connection's own vector.
    unsafe { ffi::ap_set_module_config(connection, ffi::this(), ptr::from_mut(passage).cast()) };
    // SAFETY: the request's own pool.
    unsafe { super::pool::own(request.pool, Remembered(connection)) };
}

/// Whether this is the first stream of an upgraded connection, whose request has arrived before.
unsafe fn is_upgraded_twin(request: &ffi::request_rec) -> bool {
    // SAFETY: the request's connection.
    let connection = unsafe { &*request.connection };
    // SAFETY: NULL, or the connection that this one is a stream of.
    let Some(master) = (unsafe { connection.master.as_ref() }) else {
        return false;
    };
    // SAFETY: the connection's own vector.
    let passage = unsafe { ffi::ap_get_module_config(master.conn_config, ffi::this()) };
    // SAFETY: NULL, or a passage that lives until the upgraded connection ends, and that nobody changes
    // meanwhile.
    let Some(first) = (unsafe { passage.cast::<Passage>().as_ref() }) else {
        return false;
    };
    first.asks_like(request) && first.take_upgrade()
}
