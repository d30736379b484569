//! `RequestHeader` in a target's block: mod_headers itself, run on a clone of the request.
//!
//! What it may read or write is cloned, down to the tables: production's request, and its response, stay as
//! they are.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use super::request::entries;
use super::{config, ffi, pool};
use crate::edit::{Edit, Edits};
use crate::message::Field;

/// The module whose directive it is.
const HEADERS: &CStr = c"mod_headers.c";

/// What one block says, as mod_headers has it; owned by `pconf`.
#[derive(Clone, Copy, Debug)]
pub struct Lines(*mut ffi::ap_conf_vector_t);

// SAFETY: nobody changes it once the configuration is read; it lives as long as what refers to it.
unsafe impl Send for Lines {}
// SAFETY: as above.
unsafe impl Sync for Lines {}

type Fixup = unsafe extern "C" fn(*mut ffi::request_rec) -> c_int;

/// The blocks of the configuration that is being read that have such lines, in the order of their places.
static READ: Mutex<Vec<Lines>> = Mutex::new(Vec::new());
/// What mod_headers does with a request before it is served, if it is loaded.
static FIXUP: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// mod_headers, if it is loaded.
static MODULE: AtomicPtr<ffi::module> = AtomicPtr::new(ptr::null_mut());

/// The blocks that were read since this was last called.
pub fn take() -> Vec<Lines> {
    std::mem::take(&mut *READ.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Takes note of a block's settings, if any line in it was mod_headers'.
///
/// # Safety
///
/// `settings` are those of the block, and live as long as the configuration.
pub unsafe fn of(settings: *mut ffi::ap_conf_vector_t) -> Option<Edits> {
    let module = headers()?;
    // SAFETY: the caller vouches for the vector; a module that is loaded.
    if unsafe { ffi::module_config(settings, module) }.is_null() {
        return None;
    }
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    read.push(Lines(settings));
    Some(Edits::at(read.len().saturating_sub(1)))
}

/// Finds mod_headers, and what it does with requests. It may lie elsewhere after a restart.
pub fn find() {
    // SAFETY: httpd's array of what runs before a request is served.
    let hooks = unsafe { ffi::ap_hook_get_fixups() };
    // SAFETY: NULL, or that array.
    let hooks = unsafe { hooks.as_ref() };
    let links: &[ffi::ap_LINK_fixups_t] = hooks.map_or(&[], |hooks| {
        match usize::try_from(hooks.nelts) {
            // SAFETY: the array has so many links.
            Ok(length) if length > 0 => unsafe {
                std::slice::from_raw_parts(hooks.elts.cast(), length)
            },
            _ => &[],
        }
    });
    // SAFETY: each link has the name of its module.
    let mut ours = links.iter().filter(|link| unsafe { pool::is(link.szName, HEADERS) });
    let found = ours.next().and_then(|link| link.pFunc);
    let place = found.map_or(ptr::null_mut(), |fixup| fixup as *mut ());
    FIXUP.store(place, Ordering::Release);
    let module = headers().map_or(ptr::null_mut(), <*const _>::cast_mut);
    MODULE.store(module, Ordering::Release);
}

fn fixup() -> Option<Fixup> {
    let place = FIXUP.load(Ordering::Acquire);
    // SAFETY: NULL, or what `find` put there.
    unsafe { std::mem::transmute::<*mut (), Option<Fixup>>(place) }
}

fn headers() -> Option<*const ffi::module> {
    // SAFETY: looks a module up by its name.
    let module = unsafe { ffi::ap_find_linked_module(HEADERS.as_ptr()) };
    (!module.is_null()).then_some(module.cast_const())
}

/// Changes the fields of one request.
pub struct Editing<'a>(pub &'a ffi::request_rec);

impl Edit for Editing<'_> {
    fn edited<'a>(&'a self, edits: Edits, fields: &[Field<'a>]) -> Option<Vec<Field<'a>>> {
        let Lines(settings) = *config::generation()?.edits.get(edits.index())?;
        let (fixup, headers) = (fixup()?, MODULE.load(Ordering::Acquire).cast_const());
        let pool = self.0.pool;
        // SAFETY: a record of httpd's; the clone goes before the request does.
        let mut clone = unsafe { ptr::read(self.0) };
        // SAFETY: the fields' texts are the request's own.
        clone.headers_in = unsafe { table(pool, fields) };
        for place in [
            &mut clone.headers_out,
            &mut clone.err_headers_out,
            &mut clone.notes,
            &mut clone.subprocess_env,
        ] {
            // SAFETY: a table of the request's, and its pool.
            *place = unsafe { ffi::apr_table_copy(pool, *place) };
        }
        // SAFETY: the request's pool.
        let vector = unsafe { ffi::ap_create_request_config(pool) };
        // SAFETY: httpd's list of modules, the request's settings, and a vector of the same size.
        unsafe { copy_settings(self.0.per_dir_config, vector) };
        // SAFETY: the block's own settings.
        let lines = unsafe { ffi::module_config(settings, headers) };
        // SAFETY: the vector that was made above.
        unsafe { ffi::ap_set_module_config(vector, headers, lines) };
        clone.per_dir_config = vector;
        // SAFETY: a request, on its own thread, all of whose parts that are written to are its own.
        unsafe { fixup(&raw mut clone) };
        // SAFETY: the clone's table, which nobody changes any more.
        let edited = unsafe { entries(clone.headers_in) };
        let field = |entry: &ffi::apr_table_entry_t| {
            // SAFETY: texts of the request's pool.
            let name = unsafe { pool::bytes(entry.key) };
            // SAFETY: as above.
            Field::new(name, unsafe { pool::bytes(entry.val) })
        };
        Some(edited.iter().map(field).collect())
    }
}

/// A table of these fields.
///
/// # Safety
///
/// Their texts are those of a table of httpd's: each ends in NUL, and lives as long as the pool.
unsafe fn table(pool: *mut ffi::apr_pool_t, fields: &[Field<'_>]) -> *mut ffi::apr_table_t {
    let length = c_int::try_from(fields.len()).unwrap_or(c_int::MAX);
    // SAFETY: the request's pool.
    let table = unsafe { ffi::apr_table_make(pool, length) };
    for field in fields {
        let (name, value) = (field.name.as_ptr().cast(), field.value.as_ptr().cast());
        // SAFETY: the caller vouches for the texts.
        unsafe { ffi::apr_table_addn(table, name, value) };
    }
    table
}

/// Copies every module's settings.
unsafe fn copy_settings(from: *const ffi::ap_conf_vector_t, to: *mut ffi::ap_conf_vector_t) {
    // SAFETY: httpd's list of modules, which ends in NULL.
    let mut module = unsafe { ffi::ap_top_module };
    // SAFETY: as above.
    while let Some(known) = unsafe { module.as_ref() } {
        // SAFETY: the caller passes the request's settings.
        let settings = unsafe { ffi::module_config(from, module) };
        // SAFETY: the caller passes a vector with a place for each module.
        unsafe { ffi::ap_set_module_config(to, module, settings) };
        module = known.next;
    }
}
