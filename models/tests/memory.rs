//! The budget of memory, whatever order its users come in.

use loom::thread;
use mod_copy_models::memory::{Budget, Buffer};
use mod_copy_models::sync::model;

#[test]
fn what_is_leased_never_passes_the_limit_and_all_comes_back() {
    static BUDGET: Budget = Budget::new(10_000);
    model(|| {
        assert_eq!(BUDGET.used(), 0);
        let leases = || {
            let mut buffer = BUDGET.buffer();
            let most = if buffer.make_room(6000, 0) { buffer.capacity() } else { 0 };
            // A second step, that may go beyond.
            (if buffer.make_room(7000, 9000) { buffer.capacity() } else { most }, buffer)
        };
        let others: Vec<_> = (0..2).map(|_| thread::spawn(leases)).collect();
        let held: Vec<(usize, Buffer)> =
            others.into_iter().map(|other| other.join().unwrap()).collect();
        let sum: usize = held.iter().map(|(leased, _)| leased).sum();
        assert!(sum <= 10_000, "{sum} bytes are leased");
        assert_eq!(BUDGET.used(), sum, "what was refused is not counted");
        drop(held);
        assert_eq!(BUDGET.used(), 0);
    });
}

#[test]
fn a_lease_that_was_given_back_can_be_taken_by_another() {
    static BUDGET: Budget = Budget::new(5000);
    model(|| {
        let mut first = BUDGET.buffer();
        assert!(first.make_room(5000, 0));
        let other = thread::spawn(move || drop(first));
        let mut second = BUDGET.buffer();
        let early = second.make_room(5000, 0);
        other.join().unwrap();
        assert!(early || second.make_room(5000, 0), "nothing of it is lost");
        assert_eq!(BUDGET.used(), 5000);
    });
}
