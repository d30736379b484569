//! A pool's connections: never more than `max`, few while staging is fast, let go when long idle.
//!
//! A thread **holds** one of `max` permits for each exchange it has under way, and one while it looks
//! for copies: so who takes a copy may always send it. Only a thread that is parked holds none.
//!
//! A batch goes over connections that there are. A new one is made where none is idle, and else only
//! while copies keep waiting for one, batch after batch: a burst alone opens none, and staging that
//! gives each connection a process of its own is not flooded. Its maker sends one copy alone over it, for
//! nobody knows how long it takes to make; only while staging is slow to answer and quick to connect to are
//! a [`FEW`] made by one thread, which is how many connections are had soon. The last used is the first to be used again, so that what
//! was needed for a while only is idle for the ttl, and goes.

use std::time::{Duration, Instant};

use super::courier::Courier;
use super::tcp::are_open;

/// The most copies that one thread has under way.
pub(super) const BATCH: usize = 16;
/// The most connections that one thread makes for its copies. Should they turn out slow to make, the last
/// still is before its copy is late, where timeouts are as they are by default.
const FEW: usize = 4;
/// How many more batches had copies that waited for a connection than had none, before one is made.
const PRESSURE: u32 = 8;

/// A courier between two copies.
pub(super) struct Kept {
    pub(super) courier: Box<dyn Courier>,
    pub(super) used: Instant,
}

/// The permits and the idle connections of one target in one child.
pub(super) struct Lines {
    max: usize,
    ttl: Duration,
    /// Permits that threads hold.
    held: usize,
    /// Idle ones, the last used last.
    idle: Vec<Kept>,
    pressure: u32,
}

impl Lines {
    pub(super) fn new(max: usize, ttl: Duration) -> Lines {
        Lines { max: max.max(1), ttl, held: 0, idle: Vec::new(), pressure: 0 }
    }

    /// Takes a permit; whether one was free.
    pub(super) fn hold(&mut self) -> bool {
        let free = self.held < self.max;
        self.held = self.held.saturating_add(usize::from(free));
        free
    }

    /// Gives permits back.
    pub(super) fn release(&mut self, permits: usize) {
        self.held = self.held.saturating_sub(permits);
    }

    /// Takes connections, and permits for them, for one who holds one permit, and sees so many copies
    /// `wait` beside the one it has. Where it gets none, it is to make one.
    ///
    /// There are never more than `max`, for who makes one holds its permit, and finds either none
    /// idle or a permit for each that is.
    pub(super) fn take(&mut self, waiting: usize, couriers: &mut Vec<Kept>) {
        let (wanted, idle) = (waiting.saturating_add(1).min(BATCH), self.idle.len());
        self.pressure = match wanted > idle {
            true => self.pressure.saturating_add(1).min(PRESSURE),
            false => self.pressure.saturating_sub(1),
        };
        let may_grow = idle < BATCH && self.held.saturating_add(idle) <= self.max;
        if self.pressure == PRESSURE && may_grow {
            self.pressure = 0;
            return;
        }
        let permits = self.max.saturating_sub(self.held).saturating_add(1);
        let count = wanted.min(permits).min(idle);
        self.held = self.held.saturating_add(count.saturating_sub(1));
        couriers.extend(self.idle.drain(idle.saturating_sub(count)..).rev());
    }

    /// Takes permits for connections to be made beside those that were just taken, where there are none
    /// left, by one who has `taken` some or is to make one in any case; how many.
    pub(super) fn hold_more(&mut self, waiting: usize, taken: usize) -> usize {
        let wanted = waiting.saturating_add(1).min(FEW).saturating_sub(taken.max(1));
        let free = self.max.saturating_sub(self.held);
        let count = if self.idle.is_empty() { wanted.min(free) } else { 0 };
        self.held = self.held.saturating_add(count);
        count
    }

    /// Keeps a connection for the next copy.
    pub(super) fn keep(&mut self, kept: Kept) {
        self.idle.push(kept);
    }

    /// Those that are idle for the ttl.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<Kept> {
        let long = |kept: &Kept| now.saturating_duration_since(kept.used) >= self.ttl;
        let count = self.idle.iter().take_while(|kept| long(kept)).count();
        self.idle.drain(..count).collect()
    }

    /// All that are idle.
    pub(super) fn clear(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.idle)
    }
}

