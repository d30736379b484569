//! The breaker's states, one event at a time, at random, and from many threads.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::thread;

use proptest::prelude::*;

use super::*;

const RETRY: Millis = 10_000;
const SPAN: Duration = Duration::from_secs(5);
const RULES: Rules = Rules { failures: 3, retry: Duration::from_millis(RETRY) };

fn configured(rules: Rules) -> Breaker {
    let breaker = Breaker::new();
    breaker.configure(rules, 0);
    breaker
}

impl Breaker {
    fn state(&self) -> State {
        self.load().state()
    }

    /// Sends one copy, and says how it went.
    fn send(&self, sign: Sign, now: Millis) -> Option<Change> {
        let pass = self.admit(|| now).unwrap();
        let pass = self.confirm(pass, SPAN, || now).unwrap();
        self.report(pass, sign, || now)
    }

    /// Opens it at this time.
    fn open(&self, now: Millis) {
        let failures = self.rules().failures;
        let last = (0..failures).map(|_| self.send(Sign::Gone, now)).last();
        assert!(matches!(last, Some(Some(Change::Opened { .. }))));
    }
}

fn no_clock() -> Millis {
    unreachable!("no clock is read while the breaker is closed and all is well")
}

#[test]
fn it_opens_after_so_many_failures_in_a_row() {
    let breaker = configured(RULES);
    for sign in [Sign::Gone, Sign::Gone, Sign::Alive, Sign::Gone, Sign::None, Sign::Gone] {
        assert_eq!(breaker.send(sign, 5), None);
        assert!(breaker.would_admit(no_clock));
    }
    assert_eq!(breaker.send(Sign::Gone, 5), Some(Change::Opened { times: 1, rules: RULES }));
    assert_eq!(breaker.state(), State::Open { until: 5 + RETRY });
    assert_eq!(breaker.admit(|| 5 + RETRY - 1), None);
    assert!(!breaker.would_admit(|| 5 + RETRY - 1));
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.since, snapshot.opened), (5, 1));
}

#[test]
fn while_all_is_well_no_clock_is_read_and_nothing_written() {
    let breaker = configured(RULES);
    let before = breaker.word.load(Ordering::Relaxed);
    let pass = breaker.admit(no_clock).unwrap();
    let pass = breaker.confirm(pass, SPAN, no_clock).unwrap();
    assert_eq!(breaker.report(pass, Sign::Alive, no_clock), None);
    assert_eq!(breaker.word.load(Ordering::Relaxed), before);
}

