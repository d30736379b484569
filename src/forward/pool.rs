//! Which forwarder waits for copies, which rest, and when another is started.
//!
//! The threads of a target take turns as *leader and followers*, so that the request path wakes at
//! most one thread, a busy one never sleeps, and there are no more of them than staging's slowness
//! calls for:
//!
//! - At most one thread holds the **watch**: it alone waits on the queue. Taking a copy, it leaves
//!   the watch, sends, and looks at the queue again.
//! - A thread that finds the queue empty and the watch held parks on a stack; the last parked is the
//!   first called, so that the others may end.
//! - Whoever is about to wait for staging for long, or finds that copies wait for long, **promotes**:
//!   if nobody holds the watch, it is passed to the last parked thread, or to a new one if there may
//!   be one more.
//!
//! **No copy waits while all threads rest.** A thread parks only while the watch is held, seen under
//! the lock (`rest`). Who holds it waits on the queue, or naps for a moment and looks, and begins with
//! a look when the watch was passed to it. The watch is given up in three places only:
//!
//! - by a thread that has taken a copy, which looks at the queue again before it rests, and promotes
//!   before it waits for long;
//! - by `pass_watch`, when it passes it to nobody: under the lock, so that no thread has parked on the
//!   strength of it unseen; and it is called by a thread at work, or one that ends;
//! - by a thread that ends, which promotes after (`lose`).
//!
//! So while any thread is parked, there is one that watches, or one at work that will see to it.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::queue::Jobs;
use crate::stats::Account;
use crate::target::Target;

use super::forwarder::{Courier, Forwarder, GROW_AFTER};
use super::pace::OnSlow;

/// What a forwarder's stack takes; nothing in it is deep or large.
const STACK: usize = 256 * 1024;

/// Makes the courier of one forwarder, who tells when it is about to wait for long.
pub(super) type Hire = Box<dyn Fn(OnSlow) -> Box<dyn Courier> + Send + Sync>;

/// The threads of one target.
pub(super) struct Pool {
    target: Arc<Target>,
    account: Account,
    jobs: Jobs,
    hire: Hire,
    /// Whether a thread holds the watch.
    watched: AtomicBool,
    crew: Mutex<Crew>,
    /// How often no thread could be started.
    unstarted: AtomicU64,
}

/// The forwarders' own lock, which the request path never takes.
#[derive(Default)]
struct Crew {
    /// Threads that live, or are being started.
    live: usize,
    /// Those that rest; the last is called first.
    parked: Vec<Parked>,
    /// No copy will ever come.
    closed: bool,
    /// When a thread was last called because copies waited for long.
    relieved: Option<Instant>,
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
    /// It lasted the ttl, and the thread is one to keep.
    Long,
    /// It lasted the ttl, and the pool no longer counts on the thread.
    Dismissed,
}

impl Pool {
    /// Starts the target's `min` threads, and fails where not even one can be started.
    pub(super) fn start(
        target: Arc<Target>,
        account: Account,
        jobs: Jobs,
        hire: Hire,
    ) -> io::Result<()> {
        let min = target.pool.min.max(1);
        let pool = Arc::new(Pool::empty(target, account, jobs, hire));
        let mut crew = pool.crew();
        while crew.live < min {
            match pool.start_forwarder(&mut crew, false) {
                Ok(()) => {}
                Err(error) if crew.live == 0 => return Err(error),
                Err(error) => {
                    pool.report(&error);
                    break;
                }
            }
        }
        Ok(())
    }

    fn empty(target: Arc<Target>, account: Account, jobs: Jobs, hire: Hire) -> Pool {
        Pool {
            target,
            account,
            jobs,
            hire,
            watched: AtomicBool::new(false),
            crew: Mutex::default(),
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
        if due(&mut crew) {
            if let Some(parked) = crew.parked.pop() {
                parked.called.store(true, Ordering::Release);
                parked.thread.unpark();
                return;
            }
            if crew.live < self.target.pool.max && !crew.closed {
                match self.start_forwarder(&mut crew, true) {
                    Ok(()) => return,
                    Err(error) => self.report(&error),
                }
            }
        }
        // Under the lock: no thread has parked because it found the watch held by us.
        self.leave_watch();
        drop(crew);
    }

    /// Takes the watch, if nobody holds it.
    pub(super) fn take_watch(&self) -> bool {
        !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::AcqRel)
    }

