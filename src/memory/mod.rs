//! Every byte that copies hold in a child, counted against `CopyMemory`.
//!
//! ```text
//! buffer.rs     a copy's head and what content fits behind it, in one piece
//! segments.rs   larger content, in pieces
//! spares.rs     pieces that wait to be used again
//! ```
//!
//! Both are used again. What one thread allocates and another frees costs the allocator several times what
//! taking a spare does, and memory that the system gives anew costs a fault for each of its pages.
//!
//! Spare segments count as used, until something else needs the room; those that nobody needed for a second are
//! freed. Not counted is what serves the copies:
//! the small buffers that are kept for the next ones (at most an eighth of `CopyMemory`, and half a
//! megabyte), the places in the queues, lines of a `CopyLog` that wait to be written (see [`crate::copylog`]), and each
//! connection's own (some 32 KiB, and up to 128 KiB more while the head of an answer arrives that is as long as
//! one may be; over HTTP/2 what its windows let come at once, a megabyte, 32 KiB of content for each copy under
//! way, and 64 KiB that wait for its socket), and, in one piece, the bodies of the two answers that are compared just
//! now.
//!
//! Where masks, or a target's own lines, hide something of copies, whatever held one is wiped as soon as it is done
//! with: see [`Budget::wiping`].

mod buffer;
mod segments;
mod spares;

pub use buffer::{Buffer, Marks};
pub use segments::Segments;

use once_cell::sync::OnceCell;

use crate::sync::atomic::{AtomicUsize, Ordering};
use buffer::Sheet;
use spares::Spares;

/// The room that a small buffer has: enough for most heads and most forms.
const SMALL: usize = 2048;
/// The most small buffers that are kept for the next copies, of at most an eighth of the allowance.
const SPARES: usize = 256;
/// The bytes of a segment.
const SEGMENT: usize = 16 * 1024;
/// What a segment counts for: its bytes, and its place in a list that may be half empty.
const SEGMENT_LEASE: usize = SEGMENT + 2 * size_of::<Vec<u8>>();

/// The child's allowance of memory for copies being captured, queued and sent.
#[derive(Debug)]
pub struct Budget {
    /// Bytes that are leased, and those of spare segments.
    used: AtomicUsize,
    limit: usize,
    /// Whether what held a copy is wiped.
    wipes: bool,
    kept: OnceCell<Kept>,
}

/// Bytes that are counted while others hold them.
#[derive(Debug)]
pub struct Lease {
    budget: &'static Budget,
    bytes: usize,
}

impl Lease {
    /// Counts so many bytes more, as [`Budget::lease_aside`] does; whether the budget bears them.
    pub fn grow_aside(&mut self, more: usize) -> bool {
        let is_borne = self.budget.take_aside(more);
        self.bytes += if is_borne { more } else { 0 };
        is_borne
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Overwrites bytes with zeros, also where nobody reads them any more.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // As if somebody did: writing what is only freed then is otherwise left out.
    std::hint::black_box(bytes);
}

/// What was given back, and waits to be used again.
#[derive(Debug)]
struct Kept {
    small: Spares<Box<Sheet>>,
    segments: Spares<Vec<u8>>,
}

impl Budget {
    /// An unused allowance of `limit` bytes.
    pub const fn new(limit: usize) -> Budget {
        Budget { used: AtomicUsize::new(0), limit, wipes: false, kept: OnceCell::new() }
    }

    /// Whether what held a copy is overwritten with zeros when it is given back, and not only when the next copy
    /// comes: what staging may not see is then gone from this module's memory, and from a core of it.
    pub fn wiping(self, wipes: bool) -> Budget {
        Budget { wipes, ..self }
    }

    /// Makes the place for spares now, so that no request has to, nor waits for one that does.
    pub fn prepared(self) -> Budget {
        self.kept();
        self
    }

