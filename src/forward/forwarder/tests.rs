//! One forwarder thread: what it takes, sends, drops and outlives.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread::ThreadId;

use super::super::Forwarders;
use super::super::courier::{Courier, Errand, Hire, Progress};
use super::super::exchange::Wait;
use super::super::pace::Deadline;
use super::super::testing::{
    Counters, Hired, LIMITS, LONG, budget, job, message, message_of, target,
};
use super::*;
use crate::breaker::Rules;
use crate::message::Message;
use crate::outcome::StatusClass;
use crate::queue;
use crate::stats::{Cell, Traffic};
use crate::target::Pool as Size;

#[test]
fn who_waits_is_woken_by_the_copy_that_makes_enough_and_when_none_will_come() {
    let (offers, jobs) = queue::bounded(3);
    let (tell, told) = mpsc::channel();
    let since = Instant::now();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let tell = tell;
            jobs.wait_for(2, LONG);
            tell.send((jobs.try_recv().is_ok(), jobs.try_recv().is_ok())).unwrap();
            jobs.wait_for_any(LONG, true);
            assert_eq!(jobs.try_recv().err(), Some(TryRecvError::Disconnected));
        });
        let asleep = || {
            while !jobs.are_awaited() && !waits.is_finished() {
                thread::yield_now();
            }
        };
        let other = offers.clone();
        asleep();
        for offers in [&offers, &other] {
            offers.offer(job(message("GET", None), LIMITS)).unwrap();
        }
        // Those that could offer more live on until both were taken.
        assert_eq!(told.recv(), Ok((true, true)));
        asleep();
        drop((offers, other));
    });
    assert!(since.elapsed() < LONG, "it was not woken");
}

#[test]
fn heavy_copies_make_a_smaller_batch_are_sooner_enough_and_not_lingered_for() {
    let (offers, jobs) = queue::bounded(30);
    let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
    let (target, counters) =
        (target("staging", Size { queue: 30, ..Size::default() }), Counters::new());
    let pool = Arc::new(Pool::empty(target, counters.account, jobs, (hire, Arc::default())));
    let kept = || Kept { courier: pool.hire(), used: Instant::now() };
    pool.give_back(0, (0..BATCH).map(|_| kept()));
    let mut forwarder = Forwarder::new(Arc::clone(&pool), false);
    // The first of each kind is met with what was known of the one before.
    for (content, takes, enough) in [
        (1 << 10, [BATCH, BATCH], 8),
        (64 << 10, [8, 8], 4),
        (1 << 20, [1, 1], 0),
        (60 << 10, [1, 8], 4),
        (1 << 10, [8, BATCH], 8),
    ] {
        for taken in takes {
            for _ in 0..20 {
                counters.account.select();
                let message = message("POST", Some(&vec![b'x'; content]));
                offers.offer(job(message, LIMITS)).unwrap();
            }
            let first = pool.jobs().try_recv().unwrap();
            let first = forwarder.take(first, Instant::now()).unwrap();
            forwarder.gather(first, false, Instant::now());
            assert_eq!(forwarder.batch.len(), taken, "of {content} bytes");
            forwarder.batch.send(|| pool.hire());
            forwarder.put_down(Instant::now(), Instant::now());
            while pool.jobs().try_recv().is_ok() {}
        }
        assert_eq!(forwarder.enough(), enough, "of {content} bytes");
        assert_eq!(forwarder.lingers(), takes != [1, 1], "of {content} bytes");
    }
}

#[test]
fn the_last_of_frequent_copies_are_not_left_lying() {
    let counters = Counters::new();
    let forwarders = Forwarders::with_couriers(
        target("staging", Size::default()),
        counters.account,
        Hired::each(|_| |_: &Message| Ok(StatusClass::Successful)),
        Arc::default(),
    )
    .unwrap();
    // Whether it naps for the last of these or not, nothing else comes that would wake it.
    for count in [20, 1, 9, 3] {
        for _ in 0..count {
            counters.account.select();
            forwarders.offer(job(message("GET", None), LIMITS)).unwrap();
        }
        counters.until(|totals| totals.pending() == 0);
    }
    assert_eq!(counters.totals().count(Cell::Delivered2xx), 33);
}

#[test]
fn a_panic_fails_its_copy_alone() {
    let counters = Counters::new();
    let hired = Arc::new(AtomicUsize::new(0));
    let couriers = Arc::clone(&hired);
    let hire = Hired::each(move |_| {
        couriers.fetch_add(1, Ordering::SeqCst);
        |message: &Message| match message.method() {
            b"PURGE" => panic!("on purpose"),
            _ => Ok(StatusClass::Successful),
        }
    });
    let size = Size { max: 1, ..Size::default() };
    let forwarders =
        Forwarders::with_couriers(target("staging", size), counters.account, hire, Arc::default())
            .unwrap();
    for method in ["GET", "PURGE", "GET", "GET"] {
        counters.account.select();
        forwarders.offer(job(message(method, None), LIMITS)).unwrap();
    }
    let totals = counters.until(|totals| totals.pending() == 0);
    assert_eq!(totals.count(Cell::Delivered2xx), 3);
    assert_eq!(totals.count(Cell::FailedInternal), 1);
    assert_eq!(totals.count(Cell::Forwarders), 1);
    assert_eq!(hired.load(Ordering::SeqCst), 2, "and takes its courier along");
}