    /// Gives the watch up; whoever does sees to what the module's head promises.
    pub(super) fn leave_watch(&self) {
        self.watched.store(false, Ordering::Release);
    }

    /// Parks the thread while another holds the watch.
    pub(super) fn rest(&self, called: &Arc<AtomicBool>) -> Rest {
        let mut crew = self.crew();
        if !self.watched.load(Ordering::Acquire) {
            return Rest::Unwatched;
        }
        crew.parked.push(Parked { thread: thread::current(), called: Arc::clone(called) });
        drop(crew);
        let since = Instant::now();
        while let Some(left) = self.ttl().checked_sub(since.elapsed()) {
            if called.swap(false, Ordering::Acquire) {
                return Rest::Called;
            }
            thread::park_timeout(left);
        }
        self.end_rest(called)
    }

    /// The ttl is over: the thread ends, unless it is called at this moment, or is one to keep.
    fn end_rest(&self, called: &Arc<AtomicBool>) -> Rest {
        let mut crew = self.crew();
        // Threads are called under the lock.
        if called.swap(false, Ordering::Acquire) {
            return Rest::Called;
        }
        crew.parked.retain(|parked| !Arc::ptr_eq(&parked.called, called));
        if crew.live <= self.target.pool.min {
            return Rest::Long;
        }
        crew.live = crew.live.saturating_sub(1);
        Rest::Dismissed
    }

    /// A thread ends; where the pool did not dismiss it, another takes its place when needed.
    pub(super) fn lose(self: &Arc<Pool>, dismissed: bool) {
        if !dismissed {
            let mut crew = self.crew();
            crew.live = crew.live.saturating_sub(1);
        }
        self.account.forwarder(false);
        self.promote();
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
            .spawn(move || Forwarder::new(pool, watches).serve());
        match started {
            Ok(_) => crew.live = crew.live.saturating_add(1),
            Err(_) => self.account.forwarder(false),
        }
        started.map(drop)
    }

