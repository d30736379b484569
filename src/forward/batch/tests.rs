//! Several copies under way from one thread, as staging and their outcomes show them.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::super::Forwarders;
use super::super::courier::{Errand, Progress};
use super::super::exchange::Awaits;
use super::super::fault::Fault;
use super::super::pace::{Deadline, OnSlow};
use super::super::testing::{
    Counters, Hired, LIMITS, LONG, OK, Staging, direct, job, message, plain_target, request, target,
};
use super::*;
use crate::breaker::{Rules, Sign};
use crate::clock;
use crate::mask::{Key, Masks, Rule, Unmaskable};
use crate::message::Message;
use crate::outcome::StatusClass;
use crate::queue::Job;
use crate::stats::{Cell, Totals, Traffic};
use crate::target::{Limits, Pool as Size};
use crate::wait;

const TTL: Duration = Duration::from_secs(1);

/// A pool with so many idle connections, to a staging which serves each request as `serve` does: so
/// that many copies make a batch.
struct Warm {
    staging: Staging,
    counters: Counters,
    forwarders: Forwarders,
    /// Connections that have ended.
    ended: Arc<AtomicUsize>,
}

impl Warm {
    fn start(
        connections: usize,
        serve: impl Fn(&[u8], &mut TcpStream) + Send + Sync + 'static,
    ) -> Warm {
        // Each answer of the first round waits until all connections are there.
        let (sender, gate) = mpsc::channel::<()>();
        let (gate, warm, ended) =
            (Mutex::new(gate), Arc::new(AtomicBool::new(false)), Arc::default());
        let (is_warm, ends) = (Arc::clone(&warm), Arc::clone(&ended));
        let staging = Staging::start(move |_, stream| {
            while let Some(request) = request(stream) {
                if is_warm.load(Ordering::SeqCst) {
                    serve(&request, stream);
                } else {
                    gate.lock().unwrap().recv().unwrap();
                    stream.write_all(OK).unwrap();
                }
            }
            AtomicUsize::fetch_add(&ends, 1, Ordering::SeqCst);
        });
        let counters = Counters::new();
        let size = Size { max: connections, ttl: TTL, ..Size::default() };
        let forwarders = Forwarders::start(
            target(staging.address, size),
            &direct(staging.address),
            counters.account,
        )
        .unwrap();
        let warming = Warm { staging, counters, forwarders, ended };
        (0..connections).for_each(|_| warming.offer("GET", None, LIMITS));
        // Nobody takes another's connection, for none is answered.
        warming.staging.await_connections(connections);
        (0..connections).for_each(|_| sender.send(()).unwrap());
        warming.until(|totals| totals.pending() == 0);
        assert_eq!(warming.staging.connections(), 0, "no more than those");
        warm.store(true, Ordering::SeqCst);
        warming
    }

    fn offer(&self, method: &str, content: Option<&[u8]>, limits: Limits) {
        self.counters.account.select();
        self.forwarders.offer(job(message(method, content), limits)).unwrap();
    }

    fn until(&self, as_expected: impl Fn(&Totals) -> bool) -> Totals {
        self.counters.until(as_expected)
    }

    fn delivered(&self) -> u64 {
        self.counters.totals().count(Cell::Delivered2xx)
    }
}

fn within(millis: u64) -> Limits {
    Limits { timeout: Duration::from_millis(millis), ..LIMITS }
}

/// Answers all but `POST`, and waits with that until the forwarder gives it up.
fn stall_posts(request: &[u8], stream: &mut TcpStream) {
    if request.starts_with(b"POST") {
        let _ = stream.read(&mut [0]);
    } else {
        stream.write_all(OK).unwrap();
    }
}

#[test]
fn a_stalled_exchange_holds_up_no_other() {
    let warm = Warm::start(4, stall_posts);
    let (before, began) = (warm.delivered(), Instant::now());
    // Wherever in its batch the stalled one is.
    for _ in 0..3 {
        warm.offer("GET", None, LIMITS);
        warm.offer("POST", Some(b"x"), within(900));
        warm.offer("GET", None, LIMITS);
    }
    let totals = warm.until(|totals| totals.count(Cell::Delivered2xx) == before + 6);
    assert_eq!(totals.pending(), 3);
    let end = warm.until(|totals| totals.pending() == 0);
    assert_eq!(end.count(Cell::FailedTimeout), 3);
    assert!(began.elapsed() >= Duration::from_millis(900));
}

