//! Counters in memory that all children share, and that survives graceful restarts.
//!
//! A segment has one [`Row`] per child process, so that counting never contends between children. When a child
//! has ended, another goes on with its row: what was counted is never moved. Each row has the same [`Cell`]s for
//! every target. A target finds its place by its name, and keeps it as long as the server lives.
//!
//! Everything is an atomic, and all zeroes is the empty state: the memory may come from `mmap`.

mod cells;
mod cost;
mod gate;
mod gauges;
mod ledger;
mod segment;
mod series;
mod steering;
mod totals;
mod unlogged;

pub use cells::Cell;
pub use cost::{Cost, Costs};
pub use gauges::{Gauges, Memory};
pub use ledger::{Account, Ledger, Traffic, Trouble};
pub use segment::{CHILDREN, Header, NAME_BYTES, Row, Segment, Slot, TARGETS, VERSION};
pub use series::{Growth, SPAN, SPANS};
pub use steering::{Settings, Steering};
pub use totals::Totals;
pub use unlogged::Unlogged;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::outcome::{Failure, Loss, Outcome, StatusClass};
    use std::time::Duration;

    /// A segment of its own for one test.
    pub(crate) fn segment(children: usize) -> Segment {
        let rows: Vec<Row> = (0..children).map(|_| Row::new()).collect();
        let segment = Segment::new(Box::leak(Box::new(Header::new())), Vec::leak(rows));
        segment.initialise([1, 2, 3, 4], 0);
        segment
    }

    fn ledger(segment: Segment, pid: u32) -> &'static Ledger {
        Box::leak(Box::new(segment.join(pid, |_| true).unwrap()))
    }

    const DELIVERED: Outcome = Outcome::Delivered(StatusClass::Successful);

    #[test]
    fn a_target_keeps_its_place_by_its_name() {
        let segment = segment(1);
        let first = segment.slot("http://staging/").unwrap();
        let second = segment.slot("beta").unwrap();
        assert_ne!(first, second);
        assert_eq!(segment.slot("http://staging/"), Some(first));
        for index in 2..TARGETS {
            assert!(segment.slot(&format!("target {index}")).is_some());
        }
        assert_eq!(segment.slot("one too many"), None);
        let names: Vec<String> = segment.totals().into_iter().map(|totals| totals.name).collect();
        assert_eq!(names[..2], ["http://staging/", "beta"]);
    }

    #[test]
    fn every_copy_shows_as_queued_then_in_flight_then_settled() {
        let segment = segment(1);
        let account = ledger(segment, 7).account(segment.slot("a").unwrap());
        let gauges = || {
            let totals = segment.totals().remove(0);
            (totals.queued(), totals.in_flight(), totals.sum(&Cell::OUTCOMES))
        };
        account.select();
        account.drop_unsent(Loss::QueueFull);
        assert_eq!(gauges(), (0, 0, 1));
        account.select();
        assert_eq!(gauges(), (1, 0, 1));
        account.taken();
        assert_eq!(gauges(), (0, 1, 1));
        account.settle(DELIVERED, Traffic { sent: 10, received: 20, ..Traffic::default() });
        assert_eq!(gauges(), (0, 0, 2));
    }

    #[test]
    fn closing_gives_what_is_pending_its_outcome_and_nothing_a_second_one() {
        let segment = segment(1);
        let ledger = ledger(segment, 7);
        let account = ledger.account(segment.slot("a").unwrap());
        for _ in 0..3 {
            account.select();
        }
        account.taken();
        account.taken();
        account.settle(DELIVERED, Traffic::default());
        assert_eq!(ledger.pending(), 2);
        ledger.close(Duration::from_secs(1), || {});
        account.settle(DELIVERED, Traffic::default());
        let totals = segment.totals().remove(0);
        assert_eq!(totals.count(Cell::DroppedStopping), 2);
        assert_eq!(totals.count(Cell::Delivered2xx), 1);
        assert_eq!((totals.queued(), totals.in_flight()), (0, 0));
    }

    #[test]
    fn what_was_written_whole_and_not_delivered_stays_unanswered() {
        let segment = segment(1);
        let ledger = ledger(segment, 7);
        let account = ledger.account(segment.slot("a").unwrap());
        let unanswered = || segment.totals().remove(0).count(Cell::Unanswered);
        let whole = Traffic { whole: true, ..Traffic::default() };
        for _ in 0..4 {
            account.select();
            account.taken();
            account.written();
        }
        assert_eq!(unanswered(), 4, "not yet answered");
        account.settle(DELIVERED, whole);
        account.settle(Outcome::Failed(Failure::Timeout), whole);
        assert_eq!(unanswered(), 3);
        account.select();
        account.settle(DELIVERED, Traffic::default());
        assert_eq!(unanswered(), 3, "an answer to half a request loses none");
        ledger.close(Duration::ZERO, || {});
        account.settle(DELIVERED, whole);
        assert_eq!(unanswered(), 3, "what was dropped as it was answered too");
        assert!(segment.join(8, |pid| pid != 7).is_some());
        assert_eq!(unanswered(), 3, "kept when the child has ended");
    }

    #[test]
    fn an_outcome_written_while_the_ledger_closes_is_counted_once() {
        let segment = segment(1);
        let ledger = ledger(segment, 7);
        let account = ledger.account(segment.slot("a").unwrap());
        (0..20).for_each(|_| account.select());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..8).for_each(|_| account.settle(DELIVERED, Traffic::default())));
            }
            ledger.close(Duration::from_secs(60), std::thread::yield_now);
        });
        let totals = segment.totals().remove(0);
        assert_eq!(totals.sum(&Cell::OUTCOMES), 20, "{totals:?}");
        assert!(totals.count(Cell::DroppedStopping) >= 4, "{totals:?}");
    }

    #[test]
    fn what_a_dead_child_had_in_hand_is_lost_and_the_rest_is_kept() {
        let segment = segment(1);
        let slot = segment.slot("a").unwrap();
        let account = ledger(segment, 7).account(slot);
        account.select();
        account.select();
        account.taken();
        account.settle(DELIVERED, Traffic::default());
        assert!(segment.join(8, |_| true).is_none(), "the only row is taken");
        assert!(segment.join(8, |pid| pid != 7).is_some());
        let totals = segment.totals().remove(0);
        assert_eq!(totals.count(Cell::Selected), 2);
        assert_eq!(totals.count(Cell::DroppedLost), 1);
        assert_eq!(totals.count(Cell::Delivered2xx), 1);
        assert_eq!(totals.pending(), 0);
    }

    #[test]
    fn the_next_child_goes_on_with_the_row() {
        let segment = segment(1);
        let slot = segment.slot("a").unwrap();
        let account = ledger(segment, 7).account(slot);
        account.select();
        account.show_oldest(Some(5));
        segment.end_the_dead(9, |_| true);
        assert_eq!((segment.oldest(slot), segment.memory().children), (Some(5), 1));
        segment.end_the_dead(9, |pid| pid != 7);
        segment.end_the_dead(9, |pid| pid != 7);
        assert_eq!((segment.oldest(slot), segment.memory().children), (None, 0));
        assert_eq!(segment.totals().remove(0).count(Cell::DroppedLost), 1);

        let next = Box::leak(Box::new(segment.join(8, |_| true).unwrap()));
        let account = next.account(slot);
        account.select();
        account.select();
        account.settle(DELIVERED, Traffic::default());
        assert_eq!((segment.memory().children, next.pending()), (1, 1));
        assert_eq!(next.close(Duration::ZERO, || {}), 1);
        let totals = segment.totals().remove(0);
        let counts = [Cell::Selected, Cell::DroppedLost, Cell::Delivered2xx, Cell::DroppedStopping];
        assert_eq!(counts.map(|cell| totals.count(cell)), [3, 1, 1, 1]);
    }

    #[test]
    fn a_row_whose_ending_was_cut_short_is_ended_by_another() {
        let segment = segment(1);
        let account = ledger(segment, 7).account(segment.slot("a").unwrap());
        account.select();
        segment.take_dead(0, 7, 9);
        segment.end_the_dead(10, |pid| pid == 9);
        assert_eq!(segment.totals().remove(0).pending(), 1, "who ends it lives");
        assert!(segment.join(9, |_| true).is_some(), "an ender of our own number is one before us");
        let totals = segment.totals().remove(0);
        assert_eq!((totals.count(Cell::DroppedLost), totals.pending()), (1, 0));
    }

    #[test]
    fn an_outcome_that_comes_after_the_closing_is_lost_with_its_child() {
        let segment = segment(1);
        let ledger = ledger(segment, 7);
        let account = ledger.account(segment.slot("a").unwrap());
        account.select();
        assert_eq!(ledger.close(Duration::ZERO, || {}), 1);
        account.drop_unsent(Loss::QueueFull);
        account.select();
        account.drop_unsent(Loss::Stopping);
        assert_eq!(ledger.close(Duration::ZERO, || {}), 0, "it closes once");
        segment.end_the_dead(8, |_| false);
        let totals = segment.totals().remove(0);
        let counts = [Cell::Selected, Cell::DroppedStopping, Cell::DroppedLost]
            .map(|cell| totals.count(cell));
        assert_eq!((counts, totals.sum(&Cell::OUTCOMES)), ([2, 1, 1], 2));
    }

    #[test]
    fn latencies_are_told_within_a_factor_of_two() {
        let segment = segment(1);
        let account = ledger(segment, 7).account(segment.slot("a").unwrap());
        assert_eq!(segment.totals().remove(0).latency(0.5), None);
        for micros in [100, 100, 100, 5000] {
            account.select();
            let latency = Duration::from_micros(micros);
            account.settle(DELIVERED, Traffic { latency, ..Traffic::default() });
        }
        let totals = segment.totals().remove(0);
        assert_eq!(totals.latency(0.5), Some(Duration::from_micros(128)));
        assert_eq!(totals.latency(1.0), Some(Duration::from_micros(8192)));
        assert_eq!(totals.count(Cell::LatencyMicros), 5300);
        assert_eq!(totals.latency_histogram().map(|(_, count)| count).sum::<u64>(), 4);
    }

    #[test]
    fn troubles_are_counted_apart() {
        let segment = segment(1);
        let account = ledger(segment, 7).account(segment.slot("a").unwrap());
        assert_eq!(account.trouble(Trouble::Failed(Failure::Refused)), 1);
        assert_eq!(account.trouble(Trouble::Failed(Failure::Refused)), 2);
        assert_eq!(account.trouble(Trouble::Dropped(Loss::QueueFull)), 1);
    }

    #[test]
    fn the_loop_mark_is_the_secret_in_hexadecimal() {
        assert_eq!(segment(1).loop_mark(), "00000000000000010000000000000002");
    }
}
