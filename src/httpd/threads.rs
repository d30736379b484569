//! Threads beside those of requests: how they are started, so that production does not notice them.
//!
//! They are batch jobs to the system (`SCHED_BATCH`): they share a core as any other thread does, but none takes it from
//! another as it wakes. So an answer of staging's, which wakes a forwarder, does not interrupt a request. Forwarders do
//! not get a smaller share: on a busy core one that gives memory back could be kept from running while a request waits
//! for the allocator's lock. Where the C library knows of no policies, as musl, all threads are alike.

use std::fs;
use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// How nice is who gives way to all others: 0 is production's, 19 the most.
const NICE: libc::c_int = 10;

/// The filters of system calls under which threads may choose how they are scheduled.
static LET: Mutex<Option<String>> = Mutex::new(None);

/// Finds out, for the children to come, whether their threads may choose how they are scheduled.
///
/// A filter of system calls may end a process for one that it forbids. So where there is a filter, a process that does
/// nothing else tries.
pub fn learn() {
    let filters = filters();
    let may = has_none(&filters) || can_choose();
    *LET.lock().unwrap_or_else(PoisonError::into_inner) = may.then_some(filters);
}

/// Whether the system leaves threads of this process the choice how they are scheduled: not under a filter that has come
/// since that was learned.
fn may_choose() -> bool {
    let known = LET.lock().unwrap_or_else(PoisonError::into_inner);
    known.as_ref().is_some_and(|known| *known == filters())
}

/// What the system tells of the filters of this process; nothing where it does not.
fn filters() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("Seccomp")).collect()
}

fn has_none(filters: &str) -> bool {
    let mode = filters.strip_prefix("Seccomp:");
    mode.is_some_and(|mode| mode.trim_start().starts_with('0'))
}

/// Runs `work`, which starts threads that run beside requests. They and those that they start never run httpd's signal
/// handlers, and interrupt nobody as they wake.
pub fn starting<T>(work: impl FnOnce() -> T) -> T {
    with_signals_blocked(|| with_batch_policy(work))
}

/// Has the calling thread give way to all others, where it may choose so.
pub fn give_way() {
    if may_choose() {
        set_niceness();
    }
}

/// Runs `work` with every signal blocked.
fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: writes a whole set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the set was filled one line above; the former mask goes to memory of its size.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    let _after = After(|| {
        // SAFETY: the mask that the call above wrote.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    });
    work()
}

/// Runs `work` as a batch job, unless httpd was given a policy of another kind, which then holds for all its threads.
fn with_batch_policy<T>(work: impl FnOnce() -> T) -> T {
    let changes = may_choose() && policy() == libc::SCHED_OTHER;
    if changes {
        set_policy(libc::SCHED_BATCH);
    }
    let _after = After(|| {
        if changes {
            // From one of these two to the other any thread may go.
            set_policy(libc::SCHED_OTHER);
        }
    });
    work()
}

/// Something that is done in the end, after a panic too: threads of httpd's that are started later would inherit what is
/// not undone.
struct After<F: Fn()>(F);

impl<F: Fn()> Drop for After<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The policy of the calling thread; negative where that cannot be told.
fn policy() -> libc::c_int {
    // SAFETY: only asks.
    unsafe { libc::sched_getscheduler(0) }
}

/// Gives the calling thread a policy that has no priorities; where the system refuses it keeps what it has.
fn set_policy(policy: libc::c_int) {
    // SAFETY: integers, of which a system may have more than the priority.
    let no_priority = unsafe { mem::zeroed::<libc::sched_param>() };
    // SAFETY: reads one parameter.
    unsafe { libc::sched_setscheduler(0, policy, &raw const no_priority) };
}

fn set_niceness() {
    // SAFETY: of the calling thread, which Linux takes for a process here.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

/// Whether a process that makes every call by which a thread of ours chooses how it is scheduled is not ended for it.
fn can_choose() -> bool {
    // SAFETY: there may be other threads, so the new process makes system calls alone: it allocates nothing, and takes no
    // lock.
    match unsafe { libc::fork() } {
        0 => {
            // Who is asked whether to let a call may not answer: at its end there is no waiting for this process.
            // SAFETY: of this process, which has no handler for it.
            unsafe { libc::alarm(1) };
            let is_dumped: libc::c_ulong = 0;
            // What is left of it is of no interest.
            // SAFETY: of this process.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, is_dumped) };
            policy();
            set_policy(libc::SCHED_BATCH);
            set_policy(libc::SCHED_OTHER);
            set_niceness();
            // SAFETY: ends this process, and runs nothing of httpd's.
            unsafe { libc::_exit(0) }
        }
        pid => pid > 0 && ended_by_itself(pid),
    }
}

/// Waits for a process that this one has started.
fn ended_by_itself(pid: libc::pid_t) -> bool {
    let mut status = 0;
    loop {
        // SAFETY: writes one status.
        let ended = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if ended == pid {
            return libc::WIFEXITED(status);
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return false;
        }
    }
}
