//! The witness: an output filter that sees production's answer on its way to the client, and changes nothing.
//!
//! It is in the chain of those requests alone that are compared. It stands right above the filters that code the
//! content, so that it sees the content as it is. Each brigade is looked at and passed on at once, as it came: no bucket
//! is read that is not in memory already. What a file holds is read beside its bucket, as far as no disk need be waited for.

use std::ffi::{CStr, c_char, c_void};
use std::io::IoSliceMut;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Instant;

use rustix::fd::BorrowedFd;
use rustix::io::{ReadWriteFlags, preadv2};

use super::guard::guard_or;
use super::pool::success;
use super::request::{self, Passage};
use super::{ffi, kept, meter, pool, traffic};
use crate::boundary::Boundary;
use crate::comparing::{Keeping, Production, ProductionSide};
use crate::copylog::Occasion;
use crate::memory::Budget;

/// httpd's record of the filter; made anew for each configuration.
static FILTER: AtomicPtr<ffi::ap_filter_rec_t> = AtomicPtr::new(ptr::null_mut());

/// Right above those that code the content, as mod_deflate's.
const TYPE: ffi::ap_filter_type = ffi::ap_filter_type_AP_FTYPE_CONTENT_SET - 1;

/// An answer that is flushed more often is a stream: waiting for its end could take forever.
const FLUSHES: u32 = 16;
/// The media type of a stream that says so.
const STREAM: &[u8] = b"text/event-stream";
/// What is read of a file at once.
const PORTION: usize = 16 << 10;

/// What is seen of one answer, and who is told at its end.
pub struct Watch {
    keeping: Option<Keeping>,
    sides: Vec<ProductionSide>,
    /// When the request's handler was chosen, or its content had come.
    asked: Instant,
    flushes: u32,
    /// How the content is coded where it is seen, once some is.
    coding: Option<Vec<u8>>,
    /// Whether what was seen first was a part already, by whoever answers; else httpd cuts parts out below.
    was_partial: bool,
}

impl Watch {
    pub fn new(budget: &'static Budget, production: Production) -> Watch {
        let Production { sides, limit } = production;
        Watch {
            keeping: Some(Keeping::new(budget, limit)),
            sides,
            asked: Instant::now(),
            flushes: 0,
            coding: None,
            was_partial: false,
        }
    }

    /// What comes is not all of the answer.
    fn lose(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.lose();
        }
    }

    /// Whether the answer is still to come to its end.
    fn is_open(&self) -> bool {
        self.keeping.is_some()
    }

    /// The request has come whole: production's time begins, unless it answers already.
    pub fn asked(&mut self) {
        if self.keeping.as_ref().is_some_and(|keeping| !keeping.has_begun()) {
            self.asked = Instant::now();
        }
    }

    /// A fault of ours: what was taken may be half of the answer, and is compared with nothing.
    fn forget(&mut self) {
        self.keeping = None;
        self.sides.clear();
    }

    /// Another answer takes the place of what was seen.
    pub fn restart(&mut self) {
        (self.flushes, self.coding, self.was_partial) = (0, None, false);
        if let Some(keeping) = &mut self.keeping {
            keeping.restart();
        }
    }
}

/// Makes the filter known to httpd.
pub fn register() {
    let name = c"COPY_WITNESS".as_ptr();
    // SAFETY: httpd copies the name; the function lives as long as the process.
    let filter = unsafe { ffi::ap_register_output_filter(name, Some(witness), None, TYPE) };
    FILTER.store(filter, Ordering::Release);
}

/// Puts the filter into a request's chain, unless it is there.
///
/// # Safety
///
/// `r` is a live request of httpd's, and the watch is its root's.
pub unsafe fn install(r: *mut ffi::request_rec, watch: NonNull<Watch>) {
    let filter = FILTER.load(Ordering::Acquire);
    // SAFETY: the caller vouches for the request.
    let request = unsafe { &*r };
    let mut next = request.output_filters;
    // SAFETY: httpd's chain of filters ends in NULL.
    while let Some(link) = unsafe { next.as_ref() } {
        if link.frec == filter {
            return;
        }
        next = link.next;
    }
    let context = watch.as_ptr().cast::<c_void>();
    // SAFETY: the filter's record, and a context that lives as long as the root request.
    unsafe { ffi::ap_add_output_filter_handle(filter, context, r, request.connection) };
}

