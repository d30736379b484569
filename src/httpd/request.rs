//! What this module reads of httpd's `request_rec`, and what it keeps of one from its arrival on.

use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};
use std::time::Duration;

use super::witness::Watch;
use super::{child, edit, expr, ffi, handlers, kept, pool, proxy};
use crate::config::{ScopeSettings, ServerPolicy};
use crate::copylog::Requested;
use crate::journey::{Journey, Known, Scope};
use crate::message::{Field, Forwarded, HeaderSection, Notes, Received};
use crate::mirror::Chosen;
use crate::outcome::NotCopied;

/// A request's journey, beside what it looked like on arrival: other modules change `request_rec`.
pub struct Passage {
    pub journey: Journey,
    pub phase: Phase,
    /// The tee is reading, and so does not look at what is read within that.
    pub is_reading: bool,
    /// What it has spent in this module, if it is timed.
    pub spent: Duration,
    /// What is seen of production's answer, where that is compared.
    pub watch: Option<NonNull<Watch>>,
    method: *const c_char,
    target: *const c_char,
    /// The received fields, their texts shared, and what they say. They live as long as the request's pool,
    /// as the passage does: nobody sees them but through it.
    fields: &'static [ffi::apr_table_entry_t],
    notes: Notes<'static>,
}

/// How far httpd has come with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Its head was read.
    Arrived,
    /// Its `<Location>` sections were looked at: its scope is known, as far as its URL tells.
    Located,
    /// Access control has begun.
    Questioned,
    /// Access control has let it pass.
    Admitted,
}

impl Passage {
    /// Takes note of a client's request, if its server mirrors at all.
    ///
    /// Whoever keeps the pointer uses it for one look at a time: callbacks run one after another.
    ///
    /// # Safety
    ///
    /// `r` is a root request of httpd's that was just read.
    pub unsafe fn begin(r: *mut ffi::request_rec) -> Option<NonNull<Passage>> {
        let mirror = child::mirror()?;
        // SAFETY: the caller vouches for the request.
        let request = unsafe { &*r };
        // SAFETY: the request's server, whose configuration was completed before children began.
        let server: &'static ServerPolicy = unsafe { kept::server_policy(request.server) };
        if !server.mirrors {
            return None;
        }
        // SAFETY: the request's own table.
        let received = unsafe { entries(request.headers_in) };
        // SAFETY: the request's own pool.
        let (place, fields) = unsafe { pool::allocate_before(request.pool, received) };
        let notes = notes(fields);
        let passage = Passage {
            journey: Journey::begin(mirror, server, notes.content()),
            phase: Phase::Arrived,
            is_reading: false,
            spent: Duration::ZERO,
            watch: None,
            method: request.method,
            target: request.unparsed_uri,
            fields,
            notes,
        };
        let holds_nothing =
            !passage.journey.wants_content() && server.logs.is_none() && !server.noted;
        // SAFETY: the fresh place that it was given.
        unsafe { place.write(passage) };
        // Without content it is handed over as soon as it is selected, and without a log it holds nothing to be
        // dropped.
        if !holds_nothing {
            // SAFETY: the request's own pool, and what was just written to its memory.
            unsafe { pool::drop_with(request.pool, place) };
        }
        // SAFETY: the request's own vector.
        unsafe {
            ffi::set_module_config(request.request_config, ffi::this(), place.as_ptr().cast());
        }
        Some(place)
    }

    /// Whether the client asks for another protocol on this connection.
    pub fn asks_for_upgrade(&self) -> bool {
        self.notes.asks_for_upgrade
    }

    /// The method that the client sent.
    pub fn method(&self) -> &[u8] {
        // SAFETY: a text of the request's pool, which nobody changes in place.
        unsafe { pool::bytes(self.method) }
    }

    /// Whether the client sent content.
    pub fn has_content(&self) -> bool {
        self.notes.content().is_some()
    }

    /// The passage of a request or of what it was redirected to; `None` where its server mirrors nothing.
    ///
    /// # Safety
    ///
    /// `r` is a request of httpd's.
    pub unsafe fn of(r: *const ffi::request_rec) -> Option<NonNull<Passage>> {
        // SAFETY: the caller vouches for the request.
        Passage::of_root(unsafe { root(r) })
    }

    /// The same of a request that is a root.
    #[inline(always)]
    pub fn of_root(root: &ffi::request_rec) -> Option<NonNull<Passage>> {
        // SAFETY: the request's own vector, which has what `begin` put there.
        let passage = unsafe { ffi::module_config(root.request_config, ffi::this()) };
        NonNull::new(passage.cast())
    }

