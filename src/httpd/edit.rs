//! `RequestHeader` in a target's block: mod_headers itself, run on a clone of the request.
//!
//! What it may read or write is cloned, down to the tables: production's request, and its response, stay as
//! they are.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::request::{Fields, entries};
use super::{config, ffi, pool};
use crate::edit::{Edit, Edits};

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

/// See [`count_modules`].
static MODULES: AtomicUsize = AtomicUsize::new(0);

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

/// Finds mod_headers, and what it does with requests, when all modules are loaded. It may lie elsewhere after a restart.
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
    MODULES.store(count_modules(), Ordering::Relaxed);
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

impl<'a> Edit<Fields<'a>> for Editing<'a> {
    fn edited(&self, edits: Edits, fields: &Fields<'a>) -> Option<Fields<'a>> {
        let Lines(settings) = *config::generation()?.edits.get(edits.index())?;
        let (fixup, headers) = (fixup()?, MODULE.load(Ordering::Acquire).cast_const());
        let pool = self.0.pool;
        // SAFETY: a record of httpd's; the clone goes before the request does.
        let mut clone = unsafe { ptr::read(self.0) };
        // SAFETY: the request's own table and pool.
        clone.headers_in = unsafe { table(pool, self.0.headers_in, fields.entries()) };
        for place in [
            &mut clone.headers_out,
            &mut clone.err_headers_out,
            &mut clone.notes,
            &mut clone.subprocess_env,
        ] {
            // SAFETY: a table of the request's, and its pool.
            *place = unsafe { ffi::apr_table_copy(pool, *place) };
        }
        // SAFETY: the request's settings and pool.
        let vector = unsafe { copy_settings(self.0.per_dir_config, pool) };
        // SAFETY: the block's own settings.
        let lines = unsafe { ffi::module_config(settings, headers) };
        // SAFETY: the vector that was made above.
        unsafe { ffi::set_module_config(vector, headers, lines) };
        clone.per_dir_config = vector;
        // SAFETY: a request, on its own thread, all of whose parts that are written to are its own.
        unsafe { fixup(&raw mut clone) };
        // SAFETY: the clone's table, which nobody changes any more, of the request's pool.
        Some(Fields::of(unsafe { entries(clone.headers_in) }))
    }
}

/// A table with these entries: a copy of the request's own, as long as that is what was received.
///
/// # Safety
///
/// `own` is the request's table, and the texts of `received` are of its pool.
unsafe fn table(
    pool: *mut ffi::apr_pool_t,
    own: *const ffi::apr_table_t,
    received: &[ffi::apr_table_entry_t],
) -> *mut ffi::apr_table_t {
    let same = |(here, there): (&ffi::apr_table_entry_t, &ffi::apr_table_entry_t)| {
        ptr::eq(here.key, there.key) && ptr::eq(here.val, there.val)
    };
    // SAFETY: the caller vouches for the table.
    let here = unsafe { entries(own) };
    if here.len() == received.len() && here.iter().zip(received).all(same) {
        // SAFETY: the caller vouches for the table and the pool.
        return unsafe { ffi::apr_table_copy(pool, own) };
    }
    let length = c_int::try_from(received.len()).unwrap_or(c_int::MAX);
    // SAFETY: the request's pool.
    let table = unsafe { ffi::apr_table_make(pool, length) };
    for entry in received {
        // SAFETY: the caller vouches for the texts.
        unsafe { ffi::apr_table_addn(table, entry.key, entry.val) };
    }
    table
}

/// A vector with every module's settings.
///
/// # Safety
///
/// `from` are a request's settings, of this pool.
unsafe fn copy_settings(
    from: *const ffi::ap_conf_vector_t,
    pool: *mut ffi::apr_pool_t,
) -> *mut ffi::ap_conf_vector_t {
    // SAFETY: the request's pool.
    let to = unsafe { ffi::ap_create_request_config(pool) };
    let (places, from) = (to.cast::<*mut c_void>(), from.cast::<*mut c_void>());
    // SAFETY: each vector has a place for every module that is loaded, and this one was just made.
    unsafe { places.copy_from_nonoverlapping(from, MODULES.load(Ordering::Relaxed)) };
    to
}

/// How many places of a vector modules have: as many as are loaded, whose numbers begin at 0.
fn count_modules() -> usize {
    // SAFETY: httpd's list of modules, which is complete.
    let first = unsafe { ffi::ap_top_module };
    // SAFETY: NULL, or its first module.
    let first = unsafe { first.as_ref() };
    // SAFETY: the list ends in NULL.
    let all = std::iter::successors(first, |module| unsafe { module.next.as_ref() });
    let ends = all.filter_map(|module| usize::try_from(module.module_index.checked_add(1)?).ok());
    ends.max().unwrap_or_default()
}
