//! Where log lines go: httpd's error log, at the level that `LogLevel copy:…` sets.

use std::ffi::{CString, c_int};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::ffi;

struct ErrorLog;

impl Log for ErrorLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What the libraries we use have to say is for whoever traces them.
        metadata.target().starts_with("mod_copy") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                Level::Error => ffi::APLOG_ERR,
                Level::Warn => ffi::APLOG_WARNING,
                Level::Info => ffi::APLOG_INFO,
                Level::Debug => ffi::APLOG_DEBUG,
                Level::Trace => ffi::APLOG_TRACE1,
            };
            // SAFETY: NULL, or the main server. It lives as long as its configuration: in a child as long as
            // that, in the parent until a restart, when nothing of ours runs. (Under `httpd -X`, which is for
            // debugging, the two are one, and a forwarder that logs while it restarts may be too late.)
            let server = unsafe { ffi::ap_server_conf };
            write(level, server, &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Writes one line to a server's error log (httpd's standard error, where there is none yet).
pub fn write(level: u32, server: *const ffi::server_rec, line: &str) {
    let line = CString::new(line.replace('\0', "\\0")).unwrap_or_default();
    let level = c_int::try_from(level).unwrap_or_default();
    // SAFETY: the server is NULL or httpd's, which lives as long as its configuration; the line ends in NUL.
    unsafe { ffi::copy_log(level, server, line.as_ptr()) }
}

/// Writes one line of a request to its error log, as httpd's own lines of it are.
pub fn write_of(request: &ffi::request_rec, level: u32, line: &str) {
    let line = CString::new(line.replace('\0', "\\0")).unwrap_or_default();
    let level = c_int::try_from(level).unwrap_or_default();
    // SAFETY: httpd's live request; the line ends in NUL.
    unsafe { ffi::copy_log_request(level, request, line.as_ptr()) }
}

/// Whether a request's lines of this level are written, as `LogLevel` has it where the request is.
pub fn is_on(request: &ffi::request_rec, level: u32) -> bool {
    // SAFETY: httpd's live request.
    let set = unsafe { ffi::copy_request_log_level(request) };
    u32::try_from(set).is_ok_and(|set| set >= level)
}

/// Sends the core's log lines to the error log, down to the level that the main server has set.
pub fn install(server: *const ffi::server_rec) {
    // An error means that it is installed already: statics outlive a restart.
    let _ = log::set_logger(&ErrorLog);
    // SAFETY: httpd passes its main server to the hook that calls this.
    let level = unsafe { ffi::copy_log_level(server) };
    log::set_max_level(match u32::try_from(level).unwrap_or_default() {
        ..ffi::APLOG_WARNING => LevelFilter::Error,
        ffi::APLOG_WARNING | ffi::APLOG_NOTICE => LevelFilter::Warn,
        ffi::APLOG_INFO => LevelFilter::Info,
        ffi::APLOG_DEBUG => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
}