#[test]
fn content_that_staging_does_not_read_holds_up_no_other() {
    const LENGTH: usize = 8 << 20;
    let (read, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let warm = Warm::start(4, move |request, stream| {
        if request.starts_with(b"PUT") {
            gate.lock().unwrap().recv().unwrap();
            let head = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            stream.read_exact(&mut vec![0; head + LENGTH - request.len()]).unwrap();
        }
        stream.write_all(OK).unwrap();
    });
    let before = warm.delivered();
    warm.offer("GET", None, LIMITS);
    warm.offer("PUT", Some(&vec![b'x'; LENGTH]), LIMITS);
    (0..4).for_each(|_| warm.offer("GET", None, LIMITS));
    let totals = warm.until(|totals| totals.count(Cell::Delivered2xx) == before + 5);
    assert_eq!((totals.pending(), totals.count(Cell::Unanswered)), (1, 0));
    read.send(()).unwrap();
    let end = warm.until(|totals| totals.pending() == 0);
    assert_eq!(end.count(Cell::Unanswered), 0);
    assert_eq!(end.count(Cell::Delivered2xx), before + 6);
    assert!(end.count(Cell::BytesSent) > LENGTH as u64);
}

#[test]
fn each_of_a_batch_has_its_own_deadline() {
    let warm = Warm::start(3, stall_posts);
    let began = Instant::now();
    for millis in [600, 60, 10_000] {
        warm.offer("POST", Some(b"x"), within(millis));
    }
    for (failed, least, most) in [(1, 60, 600), (2, 600, 10_000)] {
        warm.until(|totals| totals.count(Cell::FailedTimeout) == failed);
        let range = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(range.contains(&began.elapsed()), "{failed}: {:?}", began.elapsed());
    }
}

#[test]
fn a_connection_closed_as_it_is_used_again_is_replaced_within_the_batch() {
    let requests = AtomicUsize::new(0);
    let warm = Warm::start(4, move |_, stream| {
        if requests.fetch_add(1, Ordering::SeqCst) < 4 {
            stream.shutdown(Shutdown::Both).unwrap();
        } else {
            stream.write_all(OK).unwrap();
        }
    });
    let before = warm.delivered();
    (0..12).for_each(|_| warm.offer("GET", None, LIMITS));
    let end = warm.until(|totals| totals.pending() == 0);
    // What met such a connection twice, or first over a new one, is not sent again.
    let (delivered, reset) = (end.count(Cell::Delivered2xx) - before, end.count(Cell::FailedReset));
    assert_eq!(delivered + reset, 12);
    assert!(reset <= 3, "{reset}");
}

#[test]
fn idle_connections_are_used_again_and_end_after_the_ttl() {
    let (pass, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let warm = Warm::start(6, move |_, stream| {
        gate.lock().unwrap().recv().unwrap();
        stream.write_all(OK).unwrap();
    });
    (0..6).for_each(|_| warm.offer("GET", None, LIMITS));
    warm.until(|totals| totals.in_flight() == 6);
    let began = Instant::now();
    (0..6).for_each(|_| pass.send(()).unwrap());
    warm.until(|totals| totals.pending() == 0);
    assert_eq!(warm.staging.connections(), 0, "no new ones");
    wait::until(|| warm.ended.load(Ordering::SeqCst) == 6);
    assert!(began.elapsed() >= TTL, "{:?}", began.elapsed());
}

#[test]
fn with_one_connection_copies_keep_their_order() {
    let (sender, received) = mpsc::channel();
    let staging = Staging::start(move |_, stream| {
        while let Some(request) = request(stream) {
            sender.send(request).unwrap();
            stream.write_all(OK).unwrap();
        }
    });
    let counters = Counters::new();
    let size = Size { max: 1, ..Size::default() };
    let forwarders = Forwarders::start(
        target(staging.address, size),
        &direct(staging.address),
        counters.account,
    )
    .unwrap();
    let contents: Vec<_> = (0..500).map(|number| format!("copy {number:03}")).collect();
    for content in &contents {
        counters.account.select();
        forwarders.offer(job(message("POST", Some(content.as_bytes())), LIMITS)).unwrap();
    }
    for content in contents {
        let request = received.recv_timeout(LONG).unwrap();
        assert!(request.ends_with(content.as_bytes()), "{content}");
    }
    assert_eq!(staging.connections(), 1);
}

/// A courier that does as it is told, and notes what it is asked.
struct Scripted {
    name: &'static str,
    steps: VecDeque<Progress>,
    asked: Arc<Mutex<Vec<String>>>,
    socket: UnixStream,
}

impl Scripted {
    fn step(&mut self, asked: &str) -> Progress {
        self.asked.lock().unwrap().push(format!("{} {asked}", self.name));
        self.steps.pop_front().unwrap_or(Progress::Awaits(Awaits::Answer))
    }
}

impl Courier for Scripted {
    fn has_connection(&self) -> bool {
        true
    }

    fn send(&mut self, _: &Errand<'_>, _: Wait, _: &mut Traffic) -> Progress {
        self.step("sends")
    }

    fn go_on(&mut self, _: &Errand<'_>, _: Wait, _: &mut Traffic) -> Progress {
        self.step("goes on")
    }

    fn late(&self, deadline: &Deadline) -> Fault {
        Fault::late("be scripted", deadline)
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}

#[test]
fn a_stale_connection_is_replaced_when_the_others_are_slow_and_they_are_looked_at_between() {
    const ANSWERED: fn() -> Progress = || Progress::Ended(Ok(StatusClass::Successful));
    let counters = Counters::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let told = || std::mem::take(&mut *asked.lock().unwrap());
    let unhired = || unreachable!();
    let mut batch = Batch::default();
    let add = |batch: &mut Batch, name, steps: Vec<Progress>| {
        let (socket, peer) = UnixStream::pair().unwrap();
        let (steps, asked) = (steps.into(), Arc::clone(&asked));
        counters.account.select();
        let job = job(message("GET", None), LIMITS);
        let mut hand =
            Hand::take(job, Instant::now(), (&plain_target(), counters.account)).unwrap();
        hand.assign(Box::new(Scripted { name, steps, asked, socket }));
        batch.add(hand);
        peer
    };
    let waits = || Progress::Awaits(Awaits::Answer);
    let _peer = add(&mut batch, "stale", vec![Progress::Stale, ANSWERED()]);
    let mut answering = add(&mut batch, "other", vec![waits(), waits(), ANSWERED()]);
    let _peer = add(&mut batch, "second", vec![Progress::Stale, ANSWERED()]);
    batch.send(unhired);
    assert_eq!(told(), ["stale sends", "other sends", "second sends", "other goes on"]);
    let short = Some(Duration::from_millis(1));
    batch.go_on(Instant::now(), short, unhired);
    assert!(told().is_empty(), "the other is not yet slow");
    answering.write_all(b"x").unwrap();
    batch.go_on(Instant::now(), None, unhired);
    assert_eq!(told(), ["stale sends", "other goes on"]);
    assert_eq!(batch.ended(Instant::now(), unhired).count(), 2);
    batch.go_on(Instant::now(), short, unhired);
    assert_eq!(told(), ["second sends"], "at once, for there is no other");
    assert_eq!(batch.ended(Instant::now(), unhired).count(), 1);
}

#[test]
fn a_panic_fails_its_copy_alone_and_ends_its_connection() {
    let counters = Counters::new();
    let hire = Hired::each(|_| {
        |message: &Message| match message.method() {
            b"PURGE" => panic!("on purpose"),
            _ => Ok(StatusClass::Successful),
        }
    });
    let hire = || hire(OnSlow::new(|| {}));
    let mut batch = Batch::default();
    for method in ["GET", "PURGE", "GET", "PURGE", "GET"] {
        counters.account.select();
        let mut hand = Hand::take(
            job(message(method, None), LIMITS),
            Instant::now(),
            (&plain_target(), counters.account),
        )
        .unwrap();
        hand.assign(hire());
        batch.add(hand);
    }
    batch.send(hire);
    let ended: Vec<_> = batch.ended(Instant::now(), hire).map(|hand| hand.put_down(TTL)).collect();
    assert_eq!(batch.len(), 0);
    let kept: Vec<_> = ended.iter().map(|left| left.courier.is_some()).collect();
    assert_eq!(kept, [true, false, true, false, true]);
    let totals = counters.totals();
    assert_eq!((totals.count(Cell::Delivered2xx), totals.count(Cell::FailedInternal)), (3, 2));
    assert_eq!(totals.pending(), 0);
}

#[test]
fn what_is_dropped_in_hand_has_an_outcome() {
    let counters = Counters::new();
    let mut batch = Batch::default();
    for _ in 0..3 {
        counters.account.select();
        let job = job(message("GET", None), LIMITS);
        batch.add(Hand::take(job, Instant::now(), (&plain_target(), counters.account)).unwrap());
    }
    drop(batch);
    assert_eq!(counters.totals().count(Cell::FailedInternal), 3);
}

#[test]
fn a_probe_that_ends_in_no_sign_of_staging_leaves_its_place_to_another() {
    let counters = Counters::new();
    let breaker = counters.account.breaker();
    breaker.configure(Rules { failures: 1, retry: Duration::from_millis(1) }, 0);
    breaker.report(breaker.admit(|| 1).unwrap(), Sign::Gone, || 1);
    counters.account.select();
    let pass = breaker.admit(|| 2).unwrap();
    assert!(!breaker.would_admit(|| 2), "there is one");
    let job = Job { pass, ..job(message("GET", None), LIMITS) };
    drop(Hand::take(job, Instant::now(), (&plain_target(), counters.account)).unwrap());
    assert_eq!(counters.totals().count(Cell::FailedInternal), 1);
    assert!(breaker.would_admit(clock::now));
}

#[test]
fn masking_one_copy_takes_nothing_of_anothers_time() {
    let counters = Counters::new();
    let rule = Rule::parse(&["json", "password"]).unwrap();
    let masks = Arc::new(Masks::of(&rule, Key::of(b"a key")));
    let long = format!(r#"{{"password":"{}"}}"#, "x".repeat(MUCH));
    // So long ago that none of them would have any time left.
    let taken = Instant::now() - LONG;
    let mut batch = Batch::default();
    for (content, masked) in
        [(r#"{"password":"secret"}"#, true), ("x", false), (r#"{"password":"#, true), (&long, true)]
    {
        counters.account.select();
        let masks = masked.then(|| Arc::clone(&masks));
        let job = Job { masks, ..job(message("POST", Some(content.as_bytes())), LIMITS) };
        batch.add(Hand::take(job, taken, (&plain_target(), counters.account)).ok().unwrap());
    }
    let totals = counters.totals();
    assert_eq!((totals.queued(), totals.in_flight()), (3, 1), "what is not masked is not sent");
    let (calls, mut dropped) = (AtomicUsize::new(0), Vec::new());
    let call = || {
        calls.fetch_add(1, Ordering::SeqCst);
    };
    let begun = batch.mask(call, |unsent| dropped.push(unsent)).unwrap();
    assert_eq!(dropped, [Unsent::Unmaskable(Unmaskable::Json)]);
    assert!(calls.load(Ordering::SeqCst) > 0, "others are called before the long one is masked");
    let ended = batch.ended(begun, || unreachable!("nothing is sent")).count();
    assert_eq!((ended, batch.len()), (1, 3), "only what was dropped has ended");
    let totals = counters.totals();
    assert_eq!((totals.count(Cell::DroppedUnmaskable), totals.in_flight()), (1, 3));
    assert!(batch.mask(|| {}, |_| {}).is_none(), "they are masked once");
    drop(batch);
    assert_eq!(counters.totals().count(Cell::FailedInternal), 3);
}

#[test]
fn a_copy_that_a_panic_keeps_from_being_masked_has_failed_and_waits_no_more() {
    let counters = Counters::new();
    let rule = Rule::parse(&["json", "password"]).unwrap();
    let masks = Some(Arc::new(Masks::of(&rule, Key::of(b"a key"))));
    counters.account.select();
    let job = Job { masks, ..job(message("GET", None), LIMITS) };
    drop(Hand::take(job, Instant::now(), (&plain_target(), counters.account)).ok().unwrap());
    let totals = counters.totals();
    assert_eq!((totals.queued(), totals.in_flight(), totals.pending()), (0, 0, 0));
    assert_eq!(totals.count(Cell::FailedInternal), 1);
}