    /// Tells the log of the 1st, 2nd, 4th, 8th … thread that could not be started.
    fn report(&self, error: &io::Error) {
        let count = self.unstarted.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if count.is_power_of_two() {
            let name = self.name();
            log::warn!("CPY0108: starting a forwarder to {name} failed: {error} ({count} so far)");
        }
    }

    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A courier for one forwarder.
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
fn thread_name(target: &str) -> String {
    let telling = target.split_once("://").map_or(target, |(_, rest)| rest);
    let short = telling.chars().filter(char::is_ascii_graphic).take(10);
    format!("copy-{}", short.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::Forwarders;
    use super::super::testing::{Counters, Hired, LIMITS, job, message, target};
    use super::*;
    use crate::message::Message;
    use crate::outcome::StatusClass;
    use crate::queue::Job;
    use crate::stats::Cell;
    use crate::target::Pool as Size;

    /// Copies that wait at a gate, until the test lets them pass.
    struct Gated {
        counters: Counters,
        forwarders: Forwarders,
        gate: mpsc::Sender<()>,
    }

    impl Gated {
        /// `slow`: whether couriers tell that they wait.
        fn start(size: Size, slow: bool) -> Gated {
            let counters = Counters::new();
            let (gate, passed) = mpsc::channel::<()>();
            let passed = Arc::new(Mutex::new(passed));
            let hire = Hired::each(move |on_slow: OnSlow| {
                let passed = Arc::clone(&passed);
                move |_: &Message| {
                    if slow {
                        on_slow.tell();
                    }
                    // Whoever waits for the lock waits at the gate as well.
                    passed.lock().unwrap().recv().unwrap();
                    Ok(StatusClass::Successful)
                }
            });
            let target = target("staging", size);
            let forwarders = Forwarders::with_couriers(target, counters.account, hire).unwrap();
            Gated { counters, forwarders, gate }
        }

        fn offer(&self) -> Result<(), Job> {
            self.offer_waiting_since(Instant::now())
        }

        fn offer_waiting_since(&self, offered: Instant) -> Result<(), Job> {
            self.forwarders.offer(Job { offered, ..job(message("GET", None), LIMITS) })?;
            self.counters.account.select();
            Ok(())
        }

        fn until(&self, queued: u64, in_flight: u64, forwarders: u64) {
            self.counters.until(|totals| {
                (totals.queued(), totals.in_flight(), totals.count(Cell::Forwarders))
                    == (queued, in_flight, forwarders)
            });
        }

        fn pass(&self, copies: usize) {
            (0..copies).for_each(|_| self.gate.send(()).unwrap());
        }
    }

    #[test]
    fn the_pool_grows_to_max_while_staging_is_slow_and_shrinks_to_min_after_the_ttl() {
        let size = Size { min: 2, max: 5, ttl: Duration::from_millis(20), queue: 100 };
        let gated = Gated::start(size, true);
        gated.until(0, 0, 2);
        for _ in 0..12 {
            gated.offer().unwrap();
        }
        gated.until(7, 5, 5);
        gated.pass(1);
        gated.until(6, 5, 5);
        gated.pass(11);
        gated.until(0, 0, 2);
        assert_eq!(gated.counters.totals().count(Cell::Delivered2xx), 12);
        gated.offer().unwrap();
        gated.pass(1);
        gated.until(0, 0, 2);
    }

    #[test]
    fn while_there_may_be_one_more_thread_no_copy_waits_for_a_slow_one() {
        let gated = Gated::start(Size { max: 8, ..Size::default() }, true);
        for busy in 1..=7 {
            gated.offer().unwrap();
            gated.until(0, busy, busy + 1);
        }
        gated.pass(7);
        gated.until(0, 0, 8);
    }

    #[test]
    fn one_fast_thread_serves_alone() {
        let gated = Gated::start(Size::default(), false);
        for _ in 0..100 {
            gated.pass(1);
            gated.offer().unwrap();
            gated.until(0, 0, 1);
        }
    }

    #[test]
    fn copies_that_wait_for_long_call_for_another_thread() {
        let gated = Gated::start(Size::default(), false);
        gated.offer().unwrap();
        gated.until(0, 1, 1);
        let long_ago = Instant::now() - Duration::from_secs(1);
        for _ in 0..2 {
            gated.offer_waiting_since(long_ago).unwrap();
        }
        gated.until(2, 1, 1);
        gated.pass(1);
        // The one that is free takes the next, sees another wait, and calls a second thread for it.
        gated.until(0, 2, 2);
        gated.pass(2);
        gated.until(0, 0, 2);
    }

    #[test]
    fn a_thread_that_was_called_has_time_to_help_before_the_next_is() {
        let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
        let (_offers, jobs) = crate::queue::bounded(1);
        let target = target("staging", Size::default());
        let pool = Arc::new(Pool::empty(target, Counters::new().account, jobs, hire));
        let now = Instant::now();
        pool.crew().relieved = Some(now);
        pool.relieve(now + GROW_AFTER / 2);
        assert_eq!(pool.crew().live, 0);
        pool.relieve(now + GROW_AFTER);
        assert_eq!(pool.crew().live, 1);
        assert!(!pool.take_watch(), "it was passed on");
    }

    #[test]
    fn a_full_queue_gives_the_copy_back() {
        let gated = Gated::start(Size { max: 1, queue: 2, ..Size::default() }, true);
        gated.offer().unwrap();
        gated.until(0, 1, 1);
        gated.offer().unwrap();
        gated.offer().unwrap();
        let job = gated.offer().unwrap_err();
        assert_eq!(job.message.method(), b"GET");
        gated.pass(3);
        gated.until(0, 0, 1);
    }

    #[test]
    fn a_stopped_pool_takes_nothing_and_sends_what_it_has() {
        let gated = Gated::start(Size { max: 1, ..Size::default() }, true);
        for _ in 0..5 {
            gated.offer().unwrap();
        }
        gated.forwarders.stop();
        assert!(gated.offer().is_err());
        gated.pass(5);
        gated.until(0, 0, 1);
        assert_eq!(gated.counters.totals().count(Cell::Delivered2xx), 5);
    }

    #[test]
    fn a_thread_rests_only_while_another_watches() {
        let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
        let target = target("staging", Size { ttl: Duration::ZERO, ..Size::default() });
        let (_offers, jobs) = crate::queue::bounded(1);
        let pool = Pool::empty(target, Counters::new().account, jobs, hire);
        let called = Arc::default();
        assert_eq!(pool.rest(&called), Rest::Unwatched);
        assert!(pool.take_watch());
        assert!(!pool.take_watch());
        assert_eq!(pool.rest(&called), Rest::Long);
        pool.crew().live = 2;
        assert_eq!(pool.rest(&called), Rest::Dismissed);
        assert_eq!(pool.crew().live, 1);
        assert!(pool.crew().parked.is_empty());
        called.store(true, Ordering::Release);
        assert_eq!(pool.rest(&called), Rest::Called);
    }

    #[test]
    fn threads_end_when_no_copy_can_come() {
        let gated = Gated::start(Size { min: 3, max: 5, ..Size::default() }, true);
        for _ in 0..5 {
            gated.offer().unwrap();
        }
        gated.until(0, 5, 5);
        gated.pass(5);
        gated.until(0, 0, 5);
        gated.offer().unwrap();
        gated.until(0, 1, 5);
        // One works, one watches, three rest.
        let Gated { counters, forwarders, gate } = gated;
        drop(forwarders);
        gate.send(()).unwrap();
        counters.until(|totals| totals.count(Cell::Forwarders) == 0);
    }

    #[test]
    fn no_copy_is_left_behind_however_threads_come_and_go() {
        let counters = Counters::new();
        let hire = Hired::each(|on_slow: OnSlow| {
            let mut copies = 0;
            move |_: &Message| {
                copies += 1;
                match copies % 7 {
                    0 => on_slow.tell(),
                    3 => thread::yield_now(),
                    5 => thread::sleep(Duration::from_micros(50)),
                    _ => {}
                }
                Ok(StatusClass::Successful)
            }
        });
        // Rests are so short that threads end while others are promoted.
        let size = Size { min: 1, max: 6, ttl: Duration::from_micros(20), queue: 16 };
        let pool = target("staging", size);
        let forwarders = Forwarders::with_couriers(pool, counters.account, hire).unwrap();
        thread::scope(|scope| {
            for producer in 0..3 {
                let (forwarders, account) = (&forwarders, counters.account);
                scope.spawn(move || {
                    for copy in 0..2000 {
                        account.select();
                        let mut offered = Err(job(message("GET", None), LIMITS));
                        while let Err(job) = offered {
                            offered = forwarders.offer(job);
                            thread::yield_now();
                        }
                        // Every so often all is quiet: a copy left behind now would stay.
                        if producer == 0 && copy % 10 == 0 {
                            thread::sleep(Duration::from_micros(100));
                        }
                    }
                });
            }
        });
        let totals =
            counters.until(|totals| totals.pending() == 0 && totals.count(Cell::Forwarders) == 1);
        assert_eq!(totals.count(Cell::Delivered2xx), 6000);
    }

    #[test]
    fn threads_are_named_after_their_target() {
        assert_eq!(thread_name("http://staging.internal.net/"), "copy-staging.in");
        assert_eq!(thread_name("b\u{fc}h ne\0"), "copy-bhne");
    }
}
