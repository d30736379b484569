//! What mod_proxy has set, where it is loaded: the defaults of our own directives.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use super::ffi;
use crate::config::ProxyDefaults;

/// mod_proxy's record, NULL where it is not loaded; found anew for each configuration.
static MOD_PROXY: AtomicPtr<ffi::module> = AtomicPtr::new(ptr::null_mut());

/// Finds mod_proxy among the modules of this configuration.
pub fn find() {
    // SAFETY: the name ends in NUL; httpd's module list is complete when configurations are checked.
    let module = unsafe { ffi::ap_find_linked_module(c"mod_proxy.c".as_ptr()) };
    MOD_PROXY.store(module, Ordering::Release);
}

/// `ProxyTimeout` and `ProxyReceiveBufferSize` of a server, where they are set.
///
/// # Safety
///
/// `server` is one of httpd's.
pub unsafe fn defaults(server: *const ffi::server_rec) -> ProxyDefaults {
    // SAFETY: the caller vouches for the server.
    let configs = unsafe { (*server).module_config };
    let Some(conf) = settings::<ffi::proxy_server_conf>(configs) else {
        return ProxyDefaults::default();
    };
    // SAFETY: mod_proxy's own record; these fields lie at the same place in every 2.4 (2.4.37 to .71).
    let micros = unsafe { (*conf).timeout };
    // SAFETY: as above.
    let bytes = unsafe { (*conf).recv_buffer_size };
    ProxyDefaults {
        // mod_proxy takes no timeout below a second, and has 0 where none is set.
        timeout: u64::try_from(micros).ok().filter(|micros| *micros > 0).map(Duration::from_micros),
        // Here 0 is the default, and means the system's.
        receive_buffer: u32::try_from(bytes).ok().filter(|bytes| *bytes > 0),
    }
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

/// mod_proxy's directives that are defaults of ours, as far as they are written for a server, with their values.
///
/// # Safety
///
/// `server` is one of httpd's.
pub unsafe fn written(server: *const ffi::server_rec) -> Vec<(&'static str, String)> {
    // SAFETY: the caller vouches for the server.
    let defaults = unsafe { defaults(server) };
    let timeout = defaults.timeout.map(|timeout| format!("{}s", timeout.as_secs()));
    let buffer = defaults.receive_buffer.map(|bytes| bytes.to_string());
    let all = [("ProxyTimeout", timeout), ("ProxyReceiveBufferSize", buffer)];
    let of_server = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    // SAFETY: as above.
    let scope = unsafe { (*server).lookup_defaults };
    // SAFETY: the server's own settings.
    of_server.chain(unsafe { written_in(scope) }).collect()
}

/// As [`written`], of those that may stand in a section.
///
/// # Safety
///
/// `scope` is a per-directory configuration of httpd's.
pub unsafe fn written_in(scope: *const ffi::ap_conf_vector_t) -> Vec<(&'static str, String)> {
    let conf = settings::<ffi::proxy_dir_conf>(scope);
    // SAFETY: NULL, or mod_proxy's own record.
    let conf = conf.and_then(|conf| unsafe { conf.as_ref() });
    let written = conf.filter(|conf| conf.preserve_host_set() != 0);
    let value = written.map(|conf| if conf.preserve_host() == 0 { "Off" } else { "On" });
    value.map(|value| ("ProxyPreserveHost", value.to_owned())).into_iter().collect()
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
