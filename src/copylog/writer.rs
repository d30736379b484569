//! The thread that writes lines, and the bounded way to it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::book::{Book, Output};
use super::entry::Entry;
use super::line::{self, Shown};
use super::spec::{LogsId, Which};
use crate::boundary::Boundary;
use crate::channel::{Receiver, Sender, bounded};
use crate::config::Policy;
use crate::stats::Unlogged;

/// The most entries that wait to be written: a few hundred bytes each, at most some 2 KiB, and of comparisons 4 KiB.
pub(super) const WAITING: usize = 4096;
/// The most entries that are taken before what they came to is written.
const AT_ONCE: usize = 1024;
/// How long the writer rests where there is something to write, and where there is nothing. It is never woken:
/// that would cost requests and forwarders more than all else they do for a line.
const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_millis(100);
const STACK: usize = 256 * 1024;

/// The logs of one child process.
#[derive(Debug)]
pub struct CopyLog {
    entries: Sender<Entry>,
    /// What each server's logs have lines of.
    wanted: Vec<Vec<Which>>,
    unlogged: &'static Unlogged,
    /// Whether the writer has taken entries that are not written yet.
    is_writing: AtomicBool,
    /// How many entries those are, as far as it has got.
    in_hand: AtomicU64,
}

impl CopyLog {
    /// Starts the writer, which lives as long as the child. `outputs` are those of the policy's logs, in their
    /// order; `None` where one could not be opened. Signals must be blocked, for threads inherit the mask.
    pub fn start(
        policy: Arc<Policy>,
        outputs: Vec<Vec<Option<Output>>>,
        unlogged: &'static Unlogged,
    ) -> io::Result<&'static CopyLog> {
        let (entries, taken) = bounded(WAITING);
        let logs = policy.logs().iter();
        let wanted = logs.map(|specs| specs.iter().map(|spec| spec.which).collect()).collect();
        let log = CopyLog::new(entries, wanted, unlogged);
        let log: &'static CopyLog = Box::leak(Box::new(log));
        let books = outputs
            .into_iter()
            .map(|outputs| outputs.into_iter().map(|output| output.map(Book::of)).collect());
        let books = books.collect();
        let mut writer = Writer { log, policy, taken, books, pid: std::process::id() };
        let builder = thread::Builder::new().name("copy-log".to_owned()).stack_size(STACK);
        builder.spawn(move || writer.live())?;
        Ok(log)
    }

    fn new(
        entries: Sender<Entry>,
        wanted: Vec<Vec<Which>>,
        unlogged: &'static Unlogged,
    ) -> CopyLog {
        let (is_writing, in_hand) = (AtomicBool::new(false), AtomicU64::new(0));
        CopyLog { entries, wanted, unlogged, is_writing, in_hand }
    }

    /// Takes an entry, or, where too many wait, counts it as dropped. Never blocks, wakes nobody.
    pub fn take(&self, entry: Entry) {
        let is_wanted = self.wanted(entry.logs).any(|which| entry.ended.is_for(which));
        if is_wanted && self.entries.try_send(entry).is_err() {
            self.unlogged.count(1);
        }
    }

    /// Whether these logs have lines of comparisons that find a difference, or none but noise.
    pub fn wants_comparison(&self, logs: LogsId, is_differing: bool) -> bool {
        self.wanted(logs).any(|which| match which {
            Which::Compared => true,
            Which::Differing => is_differing,
            Which::All | Which::Errors => false,
        })
    }

    fn wanted(&self, LogsId(logs): LogsId) -> impl Iterator<Item = Which> {
        self.wanted.get(logs as usize).into_iter().flatten().copied()
    }

    /// Waits until all that was taken is written, at most until `end`, and counts what was not; `pause` is to
    /// sleep for about a millisecond. Takes no lock and allocates nothing, as prefork wants it.
    pub fn drain(&self, end: Instant, pause: impl Fn()) {
        while self.is_behind() {
            if Instant::now() >= end {
                let left = self.entries.len() as u64;
                return self
                    .unlogged
                    .count(left.saturating_add(self.in_hand.load(Ordering::Relaxed)));
            }
            pause();
        }
    }

    fn is_behind(&self) -> bool {
        // In this order: the writer says so before it takes an entry out.
        !self.entries.is_empty() || self.is_writing.load(Ordering::SeqCst)
    }
}