    /// Tells the journey the scope that holds for the request; `served` is what it was rewritten to, if
    /// it was. Returns whether it was selected.
    #[inline(always)]
    pub fn decide(&mut self, request: &ffi::request_rec, served: &ffi::request_rec) -> bool {
        if !self.journey.is_undecided() {
            return false;
        }
        if !self.is_scope_known(request) {
            self.journey.refuse(NotCopied::NotCopyable, scope_settings(request));
            return false;
        }
        let settings = scope_settings(request);
        let copyable = is_copyable(request) && (ptr::eq(request, served) || is_copyable(served));
        let (method, target) = (self.method, self.target);
        // SAFETY: a text of the request's pool, which nobody changes in place.
        let ask = unsafe { expr::Asking::new(request, method) };
        // SAFETY: as above.
        let text = |text| unsafe { pool::bytes(text) };
        let requested = move || Requested::received(text(method), text(target));
        let chosen = self.journey.choose(settings, copyable, &ask, requested);
        chosen.is_some_and(|chosen| self.select(request, settings, chosen))
    }

    #[inline(never)]
    fn select(
        &mut self,
        request: &ffi::request_rec,
        settings: &ScopeSettings,
        chosen: Chosen,
    ) -> bool {
        let received = Received {
            // SAFETY: texts of the request's pool, which nobody changes in place.
            method: unsafe { pool::bytes(self.method) },
            // SAFETY: as above.
            target: unsafe { pool::bytes(self.target) },
            fields: Fields::of(self.fields),
            connection: self.notes.connection,
            has_content: self.notes.content().is_some(),
        };
        let scope = Scope { settings, known: edit::Editing(request) };
        self.journey.select(chosen, &scope, &received)
    }

    /// Access control refused the request.
    pub fn refuse(&mut self, request: &ffi::request_rec) {
        self.journey.refuse(NotCopied::Refused, scope_settings(request));
    }

    /// Whether the settings that the request has are those of its scope: where it was answered before
    /// its sections were looked at, only if no section could make a difference.
    fn is_scope_known(&self, request: &ffi::request_rec) -> bool {
        // SAFETY: the request's server, whose configuration was completed before children began.
        self.phase >= Phase::Located || !unsafe { kept::server_policy(request.server) }.has_sections
    }
}

impl<'a> Known<'a> for edit::Editing<'a> {
    fn client(&self) -> Forwarded<'a> {
        let edit::Editing(request) = *self;
        // SAFETY: a text of the request's pool, which nobody changes in place.
        let client = unsafe { pool::bytes(request.useragent_ip) };
        Forwarded { client, proto: scheme(request) }
    }

    fn proxy_preserve_host(&self) -> bool {
        let edit::Editing(request) = *self;
        // SAFETY: the request's own vector.
        unsafe { proxy::preserve_host(request.per_dir_config) }
    }
}

/// What a request's way depends on.
fn notes<'a>(fields: &'a [ffi::apr_table_entry_t]) -> Notes<'a> {
    let mut notes = Notes::default();
    for entry in fields {
        // A table keeps how each name begins, its first four letters as capitals, and looks for none without that.
        if Notes::concern(entry.key_checksum) {
            // SAFETY: a text of the request's pool, which nobody changes in place.
            notes.note(name(entry), || unsafe { pool::bytes(entry.val) });
        }
    }
    notes
}

/// The fields of a table, measured as they are come to.
#[derive(Clone)]
pub struct Fields<'a>(std::slice::Iter<'a, ffi::apr_table_entry_t>);

impl<'a> Fields<'a> {
    pub fn of(entries: &'a [ffi::apr_table_entry_t]) -> Fields<'a> {
        Fields(entries.iter())
    }

    /// Those that are still to come, as httpd has them.
    pub fn entries(&self) -> &'a [ffi::apr_table_entry_t] {
        self.0.as_slice()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        self.0.next().map(field)
    }

    /// So that who collects them allocates once.
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a> HeaderSection<'a> for Fields<'a> {
    fn beginning(self, so: impl Fn([u8; 2]) -> bool) -> impl Iterator<Item = Field<'a>> {
        // SAFETY: a text of the request's pool.
        let entries =
            self.0.filter(move |entry| unsafe { pool::begin(entry.key) }.is_some_and(&so));
        entries.map(field)
    }
}

/// The field that an entry of a request's table stands for.
#[inline(always)]
fn field(entry: &ffi::apr_table_entry_t) -> Field<'_> {
    // SAFETY: a text of the request's pool, which nobody changes in place.
    Field::new(name(entry), unsafe { pool::bytes(entry.val) })
}

