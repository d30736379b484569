//! The budget of memory, whatever order its users come in.

use loom::thread;
use mod_copy_models::memory::{Budget, Buffer, Segments};
use mod_copy_models::sync::model;

#[test]
fn what_is_leased_never_passes_the_limit_and_all_comes_back() {
    static BUDGET: Budget = Budget::new(10_000);
    model(|| {
        assert_eq!(BUDGET.used(), 0);
        // Two and two, of which three fit.
        let leases = || [BUDGET.buffer(3000), BUDGET.buffer(3000)];
        let others: Vec<_> = (0..2).map(|_| thread::spawn(leases)).collect();
        let held: Vec<Buffer> =
            others.into_iter().flat_map(|other| other.join().unwrap()).flatten().collect();
        let sum: usize = held.iter().map(Buffer::leased).sum();
        assert_eq!(held.len(), 3, "as many as fit, and no more");
        assert_eq!(BUDGET.used(), sum, "what was refused is not counted");
        drop(held);
        assert_eq!(BUDGET.used(), 0);
    });
}

#[test]
fn a_lease_that_is_refused_keeps_nobody_from_his() {
    static BUDGET: Budget = Budget::new(9000);
    model(|| {
        assert_eq!(BUDGET.used(), 0);
        let too_large = thread::spawn(|| assert!(BUDGET.buffer(9000).is_none()));
        assert!(BUDGET.buffer(6000).is_some());
        too_large.join().unwrap();
    });
}

#[test]
fn a_lease_that_was_given_back_can_be_taken_by_another() {
    static BUDGET: Budget = Budget::new(6000);
    model(|| {
        let first = BUDGET.buffer(5000);
        assert!(first.is_some());
        let other = thread::spawn(move || drop(first));
        let early = BUDGET.buffer(5000);
        other.join().unwrap();
        let second = early.or_else(|| BUDGET.buffer(5000)).expect("nothing of it is lost");
        assert_eq!(BUDGET.used(), second.leased());
    });
}

/// Spares are in the real queue, whose steps loom sees as one each.
#[test]
fn a_spare_segment_makes_room_for_one_of_those_who_need_it() {
    model(|| {
        // No spares of another run.
        let budget: &'static Budget = Box::leak(Box::new(Budget::new(20_000)));
        // Its atomics are made before there are others.
        assert_eq!(budget.used(), 0);
        let mut segments: Segments = budget.segments();
        assert!(segments.append(b"x"));
        let others: Vec<_> = (0..2).map(|_| thread::spawn(|| budget.buffer(12_000))).collect();
        drop(segments);
        let held: Vec<Buffer> =
            others.into_iter().filter_map(|other| other.join().unwrap()).collect();
        assert_eq!(budget.used(), held.iter().map(Buffer::leased).sum::<usize>());
        assert!(budget.used() < 20_000);
        drop(held);
        assert_eq!(budget.used(), 0);
        assert!(budget.buffer(19_000).is_some(), "no spare is in the way");
    });
}
