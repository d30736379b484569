//! Threads that come and go with the copies.

use std::sync::mpsc;

use super::super::Forwarders;
use super::super::testing::{
    Counters, Hired, LIMITS, LONG, budget, job, message, message_of, target,
};
use super::*;
use crate::message::Message;
use crate::outcome::StatusClass;
use crate::queue::{Full, Job};
use crate::stats::Cell;
use crate::target::Pool as Size;
use crate::wait;

/// Copies that wait at a gate, until the test lets them pass.
struct Gated {
    counters: Counters,
    forwarders: Forwarders,
    gate: mpsc::Sender<()>,
}

/// Waits until there are so many copies in the queue and in flight, and so many threads.
fn until(counters: &Counters, expected: [u64; 3]) {
    counters.until(|totals| {
        let forwarders = totals.count(Cell::Forwarders);
        [totals.queued(), totals.in_flight(), forwarders] == expected
    });
}

impl Gated {
    /// `slow`: whether couriers tell that they wait.
    fn start(size: Size, slow: bool) -> Gated {
        let counters = Counters::new();
        let (gate, hire) = gated(slow);
        let target = target("staging", size);
        let forwarders =
            Forwarders::with_couriers(target, counters.account, hire, Arc::default()).unwrap();
        Gated { counters, forwarders, gate }
    }

    fn offer(&self) -> Result<(), Full> {
        self.forwarders.offer(job(message("GET", None), LIMITS))?;
        self.counters.account.select();
        Ok(())
    }

    fn until(&self, queued: u64, in_flight: u64, forwarders: u64) {
        until(&self.counters, [queued, in_flight, forwarders]);
    }

    fn pass(&self, copies: usize) {
        (0..copies).for_each(|_| self.gate.send(()).unwrap());
    }
}

/// Couriers that wait at a gate.
fn gated(slow: bool) -> (mpsc::Sender<()>, Hire) {
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
    (gate, hire)
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
    let (counters, (gate, hire)) = (Counters::new(), gated(false));
    let (offers, jobs) = crate::queue::bounded(2);
    let long_ago = Instant::now() - Duration::from_secs(1);
    // They wait before there is a thread: had it sent one before, and that taken long on a busy machine, it would
    // send both by itself, as to any slow staging.
    for _ in 0..2 {
        offers.offer(Job { offered: long_ago, ..job(message("GET", None), LIMITS) }).unwrap();
        counters.account.select();
    }
    let target = target("staging", Size::default());
    Pool::start(target, counters.account, jobs, (hire, Arc::default())).unwrap();
    // It takes one, sees the other wait, and calls a second thread for that.
    until(&counters, [0, 2, 2]);
    (0..2).for_each(|_| gate.send(()).unwrap());
    until(&counters, [0, 0, 2]);
}

#[test]
fn a_thread_that_was_called_has_time_to_help_before_the_next_is() {
    let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
    let (_offers, jobs) = crate::queue::bounded(1);
    let target = target("staging", Size::default());
    let pool = Arc::new(Pool::empty(target, Counters::new().account, jobs, (hire, Arc::default())));
    let now = Instant::now();
    pool.crew().relieved = Some(now);
    pool.relieve(now + GROW_AFTER / 2);
    assert_eq!(pool.crew().live, 0);
    pool.relieve(now + GROW_AFTER);
    assert_eq!(pool.crew().live, 1);
    assert!(!pool.take_watch(), "it was passed on");
}

#[test]
fn while_copies_wait_for_long_a_thread_leaves_connections_for_others() {
    // Not offered yet is not waiting for long, however slow the machine.
    let (ago, ahead) = (Instant::now() - Duration::from_secs(1), Instant::now() + LONG);
    for (offered, taken) in [(ago, 10), (ahead, 16)] {
        let (counters, (begun, begins), (gate, passed)) =
            (Counters::new(), mpsc::channel(), mpsc::channel::<()>());
        let passed = Arc::new(Mutex::new(passed));
        let hire = Hired::each(move |_| {
            let (begun, passed) = (begun.clone(), Arc::clone(&passed));
            move |_: &Message| {
                begun.send(()).unwrap();
                passed.lock().unwrap().recv().unwrap();
                Ok(StatusClass::Successful)
            }
        });
        let (offers, jobs) = crate::queue::bounded(20);
        // With a `min` of 0 the thread ends.
        let size = Size { min: 0, max: 20, ttl: Duration::from_millis(1), queue: 20 };
        let target = target("staging", size);
        let pool = Arc::new(Pool::empty(target, counters.account, jobs, (hire, Arc::default())));
        pool.give_back(0, (0..20).map(|_| Kept { courier: pool.hire(), used: ahead }));
        for _ in 0..20 {
            counters.account.select();
            offers.offer(Job { offered, ..job(message("GET", None), LIMITS) }).unwrap();
        }
        // Nobody can be called while the test watches.
        assert!(pool.take_watch());
        let mut crew = pool.crew();
        assert!(crew.lines.hold());
        pool.start_forwarder(&mut crew, false).unwrap();
        drop(crew);
        // Who sends has taken all that it takes.
        begins.recv_timeout(LONG).unwrap();
        assert_eq!(counters.totals().in_flight(), taken);
        (0..20).for_each(|_| gate.send(()).unwrap());
        until(&counters, [0, 0, 0]);
    }
}

