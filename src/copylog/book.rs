//! The lines for one log, written whole: none runs into another, whoever else writes and however they end, as far as
//! the system lets a file be locked and its end be read.
//!
//! All children append to one file. The kernel keeps their writes apart, but a write that goes over a page's end may
//! be cut there: the disk is full, or the child is killed. So who writes looks at the file's last byte, and ends the
//! line that somebody else left; the lock keeps the two together. A pipe takes as much as [`LONGEST_LINE`] whole
//! or not at all (pipe(7)), and needs neither.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, fcntl_lock};

use super::line::LONGEST_LINE;
use crate::stats::Unlogged;

/// How often the lock is asked for, and how long is waited between; once, by who did not get it the last time. Who does
/// not get it writes without: the worst that comes of it is an empty line, or two in one where a child was killed at
/// that moment.
const TRIES: usize = 10;
const BETWEEN: Duration = Duration::from_millis(1);

/// An open log: a file, or the pipe to a program. It is written to by all children.
#[derive(Clone, Debug)]
pub struct Output {
    /// As it was configured.
    pub name: String,
    /// What is written to, from its end on.
    pub file: Arc<File>,
}

/// Lines for one log, until they are written.
pub(super) struct Book {
    output: Output,
    lines: Vec<u8>,
    count: u64,
    /// A file of the disk: no pipe, no device.
    is_regular: bool,
    /// Whether the lock was not to be had when it was last asked for.
    is_locked_out: bool,
}

impl Book {
    pub(super) fn of(output: Output) -> Book {
        let is_regular = output.file.metadata().is_ok_and(|metadata| metadata.is_file());
        Book { output, lines: Vec::new(), count: 0, is_regular, is_locked_out: false }
    }

    /// One more line. Where a panic leaves it half, it is none, and those around it stay whole.
    pub(super) fn put(&mut self, unlogged: &Unlogged, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.lines.len();
        if catch_unwind(AssertUnwindSafe(|| write(&mut self.lines))).is_err() {
            self.lines.truncate(before);
            return unlogged.count(1);
        }
        if before > 0 && self.lines.len() > LONGEST_LINE {
            let last = self.lines.split_off(before);
            self.close(unlogged);
            self.lines = last;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Writes the lines at once.
    pub(super) fn close(&mut self, unlogged: &Unlogged) {
        if self.lines.is_empty() {
            return;
        }
        let written = self.write();
        self.lines.clear();
        let count = std::mem::take(&mut self.count);
        if let Err(error) = written {
            unlogged.count(count);
            let failures = unlogged.fail();
            if failures.is_power_of_two() {
                let name = &self.output.name;
                log::warn!(
                    "CPY0131: writing to the CopyLog {name} failed: {error} ({failures} so far)"
                );
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.is_regular {
            return (&*self.output.file).write_all(&self.lines);
        }
        let is_locked = self.lock();
        let mut file = &*self.output.file;
        let ended = if ends_within_a_line(file) { file.write_all(b"\n") } else { Ok(()) };
        let written = ended.and_then(|()| file.write_all(&self.lines));
        if is_locked {
            let _ = fcntl_lock(file, FlockOperation::Unlock);
        }
        written
    }

    /// Whether this process has the file to itself now, as far as those are concerned that ask as well. The lock is
    /// the process's (fcntl), not the open file's, which all children share; it ends with the process.
    fn lock(&mut self) -> bool {
        let tries = if self.is_locked_out { 1 } else { TRIES };
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        let is_locked = (1..=tries).any(|time| {
            let is_locked = fcntl_lock(&*self.output.file, exclusive).is_ok();
            if !is_locked && time < tries {
                thread::sleep(BETWEEN);
            }
            is_locked
        });
        self.is_locked_out = !is_locked;
        is_locked
    }
}

fn ends_within_a_line(file: &File) -> bool {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut last = [b'\n'];
    length > 0 && file.read_at(&mut last, length.saturating_sub(1)).is_ok() && last != [b'\n']
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::stats::tests::segment;

    fn book(file: File) -> Book {
        Book::of(Output { name: "a log".to_owned(), file: Arc::new(file) })
    }

    #[test]
    fn a_line_that_a_panic_leaves_half_is_none_and_is_counted() {
        let (mut written, output) = std::io::pipe().unwrap();
        let mut book = book(File::from(OwnedFd::from(output)));
        let unlogged = segment(1).unlogged();
        book.put(unlogged, |line| line.extend_from_slice(b"one\n"));
        book.put(unlogged, |line| {
            line.extend_from_slice(b"half of");
            panic!("on purpose");
        });
        book.put(unlogged, |line| line.extend_from_slice(b"two\n"));
        book.close(unlogged);
        drop(book);
        let mut lines = String::new();
        written.read_to_string(&mut lines).unwrap();
        assert_eq!((lines.as_str(), unlogged.lines()), ("one\ntwo\n", 1));
    }

    #[test]
    #[cfg_attr(miri, ignore = "files are out of its reach")]
    fn a_line_that_somebody_left_half_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.log");
        let file = File::options().create(true).read(true).append(true).open(&path).unwrap();
        let mut book = book(file);
        let unlogged = segment(1).unlogged();
        let mut log = |line: &[u8]| {
            book.put(unlogged, |lines| lines.extend_from_slice(line));
            book.close(unlogged);
        };
        log(b"one\n");
        log(b"two\n");
        let mut killed = File::options().append(true).open(&path).unwrap();
        killed.write_all(b"half of").unwrap();
        log(b"three\n");
        log(b"four\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nhalf of\nthree\nfour\n");
        // Somebody makes it empty: it begins anew.
        killed.set_len(0).unwrap();
        log(b"five\n");
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), unlogged.lines()), ("five\n", 0));
    }
}
