//! Which forwarder waits for copies, which rest, and when another is started.
//!
//! The threads of a target take turns as *leader and followers*, so that the request path wakes at
//! most one thread, a busy one never sleeps, and there are no more of them than staging's slowness,
//! or a busy core, calls for:
//!
//! - At most one thread holds the **watch**: it alone waits on the queue. Taking copies, it leaves
//!   the watch, sends them all, and looks at the queue again when each has its outcome.
//! - A thread that finds the queue empty and the watch held parks on a stack; the last parked is the
//!   first called, so that the others may end.
//! - Whoever is about to wait for staging for long, or finds that copies wait for long, **promotes**:
//!   if nobody holds the watch, it is passed to the last parked thread, or to a new one if there may
//!   be one more.
//!
//! A thread takes no copies while any of its own is under way. So one that waits for a slow answer
//! is one that has promoted, and what it has to look after never grows.
//!
//! **On a busy core it takes several threads**: each gets as much of it as any of production's, however many copies
//! it has in hand. So where copies wait for long, a thread takes no more than a share of the permits (`share`), which
//! leaves some for the next that is called. Otherwise the first would hold most of them, and nobody could help it.
//!
//! **No copy waits while all threads rest.** A thread parks only while the watch is held, seen under
//! the lock (`rest`). Who holds it waits on the queue, or naps until several wait, and begins with
//! a look when the watch was passed to it; all of it after a sleep while too many connections were made
//! (`owed`). The watch is given up in three places only:
//!
//! - by a thread that has taken a copy, which looks at the queue again before it rests, unless too many
//!   connections were made, and promotes before it waits for long;
//! - by `pass_watch`, when it passes it to nobody: under the lock, so that no thread has parked on the
//!   strength of it unseen; and it is called by a thread at work, or one that ends;
//! - by a thread that ends, which promotes after (`lose`).
//!
//! So while any thread is parked, there is one that watches, or one at work that will see to it: before
//! it parks it has found the watch held, or holds it.
//!
//! **Who takes a copy has a connection for it.** Every thread that is not parked holds a permit of
//! [`Lines`]: one is taken for it, under the lock, when it is called or started, and given back as it
//! parks or ends. Promoting fails for want of a permit only while all `max` are held, by threads that
//! look at the queue or work; and who gives back one for a copy that ended, while others of its own
//! are slow, promotes after. And where one is free, a thread is parked or there may be one more:
//! for there are at most `max`, and the others hold one each.
//!
//! **A thread outlives a panic.** What it had in hand fails, and it goes on as before: see
//! [`Forwarder::live`]. So there are never fewer than `min`, also where no new one could be started.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::clock;
use crate::queue::Jobs;
use crate::stats::Account;
use crate::target::Target;

use super::connecting::Connecting;
use super::courier::{Courier, Hire};
use super::forwarder::{Forwarder, GROW_AFTER};
use super::lines::{Kept, Lines};
use super::pace::OnSlow;
use super::report;

/// What a forwarder's stack may take, of which memory is what was used: nothing is deep in it, and the largest is what
/// compresses a masked copy, where that is not built in its place on the heap.
pub(super) const STACK: usize = 512 * 1024;

/// The threads of one target.
pub(super) struct Pool {
    target: Arc<Target>,
    account: Account,
    jobs: Jobs,
    hire: Hire,
    /// Whether a thread holds the watch.
    watched: AtomicBool,
    crew: Mutex<Crew>,
    /// Whether the last exchanges were slow.
    dragging: AtomicBool,
    connecting: Arc<Connecting>,
    /// How often no thread could be started.
    unstarted: AtomicU64,
}

/// The forwarders' own lock, which the request path never takes.
struct Crew {
    lines: Lines,
    /// Threads that live, or are being started.
    live: usize,
    /// Those that rest; the last is called first.
    parked: Vec<Parked>,
    /// No copy will ever come.
    closed: bool,
    /// When a thread was last called because copies waited for long.
    relieved: Option<Instant>,
}

impl Crew {
    /// How many of `max` permits each thread at work may hold, so that one is left for one more, as long as there are
    /// fewer than `max` of them.
    fn share(&self, max: usize) -> usize {
        let at_work = self.live.saturating_sub(self.parked.len());
        max.checked_div(at_work.saturating_add(1)).unwrap_or_default().max(1)
    }
}

struct Parked {
    thread: Thread,
    called: Arc<AtomicBool>,
}

/// How a rest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The watch was passed to the thread.
    Called,
    /// Nobody holds the watch, so there was none.
    Unwatched,
    /// It lasted the ttl, and the pool no longer counts on the thread.
    Dismissed,
}

