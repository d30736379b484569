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

/// The module, as httpd's functions want it named.
pub fn this() -> *mut module {
    &raw mut copy_module
}
