//! What holds copies back, whatever order the children that share it come in.

use loom::thread;
use mod_copy_models::select::{Rate, Throttle, Valve};
use mod_copy_models::sync::model;

#[test]
fn a_full_second_is_given_out_once() {
    const NOW: u64 = 1 << 40;
    static VALVE: Valve = Valve::new();
    model(|| {
        let rate = Rate::parse("3/s").unwrap();
        let come = move || VALVE.bucket.admit(rate, NOW);
        assert!(come());
        let others = [thread::spawn(come), thread::spawn(come)];
        let mine = come();
        let admitted = others.into_iter().map(|other| other.join().unwrap()).chain([mine]);
        assert_eq!(admitted.filter(|admitted| *admitted).count(), 2);
        assert!(!come());
    });
}

#[test]
fn whoever_comes_with_an_older_time_takes_no_more_than_there_is() {
    const NOW: u64 = 1 << 40;
    static VALVE: Valve = Valve::new();
    model(|| {
        let rate = Rate::parse("3/s").unwrap();
        let come = move |now| VALVE.bucket.admit(rate, now);
        assert!(come(NOW));
        let late = thread::spawn(move || come(NOW - 1) as u32 + come(NOW - 1) as u32);
        let mine = come(NOW) as u32 + come(NOW) as u32;
        assert!((1..=2).contains(&(mine + late.join().unwrap())));
    });
}

#[test]
fn a_lease_that_is_over_goes_to_one() {
    static THROTTLE: Throttle = Throttle::new();
    model(|| {
        let take = |now| THROTTLE.lease(&mut 0, now, 1000);
        assert!(take(100));
        let others = [thread::spawn(move || take(2000)), thread::spawn(move || take(2000))];
        let taken = others.into_iter().map(|other| other.join().unwrap());
        assert_eq!(taken.filter(|taken| *taken).count(), 1);
    });
}
