//! Names whose lookups begin and end as a test says.

use std::sync::mpsc::{self, Receiver, Sender};

use super::super::testing::LONG;
use super::*;

/// How long addresses are used.
const FRESH: Duration = DNS_REFRESH;

type Answer = io::Result<Vec<SocketAddr>>;

/// Names whose lookups tell when they begin, and end as the test says.
struct Scripted {
    names: Arc<Names>,
    begun: Receiver<()>,
    answers: Sender<Answer>,
}

impl Scripted {
    fn new() -> Scripted {
        let (begins, begun) = mpsc::channel();
        let (answers, answered) = mpsc::channel();
        let answered = Mutex::new(answered);
        let lookup = move |host: &str, port: u16| {
            assert_eq!((host, port), ("staging.internal.net", 8080));
            begins.send(()).unwrap();
            answered.lock().unwrap().recv().unwrap_or_else(|_| Ok(Vec::new()))
        };
        let url = Url::parse("http://staging.internal.net:8080/").unwrap();
        Scripted { names: Arc::new(Names::of(&url, Box::new(lookup))), begun, answers }
    }

    fn at(&self, now: Instant, patience: Duration) -> Result<Vec<SocketAddr>, String> {
        at(&self.names, now, patience)
    }

    /// Ends the lookup that is under way.
    fn end(&self, answer: Answer) {
        self.begun.recv().unwrap();
        self.answers.send(answer).unwrap();
        let ended =
            self.names.ended.wait_while(self.names.known(), |known| known.under_way).unwrap();
        assert!(!ended.under_way);
    }

    fn looks_up(&self) -> bool {
        self.names.known().under_way
    }
}

fn at(names: &Arc<Names>, now: Instant, wait: Duration) -> Result<Vec<SocketAddr>, String> {
    let found = names.addresses(now, wait, &OnSlow::new(|| {}));
    found.map(|found| found.to_vec()).map_err(|fault| {
        assert_eq!(fault.failure, Failure::Dns);
        fault.what
    })
}

fn address(last: u8) -> Vec<SocketAddr> {
    vec![SocketAddr::from(([192, 0, 2, last], 8080))]
}

fn failed() -> Answer {
    Err(io::Error::other("no such host"))
}

#[test]
fn an_address_is_never_looked_up() {
    let url = Url::parse("http://[::1]:8080/").unwrap();
    let names = Arc::new(Names::of(&url, Box::new(|_, _| unreachable!())));
    let found = names.addresses(Instant::now(), Duration::ZERO, &OnSlow::new(|| {})).unwrap();
    assert_eq!(found.to_vec(), ["[::1]:8080".parse().unwrap()]);
}

#[test]
fn lookups_at_the_same_time_are_one() {
    let scripted = Scripted::new();
    let (names, now) = (&scripted.names, Instant::now());
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| at(names, now, LONG))).collect();
        scripted.end(Ok(address(1)));
        for one in waiting {
            assert_eq!(one.join().unwrap(), Ok(address(1)));
        }
    });
    assert!(scripted.begun.try_recv().is_err(), "there was one lookup");
    assert_eq!(scripted.at(now, Duration::ZERO), Ok(address(1)), "which is remembered");
}

#[test]
fn a_slow_resolver_delays_no_exchange_to_a_known_address() {
    let scripted = Scripted::new();
    let now = Instant::now();
    let late = Err("resolve staging.internal.net: not done within 0ns".to_owned());
    assert_eq!(scripted.at(now, Duration::ZERO), late);
    scripted.end(Ok(address(1)));
    let later = Instant::now() + FRESH;
    for _ in 0..3 {
        assert_eq!(scripted.at(later, Duration::ZERO), Ok(address(1)));
    }
    scripted.end(Ok(address(2)));
    assert_eq!(scripted.at(later, Duration::ZERO), Ok(address(2)));
}

#[test]
fn the_last_good_addresses_are_kept_when_a_lookup_fails() {
    let scripted = Scripted::new();
    assert!(scripted.at(Instant::now(), Duration::ZERO).is_err());
    scripted.end(Ok(address(1)));
    let later = Instant::now() + FRESH;
    assert_eq!(scripted.at(later, Duration::ZERO), Ok(address(1)));
    scripted.end(failed());
    assert_eq!(scripted.at(Instant::now(), Duration::ZERO), Ok(address(1)));
    assert!(!scripted.looks_up(), "not at once");
    assert_eq!(scripted.at(Instant::now() + PAUSE, Duration::ZERO), Ok(address(1)));
    assert!(scripted.looks_up());
}

#[test]
fn a_failure_is_remembered_for_a_moment() {
    let scripted = Scripted::new();
    assert!(scripted.at(Instant::now(), Duration::ZERO).is_err());
    scripted.end(failed());
    let told = Err("resolve staging.internal.net: no such host".to_owned());
    for _ in 0..3 {
        assert_eq!(scripted.at(Instant::now(), LONG), told);
    }
    assert!(!scripted.looks_up());
    let later = Instant::now() + PAUSE;
    assert!(scripted.at(later, Duration::ZERO).is_err());
    scripted.end(Ok(Vec::new()));
    let none = Err("resolve staging.internal.net: no addresses".to_owned());
    assert_eq!(scripted.at(Instant::now(), LONG), none);
}