#[test]
fn where_copies_wait_for_long_there_is_a_permit_for_one_more_thread() {
    let (_offers, jobs) = crate::queue::bounded(1);
    let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
    let (target, account) = (target("staging", Size::default()), Counters::new().account);
    let pool = Pool::empty(target, account, jobs, (hire, Arc::default()));
    let mut crew = pool.crew();
    for max in [2, 3, 8, 20, 1500] {
        for at_work in 1..max {
            crew.live = at_work;
            assert!((1..max).contains(&(at_work * crew.share(max))), "of {max} for {at_work}");
        }
        crew.live = max;
        assert_eq!(crew.share(max), 1);
    }
    crew.live = 2;
    assert_eq!(crew.share(20), 6);
    crew.parked.push(Parked { thread: thread::current(), called: Arc::default() });
    assert_eq!(crew.share(20), 10, "who rests needs none");
}

#[test]
fn one_thread_makes_several_connections_only_where_staging_is_slow_but_not_to_connect_to() {
    let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
    let (_offers, jobs) = crate::queue::bounded(1);
    let connecting: Arc<Connecting> = Arc::default();
    let pool = Pool::empty(
        target("staging", Size::default()),
        Counters::new().account,
        jobs,
        (hire, Arc::clone(&connecting)),
    );
    assert!(pool.crew().lines.hold());
    for (dragging, slow_to_connect, several) in
        [(false, false, false), (true, false, true), (true, true, false), (true, false, true)]
    {
        pool.drags(dragging);
        connecting.note_slow(slow_to_connect);
        let mut couriers = Vec::new();
        let more = pool.take_lines(99, false, Instant::now(), &mut couriers);
        assert_eq!((more > 0, couriers.len()), (several, 0));
        pool.give_back(more, couriers.into_iter());
    }
    // Not beyond a share: two of 20 where nine are at work, of which it has one.
    pool.crew().live = 9;
    assert_eq!(pool.take_lines(99, true, Instant::now(), &mut Vec::new()), 1);
}

#[test]
fn a_full_queue_takes_no_more() {
    let gated = Gated::start(Size { max: 1, queue: 2, ..Size::default() }, true);
    gated.offer().unwrap();
    gated.until(0, 1, 1);
    gated.offer().unwrap();
    gated.offer().unwrap();
    assert_eq!(gated.offer(), Err(Full));
    gated.pass(3);
    gated.until(0, 0, 1);
}

#[test]
fn a_thread_rests_only_while_another_watches() {
    let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
    let target = target("staging", Size { ttl: Duration::ZERO, ..Size::default() });
    let (_offers, jobs) = crate::queue::bounded(1);
    let pool = Pool::empty(target, Counters::new().account, jobs, (hire, Arc::default()));
    let called = Arc::default();
    assert_eq!(pool.rest(&called), Rest::Unwatched);
    assert!(pool.take_watch());
    assert!(!pool.take_watch());
    assert_eq!(pool.end_rest(&called), None, "one to keep rests on");
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
    let forwarders =
        Forwarders::with_couriers(pool, counters.account, hire, Arc::default()).unwrap();
    let budget = budget();
    thread::scope(|scope| {
        for producer in 0..3 {
            let (forwarders, account) = (&forwarders, counters.account);
            scope.spawn(move || {
                for copy in 0..2000 {
                    account.select();
                    while forwarders.offer(job(message_of("GET", None, budget), LIMITS)).is_err() {
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

#[test]
fn connections_end_with_the_last_thread() {
    let alive = Arc::new(());
    let counters = Counters::new();
    let kept = Arc::clone(&alive);
    let hire = Hired::each(move |_| {
        let kept = Arc::clone(&kept);
        move |_: &Message| {
            let _ = &kept;
            Ok(StatusClass::Successful)
        }
    });
    let target = target("staging", Size::default());
    let forwarders =
        Forwarders::with_couriers(target, counters.account, hire, Arc::default()).unwrap();
    counters.account.select();
    forwarders.offer(job(message("GET", None), LIMITS)).unwrap();
    counters.until(|totals| totals.pending() == 0);
    drop(forwarders);
    // The pool's connections end with its threads.
    wait::until(|| Arc::strong_count(&alive) == 1);
}
