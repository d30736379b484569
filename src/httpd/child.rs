//! The life of a child process: its mirror starts with it, and is drained before it ends.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Duration;

use super::guard::guard;
use super::{config, ffi, log, pool, scoreboard, sys, threads};
use crate::adapt;
use crate::boundary::Boundary;
use crate::comparing::{Compared, Comparer};
use crate::config::Resolved;
use crate::copylog::CopyLog;
use crate::mirror::Mirror;
use crate::pulse;
use crate::stats::Slot;

const _: () = {
    const fn is_shared<T: Sync>() {}
    // Requests and forwarders use it from many threads.
    is_shared::<Mirror>();
};

/// This child's mirror; NULL in the parent, and where nothing is mirrored.
static MIRROR: AtomicPtr<Mirror> = AtomicPtr::new(ptr::null_mut());

/// Whether this process ever had a mirror, whose forwarders live as long as it.
static BEGAN: AtomicBool = AtomicBool::new(false);

/// Whether forwarders may be at work in this process: in a child, and under `httpd -X`, where it is the parent too.
pub fn has_begun() -> bool {
    BEGAN.load(Ordering::Relaxed)
}

/// Whether this child's pool is being destroyed.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Whether this child ends, and what its requests hold goes with it: see [`forgo`].
pub fn is_ending() -> bool {
    ENDING.load(Ordering::Relaxed)
}

/// This child's mirror, if it has one.
pub fn mirror() -> Option<&'static Mirror> {
    // SAFETY: NULL, or leaked by `begin`.
    unsafe { MIRROR.load(Ordering::Acquire).as_ref() }
}

/// `child_init`: starts the forwarders. Failing, it leaves a child that serves and does not mirror.
pub unsafe extern "C" fn begin(pchild: *mut ffi::apr_pool_t, main: *mut ffi::server_rec) {
    guard(Boundary::ChildInit, (), || {
        MIRROR.store(ptr::null_mut(), Ordering::Release);
        ENDING.store(false, Ordering::Relaxed);
        let Some(generation) = config::generation() else {
            return;
        };
        if generation.policy.targets().is_empty() {
            return;
        }
        match start(generation, main) {
            Ok(mirror) => {
                MIRROR.store(ptr::from_ref(mirror).cast_mut(), Ordering::Release);
                BEGAN.store(true, Ordering::Relaxed);
                // SAFETY: httpd's pool of this child. A forked CGI is not to drain our queues.
                unsafe {
                    ffi::apr_pool_cleanup_register(
                        pchild,
                        ptr::from_ref(mirror).cast::<c_void>(),
                        Some(drain),
                        Some(ffi::apr_pool_cleanup_null),
                    );
                }
                // SAFETY: httpd's pool of this child.
                unsafe { ffi::apr_pool_pre_cleanup_register(pchild, ptr::null(), Some(forgo)) };
                watch_pressure(generation, main);
            }
            Err(error) => {
                let line = format!("CPY0012: this child copies nothing: {error}");
                log::write(ffi::APLOG_ERR, main, &line);
            }
        }
    });
}

fn start(
    generation: &config::Generation,
    main: *const ffi::server_rec,
) -> std::io::Result<&'static Mirror> {
    let segment = generation.segment;
    let mirror = threads::starting(|| {
        let ledger = segment.join(std::process::id(), sys::is_alive).ok_or_else(|| {
            let most = crate::stats::CHILDREN;
            std::io::Error::other(format!("counters for {most} children are all taken"))
        })?;
        let policy = Arc::clone(&generation.policy);
        let mirror = Mirror::start(policy, &generation.slots, ledger, &segment.loop_mark())?;
        let log = start_log(generation, main);
        let mirror = match start_comparing(generation, main, log) {
            Some(comparer) => mirror.comparing_by(comparer),
            None => mirror,
        };
        Ok::<_, std::io::Error>(match log {
            Some(log) => mirror.logging_by(log),
            None => mirror,
        })
    })?;
    // Forwarders use it until the process ends.
    let mirror: &'static Mirror = Box::leak(Box::new(mirror));
    if let Err(error) = threads::starting(|| pulse::start(mirror)) {
        log::write(
            ffi::APLOG_WARNING,
            main,
            &format!("CPY0015: this child records no series and shows no gauges: {error}"),
        );
    }
    Ok(mirror)
}

/// Starts what compares answers, where any are compared.
fn start_comparing(
    generation: &config::Generation,
    main: *const ffi::server_rec,
    log: Option<&'static CopyLog>,
) -> Option<Arc<Comparer>> {
    let shelf = generation.shelf.filter(|_| generation.policy.compares())?;
    let compared = |(known, slot): (&Resolved, &Slot)| {
        let (criteria, masks) = (Arc::clone(&known.criteria), known.masks.clone());
        Compared { slot: *slot, criteria, masks }
    };
    let targets = generation.policy.targets().iter().zip(&generation.slots).map(compared).collect();
    let lines = generation.policy.ignored().to_vec();
    let place = shelf.take(std::process::id(), sys::is_alive);
    let place = place.ok_or_else(|| std::io::Error::other("the places for reports are all taken"));
    match place.and_then(|place| Comparer::start(targets, lines, place, log, threads::give_way)) {
        Ok(comparer) => Some(comparer),
        Err(error) => {
            let line = format!("CPY0019: this child compares nothing: {error}");
            log::write(ffi::APLOG_ERR, main, &line);
            None
        }
    }
}

/// Starts what writes the logs, where there are any.
fn start_log(
    generation: &config::Generation,
    main: *const ffi::server_rec,
) -> Option<&'static CopyLog> {
    if generation.logs.is_empty() {
        return None;
    }
    let (policy, logs) = (Arc::clone(&generation.policy), generation.logs.clone());
    let started = CopyLog::start(policy, logs, generation.segment.unlogged());
    let tell = |error: &std::io::Error| {
        let line = format!("CPY0020: this child logs no copies: {error}");
        log::write(ffi::APLOG_ERR, main, &line);
    };
    started.inspect_err(tell).ok()
}

/// Starts what lowers samples under pressure, where a rule asks for it.
fn watch_pressure(generation: &config::Generation, main: *const ffi::server_rec) {
    let slots: Vec<_> = generation.adapting().collect();
    if slots.is_empty() {
        return;
    }
    let busy = scoreboard::busy;
    if let Err(error) = threads::starting(|| adapt::start(generation.segment, &slots, busy)) {
        let line = format!("CPY0014: this child does not watch the pressure: {error}");
        log::write(ffi::APLOG_ERR, main, &line);
    }
}

/// Before anything in the child's pool goes, its requests included: from now on they free nothing.
///
/// Prefork ends a child within its signal handler, which may have interrupted the allocator, or a buffer
/// that grows; and httpd ends requests before it calls [`drain`].
unsafe extern "C" fn forgo(_: *mut c_void) -> ffi::apr_status_t {
    ENDING.store(true, Ordering::Relaxed);
    pool::success()
}

/// The end of the child's pool: httpd's workers have ended, or, under prefork, are this very thread.
unsafe extern "C" fn drain(mirror: *mut c_void) -> ffi::apr_status_t {
    guard(Boundary::ChildCleanup, (), || {
        // SAFETY: registered by `begin` with a mirror that is never freed.
        let mirror = unsafe { &*mirror.cast::<Mirror>() };
        scoreboard::leave_places();
        mirror.drain(|| sys::pause(Duration::from_millis(1)));
    });
    pool::success()
}