/// Lets go of connections that staging has closed, or over which it has sent what nobody asked for.
pub(super) fn retain_open(couriers: &mut Vec<Kept>) {
    let mut open = are_open(couriers.iter().filter_map(|kept| kept.courier.socket())).into_iter();
    couriers.retain_mut(|Kept { courier, .. }| {
        courier.socket().is_none() || open.next().unwrap_or_default() || courier.is_open()
    });
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

    use super::super::courier::{Errand, Progress};
    use super::super::exchange::Wait;
    use super::super::fault::Fault;
    use super::super::pace::{Deadline, OnSlow};
    use super::super::testing::{Hired, LONG};
    use super::*;
    use crate::message::Message;
    use crate::outcome::StatusClass;
    use crate::stats::Traffic;

    const TTL: Duration = Duration::from_secs(60);

    fn kept(used: Instant) -> Kept {
        let hire = Hired::each(|_| |_: &Message| Ok(StatusClass::Successful));
        Kept { courier: hire(OnSlow::new(|| {})), used }
    }

    /// Some idle connections, the last used last.
    fn idle(max: usize, count: u64) -> (Lines, Instant) {
        let (mut lines, begin) = (Lines::new(max, TTL), Instant::now());
        (0..count).for_each(|second| lines.keep(kept(begin + Duration::from_secs(second))));
        (lines, begin)
    }

    /// What one gets who holds a permit; it is given back.
    fn taken(lines: &mut Lines, waiting: usize) -> Vec<Kept> {
        let mut couriers = Vec::new();
        assert!(lines.hold());
        lines.take(waiting, &mut couriers);
        lines.release(couriers.len().max(1));
        couriers
    }

    #[test]
    fn there_are_never_more_permits_than_max() {
        let (mut lines, _) = idle(5, 5);
        assert!(lines.hold() && lines.hold());
        let mut couriers = Vec::new();
        lines.take(9, &mut couriers);
        assert_eq!((couriers.len(), lines.held), (4, 5), "all but that of the other");
        assert!(!lines.hold());
        lines.take(9, &mut couriers);
        assert_eq!((couriers.len(), lines.held), (5, 5), "its own");
        lines.release(5);
        assert_eq!(lines.held, 0);
    }

    #[test]
    fn no_more_are_taken_than_there_are_copies_and_at_most_a_batch() {
        let (mut lines, _) = idle(40, 30);
        for (waiting, count) in [(0, 1), (3, 4), (100, BATCH)] {
            let couriers = taken(&mut lines, waiting);
            assert_eq!(couriers.len(), count);
            couriers.into_iter().for_each(|kept| lines.keep(kept));
        }
    }

    #[test]
    fn the_last_used_is_used_first_and_what_is_not_used_expires() {
        let (mut lines, begin) = idle(5, 3);
        let couriers = taken(&mut lines, 0);
        assert_eq!(couriers[0].used, begin + Duration::from_secs(2));
        assert!(lines.expired(begin + TTL - Duration::from_nanos(1)).is_empty());
        assert_eq!(lines.expired(begin + TTL).len(), 1);
        assert_eq!(lines.idle.len(), 1);
    }

    #[test]
    fn one_is_made_where_none_is_idle_or_copies_keep_waiting() {
        let (mut lines, _) = idle(20, 0);
        assert!(taken(&mut lines, 0).is_empty());
        let (mut lines, begin) = idle(20, 2);
        for _ in 1..PRESSURE {
            assert_eq!(taken(&mut lines, 5).len(), 2);
            (0..2).for_each(|_| lines.keep(kept(begin)));
        }
        // A batch that none waits for counts against it.
        for (waiting, count) in [(1, 2), (5, 2), (5, 0), (5, 2)] {
            assert_eq!(taken(&mut lines, waiting).len(), count);
            (0..count).for_each(|_| lines.keep(kept(begin)));
        }
    }

    #[test]
    fn of_several_connections_those_that_are_still_open_are_kept() {
        let (listener, now) = (TcpListener::bind("127.0.0.1:0").unwrap(), Instant::now());
        let mut peers = Vec::new();
        let mut couriers: Vec<Kept> = (0..5)
            .map(|_| {
                let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                peers.push(Some(listener.accept().unwrap().0));
                Kept { courier: Box::new(Connected(socket)), used: now }
            })
            .collect();
        couriers.push(kept(now));
        retain_open(&mut couriers);
        assert_eq!(couriers.len(), 6);
        let sockets = |couriers: &[Kept]| -> Vec<_> {
            couriers.iter().map(|kept| kept.courier.socket().map(|fd| fd.as_raw_fd())).collect()
        };
        let before = sockets(&couriers);
        drop(peers[0].take());
        peers[3].as_ref().unwrap().write_all(b"stray").unwrap();
        peers[4].as_ref().unwrap().write_all(b"ticket").unwrap();
        let began = Instant::now();
        while couriers.len() > 4 {
            retain_open(&mut couriers);
            assert!(began.elapsed() < LONG, "what has ended stays");
        }
        assert_eq!(sockets(&couriers), [1, 2, 4, 5].map(|at: usize| before[at]));
    }

    /// A courier with a connection, which knows what to do with `ticket`, and nothing else.
    struct Connected(TcpStream);

    impl Courier for Connected {
        fn is_open(&mut self) -> bool {
            let mut received = [0; 10];
            self.0.peek(&mut received).is_ok() && received.starts_with(b"ticket")
        }

        fn has_connection(&self) -> bool {
            true
        }

        fn send(&mut self, _: &Errand<'_>, _: Wait, _: &mut Traffic) -> Progress {
            unreachable!()
        }

        fn go_on(&mut self, _: &Errand<'_>, _: Wait, _: &mut Traffic) -> Progress {
            unreachable!()
        }

        fn late(&self, _: &Deadline) -> Fault {
            unreachable!()
        }

        fn socket(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }
    }

    #[test]
    fn a_few_are_made_at_once_where_none_is_idle_and_permits_are_free() {
        let (mut lines, begin) = idle(6, 0);
        assert!(lines.hold());
        assert_eq!(lines.hold_more(0, 0), 0, "for no copies there are");
        assert_eq!(lines.hold_more(1, 0), 1);
        assert_eq!((lines.hold_more(99, 2), lines.held), (FEW - 2, 4));
        assert_eq!((lines.hold_more(99, 0), lines.held), (2, 6), "all that may be");
        lines.release(6);
        lines.keep(kept(begin));
        assert_eq!((lines.hold_more(99, 0), lines.held), (0, 0), "one is idle");
    }

    #[test]
    fn no_more_are_made_than_max_or_than_a_batch_uses() {
        for (max, count) in [(3, 3), (40, BATCH)] {
            let (mut lines, begin) = idle(max, count as u64);
            for _ in 0..3 * PRESSURE {
                assert_eq!(taken(&mut lines, 99).len(), count);
                (0..count).for_each(|_| lines.keep(kept(begin)));
            }
        }
    }
}
