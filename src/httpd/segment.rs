//! The shared counters' memory: made once, found again after each restart.

use std::ffi::CStr;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::guard::count_panics_in;
use super::{child, ffi, retained, sys};
use crate::stats::{CHILDREN, Header, Row, Segment, VERSION};

const KEY: &CStr = c"mod_copy.c/segment";
/// The header rounded up, so that the rows after it are aligned.
const HEADER: usize = size_of::<Header>().next_multiple_of(align_of::<Row>());
const BYTES: usize = HEADER + CHILDREN * size_of::<Row>();

/// The server's segment, made at the first call in its life. Only the parent calls this.
pub fn retained() -> io::Result<Segment> {
    if let Some(memory) = retained::find(KEY, VERSION) {
        return Ok(view(memory));
    }
    let mut secret = [0_u64; 4];
    let bytes = size_of_val(&secret);
    // SAFETY: writes as many bytes as the array has.
    let status = unsafe { ffi::apr_generate_random_bytes(secret.as_mut_ptr().cast(), bytes) };
    if status != super::pool::success() {
        return Err(io::Error::other("no random bytes for the loop mark and the nonce"));
    }
    fresh(secret)
}

/// A new, empty segment with the loop mark of the former, whose children go on using that one, and what operators
/// have set of these targets. Only the parent calls this, and uses the former no more.
pub fn renewed<'a>(former: Segment, targets: impl Iterator<Item = &'a str>) -> io::Result<Segment> {
    let segment = fresh(former.secret())?;
    targets.for_each(|name| segment.take_over(&former, name));
    let faults = former.faults().load(Ordering::Relaxed);
    segment.faults().store(faults, Ordering::Relaxed);
    count_panics_in(segment.faults());
    // Where the parent is its own child (`httpd -X`), forwarders still count there, of whatever configuration.
    if !child::has_begun() {
        // SAFETY: mapped by `fresh`. This process has no thread but this one, as it never began a mirror: the
        // last configuration's views of it went with its pool, and the counter of panics has changed over.
        unsafe { sys::unmap(former.start().cast_mut().cast(), BYTES) };
    }
    Ok(segment)
}

fn fresh(secret: [u64; 4]) -> io::Result<Segment> {
    let memory = sys::shared_memory(BYTES)?;
    let segment = view(memory);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    segment.initialise(secret, now.as_secs());
    retained::keep(KEY, VERSION, memory);
    Ok(segment)
}

fn view(memory: *mut u8) -> Segment {
    // SAFETY: the mapping is page-aligned, zeroed, of `BYTES`, and unmapped only where nobody looks at it
    // any more; a header of zeroes is valid.
    let header = unsafe { &*memory.cast::<Header>() };
    // SAFETY: within the mapping; `HEADER` is a multiple of a row's alignment.
    let first = unsafe { memory.add(HEADER) }.cast::<Row>();
    // SAFETY: the mapping holds so many rows from here; zeroes are valid, and all cells are atomics.
    let rows = unsafe { std::slice::from_raw_parts(first, CHILDREN) };
    Segment::new(header, rows)
}
