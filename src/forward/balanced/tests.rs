//! Couriers to members that answer, close, hang, and are out.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;

use super::super::connecting::Over;
use super::super::testing::{
    Counters, LIMITS, OK, Staging, budget, job, message, message_of, request, target,
};
use super::super::{Forwarders, Shared as Common, lines_to, names};
use super::*;
use crate::balancer::status;
use crate::balancer::tests::{Scripted, scripted};
use crate::breaker::Rules;
use crate::route::Route;
use crate::stats::Cell;
use crate::target::{Aim, Destination, Limits, Pool};

/// One courier, the members it goes to, and the exchange at hand.
struct World {
    roster: Arc<Scripted>,
    balance: Arc<Balance>,
    counters: Counters,
}

impl World {
    /// A member that fails once is left out for an hour.
    fn of(members: &[SocketAddr]) -> World {
        World::with(members, Duration::from_secs(60))
    }

    fn with(members: &[SocketAddr], ttl: Duration) -> World {
        let roster = Arc::new(roster(members));
        let counters = Counters::new();
        let mut aimed = Target::clone(&target("staging", Pool { ttl, ..Pool::default() }));
        aimed.breaker = Rules { failures: 1, retry: Duration::from_secs(3600) };
        let common = Common::of(&aimed, Over::Plain, counters.account);
        let lines = Box::new(move |url: &Url| {
            let names = common.names(url, Box::new(names::system));
            let lines = lines_to(Aim::at(url.clone()), None, names, common.clone());
            lines.map_err(|error| error.to_string())
        });
        let shared: Arc<dyn Roster> = Arc::clone(&roster) as _;
        let balance = Arc::new(Balance::new(&aimed, shared, counters.account, lines));
        World { roster, balance, counters }
    }

    fn courier(&self) -> Balanced {
        Balanced::new(Arc::clone(&self.balance), OnSlow::new(|| {}))
    }
}

fn roster(members: &[SocketAddr]) -> Scripted {
    let mut roster = scripted(&vec![100; members.len()]);
    roster.urls = members.iter().map(|address| Ok(format!("http://{address}/"))).collect();
    roster
}

/// Has a courier send one copy, and go on until it has ended.
fn deliver(courier: &mut Balanced, message: &Message) -> Progress {
    let deadline = Deadline::new(Instant::now(), LIMITS.timeout);
    let errand = Errand { message, limits: &LIMITS, deadline: &deadline, keep: None };
    let mut traffic = Traffic::default();
    let mut progress = courier.send(&errand, Wait::Long, &mut traffic);
    loop {
        progress = match progress {
            Progress::Awaits(_) => courier.go_on(&errand, Wait::Long, &mut traffic),
            Progress::Stale => courier.send(&errand, Wait::Long, &mut traffic),
            ended => return ended,
        };
    }
}

fn is_delivered(progress: &Progress) -> bool {
    matches!(progress, Progress::Ended(Ok(_)))
}

#[test]
fn a_courier_keeps_a_line_to_each_member() {
    let stagings = [Staging::answering(OK), Staging::answering(OK)];
    let world = World::of(&stagings.each_ref().map(|staging| staging.address));
    let mut courier = world.courier();
    for _ in 0..6 {
        assert!(is_delivered(&deliver(&mut courier, &message("POST", Some(b"x")))));
    }
    assert_eq!(stagings.each_ref().map(Staging::connections), [1, 1]);
    assert!(courier.has_connection() && courier.socket().is_none());
}

#[test]
fn a_line_that_nobody_needs_for_the_ttl_is_let_go() {
    let stagings = [Staging::answering(OK), Staging::answering(OK)];
    let world = World::with(&stagings.each_ref().map(|staging| staging.address), Duration::ZERO);
    let mut courier = world.courier();
    for _ in 0..4 {
        assert!(is_delivered(&deliver(&mut courier, &message("GET", None))));
        assert_eq!(courier.lines.len(), 1);
    }
    assert_eq!(stagings.each_ref().map(Staging::connections), [2, 2]);
}

#[test]
fn a_connection_that_its_member_closed_meanwhile_is_made_anew() {
    let staging = Staging::closing_after(OK);
    let world = World::of(&[staging.address]);
    let mut courier = world.courier();
    for _ in 0..5 {
        let ended = deliver(&mut courier, &message("POST", Some(b"x")));
        // Nobody knows when the end of the connection is seen: a copy that may not be sent twice fails then.
        assert!(is_delivered(&ended), "{ended:?}");
        let closed = Instant::now();
        while let Some(line) = courier.lines.first_mut()
            && is_open(&mut *line.line)
        {
            assert!(closed.elapsed() < LIMITS.timeout);
        }
    }
    staging.await_connections(5);
}

