//! `<CopyTarget URL>` … `</CopyTarget>`: a target with directives that hold for its copies alone.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::guard::guard;
use super::{config, edit, ffi, pool};
use crate::boundary::Boundary;
use crate::config::{find, words};

/// Reads a block: its line, the directives in it, and with its end, the target.
pub unsafe extern "C" fn begin(
    cmd: *mut ffi::cmd_parms,
    scope: *mut c_void,
    arguments: *const c_char,
) -> *const c_char {
    const FAULT: &CStr = c"a fault of mod_copy was caught";
    guard(Boundary::Directive, FAULT.as_ptr(), || {
        // SAFETY: httpd's record, the scope around the block and the arguments of its line.
        let wrong = unsafe { config::directive(cmd, scope, arguments) };
        if !wrong.is_null() {
            return wrong;
        }
        // SAFETY: as above.
        let wrong = unsafe { walk(cmd) };
        if !wrong.is_null() {
            config::abandon_block();
            return wrong;
        }
        // SAFETY: as above.
        unsafe { config::close_block(cmd, scope) }
    })
}

/// Has httpd read what is in the block, as `<Proxy>` does: into settings of its own.
unsafe fn walk(cmd: *mut ffi::cmd_parms) -> *const c_char {
    // SAFETY: the caller passes httpd's record, of which nobody else knows.
    let parameters = unsafe { &mut *cmd };
    let block = parameters.directive;
    // SAFETY: httpd's node of the block.
    let first = unsafe { (*block).first_child };
    // SAFETY: NULL or the first of httpd's nodes in the block.
    if let Some((stranger, wrong)) = unsafe { stranger(first) } {
        parameters.err_directive = stranger;
        // SAFETY: httpd's pool for this configuration.
        return unsafe { pool::text(parameters.pool, &wrong) };
    }
    // SAFETY: as above.
    let settings = unsafe { ffi::ap_create_per_dir_config(parameters.pool) };
    let (path, overrides) = (parameters.path, parameters.override_);
    let (info, command) = (parameters.info, parameters.cmd);
    // As in any section: what stands in it is not for all requests.
    parameters.path = c"<CopyTarget>".as_ptr().cast_mut();
    parameters.override_ = (ffi::OR_ALL | ffi::RSRC_CONF | ffi::ACCESS_CONF) as c_int;
    // SAFETY: httpd's nodes, its record, and settings that were made for them.
    let wrong = unsafe { ffi::ap_walk_config(first, cmd, settings) };
    // SAFETY: as at the top; httpd has returned.
    let parameters = unsafe { &mut *cmd };
    parameters.path = path;
    parameters.override_ = overrides;
    // What httpd has set for each directive in the block.
    (parameters.info, parameters.cmd, parameters.directive) = (info, command, block);
    // SAFETY: the block's settings, of the configuration's pool.
    if let Some(edits) = unsafe { edit::of(settings) } {
        config::edits(edits);
    }
    wrong
}

/// The first directive that means nothing in a block, and what is wrong with it.
unsafe fn stranger(
    mut node: *mut ffi::ap_directive_t,
) -> Option<(*mut ffi::ap_directive_t, String)> {
    // SAFETY: the caller passes a list of httpd's nodes, which ends in NULL.
    while let Some(directive) = unsafe { node.as_ref() } {
        // SAFETY: the node's name.
        let name = String::from_utf8_lossy(unsafe { pool::bytes(directive.directive) });
        let is_ours = find(&name).is_some_and(|known| known.in_block);
        if !is_ours && !name.eq_ignore_ascii_case("RequestHeader") {
            return Some((node, format!("{name} is not allowed in <CopyTarget>")));
        }
        // SAFETY: the node's arguments.
        let arguments = String::from_utf8_lossy(unsafe { pool::bytes(directive.args) });
        if !is_ours && is_early(&words(&arguments)) {
            return Some((node, format!("{name}: early has no meaning in <CopyTarget>")));
        }
        node = directive.next;
    }
    None
}

/// Whether the words of a `RequestHeader` line say that it is for requests whose scope is not known yet: the
/// last of them, after an action, a name, and a value where the action has one.
fn is_early(words: &[String]) -> bool {
    let has_value = words.first().is_none_or(|action| !action.eq_ignore_ascii_case("unset"));
    let least = if has_value { 4 } else { 3 };
    words.len() >= least && words.last().is_some_and(|last| last.eq_ignore_ascii_case("early"))
}
