//! What mod_proxy has set, where it is loaded: the defaults of our own directives.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use super::ffi;

/// mod_proxy's record, NULL where it is not loaded; found anew for each configuration.
static MOD_PROXY: AtomicPtr<ffi::module> = AtomicPtr::new(ptr::null_mut());

/// Finds mod_proxy among the modules of this configuration.
pub fn find() {
    // SAFETY: the name ends in NUL; httpd's module list is complete when configurations are checked.
    let module = unsafe { ffi::ap_find_linked_module(c"mod_proxy.c".as_ptr()) };
    MOD_PROXY.store(module, Ordering::Release);
}

/// `ProxyTimeout` of a server, if one is set.
///
/// # Safety
///
/// `server` is one of httpd's.
pub unsafe fn timeout(server: *const ffi::server_rec) -> Option<Duration> {
    // SAFETY: the caller vouches for the server.
    let configs = unsafe { (*server).module_config };
    let conf = settings::<ffi::proxy_server_conf>(configs)?;
    // SAFETY: mod_proxy's own record; this field lies at the same place in every 2.4 (2.4.37 to .71).
    let micros = unsafe { (*conf).timeout };
    // mod_proxy takes no timeout below a second, and has 0 where none is set.
    u64::try_from(micros).ok().filter(|micros| *micros > 0).map(Duration::from_micros)
}

/// `ProxyPreserveHost` in a request's scope.
///
/// # Safety
///
/// `scope` is a request's per-directory configuration.
pub unsafe fn preserve_host(scope: *const ffi::ap_conf_vector_t) -> bool {
    let Some(conf) = settings::<ffi::proxy_dir_conf>(scope) else {
        return false;
    };
    // SAFETY: mod_proxy's own record, which lives as long as the request.
    let conf = unsafe { &*conf };
    conf.preserve_host() != 0
}

/// What a vector of configurations holds for mod_proxy.
pub fn settings<T>(configs: *const ffi::ap_conf_vector_t) -> Option<*const T> {
    let module = MOD_PROXY.load(Ordering::Acquire);
    if module.is_null() || configs.is_null() {
        return None;
    }
    // SAFETY: a vector of httpd's and a module that is loaded in it.
    let conf = unsafe { ffi::module_config(configs, module) }.cast::<T>();
    (!conf.is_null()).then_some(conf.cast_const())
}