#[inline(always)]
fn name(entry: &ffi::apr_table_entry_t) -> &[u8] {
    // SAFETY: a text of the request's pool, and there is one: whatever puts an entry into a table reads its first letters.
    unsafe { CStr::from_ptr(entry.key) }.to_bytes()
}

/// The entries of a table.
///
/// # Safety
///
/// `table` lives and stays unchanged for `'a`.
pub unsafe fn entries<'a>(table: *const ffi::apr_table_t) -> &'a [ffi::apr_table_entry_t] {
    // SAFETY: the caller vouches for the table.
    let array = unsafe { ffi::apr_table_elts(table) };
    // SAFETY: the array within that table.
    let array = unsafe { &*array };
    match usize::try_from(array.nelts) {
        // SAFETY: a table's array holds `nelts` entries.
        Ok(length) if length > 0 => unsafe {
            std::slice::from_raw_parts(array.elts.cast(), length)
        },
        _ => &[],
    }
}

/// What holds in a request's scope, as far as httpd has come with it.
fn scope_settings(request: &ffi::request_rec) -> &ScopeSettings {
    // SAFETY: the request's own vector.
    unsafe { kept::scope_settings(request.per_dir_config) }
}

/// A request, and what it was redirected to, in their order.
pub fn redirects(request: &ffi::request_rec) -> impl Iterator<Item = &ffi::request_rec> {
    // SAFETY: NULL, or what the request was redirected to, which lives as long.
    std::iter::successors(Some(request), |request| unsafe { request.next.as_ref() })
}

/// What a request was redirected to in the end, or itself.
pub fn answered(request: &ffi::request_rec) -> &ffi::request_rec {
    redirects(request).last().unwrap_or(request)
}

/// The client's request at the root of redirects and subrequests.
///
/// # Safety
///
/// `r` is a request of httpd's.
pub unsafe fn root<'a>(r: *const ffi::request_rec) -> &'a ffi::request_rec {
    // SAFETY: the caller passes a request of httpd's.
    let mut request = unsafe { &*r };
    while !is_root(request) {
        let parent = if request.prev.is_null() { request.main } else { request.prev };
        // SAFETY: the request that brought forth this one, and outlives it.
        request = unsafe { &*parent };
    }
    request
}

/// Whether a client asked for this itself: no subrequest, and not what an internal redirect made.
pub fn is_root(request: &ffi::request_rec) -> bool {
    request.main.is_null() && request.prev.is_null()
}

/// Whether a per-directory rewrite rule sends the request elsewhere.
pub fn is_rewritten(request: &ffi::request_rec) -> bool {
    is_handled_by(request, c"redirect-handler")
}

/// The client's request that this is, or was rewritten from; `None` for what came about otherwise, as
/// an `ErrorDocument`.
pub fn rewritten_from(request: &ffi::request_rec) -> Option<&ffi::request_rec> {
    let mut request = request;
    // SAFETY: NULL, or the request that brought forth this one, and outlives it.
    while let Some(before) = unsafe { request.prev.as_ref() } {
        if !is_rewritten(before) {
            return None;
        }
        request = before;
    }
    request.main.is_null().then_some(request)
}

/// Not for a handler of our own, nor a response that the server pushes unasked.
#[inline(always)]
fn is_copyable(request: &ffi::request_rec) -> bool {
    // SAFETY: the request's connection.
    let is_stream = !unsafe { (*request.connection).master }.is_null();
    (!is_stream || !is_pushed(request)) && handlers::Own::of(request).is_none()
}

/// Whether the server made up the request, to push its response over HTTP/2.
fn is_pushed(request: &ffi::request_rec) -> bool {
    // SAFETY: the request's own table; the name ends in NUL.
    let pushed = unsafe { ffi::apr_table_get(request.subprocess_env, c"H2_PUSHED".as_ptr()) };
    // SAFETY: NULL, or a text of the request's pool: mod_http2 sets an empty one for what was asked.
    !unsafe { pool::bytes(pushed) }.is_empty()
}

/// Whether the request goes to the handler of that name.
pub fn is_handled_by(request: &ffi::request_rec, handler: &CStr) -> bool {
    // SAFETY: NULL, or a text that lives as long as the request.
    unsafe { pool::is(request.handler, handler) }
}

fn scheme(request: &ffi::request_rec) -> &'static str {
    // SAFETY: a request of httpd's.
    let scheme = unsafe { ffi::ap_run_http_scheme(ptr::from_ref(request)) };
    // SAFETY: a text of the module that answered.
    if unsafe { pool::is(scheme, c"https") } { "https" } else { "http" }
}