#[test]
fn one_who_may_not_wait_makes_another_connection_only_the_second_time() {
    let stagings = [Staging::answering(OK), Staging::answering(OK)];
    let world = World::of(&stagings.each_ref().map(|staging| staging.address));
    let mut courier = world.courier();
    let copy = message("GET", None);
    let deadline = Deadline::new(Instant::now(), LIMITS.timeout);
    let errand = Errand { message: &copy, limits: &LIMITS, deadline: &deadline, keep: None };
    let mut traffic = Traffic::default();
    let first = courier.send(&errand, Wait::Not, &mut traffic);
    assert!(matches!(first, Progress::Awaits(_)), "the first connection it has {first:?}");
    assert!(is_delivered(&courier.go_on(&errand, Wait::Long, &mut traffic)));
    let second = courier.send(&errand, Wait::Not, &mut traffic);
    assert!(matches!(second, Progress::Stale), "{second:?}");
    assert_eq!(stagings.each_ref().map(Staging::connections), [1, 0]);
    let second = courier.send(&errand, Wait::Not, &mut traffic);
    assert!(matches!(second, Progress::Awaits(_)), "{second:?}");
    assert!(courier.socket().is_some());
    stagings[1].await_connections(1);
    assert!(is_delivered(&courier.go_on(&errand, Wait::Long, &mut traffic)));
    // Now there are both.
    for _ in 0..2 {
        let next = courier.send(&errand, Wait::Not, &mut traffic);
        assert!(matches!(next, Progress::Awaits(_)), "{next:?}");
        assert!(is_delivered(&courier.go_on(&errand, Wait::Long, &mut traffic)));
    }
}

#[test]
fn a_copy_that_is_given_up_on_its_way_counts_against_its_member() {
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let hanging = Staging::start(move |_, stream| {
        request(stream);
        let _ = held.lock().unwrap().recv();
    });
    let answering = Staging::answering(OK);
    let world = World::of(&[hanging.address, answering.address]);
    let deadline = Deadline::new(Instant::now(), LIMITS.timeout);
    let copy = message("GET", None);
    let errand = Errand { message: &copy, limits: &LIMITS, deadline: &deadline, keep: None };
    let mut late = world.courier();
    let progress = late.send(&errand, Wait::Not, &mut Traffic::default());
    assert!(matches!(progress, Progress::Awaits(_)), "{progress:?}");
    let fault = late.late(&deadline);
    assert!(fault.what.starts_with(&format!("{}: ", hanging.address)), "{fault:?}");
    drop(late);
    let mut courier = world.courier();
    for _ in 0..4 {
        assert!(is_delivered(&deliver(&mut courier, &message("GET", None))));
    }
    hanging.await_connections(1);
    assert_eq!(hanging.connections(), 0, "only that of the copy that was late");
    drop(hold);
}

#[test]
fn a_copy_that_was_never_sent_counts_against_nobody() {
    let stagings = [Staging::answering(OK), Staging::answering(OK)];
    let world = World::of(&stagings.each_ref().map(|staging| staging.address));
    let copy = message("GET", None);
    let deadline = Deadline::new(Instant::now(), LIMITS.timeout);
    let errand = Errand { message: &copy, limits: &LIMITS, deadline: &deadline, keep: None };
    let mut courier = world.courier();
    assert!(is_delivered(&deliver(&mut courier, &copy)));
    let unsent = courier.send(&errand, Wait::Not, &mut Traffic::default());
    assert!(matches!(unsent, Progress::Stale), "{unsent:?}");
    drop(courier);
    // Neither member is left out.
    for _ in 0..2 {
        assert!(is_delivered(&deliver(&mut world.courier(), &copy)));
    }
    assert_eq!(stagings.each_ref().map(Staging::connections), [2, 1]);
}

#[test]
fn where_all_members_are_out_there_is_nobody_to_carry_it_to() {
    let world = World::of(&[SocketAddr::from(([127, 0, 0, 1], 1))]);
    world.roster.mark(0, status::DISABLED);
    let ended = deliver(&mut world.courier(), &message("GET", None));
    assert!(matches!(ended, Progress::Dropped(Loss::NoMember)), "{ended:?}");
    assert_eq!(world.counters.account.trouble(crate::stats::Trouble::Dropped(Loss::NoMember)), 2);
}

#[test]
fn every_copy_has_one_outcome_whatever_members_do() {
    // The first member answers; the second closes, answers garbage, or closes after an answer, by turns.
    let good = Staging::answering(OK);
    let bad = Staging::start(|number, stream| {
        request(stream);
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"garbage\r\n").unwrap(),
            _ => stream.write_all(OK).unwrap(),
        }
    });
    let counters = Counters::new();
    let roster: Arc<dyn Roster> = Arc::new(roster(&[good.address, bad.address]));
    let destination = Destination::parse("balancer://staging").unwrap();
    let Destination::Balancer(url) = destination else { panic!("no balancer") };
    let route = Route::Balanced { url, roster, tls: None };
    let pool = target("staging", Pool { max: 3, ..Pool::default() });
    let forwarders = Forwarders::start(pool, &route, counters.account).unwrap();
    let budget = budget();
    for _ in 0..300 {
        counters.account.select();
        let message = message_of("POST", Some(b"x"), budget);
        let limits = Limits { ..LIMITS };
        forwarders.offer(job(message, limits)).unwrap();
    }
    let totals = counters.until(|totals| totals.pending() == 0);
    assert_eq!(totals.sum(&Cell::OUTCOMES), 300);
    let delivered = totals.count(Cell::Delivered2xx);
    assert!(delivered > 150, "{totals:?}");
    assert_eq!(totals.count(Cell::DroppedNoMember), 0);
}
