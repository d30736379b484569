//! httpd's expressions: parsed while the configuration is read, evaluated on a request when a rule asks.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use super::guard::guard;
use super::{config, ffi, pool};
use crate::boundary::Boundary;
use crate::config::{Kind, Written};
use crate::select::{Ask, Expression};

/// What the parser is told that met a fault of ours.
const FAULT: &CStr = c"a fault of mod_copy was caught";

/// An expression's parse tree.
#[derive(Clone, Copy, Debug)]
pub struct Parsed(NonNull<ffi::ap_expr_info_t>);

// SAFETY: nobody changes a tree once it is parsed; it lives in pconf, as long as what refers to it.
unsafe impl Send for Parsed {}
// SAFETY: as above; what evaluating needs is in a context of its own.
unsafe impl Sync for Parsed {}

/// The expressions of the configuration that is being read, in the order of their places.
static READ: Mutex<Vec<Parsed>> = Mutex::new(Vec::new());

/// The expressions that were parsed since this was last called.
pub fn take() -> Vec<Parsed> {
    std::mem::take(&mut *READ.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Parses what has been written and is not parsed yet; the error is the parser's.
///
/// # Safety
///
/// `cmd` is httpd's record of the directive that wrote it.
pub unsafe fn parse(cmd: *const ffi::cmd_parms, written: &[Written]) -> Result<(), String> {
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    for expression in written.iter().skip(read.len()) {
        let Written { kind, key, text } = expression;
        // SAFETY: the caller vouches for the record.
        let parsed = unsafe { parse_one(cmd, *kind, text) };
        read.push(parsed.map_err(|error| format!("{key}=: {error}, in '{text}'"))?);
    }
    Ok(())
}

/// Whether an expression of another module's directive may be asked on the request path; the error is the parser's.
///
/// # Safety
///
/// `cmd` is httpd's record of a directive.
pub unsafe fn check(cmd: *const ffi::cmd_parms, kind: Kind, text: &str) -> Result<(), String> {
    // SAFETY: the caller vouches for the record.
    let parsed = unsafe { parse_one(cmd, kind, text) };
    parsed.map(drop).map_err(|error| format!("expr=: {error}, in '{text}'"))
}

unsafe fn parse_one(cmd: *const ffi::cmd_parms, kind: Kind, text: &str) -> Result<Parsed, String> {
    // Production's answer is not to vary by what is copied, and no file is to be looked at.
    let flags = ffi::AP_EXPR_FLAG_DONT_VARY | ffi::AP_EXPR_FLAG_RESTRICTED;
    let flags = match kind {
        Kind::Condition => flags,
        Kind::Text => flags | ffi::AP_EXPR_FLAG_STRING_RESULT,
    };
    let text = CString::new(text).map_err(|error| error.to_string())?;
    let mut error: *const c_char = ptr::null();
    // SAFETY: httpd's record, which nobody changes once the module is loaded.
    let module_index = unsafe { (*ffi::this()).module_index };
    // SAFETY: the caller vouches for the record; the text ends in NUL and is copied where it is kept.
    let tree = unsafe {
        ffi::ap_expr_parse_cmd_mi(
            cmd,
            text.as_ptr(),
            flags,
            &raw mut error,
            Some(look_up),
            module_index,
        )
    };
    match NonNull::new(tree) {
        Some(tree) if error.is_null() => Ok(Parsed(tree)),
        // SAFETY: NULL, or a text of the pool that the record names.
        _ => Err(String::from_utf8_lossy(unsafe { pool::bytes(error) }).into_owned()),
    }
}

/// Looks up an operator, function or variable, unless it could make production wait.
unsafe extern "C" fn look_up(asked: *mut ffi::ap_expr_lookup_parms) -> c_int {
    const FAILED: c_int = 1;
    let found = guard(Boundary::Expression, Err(FAULT), || {
        // SAFETY: the parser's record of what it asks.
        let parms = unsafe { &*asked };
        // SAFETY: a text of the parser's.
        let name = unsafe { pool::bytes(parms.name) };
        match refusal(parms.type_, name) {
            Some(refusal) => Err(refusal),
            // SAFETY: what the parser would have called.
            None => Ok(unsafe { ffi::ap_expr_lookup_default(asked) }),
        }
    });
    found.unwrap_or_else(|refusal| {
        // SAFETY: the parser's record, with its place for an error.
        let place = unsafe { (*asked).err };
        // SAFETY: as above; the text is static.
        unsafe { place.write(refusal.as_ptr()) };
        FAILED
    })
}

fn refusal(kind: c_int, name: &[u8]) -> Option<&'static CStr> {
    let is = |one_of: &[&str]| one_of.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
    match u32::try_from(kind).unwrap_or_default() {
        // Letter case matters: -f is a test of its own, which is restricted.
        ffi::AP_EXPR_FUNC_OP_UNARY if matches!(name, b"F" | b"U" | b"A") => {
            Some(c"-F, -U and -A run subrequests, for which production would wait")
        }
        ffi::AP_EXPR_FUNC_VAR if is(&["REMOTE_HOST", "REMOTE_IDENT"]) => {
            Some(c"REMOTE_HOST and REMOTE_IDENT ask over the network, for which production would wait")
        }
        ffi::AP_EXPR_FUNC_VAR if is(&["SCRIPT_USER", "SCRIPT_GROUP"]) => {
            Some(c"SCRIPT_USER and SCRIPT_GROUP ask the system's name service, for which production would wait")
        }
        _ => None,
    }
}

/// Evaluates expressions on one request.
pub struct Asking<'a> {
    request: &'a ffi::request_rec,
    method: *const c_char,
}

