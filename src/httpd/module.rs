//! The module record that `LoadModule copy_module` finds: directives, configurations, hooks.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::guard::{guard, watch_panics};
use super::{block, child, config, dump, ffi, handlers, kept, status, tee, traffic, witness};
use crate::boundary::Boundary;
use crate::config::{Context, DIRECTIVES, Directive};

/// httpd's record of this module.
///
/// httpd writes to it while it loads the module; afterwards nobody does.
#[unsafe(no_mangle)]
pub static mut copy_module: ffi::module = ffi::module {
    version: ffi::MODULE_MAGIC_NUMBER_MAJOR as c_int,
    minor_version: ffi::MODULE_MAGIC_NUMBER_MINOR as c_int,
    module_index: -1,
    // With the ".c", as <IfModule> and the lists of hook orders want it.
    name: c"mod_copy.c".as_ptr(),
    dynamic_load_handle: ptr::null_mut(),
    next: ptr::null_mut(),
    magic: ffi::MODULE_MAGIC_COOKIE as _,
    rewrite_args: None,
    create_dir_config: Some(kept::create_scope),
    merge_dir_config: Some(kept::merge_scopes),
    create_server_config: Some(kept::create_server),
    merge_server_config: Some(kept::merge_servers),
    cmds: COMMANDS.0.as_ptr(),
    register_hooks: Some(register_hooks),
    flags: 0,
};

/// The directives as httpd's table, ended by an empty record.
struct Commands([ffi::command_rec; DIRECTIVES.len() + 1]);

// SAFETY: httpd only reads it; the pointers are to statics.
unsafe impl Sync for Commands {}

static COMMANDS: Commands = Commands(commands());

const fn commands() -> [ffi::command_rec; DIRECTIVES.len() + 1] {
    const END: ffi::command_rec = ffi::command_rec {
        name: ptr::null(),
        func: ffi::cmd_func { no_args: None },
        cmd_data: ptr::null_mut(),
        req_override: 0,
        args_how: ffi::cmd_how_RAW_ARGS,
        errmsg: ptr::null(),
    };
    let mut table = [END; DIRECTIVES.len() + 1];
    let mut rest: &[Directive] = &DIRECTIVES;
    let mut index = 0;
    while let [directive, more @ ..] = rest {
        #[allow(
            clippy::indexing_slicing,
            reason = "the table is one longer; checked when it is compiled"
        )]
        {
            table[index] = command(directive);
        }
        rest = more;
        index += 1;
    }
    table
}

const fn command(directive: &'static Directive) -> ffi::command_rec {
    let contexts = match directive.context {
        Context::Server | Context::VirtualHost => ffi::RSRC_CONF,
        // Allowed in sections, and never by AllowOverride.
        Context::Directory => ffi::RSRC_CONF | ffi::ACCESS_CONF,
    };
    let callback: unsafe extern "C" fn(_, _, _) -> _ = match directive.name.to_bytes() {
        [b'<', ..] => block::begin,
        _ => config::directive,
    };
    ffi::command_rec {
        name: directive.name.as_ptr(),
        func: ffi::cmd_func { raw_args: Some(callback) },
        cmd_data: ptr::from_ref(directive).cast::<c_void>().cast_mut(),
        req_override: contexts as c_int,
        args_how: ffi::cmd_how_RAW_ARGS,
        errmsg: directive.help.as_ptr(),
    }
}

/// Asks httpd for the callbacks. Runs at each start and restart.
unsafe extern "C" fn register_hooks(_pool: *mut ffi::apr_pool_t) {
    watch_panics();
    guard(Boundary::RegisterHooks, (), hook);
}

fn hook() {
    const REALLY_FIRST: c_int = ffi::APR_HOOK_REALLY_FIRST;
    const MIDDLE: c_int = ffi::APR_HOOK_MIDDLE as c_int;
    const LAST: c_int = ffi::APR_HOOK_LAST as c_int;
    let none = ptr::null();
    // SAFETY: httpd takes note of a function that lives as long as the process.
    unsafe { ffi::ap_hook_pre_config(Some(config::begin), none, none, MIDDLE) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_check_config(Some(config::check), none, none, MIDDLE) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_post_config(Some(config::complete), none, none, LAST) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_test_config(Some(dump::print), none, none, MIDDLE) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_child_init(Some(child::begin), none, none, LAST) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_post_read_request(Some(traffic::arrive), none, none, REALLY_FIRST) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_translate_name(Some(traffic::located), none, none, REALLY_FIRST) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_access_checker(Some(traffic::questioned), none, none, REALLY_FIRST) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_type_checker(Some(traffic::admitted), none, none, REALLY_FIRST) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_insert_filter(Some(traffic::decide), none, none, LAST) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_log_transaction(Some(traffic::conclude), none, none, REALLY_FIRST) };
    // Before mod_proxy, which takes all that its `ProxyPass "/"` has: whoever sets a handler means it.
    // SAFETY: as above.
    unsafe { ffi::ap_hook_handler(Some(handlers::handle), none, none, REALLY_FIRST) };
    // SAFETY: as above; the function is of the hook's type, and mod_status need not be there.
    unsafe { ffi::copy_hook_status(Some(status::append)) };
    // SAFETY: as above.
    unsafe { ffi::ap_hook_insert_error_filter(Some(witness::begin_anew), none, none, MIDDLE) };
    tee::register();
    witness::register();
}
