//! Where the end of a request and the end of its copy meet: whoever comes last hands on what both brought.
//!
//! A copy may be answered long before production has answered, or long after. What is told of both together
//! (a line of the log, a comparison of the answers) needs what each side knows at its end, and neither may wait for
//! the other. So each holds one side of a meeting. It arrives with what it knows, or ends without: a request whose
//! thread panicked, a copy that nobody had in hand any more. With the second to end, whichever that is, the meeting
//! is over, exactly once, and its memory is given back.
//!
//! No side ever waits: arriving takes a lock that nobody else can hold by then, and gives up a reference. A request with several copies has a meeting for
//! each; what its side brings to all of them it can share, in an [`Arc`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// What a meeting is held for.
pub trait Purpose: fmt::Debug {
    /// What is known when production has answered.
    type Production: fmt::Debug;
    /// What is known when the copy has its outcome.
    type Copy: fmt::Debug;

    /// Takes what both sides brought; `None` for one that ended without arriving.
    ///
    /// Whoever comes last calls it, and that may be the request's own thread: hand it on to a thread that does
    /// the work, and do not wait.
    fn meet(&mut self, production: Option<Self::Production>, copy: Option<Self::Copy>);
}

/// The request's side: kept until production has answered.
#[derive(Debug)]
pub struct ProductionSide<M: Purpose>(Arc<Meeting<M>>);

/// The copy's side: goes with it.
#[derive(Debug)]
pub struct CopySide<M: Purpose>(Arc<Meeting<M>>);

#[derive(Debug)]
struct Meeting<M: Purpose> {
    purpose: M,
    production: Brought<M::Production>,
    copy: Brought<M::Copy>,
}

/// What one side brings. Its lock is never contended: nobody else looks before both sides are gone.
#[derive(Debug)]
struct Brought<T>(Mutex<Option<T>>);

impl<T> Brought<T> {
    fn put(&self, what: T) {
        let Brought(place) = self;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    fn take(&mut self) -> Option<T> {
        let Brought(place) = self;
        place.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Arranges a meeting.
pub fn arrange<M: Purpose>(purpose: M) -> (ProductionSide<M>, CopySide<M>) {
    let (production, copy) = (Brought(Mutex::new(None)), Brought(Mutex::new(None)));
    let meeting = Arc::new(Meeting { purpose, production, copy });
    (ProductionSide(Arc::clone(&meeting)), CopySide(meeting))
}

impl<M: Purpose> ProductionSide<M> {
    /// Production has answered.
    pub fn arrive(self, knows: M::Production) {
        self.0.production.put(knows);
    }
}

impl<M: Purpose> CopySide<M> {
    /// The copy has its outcome.
    pub fn arrive(self, knows: M::Copy) {
        self.0.copy.put(knows);
    }
}

/// The meeting is over with whoever drops its last reference.
impl<M: Purpose> Drop for Meeting<M> {
    fn drop(&mut self) {
        let (production, copy) = (self.production.take(), self.copy.take());
        // Sides are dropped in unwinding too, which must not panic again.
        let _ = catch_unwind(AssertUnwindSafe(|| self.purpose.meet(production, copy)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;

    #[derive(Debug)]
    struct Told(Sender<Both>);

    impl Purpose for Told {
        type Production = u32;
        type Copy = &'static str;

        fn meet(&mut self, production: Option<u32>, copy: Option<&'static str>) {
            self.0.send((production, copy)).unwrap();
        }
    }

    type Sides = (ProductionSide<Told>, CopySide<Told>);
    type Both = (Option<u32>, Option<&'static str>);

    fn meeting() -> (Sides, Receiver<Both>) {
        let (tell, told) = channel();
        (arrange(Told(tell)), told)
    }

    #[test]
    fn whoever_comes_last_hands_on_what_both_brought() {
        let ((production, copy), told) = meeting();
        production.arrive(200);
        assert!(told.try_recv().is_err(), "not before both have ended");
        copy.arrive("delivered");
        assert_eq!(told.recv(), Ok((Some(200), Some("delivered"))));

        let ((production, copy), told) = meeting();
        copy.arrive("dropped");
        assert!(told.try_recv().is_err());
        production.arrive(404);
        assert_eq!(told.recv(), Ok((Some(404), Some("dropped"))));
        assert!(told.recv().is_err(), "once, and nothing is left of it");
    }

    #[test]
    fn a_side_that_ends_without_arriving_keeps_nobody_waiting() {
        let ((production, copy), told) = meeting();
        drop(production);
        copy.arrive("delivered");
        assert_eq!(told.recv(), Ok((None, Some("delivered"))));

        let ((production, copy), told) = meeting();
        production.arrive(200);
        drop(copy);
        assert_eq!(told.recv(), Ok((Some(200), None)));

        let ((production, copy), told) = meeting();
        drop((production, copy));
        assert_eq!(told.recv(), Ok((None, None)));
    }

    #[test]
    fn of_two_that_come_at_once_exactly_one_hands_on() {
        let (tell, told) = channel();
        for round in 0..1_000 {
            let (production, copy) = arrange(Told(tell.clone()));
            thread::scope(|scope| {
                scope.spawn(move || production.arrive(round));
                scope.spawn(move || copy.arrive("delivered"));
            });
            assert_eq!(told.try_recv(), Ok((Some(round), Some("delivered"))));
            assert!(told.try_recv().is_err());
        }
    }

    #[test]
    fn a_purpose_that_panics_stops_at_the_meeting() {
        #[derive(Debug)]
        struct Panics;
        impl Purpose for Panics {
            type Production = ();
            type Copy = ();
            fn meet(&mut self, _: Option<()>, _: Option<()>) {
                panic!("on purpose");
            }
        }
        let (production, copy) = arrange(Panics);
        production.arrive(());
        copy.arrive(());
    }
}