struct Writer {
    log: &'static CopyLog,
    policy: Arc<Policy>,
    taken: Receiver<Entry>,
    /// By server, then in the order of its `CopyLog` lines.
    books: Vec<Vec<Option<Book>>>,
    pid: u32,
}

impl Writer {
    fn live(&mut self) {
        let mut rest = LONG;
        loop {
            let wrote = catch_unwind(AssertUnwindSafe(|| {
                Boundary::Log.enter();
                let wrote = self.write();
                Boundary::Log.leave();
                wrote
            }));
            // What it has put into books stays there, and is written next.
            let wrote = wrote.unwrap_or(true);
            self.log.in_hand.store(0, Ordering::Relaxed);
            self.log.is_writing.store(false, Ordering::SeqCst);
            rest = if wrote { SHORT } else { LONG.min(rest.saturating_mul(2)) };
            thread::sleep(rest);
        }
    }

    /// Writes what waits; whether anything did.
    fn write(&mut self) -> bool {
        let mut wrote = false;
        loop {
            self.log.is_writing.store(true, Ordering::SeqCst);
            let taken = self.taken.try_iter().take(AT_ONCE);
            let mut count = 0;
            for entry in taken {
                count += 1;
                self.log.in_hand.fetch_add(1, Ordering::Relaxed);
                let LogsId(logs) = entry.logs;
                let specs = self.policy.logs().get(logs as usize).map_or(&[][..], Vec::as_slice);
                let books =
                    self.books.get_mut(logs as usize).map_or(&mut [][..], Vec::as_mut_slice);
                let shown = Shown { entry: &entry, policy: &self.policy, pid: self.pid };
                for (spec, book) in specs.iter().zip(books) {
                    if entry.ended.is_for(spec.which) {
                        match book {
                            Some(book) => book.put(self.log.unlogged, |line| {
                                line::write(line, &spec.format, &shown);
                            }),
                            None => self.log.unlogged.count(1),
                        }
                    }
                }
            }
            self.books
                .iter_mut()
                .flatten()
                .flatten()
                .for_each(|book| book.close(self.log.unlogged));
            self.log.in_hand.store(0, Ordering::Relaxed);
            wrote |= count > 0;
            if count < AT_ONCE {
                return wrote;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Copied, Ended, Requested};
    use super::*;
    use crate::outcome::Loss;
    use crate::stats::tests::segment;

    /// A log that nobody writes, and what it hands over.
    fn unwritten() -> (CopyLog, Receiver<Entry>) {
        let (entries, taken) = bounded(WAITING);
        (CopyLog::new(entries, vec![vec![Which::All]], segment(1).unlogged()), taken)
    }

    fn entry() -> Entry {
        let copy = Copied::dropped(Loss::Rate, None, Requested::received(b"GET", b"/"));
        Entry { logs: LogsId(0), target: 0, production: None, ended: Ended::Copy(copy) }
    }

    #[test]
    fn what_is_left_at_a_childs_end_is_counted() {
        let (log, taken) = unwritten();
        (0..5).for_each(|_| log.take(entry()));
        let pauses = std::cell::Cell::new(0);
        log.drain(Instant::now(), || pauses.set(pauses.get() + 1));
        assert_eq!((log.unlogged.lines(), pauses.get()), (5, 0), "its time is over");

        // What the writer has in hand, and cannot write.
        log.is_writing.store(true, Ordering::SeqCst);
        log.in_hand.store(taken.try_iter().count() as u64, Ordering::Relaxed);
        (0..2).for_each(|_| log.take(entry()));
        log.drain(Instant::now(), || {});
        assert_eq!(log.unlogged.lines(), 5 + 5 + 2);
    }

    #[test]
    fn a_child_that_ends_waits_until_all_is_written_and_counts_nothing_then() {
        let (log, taken) = unwritten();
        log.take(entry());
        log.is_writing.store(true, Ordering::SeqCst);
        let end = Instant::now() + Duration::from_secs(600);
        let rounds = std::cell::Cell::new(0);
        log.drain(end, || {
            match rounds.get() {
                0 => assert_eq!(taken.try_iter().count(), 1),
                _ => log.is_writing.store(false, Ordering::SeqCst),
            }
            rounds.set(rounds.get() + 1);
        });
        assert_eq!((rounds.get(), log.unlogged.lines()), (2, 0));
    }
}