#[test]
fn nothing_more_is_sent_once_the_accounts_are_closed() {
    let counters = Counters::new();
    let (go_on, gate) = mpsc::channel::<()>();
    let (gate, sent) = (Arc::new(Mutex::new(gate)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&sent);
    let hire = Hired::each(move |_| {
        let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
        move |_: &Message| {
            count.fetch_add(1, Ordering::SeqCst);
            gate.lock().unwrap().recv().unwrap();
            Ok(StatusClass::Successful)
        }
    });
    let size = Size { max: 1, ..Size::default() };
    let forwarders =
        Forwarders::with_couriers(target("staging", size), counters.account, hire, Arc::default())
            .unwrap();
    for _ in 0..5 {
        counters.account.select();
        forwarders.offer(job(message("GET", None), LIMITS)).unwrap();
    }
    counters.until(|_| sent.load(Ordering::SeqCst) == 1);
    assert_eq!(counters.ledger.close(LONG, thread::yield_now), 5);
    (0..5).for_each(|_| go_on.send(()).unwrap());
    counters.until(|_| forwarders.offers.is_empty());
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    let totals = counters.totals();
    assert_eq!((totals.count(Cell::DroppedStopping), totals.pending()), (5, 0));
}

#[test]
fn memory_is_given_back_before_the_outcome_shows() {
    let counters = Counters::new();
    let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
    let target = target("staging", Size::default());
    let forwarders =
        Forwarders::with_couriers(target, counters.account, hire, Arc::default()).unwrap();
    let budget = budget();
    for _ in 0..200 {
        counters.account.select();
        let message = message_of("POST", Some(&[b'x'; 1024]), budget);
        forwarders.offer(job(message, LIMITS)).unwrap();
        counters.until(|totals| totals.pending() == 0);
        assert_eq!(budget.used(), 0);
    }
}

/// A courier that notes which thread it works for, and panics when its connection is looked at.
struct Brittle {
    breaks: Arc<AtomicBool>,
    workers: mpsc::Sender<ThreadId>,
}

impl Courier for Brittle {
    fn has_connection(&self) -> bool {
        true
    }

    fn send(&mut self, _: &Errand<'_>, _: Wait, _: &mut Traffic) -> Progress {
        self.workers.send(thread::current().id()).unwrap();
        Progress::Ended(Ok(StatusClass::Successful))
    }

    fn go_on(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
        self.send(errand, wait, traffic)
    }

    fn late(&self, deadline: &Deadline) -> Fault {
        Fault::late("break", deadline)
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        assert!(!self.breaks.swap(false, Ordering::SeqCst), "on purpose");
        None
    }
}

#[test]
fn a_thread_outlives_a_panic_outside_of_its_copies() {
    let counters = Counters::new();
    let (breaks, (workers, worked)) = (Arc::new(AtomicBool::new(false)), mpsc::channel());
    let breaking = Arc::clone(&breaks);
    let hire: Hire = Box::new(move |_| {
        Box::new(Brittle { breaks: Arc::clone(&breaking), workers: workers.clone() })
    });
    let size = Size { max: 1, ..Size::default() };
    let forwarders =
        Forwarders::with_couriers(target("staging", size), counters.account, hire, Arc::default())
            .unwrap();
    for round in 1..=3 {
        for breaks_now in [false, true, false] {
            breaks.store(breaks_now, Ordering::SeqCst);
            counters.account.select();
            forwarders.offer(job(message("GET", None), LIMITS)).unwrap();
            counters.until(|totals| totals.pending() == 0);
        }
        let totals = counters.totals();
        let counts = [Cell::Delivered2xx, Cell::FailedInternal, Cell::Forwarders];
        assert_eq!(counts.map(|cell| totals.count(cell)), [2 * round, round, 1]);
    }
    let workers: Vec<ThreadId> = worked.try_iter().collect();
    assert!(workers.len() == 6 && workers.iter().all(|id| *id == workers[0]), "{workers:?}");
}

#[test]
fn copies_that_wait_when_the_breaker_opens_are_dropped_by_who_takes_them() {
    const WAITING: usize = 50;
    let counters = Counters::new();
    let breaker = counters.account.breaker();
    breaker.configure(Rules { failures: 1, retry: Duration::from_secs(3600) }, 0);
    let (gate, passed) = mpsc::channel::<()>();
    let passed = Arc::new(Mutex::new(passed));
    let hire = Hired::each(move |_| {
        let passed = Arc::clone(&passed);
        move |_: &Message| {
            passed.lock().unwrap().recv().unwrap();
            Err(Fault::new(Failure::Timeout, "on purpose"))
        }
    });
    let size = Size { max: 1, ..Size::default() };
    let forwarders =
        Forwarders::with_couriers(target("staging", size), counters.account, hire, Arc::default())
            .unwrap();
    let budget = budget();
    for _ in 0..=WAITING {
        counters.account.select();
        let message = message_of("POST", Some(&[b'x'; 1024]), budget);
        forwarders.offer(job(message, LIMITS)).unwrap();
    }
    let full = counters.until(|totals| totals.in_flight() == 1);
    assert_eq!(full.queued(), WAITING as u64);
    gate.send(()).unwrap();
    let totals = counters.until(|totals| totals.pending() == 0);
    let counts = [Cell::Taken, Cell::FailedTimeout, Cell::DroppedBreaker];
    assert_eq!(counts.map(|cell| totals.count(cell)), [1, 1, WAITING as u64]);
    assert_eq!((totals.queued(), totals.in_flight(), budget.used()), (0, 0, 0));
}
