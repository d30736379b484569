//! httpd's and APR's declarations, as bindgen reads them from `include/bindings.h`.
#![allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unused,
    unsafe_op_in_unsafe_fn,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));

/// `OK`, `DECLINED` and the status codes, in the type that hooks return.
pub const HOOK_OK: core::ffi::c_int = OK as core::ffi::c_int;
/// `APR_SUCCESS` in the type of statuses.
pub const APR_OK: apr_status_t = APR_SUCCESS as apr_status_t;
pub const HOOK_DECLINED: core::ffi::c_int = DECLINED as core::ffi::c_int;

unsafe extern "C" {
    /// httpd's record of this module, in `module.rs`.
    static mut copy_module: module;
}

/// What a vector of configurations holds for a module; NULL where it holds nothing.
///
/// httpd's own modules do so without a call too: its `ap_get_module_config` is a macro to them.
///
/// # Safety
///
/// `configs` is a vector of httpd's, and `module` is loaded.
#[inline(always)]
pub unsafe fn module_config(
    configs: *const ap_conf_vector_t,
    module: *const module,
) -> *mut core::ffi::c_void {
    // SAFETY: the caller vouches for both.
    let place = unsafe { place_of(configs, module) };
    // SAFETY: a place of the vector; httpd begins with NULL in each.
    unsafe { place.read() }
}

/// Sets what a vector of configurations holds for a module; as above.
///
/// # Safety
///
/// `configs` is a vector of httpd's, which nobody else uses meanwhile, and `module` is loaded.
#[inline(always)]
pub unsafe fn set_module_config(
    configs: *mut ap_conf_vector_t,
    module: *const module,
    value: *mut core::ffi::c_void,
) {
    // SAFETY: the caller vouches for both.
    let place = unsafe { place_of(configs, module) };
    // SAFETY: a place of the vector, which is the caller's now.
    unsafe { place.cast_mut().write(value) };
}

#[inline(always)]
unsafe fn place_of(
    configs: *const ap_conf_vector_t,
    module: *const module,
) -> *const *mut core::ffi::c_void {
    // SAFETY: the caller vouches for the module, whose place httpd has set when it loaded it.
    let index = unsafe { (*module).module_index };
    // SAFETY: a vector has a place for each module that is loaded.
    unsafe { configs.cast::<*mut core::ffi::c_void>().offset(index as isize) }
}

/// The module, as httpd's functions want it named.
pub fn this() -> *mut module {
    &raw mut copy_module
}