impl Pool {
    /// Starts the target's `min` threads, and fails where not even one can be started.
    pub(super) fn start(
        target: Arc<Target>,
        account: Account,
        jobs: Jobs,
        (hire, connecting): (Hire, Arc<Connecting>),
    ) -> io::Result<()> {
        let min = target.pool.min.max(1);
        let pool = Arc::new(Pool::empty(target, account, jobs, (hire, connecting)));
        let mut crew = pool.crew();
        while crew.live < min && crew.lines.hold() {
            if let Err(error) = pool.start_forwarder(&mut crew, false) {
                crew.lines.release(1);
                if crew.live == 0 {
                    return Err(error);
                }
                drop(crew);
                report::not_started(&pool, &error);
                break;
            }
        }
        Ok(())
    }

    pub(super) fn empty(
        target: Arc<Target>,
        account: Account,
        jobs: Jobs,
        (hire, connecting): (Hire, Arc<Connecting>),
    ) -> Pool {
        let lines = Lines::new(target.pool.max, target.pool.ttl);
        Pool {
            target,
            account,
            jobs,
            hire,
            watched: AtomicBool::new(false),
            crew: Mutex::new(Crew {
                lines,
                live: 0,
                parked: Vec::new(),
                closed: false,
                relieved: None,
            }),
            dragging: AtomicBool::new(false),
            connecting,
            unstarted: AtomicU64::new(0),
        }
    }

    /// Sees to it that a thread waits for copies, if there may be one more.
    pub(super) fn promote(self: &Arc<Pool>) {
        self.pass_watch(|_| true);
    }

    /// Copies wait for long: promotes, but gives each thread it calls some time to help.
    pub(super) fn relieve(self: &Arc<Pool>, now: Instant) {
        self.pass_watch(|crew| {
            let since = crew.relieved.map(|last| now.saturating_duration_since(last));
            let due = since.is_none_or(|since| since >= GROW_AFTER);
            if due {
                crew.relieved = Some(now);
            }
            due
        });
    }

    /// Passes the watch, if nobody holds it and `due` agrees, to a thread that rests or to a new one.
    fn pass_watch(self: &Arc<Pool>, due: impl FnOnce(&mut Crew) -> bool) {
        if !self.take_watch() {
            return;
        }
        let mut crew = self.crew();
        let mut failed = None;
        if due(&mut crew) && crew.lines.hold() {
            if let Some(parked) = crew.parked.pop() {
                parked.called.store(true, Ordering::Release);
                parked.thread.unpark();
                return;
            }
            if crew.live < self.target.pool.max && !crew.closed {
                match self.start_forwarder(&mut crew, true) {
                    Ok(()) => return,
                    Err(error) => failed = Some(error),
                }
            }
            crew.lines.release(1);
        }
        // Under the lock: no thread has parked because it found the watch held by us.
        self.leave_watch();
        drop(crew);
        // Writing the log takes time.
        if let Some(error) = failed {
            report::not_started(self, &error);
        }
    }

