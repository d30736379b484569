//! How busy httpd is: what its children write into the scoreboard that they share.

use std::ffi::c_int;

use super::{child, ffi};

/// The part of `MaxRequestWorkers` that is busy, as mod_status counts; `None` where httpd does not tell.
///
/// Reads one byte for each worker that there could be: not for the request path.
pub fn busy() -> Option<f64> {
    // SAFETY: asks whether there is a scoreboard.
    if unsafe { ffi::ap_exists_scoreboard_image() } == 0 {
        return None;
    }
    let most = query(ffi::AP_MPMQ_MAX_DAEMONS)? * query(ffi::AP_MPMQ_MAX_THREADS)?.max(1);
    let children = query(ffi::AP_MPMQ_HARD_LIMIT_DAEMONS)?;
    let threads = query(ffi::AP_MPMQ_HARD_LIMIT_THREADS)?.max(1);
    // At the end of a child that is the whole server (`httpd -X`) the scoreboard goes, too.
    let children = (0..children).take_while(|_| !child::is_ending());
    let workers = children.flat_map(|child| (0..threads).map(move |thread| (child, thread)));
    let busy = workers.filter(|(child, thread)| is_busy(*child, *thread)).count();
    (most > 0).then(|| busy as f64 / f64::from(most))
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
