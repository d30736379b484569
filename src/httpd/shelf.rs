//! The memory of the reports of comparisons: made when the first configuration compares, found again after each restart.

use std::io;

use super::{ffi, sys};
use crate::comparing::{ChildSlab, Header, SLABS, Shelf, VERSION};

/// What httpd keeps for us between configurations.
#[repr(C)]
struct Retained {
    version: u64,
    memory: *mut u8,
}

const KEY: &std::ffi::CStr = c"mod_copy.c/shelf";
const BYTES: usize = size_of::<Header>() + SLABS * size_of::<ChildSlab>();

// All are made of atomics of 64 bits and less, and so follow one another without gaps.
const _: () = assert!(align_of::<ChildSlab>() == 8);
const _: () = assert!(size_of::<Header>().is_multiple_of(8));

/// The server's shelf, made where it is `wanted` and there is none. Only the parent calls this.
pub fn retained(wanted: bool) -> io::Result<Option<Shelf>> {
    // SAFETY: the key ends in NUL; what httpd kept is what is stored below.
    let mut retained = unsafe { ffi::ap_retained_data_get(KEY.as_ptr()) }.cast::<Retained>();
    if !retained.is_null() {
        // SAFETY: not NULL, and of this type ever since it was created.
        let Retained { version, memory } = unsafe { retained.read() };
        if version == VERSION && !memory.is_null() {
            return Ok(Some(view(memory)));
        }
    }
    if !wanted {
        return Ok(None);
    }
    let memory = sys::shared_memory(BYTES)?;
    if retained.is_null() {
        // SAFETY: as above; httpd clears the memory it gives.
        let created = unsafe { ffi::ap_retained_data_create(KEY.as_ptr(), size_of::<Retained>()) };
        retained = created.cast();
    }
    // SAFETY: memory of this type's size that lives as long as the server, written by the parent alone.
    unsafe { retained.write(Retained { version: VERSION, memory }) };
    Ok(Some(view(memory)))
}

fn view(memory: *mut u8) -> Shelf {
    // SAFETY: the mapping is page-aligned, zeroed, of `BYTES`, and never unmapped; a header of zeroes is valid.
    let header = unsafe { &*memory.cast::<Header>() };
    // SAFETY: within the mapping, which holds `SLABS` slabs from here.
    let slabs = unsafe { memory.add(size_of::<Header>()) };
    // SAFETY: as above; zeroes are valid, and all is made of atomics.
    let slabs = unsafe { std::slice::from_raw_parts(slabs.cast::<ChildSlab>(), SLABS) };
    Shelf::new(header, slabs)
}