    /// Bytes that copies have leased now.
    pub fn used(&self) -> usize {
        let spare = self.kept().segments.count().saturating_mul(SEGMENT_LEASE);
        self.used.load(Ordering::Relaxed).saturating_sub(spare)
    }

    /// Bytes that there is room for now, for what copies go before or for copies: spares make room.
    fn left(&self, is_aside: bool) -> usize {
        let limit = if is_aside { self.limit / 2 } else { self.limit };
        limit.saturating_sub(self.used())
    }

    /// An empty buffer with room for so many bytes, or more; `None` where the budget or the system does not
    /// bear it.
    #[inline(always)]
    pub fn buffer(&'static self, bytes: usize) -> Option<Buffer> {
        Buffer::of(self, bytes)
    }

    /// No segments yet: they take memory as bytes arrive.
    pub fn segments(&'static self) -> Segments {
        Segments::of(self, false)
    }

    /// As [`segments`](Self::segments), for what copies go before: half of the budget is left to them.
    pub fn segments_aside(&'static self) -> Segments {
        Segments::of(self, true)
    }

    /// Counts bytes that are held elsewhere; `None` where the budget does not bear them.
    pub fn lease(&'static self, bytes: usize) -> Option<Lease> {
        self.take(bytes).then(|| Lease { budget: self, bytes })
    }

    /// As [`lease`](Self::lease), for what copies go before: half of the budget is left to them.
    pub fn lease_aside(&'static self, bytes: usize) -> Option<Lease> {
        self.take_aside(bytes).then(|| Lease { budget: self, bytes })
    }

    fn take_aside(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.limit / 2 && self.take(bytes)
    }

    #[inline]
    fn take(&self, bytes: usize) -> bool {
        self.take_unused(bytes) || self.take_from_spares(bytes)
    }

    /// Adds only what fits: one that does not is no reason for another not to.
    #[inline]
    fn take_unused(&self, bytes: usize) -> bool {
        let after = |used: usize| used.checked_add(bytes).filter(|after| *after <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok()
    }

    /// Frees spare segments until there is room enough.
    #[cold]
    fn take_from_spares(&self, bytes: usize) -> bool {
        while let Some(spare) = self.kept().segments.pop() {
            drop(spare);
            self.give_back(SEGMENT_LEASE);
            if self.take_unused(bytes) {
                return true;
            }
        }
        false
    }

    #[inline]
    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// An empty segment; `None` where the budget or the system does not bear it.
    fn segment(&self) -> Option<Vec<u8>> {
        if let Some(spare) = self.kept().segments.pop() {
            return Some(spare);
        }
        if !self.take(SEGMENT_LEASE) {
            return None;
        }
        let mut segment = Vec::new();
        // What the system does not give is as good as beyond the budget: no reason to abort.
        if segment.try_reserve_exact(SEGMENT).is_err() {
            self.give_back(SEGMENT_LEASE);
            return None;
        }
        Some(segment)
    }

    fn segment_aside(&self) -> Option<Vec<u8>> {
        let is_borne = self.used().saturating_add(SEGMENT_LEASE) <= self.limit / 2;
        if is_borne { self.segment() } else { None }
    }

    /// Keeps a segment for the next copy, or, where there are enough of them, frees it.
    fn spare(&self, mut segment: Vec<u8>) {
        if self.wipes {
            wipe(&mut segment);
        }
        segment.clear();
        if !self.kept().segments.push(segment) {
            self.give_back(SEGMENT_LEASE);
        }
    }

    /// Frees the spare segments that nobody has needed since the last time.
    pub fn trim(&self) {
        let trimmed = self.kept().segments.trim();
        self.give_back(trimmed.len().saturating_mul(SEGMENT_LEASE));
    }

    fn kept(&self) -> &Kept {
        self.kept.get_or_init(|| Kept {
            small: Spares::at_most((self.limit / SMALL / 8).clamp(1, SPARES)),
            segments: Spares::at_most((self.limit / SEGMENT_LEASE / 2).max(1)),
        })
    }
}