/// `insert_error_filter`: httpd answers with an error page, in the place of what was begun, and without its filters.
pub unsafe extern "C" fn begin_anew(r: *mut ffi::request_rec) {
    let begin = || {
        // SAFETY: httpd passes a live request to its hooks.
        if !unsafe { (*r).main }.is_null() {
            return;
        }
        // SAFETY: as above.
        let Some(mut passage) = (unsafe { Passage::of(r) }) else { return };
        // SAFETY: the only look at it.
        let Some(mut watch) = unsafe { passage.as_mut() }.watch else { return };
        // SAFETY: as above.
        unsafe { watch.as_mut() }.restart();
        // SAFETY: a live request, and its root's watch.
        unsafe { install(r, watch) };
    };
    // SAFETY: httpd passes a live request to its hooks; what looked at its passage has ended.
    guard_or(Boundary::Witness, (), begin, || unsafe { forget(r) });
}

/// Has production's answer to a request, or to what it was redirected to, compared with nothing.
///
/// # Safety
///
/// `r` is a live request of httpd's, and nobody looks at its passage.
pub unsafe fn forget(r: *const ffi::request_rec) {
    // SAFETY: the caller vouches for the request.
    let Some(mut passage) = (unsafe { Passage::of(r) }) else { return };
    // SAFETY: the only look at it, as the caller says.
    let Some(mut watch) = unsafe { passage.as_mut() }.watch else { return };
    // SAFETY: as above.
    unsafe { watch.as_mut() }.forget();
}

unsafe extern "C" fn witness(
    filter: *mut ffi::ap_filter_t,
    brigade: *mut ffi::apr_bucket_brigade,
) -> ffi::apr_status_t {
    // SAFETY: httpd's record of this filter in this chain.
    let &ffi::ap_filter_t { next, ctx: context, r, .. } = unsafe { &*filter };
    let watch = context.cast::<Watch>();
    let see = || {
        // SAFETY: the request that is answered.
        let started = meter::start(unsafe { &*r });
        // SAFETY: the request that is answered.
        let request = unsafe { &*r };
        // SAFETY: the context given to `install`; no hook runs while a brigade is looked at.
        let seen = unsafe { &mut *watch };
        // SAFETY: the brigade that is passed down.
        let ends = unsafe { look(brigade, request, seen) };
        // SAFETY: the request that is answered.
        if let Some(mut passage) = unsafe { Passage::of(r) } {
            // SAFETY: the only look at it.
            meter::stop(started, unsafe { passage.as_mut() });
        }
        ends
    };
    // SAFETY: the context given to `install`; what looked at it before has ended.
    let forget = || unsafe { &mut *watch }.forget();
    let ends = guard_or(Boundary::Witness, false, see, forget);
    // SAFETY: passed on as it came.
    let status = unsafe { ffi::ap_pass_brigade(next, brigade) };
    if ends {
        // The fields are complete when they have been sent.
        let bring = || {
            // SAFETY: the request that is answered: it outlives what its handler passes down.
            let request = unsafe { &*r };
            // SAFETY: as above.
            conclude(request, unsafe { &mut *watch });
        };
        guard_or(Boundary::Witness, (), bring, forget);
    } else if status != success() {
        // Its client is gone: whoever answers stops, and ends the answer in the middle.
        // SAFETY: the context given to `install`; what looked at it before has ended.
        guard_or(Boundary::Witness, (), || unsafe { &mut *watch }.lose(), forget);
    }
    status
}

