//! Promise 3, whatever order requests, forwarders, the end of a child and readers come in.

use std::time::Duration;

use loom::thread;
use mod_copy_models::outcome::{Loss, Outcome, StatusClass};
use mod_copy_models::stats::{Account, Cell, Header, Ledger, Row, Segment, Totals, Traffic};
use mod_copy_models::sync::{model, model_some};

const DELIVERED: Outcome = Outcome::Delivered(StatusClass::Successful);
/// Longer than any model runs.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Declares a segment of this test's own, for one target and two children.
macro_rules! segment {
    () => {{
        static HEADER: Header = Header::new();
        static BASE: Row = Row::new();
        static ROWS: [Row; 2] = [const { Row::new() }; 2];
        Segment::new(&HEADER, &BASE, &ROWS)
    }};
}

/// A child that has counted one delivered copy: so everything has been touched, as loom needs it.
fn child(segment: Segment, pid: u32) -> (&'static Ledger, Account) {
    let slot = segment.slot("staging").unwrap();
    let ledger: &'static Ledger = Box::leak(Box::new(segment.join(pid, |_| true).unwrap()));
    let account = ledger.account(slot);
    account.select();
    account.taken();
    account.settle(DELIVERED, Traffic::default());
    assert_eq!((ledger.pending(), totals(segment).pending()), (0, 0));
    (ledger, account)
}

fn totals(segment: Segment) -> Totals {
    segment.totals().remove(0)
}

fn outcomes(totals: &Totals) -> u64 {
    totals.sum(&Cell::OUTCOMES)
}

#[test]
fn closing_while_an_outcome_is_written_counts_it_once() {
    model(|| {
        let segment = segment!();
        let (ledger, account) = child(segment, 7);
        account.select();
        account.select();
        let forwarder = thread::spawn(move || {
            account.taken();
            account.settle(DELIVERED, Traffic::default());
        });
        ledger.close(PATIENCE, thread::yield_now);
        forwarder.join().unwrap();
        let totals = totals(segment);
        assert_eq!((totals.count(Cell::Selected), outcomes(&totals)), (3, 3));
        assert!(totals.count(Cell::DroppedStopping) >= 1);
    });
}

#[test]
fn two_forwarders_that_settle_while_the_ledger_closes_are_counted_once_each() {
    model(|| {
        let segment = segment!();
        let (ledger, account) = child(segment, 7);
        account.select();
        account.select();
        let settle = move || account.settle(DELIVERED, Traffic::default());
        let forwarders = [thread::spawn(settle), thread::spawn(settle)];
        ledger.close(PATIENCE, thread::yield_now);
        forwarders.into_iter().for_each(|forwarder| forwarder.join().unwrap());
        let totals = totals(segment);
        assert_eq!((totals.count(Cell::Selected), outcomes(&totals)), (3, 3));
    });
}

#[test]
fn a_dead_childs_row_is_moved_once_though_two_find_it() {
    model(|| {
        let segment = segment!();
        let (_, account) = child(segment, 7);
        account.select();
        let other = thread::spawn(move || segment.fold_the_dead(|_| false));
        segment.fold_the_dead(|_| false);
        other.join().unwrap();
        let totals = totals(segment);
        assert_eq!((totals.count(Cell::Selected), outcomes(&totals)), (2, 2));
        assert_eq!(totals.count(Cell::DroppedLost), 1);
    });
}

#[test]
fn who_reads_while_a_row_is_moved_sees_each_copy_once() {
    model_some(5_000, || {
        let segment = segment!();
        child(segment, 7);
        let mover = thread::spawn(move || segment.fold_the_dead(|_| false));
        let seen = totals(segment);
        assert_eq!((seen.count(Cell::Selected), outcomes(&seen)), (1, 1));
        mover.join().unwrap();
    });
}

#[test]
fn who_reads_while_copies_are_counted_never_sees_more_outcomes_than_copies() {
    model(|| {
        let segment = segment!();
        let (_, account) = child(segment, 7);
        let counts = thread::spawn(move || {
            account.select();
            account.settle(DELIVERED, Traffic::default());
            account.select();
            account.drop_unsent(Loss::QueueFull);
        });
        let seen = totals(segment);
        assert!(outcomes(&seen) <= seen.count(Cell::Selected), "{seen:?}");
        counts.join().unwrap();
    });
}
