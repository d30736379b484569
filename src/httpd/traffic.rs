//! The hooks that a request passes: arrival, admission, decision, conclusion.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use super::guard::guard_request;
use super::request::{self, Passage, Phase};
use super::witness::{self, Watch};
use super::{child, ffi, kept, meter, notes, pool, tee, trail};
use crate::boundary::Boundary;
use crate::clock;
use crate::comparing::Production as Compared;
use crate::copylog::{Id, Parties, Production};

/// `post_read_request`: takes note of a client's request before any module changes it.
pub unsafe extern "C" fn arrive(r: *mut ffi::request_rec) -> c_int {
    let work = || {
        // SAFETY: httpd passes a live request to its hooks.
        let request = unsafe { &*r };
        if !request::is_root(request) || is_upgraded_twin(request) {
            return ffi::HOOK_DECLINED;
        }
        let started = meter::start(request);
        // SAFETY: a root request that was just read.
        if let Some(mut passage) = unsafe { Passage::begin(r) } {
            // SAFETY: the only look at it.
            let here = unsafe { passage.as_ref() };
            let (wants_content, upgrades) = (here.journey.wants_content(), here.asks_for_upgrade());
            if wants_content {
                // SAFETY: a live request, and its passage.
                unsafe { tee::install(r, passage) };
            }
            if upgrades {
                remember_upgrade(request);
            }
            // SAFETY: the only look at it.
            meter::stop(started, unsafe { passage.as_mut() });
        }
        ffi::HOOK_DECLINED
    };
    // SAFETY: httpd passes a live request to its hooks.
    unsafe { guard_request(Boundary::Arrive, r, ffi::HOOK_DECLINED, work) }
}

/// `translate_name`: the request's `<Location>` sections have been looked at.
pub unsafe extern "C" fn located(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd passes a live request to its hooks.
    unsafe { reach(r, Phase::Located) }
}

/// `access_checker`: access control begins.
pub unsafe extern "C" fn questioned(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd passes a live request to its hooks.
    unsafe { reach(r, Phase::Questioned) }
}

/// `type_checker`: access control has let the request pass.
pub unsafe extern "C" fn admitted(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd passes a live request to its hooks.
    unsafe { reach(r, Phase::Admitted) }
}

unsafe fn reach(r: *mut ffi::request_rec, phase: Phase) -> c_int {
    let work = || {
        // SAFETY: the caller passes a live request.
        let request = unsafe { &*r };
        // Subrequests, and what a request is redirected to, have a vector of their own, and no passage in it.
        if let Some(mut passage) = Passage::of_root(request) {
            // SAFETY: the only look at it.
            unsafe { passage.as_mut() }.phase = phase;
        }
        ffi::HOOK_DECLINED
    };
    // SAFETY: the caller passes a live request.
    unsafe { guard_request(Boundary::Reach, r, ffi::HOOK_DECLINED, work) }
}

/// `insert_filter`: the scope is known and access control has passed.
pub unsafe extern "C" fn decide(r: *mut ffi::request_rec) {
    let work = || {
        // SAFETY: httpd passes a live request to its hooks.
        let request = unsafe { &*r };
        if !request.main.is_null() {
            return;
        }
        let started = meter::start(request);
        // SAFETY: as above.
        let Some(mut passage) = (unsafe { Passage::of(r) }) else { return };
        // What a rewrite rule redirects is admitted, or refused, where it is redirected to.
        let root = request::rewritten_from(request).filter(|_| !request::is_rewritten(request));
        if let Some(root) = root {
            // SAFETY: the root's passage, and the only look at it.
            unsafe { trail::begin(root, passage) };
        }
        // SAFETY: the only look at it.
        let here = unsafe { passage.as_mut() };
        if let Some(root) = root
            && here.decide(root, request)
            && let Some(production) = here.journey.production_sides()
        {
            // SAFETY: the root request's own pool.
            unsafe { begin_watch(root.pool, here, *production) };
        }
        if let Some(watch) = here.watch {
            // SAFETY: a live request, and its root's watch.
            unsafe { watch_answer(r, watch) };
        }
        if here.journey.wants_content() {
            // Content negotiation and internal redirects may have taken the tee out.
            // SAFETY: a live request, and its root's passage.
            unsafe { tee::install(r, passage) };
        }
        // SAFETY: the only look at it.
        meter::stop(started, unsafe { passage.as_mut() });
    };
    // SAFETY: httpd passes a live request to its hooks.
    unsafe { guard_request(Boundary::Decide, r, (), work) };
}

/// Production's answer is compared: it is to be seen.
#[cold]
unsafe fn begin_watch(pool: *mut ffi::apr_pool_t, here: &mut Passage, production: Compared) {
    let watch = Watch::new(here.journey.budget(), production);
    // SAFETY: the caller passes the root request's pool.
    here.watch = Some(unsafe { pool::own(pool, watch) });
}

#[cold]
unsafe fn watch_answer(r: *mut ffi::request_rec, mut watch: NonNull<Watch>) {
    // A document that is redirected to takes the place of what was begun.
    // SAFETY: the only look at it.
    unsafe { watch.as_mut() }.restart();
    // SAFETY: the caller passes a live request, and its root's watch.
    unsafe { witness::install(r, watch) };
}