impl Asking<'_> {
    /// Asks the request, whose client sent this method.
    ///
    /// # Safety
    ///
    /// `method` is a text that nobody changes as long as the request lives.
    pub unsafe fn new(request: &ffi::request_rec, method: *const c_char) -> Asking<'_> {
        Asking { request, method }
    }

    fn tree(expression: Expression) -> Result<*const ffi::ap_expr_info_t, &'static [u8]> {
        let generation = config::generation();
        let parsed = generation.and_then(|known| known.expressions.get(expression.index()));
        parsed.map(|Parsed(tree)| tree.as_ptr().cast_const()).ok_or(b"it is gone")
    }

    fn request(&self) -> *mut ffi::request_rec {
        ptr::from_ref(self.request).cast_mut()
    }
}

impl Ask for Asking<'_> {
    fn method(&self) -> &[u8] {
        // SAFETY: whoever made this vouches for the text.
        unsafe { pool::bytes(self.method) }
    }

    fn is_set(&self, variable: &CStr) -> bool {
        // SAFETY: the request's own table; the name ends in NUL.
        !unsafe { ffi::apr_table_get(self.request.subprocess_env, variable.as_ptr()) }.is_null()
    }

    fn holds(&self, expression: Expression) -> Result<bool, &[u8]> {
        let tree = Asking::tree(expression)?;
        let mut error: *const c_char = ptr::null();
        // SAFETY: a live request, on its own thread, and a tree of this configuration's.
        let result = unsafe { ffi::ap_expr_exec(self.request(), tree, &raw mut error) };
        // SAFETY: NULL, or a text that lives as long as the request.
        if result < 0 { Err(unsafe { pool::bytes(error) }) } else { Ok(result > 0) }
    }

    fn text(&self, expression: Expression) -> Result<&[u8], &[u8]> {
        let tree = Asking::tree(expression)?;
        let mut error: *const c_char = ptr::null();
        // SAFETY: as above.
        let result = unsafe { ffi::ap_expr_str_exec(self.request(), tree, &raw mut error) };
        if !error.is_null() {
            // SAFETY: a text that lives as long as the request.
            return Err(unsafe { pool::bytes(error) });
        }
        // SAFETY: NULL, or a text that lives as long as the request or the configuration.
        Ok(unsafe { pool::bytes(result) })
    }
}