/// Looks at what passes; whether the answer ends with it.
unsafe fn look(
    brigade: *mut ffi::apr_bucket_brigade,
    request: &ffi::request_rec,
    watch: &mut Watch,
) -> bool {
    if !watch.is_open() {
        return false;
    }
    // SAFETY: NULL, or a text of the request's pool.
    let media_type = unsafe { pool::bytes(request.content_type) };
    let is_stream = media_type.get(..STREAM.len()).is_some_and(|m| m.eq_ignore_ascii_case(STREAM));
    let mut bucket = ptr::null_mut();
    loop {
        // SAFETY: the caller passes a brigade of httpd's; NULL, or a bucket of it.
        let kind = unsafe { ffi::copy_next_bucket(brigade, &raw mut bucket) };
        let Some(keeping) = &mut watch.keeping else { return false };
        match kind {
            ffi::copy_bucket_kind_COPY_BUCKET_NONE => return false,
            ffi::copy_bucket_kind_COPY_BUCKET_EOS => {
                keeping.begins();
                // Whoever answers may know before a brigade is refused, and end the answer in the middle.
                if is_abandoned(request) {
                    keeping.lose();
                }
                return true;
            }
            // Production could not make its answer whole: what clients get is none.
            ffi::copy_bucket_kind_COPY_BUCKET_ERROR => keeping.lose(),
            ffi::copy_bucket_kind_COPY_BUCKET_FLUSH => {
                watch.flushes = watch.flushes.saturating_add(1);
                if watch.flushes > FLUSHES {
                    keeping.digest();
                }
            }
            ffi::copy_bucket_kind_COPY_BUCKET_DATA => {
                keeping.begins();
                if request.header_only != 0 || !keeping.wants_content() {
                    continue;
                }
                if is_stream {
                    keeping.digest();
                }
                note_form(request, watch);
                if let Some(keeping) = &mut watch.keeping {
                    // SAFETY: a bucket of data.
                    unsafe { take(bucket, keeping) };
                }
            }
            _ => {}
        }
    }
}

/// Whether the client is gone.
fn is_abandoned(request: &ffi::request_rec) -> bool {
    // SAFETY: the request's connection.
    let aborted = unsafe { &raw const (*request.connection).aborted };
    // SAFETY: as above; where it is a stream of HTTP/2, another thread may set this at any time.
    unsafe { aborted.read_volatile() != 0 }
}

/// Takes note of how the content is coded here, how long it is to be, and whether it is whole: those below may change
/// it, and say so.
fn note_form(request: &ffi::request_rec, watch: &mut Watch) {
    if watch.coding.is_none() {
        // SAFETY: the request's own table; the name ends in NUL.
        let field = unsafe { ffi::apr_table_get(request.headers_out, CODING.as_ptr()) };
        let coding = if field.is_null() { request.content_encoding } else { field };
        // SAFETY: NULL, or a text of the request's pool.
        watch.coding = Some(unsafe { pool::bytes(coding) }.to_vec());
        watch.was_partial = is_partial(request);
        // SAFETY: as above.
        let length = unsafe { ffi::apr_table_get(request.headers_out, LENGTH.as_ptr()) };
        // SAFETY: NULL, or a text of the request's pool.
        let length = std::str::from_utf8(unsafe { pool::bytes(length) }).unwrap_or_default();
        if let (Some(keeping), Ok(length)) = (&mut watch.keeping, length.parse()) {
            keeping.expect(length);
        }
    }
}

fn is_partial(request: &ffi::request_rec) -> bool {
    u32::try_from(request.status) == Ok(ffi::HTTP_PARTIAL_CONTENT)
}