    /// Takes the watch, if nobody holds it.
    pub(super) fn take_watch(&self) -> bool {
        !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::AcqRel)
    }

    /// Gives the watch up; whoever does sees to what the module's head promises.
    pub(super) fn leave_watch(&self) {
        self.watched.store(false, Ordering::Release);
    }

    /// Parks the thread, which holds one permit, while another holds the watch.
    pub(super) fn rest(&self, called: &Arc<AtomicBool>) -> Rest {
        let mut crew = self.crew();
        if !self.watched.load(Ordering::Acquire) {
            return Rest::Unwatched;
        }
        crew.lines.release(1);
        crew.parked.push(Parked { thread: thread::current(), called: Arc::clone(called) });
        drop(crew);
        loop {
            let since = Instant::now();
            while let Some(left) = self.ttl().checked_sub(since.elapsed()) {
                if called.swap(false, Ordering::Acquire) {
                    return Rest::Called;
                }
                thread::park_timeout(left);
            }
            if let Some(end) = self.end_rest(called) {
                return end;
            }
        }
    }

    /// The ttl is over: the thread ends, unless it is called at this moment, or is one to keep.
    fn end_rest(&self, called: &Arc<AtomicBool>) -> Option<Rest> {
        let mut crew = self.crew();
        // Threads are called under the lock.
        if called.swap(false, Ordering::Acquire) {
            return Some(Rest::Called);
        }
        if crew.live <= self.target.pool.min {
            return None;
        }
        crew.parked.retain(|parked| !Arc::ptr_eq(&parked.called, called));
        crew.live = crew.live.saturating_sub(1);
        Some(Rest::Dismissed)
    }

    /// Takes connections, and permits for them: see [`Lines::take`]. Beside these, permits for so many new ones:
    /// see [`Lines::hold_more`]. Where copies wait for `long`, no more of both than a share.
    pub(super) fn take_lines(
        &self,
        waiting: usize,
        long: bool,
        now: Instant,
        couriers: &mut Vec<Kept>,
    ) -> usize {
        let mut crew = self.crew();
        let expired = crew.lines.expired(now);
        let beside = match long {
            true => waiting.min(crew.share(self.target.pool.max).saturating_sub(1)),
            false => waiting,
        };
        crew.lines.take(beside, couriers);
        let quick_to_connect = !self.connecting.is_slow();
        let new = match self.is_dragging() && quick_to_connect {
            true => crew.lines.hold_more(beside, couriers.len()),
            false => 0,
        };
        // Closing takes time.
        drop(crew);
        drop(expired);
        new
    }

    /// Gives connections and permits back.
    pub(super) fn give_back(&self, permits: usize, couriers: impl Iterator<Item = Kept>) {
        let mut crew = self.crew();
        couriers.for_each(|kept| crew.lines.keep(kept));
        crew.lines.release(permits);
    }

    /// Lets go of what nobody needed for long.
    pub(super) fn expire(&self) {
        let expired = self.crew().lines.expired(Instant::now());
        drop(expired);
    }

    /// How long no connection is to be made, and so no copy taken; `None` where one may be.
    pub(super) fn owed(&self) -> Option<Duration> {
        let owed = self.connecting.owed(clock::nanos);
        if owed.is_some() && self.connecting.is_news() {
            report::too_many_connections(self.account, self.name());
        }
        owed.map(Duration::from_nanos)
    }

    /// Whether staging was slow of late: then who takes one of several copies promotes at once.
    pub(super) fn is_dragging(&self) -> bool {
        self.dragging.load(Ordering::Relaxed)
    }

    /// Notes whether exchanges were slow.
    pub(super) fn drags(&self, dragging: bool) {
        if self.is_dragging() != dragging {
            self.dragging.store(dragging, Ordering::Relaxed);
        }
    }

    /// A thread ends, and gives its permits back; where the pool did not dismiss it, another takes its
    /// place when needed.
    pub(super) fn lose(self: &Arc<Pool>, permits: usize, dismissed: bool) {
        let mut crew = self.crew();
        crew.lines.release(permits);
        crew.live = crew.live.saturating_sub(usize::from(!dismissed));
        // Couriers know the pool: the last thread parts them, or neither would ever end.
        let left = if crew.live == 0 { crew.lines.clear() } else { Vec::new() };
        drop(crew);
        drop(left);
        self.account.forwarder(false);
        // Who is dismissed held no watch and was not called, as `end_rest` saw under the lock.
        if !dismissed {
            self.promote();
        }
    }

    /// No copy will ever come: threads end, and call each other to do so.
    pub(super) fn close(&self) {
        self.crew().closed = true;
    }

    /// Starts a thread, which holds the watch if it is to watch.
    fn start_forwarder(self: &Arc<Pool>, crew: &mut Crew, watches: bool) -> io::Result<()> {
        let pool = Arc::clone(self);
        self.account.forwarder(true);
        let started = thread::Builder::new()
            .name(thread_name(&self.target.name))
            .stack_size(STACK)
            .spawn(move || Forwarder::new(pool, watches).live());
        match started {
            Ok(_) => crew.live = crew.live.saturating_add(1),
            Err(_) => self.account.forwarder(false),
        }
        started.map(drop)
    }

    /// Counts a thread that could not be started: how many those are.
    pub(super) fn count_unstarted(&self) -> u64 {
        self.unstarted.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A courier for one connection.
    pub(super) fn hire(self: &Arc<Pool>) -> Box<dyn Courier> {
        let pool = Arc::clone(self);
        (self.hire)(OnSlow::new(move || pool.promote()))
    }

    /// The queue.
    pub(super) fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Where outcomes are counted.
    pub(super) fn account(&self) -> Account {
        self.account
    }

    /// The target.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The target's name.
    pub(super) fn name(&self) -> &str {
        &self.target.name
    }

    /// How long an idle connection is kept, and an idle thread above `min`.
    pub(super) fn ttl(&self) -> Duration {
        self.target.pool.ttl
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("target", &self.target.name).finish_non_exhaustive()
    }
}

/// `copy-` and the beginning of what tells targets apart: Linux shows 15 bytes.
pub(super) fn thread_name(target: &str) -> String {
    let telling = target.split_once("://").map_or(target, |(_, rest)| rest);
    let short = telling.chars().filter(char::is_ascii_graphic).take(10);
    format!("copy-{}", short.collect::<String>())
}

#[cfg(test)]
mod tests;
