//! The system calls that neither APR nor the standard library has.

use std::io;
use std::ptr;
use std::time::Duration;

/// Maps zeroed memory that children share.
pub fn shared_memory(bytes: usize) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // Most rows are never touched, and cost nothing until they are.
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
    let memory = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(memory.cast())
}

/// Unmaps memory in this process; children keep theirs.
///
/// # Safety
///
/// It is a whole mapping of [`shared_memory`], and this process does not use it again.
pub unsafe fn unmap(memory: *mut u8, bytes: usize) {
    // SAFETY: the caller vouches for the mapping.
    unsafe { libc::munmap(memory.cast(), bytes) };
}

/// Whether a process of that number lives, whoever it belongs to.
pub fn is_alive(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else {
        return false;
    };
    // SAFETY: signal 0 only asks.
    let answer = unsafe { libc::kill(pid, 0) };
    answer == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Sleeps, at most that long. Safe in a signal handler, as `std::thread::sleep` is not said to be.
pub fn pause(time: Duration) {
    let time = libc::timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(0),
        tv_nsec: time.subsec_nanos().into(),
    };
    // SAFETY: reads one timespec; what is left of the time is not asked for.
    unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}
