//! Promise 3, whatever order requests, forwarders, the end of a child and readers come in.

use std::time::Duration;

use loom::thread;
use mod_copy_models::outcome::{Loss, Outcome, StatusClass};
use mod_copy_models::stats::{Account, Cell, Header, Ledger, Row, Segment, Totals, Traffic};
use mod_copy_models::sync::model;

const DELIVERED: Outcome = Outcome::Delivered(StatusClass::Successful);
/// Longer than any model runs.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Declares a segment of this test's own, for one target and two children.
macro_rules! segment {
    () => {{
        static HEADER: Header = Header::new();
        static ROWS: [Row; 2] = [const { Row::new() }; 2];
        Segment::new(&HEADER, &ROWS)
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
    account.show_oldest(None);
    ledger.gauges().show_memory(0, 0);
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
fn an_outcome_that_nobody_waits_for_is_counted_once() {
    model(|| {
        let segment = segment!();
        let (ledger, account) = child(segment, 7);
        account.select();
        account.select();
        let forwarder = thread::spawn(move || account.settle(DELIVERED, Traffic::default()));
        let dropped = ledger.close(Duration::ZERO, || {});
        let before = totals(segment);
        assert!(outcomes(&before) <= before.count(Cell::Selected));
        forwarder.join().unwrap();
        let totals = totals(segment);
        assert_eq!((totals.count(Cell::Selected), outcomes(&totals)), (3, 3));
        assert_eq!(totals.count(Cell::DroppedStopping), dropped);
    });
}

#[test]
fn a_copy_that_is_dropped_while_the_ledger_closes_is_counted_once() {
    model(|| {
        let segment = segment!();
        let (ledger, account) = child(segment, 7);
        let request = thread::spawn(move || {
            account.select();
            account.drop_unsent(Loss::QueueFull);
        });
        ledger.close(Duration::ZERO, || {});
        let before = totals(segment);
        assert!(outcomes(&before) <= before.count(Cell::Selected), "{before:?}");
        request.join().unwrap();
        // What came late is lost when its child has ended.
        segment.end_the_dead(8, |pid| pid != 7);
        let totals = totals(segment);
        assert_eq!((totals.count(Cell::Selected), outcomes(&totals)), (2, 2));
    });
}

#[test]
fn what_a_dead_child_had_in_hand_is_lost_once_though_two_find_it() {
    model(|| {
        let segment = segment!();
        let (_, account) = child(segment, 7);
        account.select();
        let other = thread::spawn(move || segment.end_the_dead(8, |pid| pid != 7));
        segment.end_the_dead(9, |pid| pid != 7);
        other.join().unwrap();
        assert_eq!(totals(segment).count(Cell::DroppedLost), 1);
    });
}

/// The worst that can be left behind by one who dies while ending a row: all steps, in any order with those of
/// whoever takes it up.
#[test]
fn whoever_takes_up_a_row_that_was_being_ended_loses_nothing_twice() {
    model(|| {
        let segment = segment!();
        let (_, account) = child(segment, 7);
        account.select();
        account.select();
        let heir = thread::spawn(move || segment.end_the_dead(9, |_| false));
        segment.end_the_dead(8, |pid| pid != 7);
        heir.join().unwrap();
        let totals = totals(segment);
        assert_eq!((totals.count(Cell::Selected), outcomes(&totals)), (3, 3));
        assert_eq!(totals.count(Cell::DroppedLost), 2);
    });
}

#[test]
fn the_next_child_goes_on_where_the_dead_one_ended() {
    model(|| {
        let segment = segment!();
        let (_, account) = child(segment, 7);
        account.select();
        // Alive until now, and its row free when the next joins.
        let reader = thread::spawn(move || {
            let seen = totals(segment);
            assert!(outcomes(&seen) <= seen.count(Cell::Selected), "{seen:?}");
        });
        let ledger: &'static Ledger = Box::leak(Box::new(segment.join(8, |pid| pid != 7).unwrap()));
        let account = ledger.account(segment.slot("staging").unwrap());
        account.select();
        ledger.close(Duration::ZERO, || {});
        reader.join().unwrap();
        let totals = totals(segment);
        assert_eq!((totals.count(Cell::Selected), outcomes(&totals)), (3, 3));
        let losses = [Cell::DroppedLost, Cell::DroppedStopping];
        assert_eq!(losses.map(|cell| totals.count(cell)), [1, 1]);
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
