//! The scoreboard that httpd's children share: how busy they are, and which places they need.

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicU8, Ordering};

use super::{child, ffi};

/// What a thread has for its status when it ends within a child that goes on, and when it is no more.
const FINISHING: u8 = ffi::SERVER_GRACEFUL as u8;
const DEAD: u8 = ffi::SERVER_DEAD as u8;

/// The part of `MaxRequestWorkers` that is busy, as mod_status counts; `None` where httpd does not tell.
///
/// Reads one byte for each worker that there could be: not for the request path.
pub fn busy() -> Option<f64> {
    let places = places()?;
    let most = query(ffi::AP_MPMQ_MAX_DAEMONS)? * query(ffi::AP_MPMQ_MAX_THREADS)?.max(1);
    // At the end of a child that is the whole server (`httpd -X`) the scoreboard goes, too.
    let places = places.take_while(|_| !child::is_ending());
    let busy = places.filter(|(child, thread)| is_busy(*child, *thread)).count();
    (most > 0).then(|| busy as f64 / f64::from(most))
}

/// Has httpd know that this child's threads have ended, so that it may start another in its place meanwhile.
///
/// The worker MPM does so as soon as one of them is marked dead. Those that were idle mark themselves dead, or as
/// finishing a request, as they come before or after the listener that sends them away: where all did the latter,
/// httpd may have no place left ("scoreboard is full"), and production waits until this child is gone.
///
/// For the worker MPM alone: event has other places, and prefork would lose sight of the child.
pub fn leave_places() {
    if !is_worker() {
        return;
    }
    let own = std::process::id();
    for (child, thread) in places().into_iter().flatten() {
        mark_dead(child, thread, own);
    }
}

fn is_worker() -> bool {
    // SAFETY: names the MPM, which is there as long as the server.
    let name = unsafe { ffi::ap_show_mpm() };
    // SAFETY: NULL, or a constant of the MPM's.
    !name.is_null() && unsafe { CStr::from_ptr(name) } == c"worker"
}

/// Every place of a thread, by child and thread; `None` where httpd does not tell.
fn places() -> Option<impl Iterator<Item = (c_int, c_int)>> {
    // SAFETY: asks whether there is a scoreboard.
    if unsafe { ffi::ap_exists_scoreboard_image() } == 0 {
        return None;
    }
    let children = query(ffi::AP_MPMQ_HARD_LIMIT_DAEMONS)?;
    let threads = query(ffi::AP_MPMQ_HARD_LIMIT_THREADS)?.max(1);
    Some((0..children).flat_map(move |child| (0..threads).map(move |thread| (child, thread))))
}

fn query(what: u32) -> Option<c_int> {
    let mut answer: c_int = 0;
    let what = c_int::try_from(what).ok()?;
    // SAFETY: the MPM writes one number.
    let status = unsafe { ffi::ap_mpm_query(what, &raw mut answer) };
    (status == ffi::APR_OK && answer >= 0).then_some(answer)
}

fn is_busy(child: c_int, thread: c_int) -> bool {
    // SAFETY: httpd checks both numbers.
    let worker = unsafe { ffi::ap_get_scoreboard_worker_from_indexes(child, thread) };
    if worker.is_null() {
        return false;
    }
    // SAFETY: a record of the scoreboard, which stays as long as the server.
    let status = unsafe { &raw const (*worker).status };
    // SAFETY: as above; one byte, which another process may write meanwhile.
    let status = unsafe { status.read_volatile() };
    (ffi::SERVER_BUSY_READ..=ffi::SERVER_GRACEFUL).contains(&u32::from(status))
}

/// Marks a thread of this process as dead that calls itself finishing, as it does when it has ended.
fn mark_dead(child: c_int, thread: c_int, own: u32) {
    // SAFETY: httpd checks both numbers.
    let worker = unsafe { ffi::ap_get_scoreboard_worker_from_indexes(child, thread) };
    if worker.is_null() {
        return;
    }
    // SAFETY: a record of the scoreboard, which stays as long as the server.
    let owner = unsafe { &raw const (*worker).pid };
    // SAFETY: as above; one number, which another process may write meanwhile.
    if u32::try_from(unsafe { owner.read_volatile() }) != Ok(own) {
        return;
    }
    // SAFETY: as above.
    let status = unsafe { &raw mut (*worker).status };
    // SAFETY: as above; one byte, which other processes read and write at once.
    let status = unsafe { AtomicU8::from_ptr(status) };
    // A child that has taken the place has marked it otherwise: that stays.
    let _ = status.compare_exchange(FINISHING, DEAD, Ordering::Relaxed, Ordering::Relaxed);
}
