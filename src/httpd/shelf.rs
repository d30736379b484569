//! The memory of the reports of comparisons: made when the first configuration compares, found again after each restart.

use std::ffi::CStr;
use std::io;

use super::{retained, sys};
use crate::comparing::{ChildSlab, Header, SLABS, Shelf, VERSION};

const KEY: &CStr = c"mod_copy.c/shelf";
const BYTES: usize = size_of::<Header>() + SLABS * size_of::<ChildSlab>();

// All are made of atomics of 64 bits and less, and so follow one another without gaps.
const _: () = assert!(align_of::<ChildSlab>() == 8);
const _: () = assert!(size_of::<Header>().is_multiple_of(8));

/// The server's shelf, made where it is `wanted` and there is none. Only the parent calls this.
pub fn retained(wanted: bool) -> io::Result<Option<Shelf>> {
    if let Some(memory) = retained::find(KEY, VERSION) {
        return Ok(Some(view(memory)));
    }
    if !wanted {
        return Ok(None);
    }
    let memory = sys::shared_memory(BYTES)?;
    retained::keep(KEY, VERSION, memory);
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
