//! The budget of memory, whatever order its users come in.

use loom::thread;
use mod_copy_models::memory::{Budget, Buffer, Segments};
use mod_copy_models::sync::model;

#[test]
fn what_is_leased_never_passes_the_limit_and_all_comes_back() {
    static BUDGET: Budget = Budget::new(10_000);
    model(|| {
        assert_eq!(BUDGET.used(), 0);
        let leases = || {
            let mut buffer = BUDGET.buffer();
            let _ = buffer.make_room(6000);
            // A second step, that may go beyond.
            let _ = buffer.make_room(7000);
            buffer
        };
        let others: Vec<_> = (0..2).map(|_| thread::spawn(leases)).collect();
        let held: Vec<Buffer> = others.into_iter().map(|other| other.join().unwrap()).collect();
        let sum: usize = held.iter().map(Buffer::leased).sum();
        assert!(sum <= 10_000, "{sum} bytes are leased");
        assert!(sum > 6000, "one does not keep both from their lease");
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
        let too_large = thread::spawn(|| {
            let mut buffer = BUDGET.buffer();
            assert!(!buffer.make_room(9000));
        });
        let mut buffer = BUDGET.buffer();
        assert!(buffer.make_room(6000));
        too_large.join().unwrap();
    });
}

#[test]
fn a_lease_that_was_given_back_can_be_taken_by_another() {
    static BUDGET: Budget = Budget::new(6000);
    model(|| {
        let mut first = BUDGET.buffer();
        assert!(first.make_room(5000));
        let other = thread::spawn(move || drop(first));
        let mut second = BUDGET.buffer();
        let early = second.make_room(5000);
        other.join().unwrap();
        assert!(early || second.make_room(5000), "nothing of it is lost");
        assert_eq!(BUDGET.used(), second.leased());
    });
}

/// Spares are in the real queue, whose steps loom sees as one each.
#[test]
fn a_spare_segment_makes_room_for_one_of_those_who_need_it() {
    model(|| {
        // No spares of another run.
        let budget: &'static Budget = Box::leak(Box::new(Budget::new(20_000)));
        let mut segments: Segments = budget.segments();
        assert!(segments.append(b"x"));
        let others: Vec<_> = (0..2)
            .map(|_| {
                thread::spawn(|| {
                    let mut buffer = budget.buffer();
                    let _ = buffer.make_room(12_000);
                    buffer
                })
            })
            .collect();
        drop(segments);
        let held: Vec<Buffer> = others.into_iter().map(|other| other.join().unwrap()).collect();
        assert_eq!(budget.used(), held.iter().map(Buffer::leased).sum::<usize>());
        assert!(budget.used() < 20_000);
        drop(held);
        assert_eq!(budget.used(), 0);
        let mut all = budget.buffer();
        assert!(all.make_room(19_000), "no spare is in the way");
    });
}