#[test]
fn doubt_makes_addresses_old_but_not_at_once() {
    let scripted = Scripted::new();
    assert!(scripted.at(Instant::now(), Duration::ZERO).is_err());
    scripted.end(Ok(address(1)));
    scripted.names.doubt();
    assert_eq!(scripted.at(Instant::now(), Duration::ZERO), Ok(address(1)));
    assert!(!scripted.looks_up());
    assert_eq!(scripted.at(Instant::now() + PAUSE_IN_DOUBT, Duration::ZERO), Ok(address(1)));
    assert!(scripted.looks_up());
}

#[test]
fn a_panic_in_the_resolver_is_a_failed_lookup() {
    let url = Url::parse("http://staging/").unwrap();
    let names = Arc::new(Names::of(&url, Box::new(|_, _| panic!("on purpose"))));
    let found = names.addresses(Instant::now(), LONG, &OnSlow::new(|| {}));
    assert_eq!(found.unwrap_err().what, "resolve staging: the lookup panicked");
}

#[test]
fn a_name_is_looked_up_beforehand_and_what_is_wrong_with_it_told_once() {
    let scripted = Scripted::new();
    let (tell, told) = mpsc::channel();
    scripted.names.look_ahead(move |error| tell.send(error.to_owned()).unwrap());
    scripted.end(failed());
    assert_eq!(told.recv_timeout(LONG).unwrap(), "no such host");
    assert_eq!(scripted.at(Instant::now() + PAUSE, Duration::ZERO).ok(), None);
    scripted.end(failed());
    assert!(told.recv_timeout(LONG).is_err(), "whoever tells is gone");

    let scripted = Scripted::new();
    scripted.names.look_ahead(|error| unreachable!("{error}"));
    scripted.end(Ok(address(1)));
    assert_eq!(scripted.at(Instant::now(), Duration::ZERO), Ok(address(1)));
    assert!(!scripted.looks_up());
}

fn three() -> Vec<SocketAddr> {
    [1, 2, 3].map(address).concat()
}

#[test]
fn connections_begin_with_another_address_each_and_try_the_others_in_turn() {
    let scripted = Scripted::new();
    scripted.names.look_ahead(|_| {});
    scripted.end(Ok(three()));
    let now = Instant::now();
    for first in [1, 2, 3, 1] {
        let expected = [first, first % 3 + 1, (first + 1) % 3 + 1].map(address).concat();
        assert_eq!(scripted.at(now, Duration::ZERO), Ok(expected));
    }
}

#[test]
fn an_address_that_failed_comes_last_for_a_while() {
    let scripted = Scripted::new();
    scripted.names.look_ahead(|_| {});
    scripted.end(Ok(three()));
    let now = Instant::now();
    scripted.names.failed(&address(1), now);
    for expected in [[2, 3, 1], [2, 3, 1], [3, 2, 1]] {
        assert_eq!(scripted.at(now, Duration::ZERO), Ok(expected.map(address).concat()));
    }
    let later = now + PENANCE;
    assert_eq!(scripted.at(later, Duration::ZERO), Ok([1, 2, 3].map(address).concat()));
}

#[test]
fn a_connection_to_an_address_that_the_name_has_no_more_is_one_to_somebody_else() {
    let scripted = Scripted::new();
    let [old, new] = [1, 2].map(|last| address(last)[0]);
    scripted.names.look_ahead(|_| {});
    scripted.end(Ok(vec![old]));
    let now = Instant::now();
    assert!(scripted.names.has(&old, now) && !scripted.looks_up());
    let later = now + FRESH;
    assert!(scripted.names.has(&old, later) && scripted.looks_up(), "until it is known");
    scripted.end(Ok(vec![new]));
    assert!(!scripted.names.has(&old, Instant::now()) && scripted.names.has(&new, Instant::now()));
    let later = Instant::now() + FRESH;
    assert!(scripted.names.has(&new, later));
    scripted.end(failed());
    assert!(scripted.names.has(&new, Instant::now()), "the last good answer is kept");
}

#[test]
fn addresses_are_as_old_as_is_asked_for() {
    let url = Url::parse("http://staging/").unwrap();
    let looked_up = Arc::new(Mutex::new(0));
    let counts = Arc::clone(&looked_up);
    let lookup = move |_: &str, _: u16| {
        *counts.lock().unwrap() += 1;
        Ok(address(1))
    };
    let names = Arc::new(Names::of(&url, Box::new(lookup)).fresh_for(Duration::from_secs(5)));
    let ended = || drop(names.ended.wait_while(names.known(), |known| known.under_way).unwrap());
    let begun = Instant::now();
    assert_eq!(at(&names, begun, LONG), Ok(address(1)));
    ended();
    assert_eq!(at(&names, begun + Duration::from_secs(4), LONG), Ok(address(1)));
    ended();
    assert_eq!(*looked_up.lock().unwrap(), 1);
    assert_eq!(at(&names, Instant::now() + Duration::from_secs(5), LONG), Ok(address(1)));
    ended();
    assert_eq!(*looked_up.lock().unwrap(), 2);
}
