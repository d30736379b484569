//! The files and programs of `CopyLog`, opened by the parent, as whoever started httpd.
//!
//! Each configuration opens them anew, so a file that was moved away is left, and made again, at a graceful restart;
//! children of before go on writing to what was open when they began. What cannot be opened keeps nothing
//! from starting: its lines are counted as not written.

use std::ffi::CString;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::sync::Arc;

use super::{ffi, log};
use crate::config::Policy;
use crate::copylog::{Medium, Output};

/// For the owner to write, and for httpd's group to read.
const MODE: u32 = 0o640;

/// Opens the logs of a policy; `None` for each that cannot be.
///
/// # Safety
///
/// `pconf` is httpd's pool of the configuration, `main` its main server.
pub unsafe fn open(
    policy: &Policy,
    pconf: *mut ffi::apr_pool_t,
    main: *const ffi::server_rec,
) -> Vec<Vec<Option<Output>>> {
    let one = |medium: &Medium| {
        let name = medium.name();
        let opened = match medium {
            Medium::File(path) => file(path),
            // SAFETY: the caller vouches for the pool.
            Medium::Pipe(program) => unsafe { pipe(program, pconf) },
        };
        match opened {
            Ok(file) => Some(Output { name, file: Arc::new(file) }),
            Err(error) => {
                let line = format!(
                    "CPY0021: copies are not logged in the CopyLog {name}, which cannot be opened: {error}"
                );
                log::write(ffi::APLOG_ERR, main, &line);
                None
            }
        }
    };
    let of_server = |specs: &Vec<_>| {
        specs.iter().map(|spec: &crate::copylog::Spec| one(&spec.medium)).collect()
    };
    policy.logs().iter().map(of_server).collect()
}

/// A file, to append to. One that is made belongs to whoever started httpd, and to httpd's group; one that is
/// there keeps its owner and its mode.
fn file(path: &Path) -> io::Result<File> {
    // Read, too, if that may be, where it is no pipe and no device: its last byte says whether a line was left half.
    let reads = path.metadata().map_or(true, |metadata| metadata.is_file());
    let open = |options: &mut OpenOptions| match options.read(reads).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            options.read(false).open(path)
        }
        opened => opened,
    };
    match open(OpenOptions::new().append(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let file = open(OpenOptions::new().append(true).create_new(true).mode(MODE))?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(MODE))?;
    // SAFETY: mod_unixd has read it, if it is there; only this thread runs.
    let group = unsafe { ffi::ap_unixd_config.group_id };
    match fchown(&file, None, Some(group)) {
        // Who is not root owns it with a group of theirs.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(file),
    }
}

/// The way to a program that httpd starts, and starts again where it ends.
unsafe fn pipe(program: &str, pconf: *mut ffi::apr_pool_t) -> io::Result<File> {
    let program = CString::new(program)?;
    // SAFETY: the caller vouches for the pool; httpd copies the text.
    let log = unsafe { ffi::ap_open_piped_log(pconf, program.as_ptr()) };
    if log.is_null() {
        return Err(io::Error::other("the program does not start"));
    }
    // SAFETY: what httpd has just made.
    let file = unsafe { ffi::ap_piped_log_write_fd(log) };
    let mut fd: RawFd = -1;
    // SAFETY: as above; the number is written to a place of its size.
    if unsafe { ffi::apr_os_file_get(&raw mut fd, file) } != ffi::APR_OK {
        return Err(io::Error::other("its pipe has no number"));
    }
    // SAFETY: httpd's, open as long as the pool; it is only duplicated here.
    let theirs = unsafe { BorrowedFd::borrow_raw(fd) };
    theirs.try_clone_to_owned().map(File::from)
}