/// Takes what a bucket holds, if that can be had without changing it.
unsafe fn take(bucket: *mut ffi::apr_bucket, keeping: &mut Keeping) {
    // SAFETY: the caller passes a bucket of httpd's.
    let &ffi::apr_bucket { length, start, .. } = unsafe { &*bucket };
    // SAFETY: as above.
    if unsafe { ffi::copy_bucket_is_in_memory(bucket) } != 0 {
        let (mut data, mut length): (*const c_char, usize) = (ptr::null(), 0);
        // SAFETY: as above; both results are written where the call succeeds.
        let read = unsafe { ffi::copy_bucket_read(bucket, &raw mut data, &raw mut length) };
        if read != success() || data.is_null() {
            return keeping.lose();
        }
        // SAFETY: valid until the bucket changes, which is not before it is passed on.
        return keeping.content(unsafe { std::slice::from_raw_parts(data.cast(), length) });
    }
    // SAFETY: as above.
    let file = unsafe { ffi::copy_bucket_file(bucket) };
    // Of a pipe, nobody knows what comes; and a longer file would take production's time.
    if file < 0 || length > keeping.room() {
        return keeping.lose();
    }
    // SAFETY: the bucket's file, which is open as long as it.
    read_file(unsafe { BorrowedFd::borrow_raw(file) }, start, length, keeping);
}

/// Reads a part of a file, whose own place in it stays where it is; as far as it is in memory, for the request
/// waits for no disk.
fn read_file(file: BorrowedFd<'_>, start: i64, length: usize, keeping: &mut Keeping) {
    let (Ok(mut place), mut left) = (u64::try_from(start), length) else { return keeping.lose() };
    let mut portion = [0; PORTION];
    while left > 0 {
        let most = portion.get_mut(..left.min(PORTION)).unwrap_or_default();
        let mut into = [IoSliceMut::new(&mut *most)];
        let read = preadv2(file, &mut into, place, ReadWriteFlags::NOWAIT).unwrap_or(0);
        let bytes = most.get(..read).filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes else { return keeping.lose() };
        keeping.content(bytes);
        place = place.saturating_add(read as u64);
        left = left.saturating_sub(read);
    }
}

const CODING: &CStr = c"Content-Encoding";
const LENGTH: &CStr = c"Content-Length";

/// The answer has passed: brings it to where it is compared.
fn conclude(request: &ffi::request_rec, watch: &mut Watch) {
    let Some(mut keeping) = watch.keeping.take() else { return };
    // What was seen is the whole of which clients get a part.
    if is_partial(request) && !watch.was_partial && watch.coding.is_some() {
        keeping.lose();
    }
    // SAFETY: the request's own table, as it was sent.
    let entries = unsafe { request::entries(request.headers_out) };
    let field = |entry: &ffi::apr_table_entry_t| {
        // SAFETY: a text of the request's pool.
        let name = unsafe { pool::bytes(entry.key) };
        // SAFETY: as above.
        (name, unsafe { pool::bytes(entry.val) })
    };
    let is = |name: &[u8], expected: &CStr| name.eq_ignore_ascii_case(expected.to_bytes());
    let mut fields: Vec<(&[u8], &[u8])> = entries.iter().map(field).collect();
    if !fields.iter().any(|(name, _)| is(name, c"Content-Type")) {
        // SAFETY: NULL, or a text of the request's pool.
        let media_type = unsafe { pool::bytes(request.content_type) };
        fields.extend((!media_type.is_empty()).then_some((&b"Content-Type"[..], media_type)));
    }
    // The content that was seen is coded as it was there.
    if let Some(coding) = &watch.coding {
        fields.retain(|(name, _)| !is(name, CODING));
        fields.push((CODING.to_bytes(), coding));
    }
    let lines = fields.iter().flat_map(|(name, value)| [*name, b":", *value, b"\n"]);
    keeping.head(u16::try_from(request.status).unwrap_or_default(), lines);
    // SAFETY: the request's server, whose configuration was completed before children began.
    if let Some(logs) = unsafe { kept::server_policy(request.server) }.comparison_logs {
        // SAFETY: httpd's live request.
        let root = unsafe { request::root(request) };
        let production = traffic::production_of(root, logs.name_parties);
        keeping.asked_by(Occasion { logs: logs.id, production });
    }
    let took = keeping.took_since(watch.asked).unwrap_or_else(|| watch.asked.elapsed());
    let kept = Arc::new(keeping.finish(took));
    for side in watch.sides.drain(..) {
        side.arrive(Arc::clone(&kept));
    }
}
