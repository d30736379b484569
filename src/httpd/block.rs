//! `<CopyTarget URL>` … `</CopyTarget>`: a target with directives that hold for its copies alone.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::guard::guard;
use super::{config, edit, expr, ffi, pool};
use crate::boundary::Boundary;
use crate::config::{Kind, find, words};

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
    if let Some((stranger, wrong)) = unsafe { stranger(cmd, first) } {
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

/// The first directive that means nothing in a block, or would make production wait, and what is wrong with it.
unsafe fn stranger(
    cmd: *const ffi::cmd_parms,
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
        let words = if is_ours { Vec::new() } else { words(&arguments) };
        if is_early(&words) {
            return Some((node, format!("{name}: early has no meaning in <CopyTarget>")));
        }
        // SAFETY: httpd's record, which the caller passes.
        let check = |(kind, text)| unsafe { expr::check(cmd, kind, text) };
        if let Err(wrong) = expressions(&words).try_for_each(check) {
            return Some((node, format!("{name}: {wrong}")));
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

/// The expressions in the words of a `RequestHeader` line: its value may be one, and its condition.
fn expressions(words: &[String]) -> impl Iterator<Item = (Kind, &str)> {
    let action = words.first().map(|action| action.to_ascii_lowercase()).unwrap_or_default();
    let condition = match action.as_str() {
        "unset" => 2,
        // A value stands behind the pattern that it replaces.
        "edit" | "edit*" => 4,
        _ => 3,
    };
    let expression =
        |word: &str| word.get(..5).is_some_and(|key| key.eq_ignore_ascii_case("expr="));
    let places = [(Kind::Text, condition - 1), (Kind::Condition, condition)];
    let places = places.into_iter().filter(|(_, place)| *place > 1);
    places.filter_map(move |(kind, place)| {
        let word = words.get(place).filter(|word| expression(word))?;
        Some((kind, word.get(5..)?))
    })
}
