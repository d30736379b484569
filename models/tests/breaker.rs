//! The breaker, whatever order the children that share it come in.

use std::time::Duration;

use loom::thread;
use mod_copy_models::breaker::{Breaker, Change, Millis, Rules, Sign, State};
use mod_copy_models::sync::model;

const SPAN: Duration = Duration::from_secs(5);
const RULES: Rules = Rules { failures: 2, retry: Duration::from_millis(100) };

/// Sends a copy, where one is let through, and tells how it went.
fn send(breaker: &Breaker, sign: Sign, now: Millis) -> (bool, Option<Change>) {
    let pass = breaker.admit(|| now).and_then(|pass| breaker.confirm(pass, SPAN, || now));
    (pass.is_some(), pass.and_then(|pass| breaker.report(pass, sign, || now)))
}

fn opened(breaker: &Breaker) {
    breaker.configure(RULES, 0);
    send(breaker, Sign::Gone, 0);
    let (_, change) = send(breaker, Sign::Gone, 0);
    assert_eq!(change, Some(Change::Opened { times: 1, rules: RULES }));
}

#[test]
fn of_failures_at_the_same_time_one_opens_it() {
    static BREAKER: Breaker = Breaker::new();
    model(|| {
        BREAKER.configure(RULES, 0);
        let fail = || send(&BREAKER, Sign::Gone, 1).1;
        let others = [thread::spawn(fail), thread::spawn(fail)];
        let mut changes: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        changes.retain(Option::is_some);
        assert_eq!(changes, [Some(Change::Opened { times: 1, rules: RULES })]);
        let snapshot = BREAKER.snapshot();
        assert_eq!((snapshot.state, snapshot.opened), (Some(State::Open { until: 101 }), 1));
    });
}

#[test]
fn of_those_that_come_when_it_is_time_one_is_the_probe() {
    static BREAKER: Breaker = Breaker::new();
    model(|| {
        opened(&BREAKER);
        let come = || BREAKER.admit(|| 200).is_some();
        let others = [thread::spawn(come), thread::spawn(come)];
        let let_through = others.into_iter().map(|other| other.join().unwrap());
        assert_eq!(let_through.filter(|through| *through).count(), 1);
    });
}

#[test]
fn a_probe_that_is_answered_closes_it_once_though_others_come() {
    static BREAKER: Breaker = Breaker::new();
    model(|| {
        opened(&BREAKER);
        let probe = || send(&BREAKER, Sign::Alive, 200);
        let others = [thread::spawn(probe), thread::spawn(probe)];
        let ends: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        let closed = |(_, change): &&(bool, Option<Change>)| change.is_some();
        assert_eq!(ends.iter().filter(closed).count(), 1, "{ends:?}");
        assert_eq!(BREAKER.snapshot().state, Some(State::Closed { failures: 0 }));
    });
}

#[test]
fn of_a_late_answer_and_the_next_probe_one_decides() {
    static BREAKER: Breaker = Breaker::new();
    model(|| {
        opened(&BREAKER);
        let late = BREAKER.admit(|| 200).and_then(|pass| BREAKER.confirm(pass, SPAN, || 200));
        let late = late.unwrap();
        let much_later = 200 + 5_000 + 2_000;
        let reports = thread::spawn(move || BREAKER.report(late, Sign::Alive, || much_later));
        let (sent, change) = send(&BREAKER, Sign::Gone, much_later);
        let closed = reports.join().unwrap();
        assert!(change.is_none());
        // Who came first decided: the late answer, or the other probe.
        let state = BREAKER.snapshot().state.unwrap();
        match (closed, sent) {
            (Some(_), _) => {
                assert!(matches!(state, State::Closed { failures: 0 | 1 }), "{state:?}")
            }
            (None, sent) => assert!(sent && matches!(state, State::Open { .. }), "{state:?}"),
        }
    });
}

#[test]
fn switched_off_while_failures_come_it_stays_closed() {
    static BREAKER: Breaker = Breaker::new();
    model(|| {
        BREAKER.configure(RULES, 0);
        send(&BREAKER, Sign::Gone, 0);
        let fails = thread::spawn(|| send(&BREAKER, Sign::Gone, 0));
        BREAKER.configure(Rules { failures: 0, ..RULES }, 1);
        fails.join().unwrap();
        assert!(BREAKER.admit(|| 2).is_some(), "{:?}", BREAKER.snapshot());
    });
}
