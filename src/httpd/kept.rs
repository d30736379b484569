//! What httpd keeps for us of each server and each section: made, merged, and looked up for a request.

use std::ffi::{c_char, c_void};
use std::ptr;

use once_cell::sync::Lazy;

use super::guard::guard;
use super::{ffi, notes, pool, proxy};
use crate::boundary::Boundary;
use crate::config::{ProxyDefaults, ScopeSettings, ServerPolicy, ServerSettings};

/// What this module has for a server or virtual host.
#[derive(Clone, Copy, Debug)]
struct Server {
    settings: ServerSettings,
    policy: ServerPolicy,
}

/// What holds for all of a request's server.
///
/// # Safety
///
/// `server` is one of httpd's, and its configuration is complete.
pub unsafe fn server_policy(server: *const ffi::server_rec) -> &'static ServerPolicy {
    // SAFETY: the caller vouches for the server.
    let record = unsafe { server_record(server) };
    // SAFETY: every server has had a record since `resolve_servers`, and nobody changes it any more.
    let record = unsafe { &*record };
    &record.policy
}

/// What holds in a request's scope.
///
/// # Safety
///
/// `scope` is a per-directory configuration of httpd's, which lives for `'a`.
pub unsafe fn scope_settings<'a>(scope: *const ffi::ap_conf_vector_t) -> &'a ScopeSettings {
    // SAFETY: the caller vouches for the vector.
    let settings = unsafe { ffi::module_config(scope, ffi::this()) };
    // SAFETY: NULL, or made by `create_scope` or `merge_scopes`, which nobody changes afterwards.
    let settings = unsafe { settings.cast::<ScopeSettings>().as_ref() };
    // SAFETY: a static, which nobody writes to.
    settings.unwrap_or_else(|| unsafe { &*nowhere() })
}

pub unsafe extern "C" fn create_scope(pool: *mut ffi::apr_pool_t, _: *mut c_char) -> *mut c_void {
    guard(Boundary::CreateScope, ptr::null_mut(), || {
        // SAFETY: httpd passes a live pool.
        unsafe { pool::put(pool, ScopeSettings::default()) }.as_ptr().cast()
    })
}

pub unsafe extern "C" fn merge_scopes(
    pool: *mut ffi::apr_pool_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    let nowhere = nowhere().cast::<c_void>().cast_mut();
    if outer == nowhere || inner == nowhere {
        return nowhere;
    }
    guard(Boundary::MergeScopes, nowhere, || {
        // SAFETY: httpd passes what `create_scope` or this function made, and never NULL.
        let outer = unsafe { &*outer.cast::<ScopeSettings>() };
        // SAFETY: as above.
        let inner = unsafe { &*inner.cast::<ScopeSettings>() };
        // SAFETY: httpd passes a live pool.
        unsafe { pool::put(pool, outer.merge(inner)) }.as_ptr().cast()
    })
}

/// Where nothing is copied, whatever is written in a section within: what a fault of ours leaves of a
/// scope. Nobody writes to it.
fn nowhere() -> *const ScopeSettings {
    static NOWHERE: Lazy<ScopeSettings> = Lazy::new(ScopeSettings::default);
    ptr::from_ref(&*NOWHERE)
}

pub unsafe extern "C" fn create_server(
    pool: *mut ffi::apr_pool_t,
    _: *mut ffi::server_rec,
) -> *mut c_void {
    guard(Boundary::CreateServer, ptr::null_mut(), || {
        // SAFETY: httpd passes a live pool.
        unsafe { place_server(pool, ServerSettings::default()) }.cast()
    })
}

pub unsafe extern "C" fn merge_servers(
    pool: *mut ffi::apr_pool_t,
    main: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    guard(Boundary::MergeServers, ptr::null_mut(), || {
        // SAFETY: httpd passes what `create_server` made, or NULL where that failed.
        let main = unsafe { main.cast::<Server>().as_ref() };
        // SAFETY: as above.
        let inner = unsafe { inner.cast::<Server>().as_ref() };
        let (Some(main), Some(inner)) = (main, inner) else { return ptr::null_mut() };
        // SAFETY: httpd passes a live pool.
        unsafe { place_server(pool, main.settings.merge(&inner.settings)) }.cast()
    })
}

unsafe fn place_server(pool: *mut ffi::apr_pool_t, settings: ServerSettings) -> *mut Server {
    // SAFETY: the caller vouches for the pool.
    unsafe {
        pool::put(pool, Server { settings, policy: settings.resolve(ProxyDefaults::default()) })
    }
    .as_ptr()
}

unsafe fn server_record(server: *const ffi::server_rec) -> *mut Server {
    // SAFETY: the caller passes a server of httpd's.
    let configs = unsafe { (*server).module_config };
    // SAFETY: httpd's vector of that server.
    unsafe { ffi::module_config(configs, ffi::this()) }.cast()
}

/// What the directives of a server have set so far; `None` where a fault of ours has left nothing to set.
///
/// # Safety
///
/// `server` is the one that a directive is being read for, and nobody else uses its settings meanwhile.
pub unsafe fn server_settings<'a>(
    server: *const ffi::server_rec,
) -> Option<&'a mut ServerSettings> {
    // SAFETY: the caller vouches for the server.
    let record = unsafe { server_record(server) };
    // SAFETY: `create_server` made it when the server's first directive of ours was met.
    unsafe { record.as_mut() }.map(|record| &mut record.settings)
}

/// Gives every server a record of its own, with its settings resolved.
///
/// # Safety
///
/// `main` is httpd's main server, whose configuration was read, and `pconf` the configuration's pool.
pub unsafe fn resolve_servers(pconf: *mut ffi::apr_pool_t, main: *mut ffi::server_rec) {
    // SAFETY: the configuration was read.
    let noted = unsafe { notes::are_named() };
    // SAFETY: the caller passes httpd's main server.
    let shared = unsafe { server_record(main) };
    // SAFETY: `create_server` made it when the module was loaded, unless that failed.
    let settings = unsafe { shared.as_ref() }.map(|shared| shared.settings).unwrap_or_default();
    let mut next = main;
    // SAFETY: httpd's list of servers ends in NULL.
    while let Some(server) = unsafe { next.as_ref() } {
        // SAFETY: a server of httpd's.
        let mut record = unsafe { server_record(next) };
        if record.is_null() || (record == shared && next != main) {
            // A virtual host without directives of ours shares the main server's record, but may
            // have settings of mod_proxy's of its own.
            let settings = if record.is_null() { ServerSettings::default() } else { settings };
            // SAFETY: httpd's pool of this configuration.
            record = unsafe { place_server(pconf, settings) };
            // SAFETY: httpd's vector of that server.
            unsafe { ffi::set_module_config(server.module_config, ffi::this(), record.cast()) };
        }
        // SAFETY: a server of httpd's.
        let proxy = unsafe { proxy::defaults(next) };
        // SAFETY: made by `create_server` or `merge_servers`; no request runs yet.
        let record = unsafe { &mut *record };
        record.policy = record.settings.resolve(proxy);
        record.policy.noted = noted;
        next = server.next;
    }
}
