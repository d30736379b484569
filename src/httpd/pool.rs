//! Values that live in httpd's pools.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use super::guard::guard;
use super::{child, ffi};
use crate::boundary::Boundary;

/// Moves a value into a pool's memory; the pool drops it when it is cleared or destroyed, unless that is
/// the end of the child.
///
/// # Safety
///
/// `pool` is a live pool of httpd's, used by this thread alone.
pub unsafe fn own<T>(pool: *mut ffi::apr_pool_t, value: T) -> NonNull<T> {
    // SAFETY: the caller vouches for the pool.
    let place = unsafe { put(pool, value) };
    // SAFETY: as above, and the value was just written.
    unsafe { drop_with(pool, place) };
    place
}

/// Has a pool drop a value when it is cleared or destroyed, unless that is the end of the child.
///
/// # Safety
///
/// `pool` is a live pool of httpd's, used by this thread alone, and `place` has a value in its memory, which
/// nobody else drops.
pub unsafe fn drop_with<T>(pool: *mut ffi::apr_pool_t, place: NonNull<T>) {
    unsafe extern "C" fn drop_value<T>(value: *mut c_void) -> ffi::apr_status_t {
        if child::is_ending() {
            return success();
        }
        guard(Boundary::PoolCleanup, (), || {
            // SAFETY: the value at that place; a pool runs a cleanup once, and before it frees memory.
            unsafe { value.cast::<T>().drop_in_place() };
        });
        success()
    }
    // SAFETY: the caller vouches for the pool; a forked CGI's copy is not to run our destructors.
    unsafe {
        ffi::apr_pool_cleanup_register(
            pool,
            place.as_ptr().cast(),
            Some(drop_value::<T>),
            Some(ffi::apr_pool_cleanup_null),
        );
    }
}

/// Moves a value into a pool's memory, which is freed without a destructor.
///
/// # Safety
///
/// `pool` is a live pool of httpd's, used by this thread alone.
pub unsafe fn put<T>(pool: *mut ffi::apr_pool_t, value: T) -> NonNull<T> {
    // SAFETY: the caller vouches for the pool.
    let place = unsafe { allocate::<T>(pool) };
    // SAFETY: fresh memory of T's size and alignment.
    unsafe { place.write(value) };
    place
}

/// A place for a value in a pool's memory, and behind it a copy of plain data: one piece of memory for both.
///
/// # Safety
///
/// `pool` is a live pool of httpd's, used by this thread alone, and is not cleared during `'a`.
pub unsafe fn allocate_before<'a, T, E: Copy>(
    pool: *mut ffi::apr_pool_t,
    from: &[E],
) -> (NonNull<T>, &'a [E]) {
    const { assert!(align_of::<T>() <= 8 && align_of::<E>() <= 8, "APR aligns to 8 bytes") };
    const {
        assert!(size_of::<T>().is_multiple_of(align_of::<E>()), "what comes behind is aligned, too")
    };
    let bytes = size_of::<T>().saturating_add(size_of_val(from));
    // SAFETY: the caller vouches for the pool.
    let place = unsafe { ffi::apr_palloc(pool, bytes) }.cast::<T>();
    // SAFETY: within that memory, or at its end.
    let to = unsafe { place.add(1) }.cast::<E>();
    // SAFETY: fresh memory of that size.
    unsafe { to.copy_from_nonoverlapping(from.as_ptr(), from.len()) };
    // SAFETY: all of it was just written, and nobody else has the memory.
    let copy = unsafe { std::slice::from_raw_parts(to, from.len()) };
    // SAFETY: httpd's pools abort the process rather than return NULL.
    (unsafe { NonNull::new_unchecked(place) }, copy)
}

/// Memory for a value, as long as the pool is not cleared.
unsafe fn allocate<T>(pool: *mut ffi::apr_pool_t) -> NonNull<T> {
    const { assert!(align_of::<T>() <= 8, "APR aligns to 8 bytes") };
    // SAFETY: the caller vouches for the pool.
    let memory = unsafe { ffi::apr_palloc(pool, size_of::<T>()) }.cast::<T>();
    // SAFETY: httpd's pools abort the process rather than return NULL.
    unsafe { NonNull::new_unchecked(memory) }
}

/// Copies a text into a pool, as httpd wants messages from directives.
///
/// # Safety
///
/// `pool` is a live pool of httpd's, used by this thread alone.
pub unsafe fn text(pool: *mut ffi::apr_pool_t, text: &str) -> *const c_char {
    // SAFETY: the caller vouches for the pool; the source is valid for its length.
    unsafe { ffi::apr_pstrmemdup(pool, text.as_ptr().cast(), text.len()) }
}

/// The bytes of a C string; none for NULL.
///
/// # Safety
///
/// `text` is NULL, or ends in NUL and stays unchanged for `'a`.
pub unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: not NULL, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// The first two bytes of a C string, of which the second may be its NUL; none of an empty one.
///
/// # Safety
///
/// `text` ends in NUL.
#[inline(always)]
pub unsafe fn begin(text: *const c_char) -> Option<[u8; 2]> {
    let text = text.cast::<u8>();
    // SAFETY: its NUL, or a byte before.
    let first = unsafe { text.read() };
    if first == 0 {
        return None;
    }
    // SAFETY: another byte follows one that is not NUL.
    let second = unsafe { text.add(1) };
    // SAFETY: as above.
    Some([first, unsafe { second.read() }])
}

/// Whether a C string is the expected one; NULL is none. Mostly the first byte tells, before a length could.
///
/// # Safety
///
/// `text` is NULL, or ends in NUL.
pub unsafe fn is(text: *const c_char, expected: &CStr) -> bool {
    let mut expected = expected.to_bytes_with_nul().iter().enumerate();
    !text.is_null()
        && expected.all(|(at, byte)| {
            // SAFETY: within the text, for all bytes before were as expected, and none of them NUL.
            let place = unsafe { text.cast::<u8>().add(at) };
            // SAFETY: as above.
            unsafe { place.read() == *byte }
        })
}

/// `APR_SUCCESS` in the type that callbacks return.
pub const fn success() -> ffi::apr_status_t {
    ffi::APR_SUCCESS as ffi::apr_status_t
}