/// `log_transaction`: whatever is still open is settled now.
pub unsafe extern "C" fn conclude(r: *mut ffi::request_rec) -> c_int {
    // In a signal handler, perhaps: nothing of the request is used any more.
    if child::is_ending() {
        return ffi::HOOK_DECLINED;
    }
    let work = || {
        // SAFETY: httpd passes a live request to its hooks.
        let request = unsafe { &*r };
        let started = meter::start(request);
        // SAFETY: as above.
        if let Some(mut passage) = unsafe { Passage::of(r) } {
            // SAFETY: the request's passage, and the only look at it.
            unsafe { trail::begin(request, passage) };
            // SAFETY: the only look at it.
            let passage = unsafe { passage.as_mut() };
            if passage.journey.is_undecided() && was_refused(request, passage.phase) {
                passage.refuse(request);
            } else if passage.journey.is_open() {
                passage.decide(request, request);
                passage.journey.conclude();
                // Nobody has seen the answer.
                drop(passage.journey.production_sides());
            }
            notes::set(request, &passage.journey);
            if passage.journey.is_awaited() {
                // SAFETY: the request's server, whose configuration was completed before children began.
                let logs = unsafe { kept::server_policy(request.server) }.logs;
                let names_parties = logs.is_some_and(|logs| logs.name_parties);
                passage.journey.tell(production_of(request, names_parties));
            }
            meter::conclude(started, passage, request);
            trail::end(request, passage);
        }
        ffi::HOOK_DECLINED
    };
    // SAFETY: httpd passes a live request to its hooks.
    unsafe { guard_request(Boundary::Conclude, r, ffi::HOOK_DECLINED, work) }
}

/// What is known of a root request that production has answered, for the lines of its copies; who asked and who answered
/// only where that is named.
pub fn production_of(request: &ffi::request_rec, names_parties: bool) -> Production {
    Production {
        status: u16::try_from(request::answered(request).status).unwrap_or_default(),
        begun: request.request_time,
        took: clock::wall().saturating_sub(request.request_time).max(0),
        id: id_of(request),
        parties: names_parties.then(|| Box::new(parties_of(request))),
    }
}

#[cold]
fn parties_of(request: &ffi::request_rec) -> Parties {
    // SAFETY: the request's server.
    let server = unsafe { (*request.server).server_hostname };
    Parties {
        // SAFETY: a text of the request's pool.
        client: unsafe { pool::bytes(request.useragent_ip) }.into(),
        // SAFETY: NULL, or a text that lives as long as the configuration.
        server: unsafe { pool::bytes(server) }.into(),
    }
}

/// mod_unique_id's id of the request, or else the one that the client's tracing gave it.
fn id_of(request: &ffi::request_rec) -> Id {
    // SAFETY: the request's own table; the name ends in NUL.
    let unique = unsafe { ffi::apr_table_get(request.subprocess_env, c"UNIQUE_ID".as_ptr()) };
    let id = if unique.is_null() {
        // SAFETY: as above.
        unsafe { ffi::apr_table_get(request.headers_in, c"traceparent".as_ptr()) }
    } else {
        unique
    };
    // SAFETY: NULL, or a text of the request's pool.
    Id::of(unsafe { pool::bytes(id) })
}

/// Whether access control refused the request, or what it was redirected to. An `ErrorDocument` may
/// have changed the status since, so what counts is how far the request came.
fn was_refused(request: &ffi::request_rec, phase: Phase) -> bool {
    const REFUSALS: [u32; 3] =
        [ffi::HTTP_UNAUTHORIZED, ffi::HTTP_FORBIDDEN, ffi::HTTP_PROXY_AUTHENTICATION_REQUIRED];
    let is_refusal = |request: &ffi::request_rec| {
        REFUSALS.iter().any(|status| u32::try_from(request.status) == Ok(*status))
    };
    phase == Phase::Questioned || request::redirects(request).any(is_refusal)
}

/// What a connection remembers of a request that asks for an upgrade: should one to HTTP/2 be granted,
/// the same request arrives a second time, as the first stream (RFC 7540 section 3.2).
struct Upgrade {
    connection: *mut ffi::ap_conf_vector_t,
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        // SAFETY: the connection outlives its requests.
        let upgrade = unsafe { ffi::module_config(self.connection, ffi::this()) };
        // A pipelined request may have set its own.
        if ptr::eq(upgrade.cast(), self) {
            // SAFETY: as above.
            unsafe { ffi::set_module_config(self.connection, ffi::this(), ptr::null_mut()) };
        }
    }
}

fn remember_upgrade(request: &ffi::request_rec) {
    // SAFETY: the request's connection.
    let connection = unsafe { (*request.connection).conn_config };
    // SAFETY: the request's own pool.
    let upgrade = unsafe { pool::own(request.pool, Upgrade { connection }) };
    // SAFETY: the connection's own vector; taken back when the request's pool goes.
    unsafe { ffi::set_module_config(connection, ffi::this(), upgrade.as_ptr().cast()) };
}

/// Whether this is the first stream of an upgraded connection, whose request has arrived before.
///
/// Told by its number: streams arrive side by side, and a later one may ask for the very same.
fn is_upgraded_twin(request: &ffi::request_rec) -> bool {
    // SAFETY: the request's connection.
    let connection = unsafe { &*request.connection };
    // SAFETY: NULL, or the connection that this one is a stream of.
    let Some(master) = (unsafe { connection.master.as_ref() }) else { return false };
    // SAFETY: the connection's own vector.
    let upgrade = unsafe { ffi::module_config(master.conn_config, ffi::this()) };
    // SAFETY: httpd's live request.
    !upgrade.is_null()
        && unsafe { ffi::copy_is_first_stream(ptr::from_ref(request).cast_mut()) } != 0
}