#[test]
fn one_probe_decides() {
    for (sign, state) in [
        (Sign::Alive, State::Closed { failures: 0 }),
        (Sign::Gone, State::Open { until: 2 * RETRY + 1 }),
        (Sign::None, State::Open { until: RETRY + 1 }),
    ] {
        let breaker = configured(RULES);
        breaker.open(0);
        let probe = breaker.admit(|| RETRY).unwrap();
        assert_eq!(breaker.admit(|| RETRY), None, "there is one");
        let probe = breaker.confirm(probe, SPAN, || RETRY).unwrap();
        assert_eq!(breaker.admit(|| RETRY + LEASE), None, "it has its timeout");
        let change = breaker.report(probe, sign, || RETRY + 1);
        let closed = Change::Closed { times: 1, after: Duration::from_millis(RETRY + 1) };
        assert_eq!(change, (sign == Sign::Alive).then_some(closed));
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn copies_that_wait_when_it_opens_are_not_sent() {
    let breaker = configured(RULES);
    let waiting = breaker.admit(no_clock).unwrap();
    breaker.open(0);
    assert_eq!(breaker.confirm(waiting, SPAN, || 1), None);
    assert_eq!(breaker.confirm(waiting, SPAN, || RETRY), None, "nor are they probes");
    breaker.send(Sign::Alive, RETRY).unwrap();
    assert!(breaker.confirm(waiting, SPAN, no_clock).is_some(), "but once it has closed");
}

#[test]
fn what_was_sent_before_it_opened_does_not_open_it_again() {
    let breaker = configured(Rules { failures: 1, ..RULES });
    let stalled: Vec<Pass> = (0..20).map(|_| breaker.admit(no_clock).unwrap()).collect();
    breaker.open(0);
    for pass in &stalled[..10] {
        assert_eq!(breaker.report(*pass, Sign::Gone, || 7), None);
    }
    assert_eq!(breaker.state(), State::Open { until: RETRY }, "nor put the probe off");
    breaker.send(Sign::Alive, RETRY).unwrap();
    for pass in &stalled[10..] {
        assert_eq!(breaker.report(*pass, Sign::Gone, || RETRY + 1), None);
    }
    assert_eq!(breaker.state(), State::Closed { failures: 0 });
    assert!(breaker.send(Sign::Gone, RETRY + 2).is_some());
}

#[test]
fn an_answer_that_comes_late_does_not_close_it() {
    let breaker = configured(RULES);
    let slow = breaker.admit(no_clock).unwrap();
    breaker.open(0);
    assert_eq!(breaker.report(slow, Sign::Alive, || 1), None);
    assert_eq!(breaker.state(), State::Open { until: RETRY });
}

#[test]
fn the_place_of_a_probe_that_is_not_sent_is_free_at_once() {
    let breaker = configured(RULES);
    breaker.open(0);
    let probe = breaker.admit(|| RETRY).unwrap();
    breaker.give_back(probe, || RETRY);
    let next = breaker.admit(|| RETRY).unwrap();
    breaker.give_back(probe, || RETRY);
    assert_eq!(breaker.admit(|| RETRY), None, "and given back once");
    assert!(breaker.confirm(next, SPAN, || RETRY).is_some());
}

#[test]
fn a_probe_that_never_comes_back_is_replaced_and_then_decides_nothing() {
    let breaker = configured(RULES);
    breaker.open(0);
    let lost = breaker.admit(|| RETRY).unwrap();
    assert_eq!(breaker.admit(|| RETRY + LEASE - 1), None);
    let now = RETRY + LEASE;
    let second = breaker.admit(|| now).unwrap();
    assert_eq!(breaker.confirm(lost, SPAN, || now), None, "there is another probe");
    let second = breaker.confirm(second, SPAN, || now).unwrap();
    let ends = now + 5_000 + LEASE;
    assert_eq!(breaker.admit(|| ends - 1), None);
    let third = breaker.admit(|| ends).unwrap();
    assert_eq!(breaker.report(second, Sign::Alive, || ends), None, "there is a third");
    let third = breaker.confirm(third, SPAN, || ends).unwrap();
    assert!(matches!(breaker.report(third, Sign::Alive, || ends), Some(Change::Closed { .. })));
}

#[test]
fn with_no_failures_it_is_off() {
    for breaker in [Breaker::new(), configured(Rules { failures: 0, ..RULES })] {
        for _ in 0..100 {
            assert_eq!(breaker.send(Sign::Gone, 1), None);
        }
        assert_eq!(breaker.snapshot().state, None);
    }
}

#[test]
fn the_same_rules_leave_it_as_it_is_and_others_hold_at_once() {
    let breaker = configured(RULES);
    breaker.open(0);
    breaker.configure(RULES, 500);
    assert_eq!(breaker.state(), State::Open { until: RETRY });
    breaker.configure(Rules { retry: Duration::from_millis(100), ..RULES }, 500);
    assert_eq!(breaker.state(), State::Open { until: 600 });
    breaker.configure(RULES, 550);
    assert_eq!(breaker.state(), State::Open { until: 600 }, "never put off");
    breaker.configure(Rules { failures: 0, ..RULES }, 560);
    assert!(breaker.would_admit(no_clock));
    breaker.configure(Rules { failures: 1, ..RULES }, 570);
    assert_eq!(breaker.state(), State::Closed { failures: 0 });
    assert!(breaker.send(Sign::Gone, 580).is_some());
    assert_eq!(breaker.snapshot().opened, 2);
}

#[test]
fn a_probe_of_before_a_change_of_the_rules_decides_nothing() {
    let breaker = configured(RULES);
    breaker.open(0);
    let probe = breaker.admit(|| RETRY).unwrap();
    breaker.configure(Rules { failures: 0, ..RULES }, RETRY);
    assert_eq!(breaker.report(probe, Sign::Gone, || RETRY), None);
    assert_eq!(breaker.state(), State::Closed { failures: 0 });
}

#[test]
fn words_hold_what_they_are_made_of() {
    for state in
        [State::Closed { failures: 7 }, State::Open { until: VALUES }, State::HalfOpen { until: 1 }]
    {
        let word = Word::of(TURNS, state);
        assert_eq!((word.turn(), word.state()), (TURNS, state));
        assert_eq!((word.next(state).turn(), word.next(state).state()), (0, state));
    }
    let late = Word::of(3, State::Open { until: u64::MAX });
    assert_eq!((late.turn(), late.state()), (3, State::Open { until: VALUES }));
    assert_eq!(Rules::unpacked(RULES.packed()), RULES);
}

/// What may happen to a breaker, with the copy it happens to.
#[derive(Clone, Copy, Debug)]
enum Event {
    Offer,
    Take(usize),
    End(usize, Sign),
    GiveBack(usize),
    Pass(Millis),
}

fn event() -> impl Strategy<Value = Event> {
    let sign = prop_oneof![Just(Sign::Gone), Just(Sign::Alive), Just(Sign::None)];
    prop_oneof![
        4 => Just(Event::Offer),
        4 => (0..8_usize).prop_map(Event::Take),
        4 => (0..8_usize, sign).prop_map(|(copy, sign)| Event::End(copy, sign)),
        1 => (0..8_usize).prop_map(Event::GiveBack),
        2 => (0..3 * LEASE).prop_map(Event::Pass),
    ]
}

proptest! {
    /// Whatever happens: while it is not closed, at most one copy may be sent, as long as its lease lasts; what was
    /// sent before it opened changes nothing; and after `retry`, with every lease over, the next copy passes.
    #[test]
    fn there_is_at_most_one_probe_and_always_another_chance(
        events in proptest::collection::vec(event(), 1..200),
    ) {
        const SHORT: Duration = Duration::from_millis(500);
        let breaker = configured(Rules { failures: 2, retry: Duration::from_millis(700) });
        let (mut now, mut queued, mut sent): (_, Vec<Pass>, Vec<Pass>) = (1, Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Offer => queued.extend(breaker.admit(|| now)),
                Event::Take(at) if at < queued.len() => {
                    let closed = matches!(breaker.state(), State::Closed { .. });
                    let pass = queued.swap_remove(at);
                    if let Some(pass) = breaker.confirm(pass, SHORT, || now) {
                        prop_assert!(closed || breaker.load() == pass.0);
                        sent.push(pass);
                    }
                }
                Event::End(at, sign) if at < sent.len() => {
                    let (before, pass) = (breaker.load(), sent.swap_remove(at));
                    breaker.report(pass, sign, || now);
                    let after = breaker.load();
                    if before.turn() != pass.0.turn() {
                        let reset = before.with(State::Closed { failures: 0 });
                        let counted = matches!(before.state(), State::Closed { .. });
                        prop_assert!(after == before || counted && after == reset);
                    }
                }
                Event::GiveBack(at) if at < queued.len() => {
                    breaker.give_back(queued.swap_remove(at), || now);
                }
                Event::Pass(time) => now += time,
                Event::Take(_) | Event::End(..) | Event::GiveBack(_) => {}
            }
            if !matches!(breaker.state(), State::Closed { .. }) {
                let holds = |pass: &&Pass| pass.0 == breaker.load();
                prop_assert!(queued.iter().chain(&sent).filter(holds).count() <= 1);
            }
        }
        now += 700 + 500 + LEASE;
        prop_assert!(breaker.would_admit(|| now));
        prop_assert!(breaker.admit(|| now).is_some());
    }
}

#[test]
fn of_many_threads_one_opens_it_and_one_has_the_probe() {
    const THREADS: usize = 8;
    const ROUNDS: u64 = 200;
    let breaker = configured(Rules { failures: 5, retry: Duration::from_millis(1) });
    let (opened, closed, probes) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    let barrier = std::sync::Barrier::new(THREADS);
    let late = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let now = round * 10;
                    let stalled: Vec<Pass> =
                        (0..3).map(|_| breaker.admit(no_clock).unwrap()).collect();
                    barrier.wait();
                    for pass in &stalled[..2] {
                        if let Some(Change::Opened { .. }) =
                            breaker.report(*pass, Sign::Gone, || now)
                        {
                            opened.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    barrier.wait();
                    let probe = breaker.admit(|| now + 1);
                    probes.lock().unwrap().extend(probe);
                    barrier.wait();
                    if let Some(probe) = probe {
                        let probe = breaker.confirm(probe, SPAN, || now + 1).unwrap();
                        if let Some(Change::Closed { .. }) =
                            breaker.report(probe, Sign::Alive, || now + 2)
                        {
                            closed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    barrier.wait();
                    late.fetch_add(
                        usize::from(breaker.report(stalled[2], Sign::Gone, || now + 3).is_some()),
                        Ordering::Relaxed,
                    );
                    barrier.wait();
                }
            });
        }
    });
    assert_eq!(opened.into_inner(), ROUNDS);
    assert_eq!(closed.into_inner(), ROUNDS);
    assert_eq!(probes.into_inner().unwrap().len() as u64, ROUNDS);
    assert_eq!(late.into_inner(), 0);
    assert_eq!(breaker.snapshot().opened, ROUNDS);
}
