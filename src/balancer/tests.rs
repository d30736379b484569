//! A roster of a test's own, and what is chosen from it.

use std::cell::Cell;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::breaker::{Rules, Sign};

const GET: Request<'_> = Request { target: b"/", fields: b"" };
const RETRY: Duration = Duration::from_secs(10);

/// Members as a test sets them.
#[derive(Debug)]
pub(crate) struct Scripted {
    members: Mutex<Vec<Member>>,
    routes: Vec<&'static str>,
    pub(crate) urls: Vec<Result<String, String>>,
    method: Method,
    sticky: Option<Sticky>,
}

pub(crate) fn scripted(weights: &[i32]) -> Scripted {
    let members = weights.iter().enumerate().map(|(slot, weight)| Member {
        slot,
        id: 100 + slot as u64,
        status: status::INITIALIZED,
        weight: *weight,
        set: 0,
        failed_at: 0,
        retry: 0,
    });
    Scripted {
        members: Mutex::new(members.collect()),
        routes: vec!["a", "b", "c", "d"],
        urls: vec![Ok("http://m/".to_owned()); weights.len()],
        method: Method::ByRequests,
        sticky: None,
    }
}

impl Scripted {
    fn change(&self, slot: usize, change: impl FnOnce(&mut Member)) {
        change(&mut self.members.lock().unwrap()[slot]);
    }

    pub(crate) fn mark(&self, slot: usize, bits: u32) {
        self.change(slot, |member| member.status = status::INITIALIZED | bits);
    }
}

impl Roster for Scripted {
    fn attach(&self) {}

    fn members(&self, see: &mut dyn FnMut(Member)) {
        self.members.lock().unwrap().iter().copied().for_each(see);
    }

    fn method(&self) -> Method {
        self.method
    }

    fn read_sticky(&self, sticky: &mut Sticky) -> bool {
        if let Some(own) = &self.sticky {
            own.clone_into(sticky);
        }
        self.sticky.is_some()
    }

    fn has_route(&self, slot: usize, route: &[u8]) -> bool {
        self.routes[slot].as_bytes() == route
    }

    fn url(&self, slot: usize) -> Result<Url, String> {
        self.urls[slot].clone().map(|url| Url::parse(&url).unwrap())
    }
}

/// A chooser, and the time.
struct Choosing<'a> {
    roster: &'a Scripted,
    chooser: Chooser<()>,
    now: Cell<u64>,
    unix: Cell<i64>,
}

impl Choosing<'_> {
    fn from(roster: &Scripted) -> Choosing<'_> {
        let rules = Rules { failures: 2, retry: RETRY };
        let chooser = Chooser::new("staging", rules, Box::new(|_| Ok(())));
        Choosing { roster, chooser, now: Cell::new(1_000), unix: Cell::new(1_000) }
    }

    fn choose(&mut self, request: Request<'_>) -> Option<Choice<()>> {
        let clock = Clock { now: &|| self.now.get(), unix: &|| self.unix.get() };
        self.chooser.choose(self.roster, request, clock)
    }

    /// The member that gets a copy, which ends so.
    fn one(&mut self, sign: Sign, bytes: u64) -> Option<usize> {
        let choice = self.choose(GET)?;
        self.chooser.end(&choice, sign, bytes, || self.now.get());
        Some(choice.member().0)
    }

    /// The members that get so many copies, one after another.
    fn next(&mut self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.one(Sign::Alive, 10).expect("a member")).collect()
    }

    /// How many of so many copies each member gets.
    fn counts<const N: usize>(&mut self, count: usize) -> [usize; N] {
        let mut counts = [0; N];
        self.next(count).into_iter().for_each(|slot| counts[slot] += 1);
        counts
    }
}

#[test]
fn members_get_copies_by_their_weights_evenly_spread() {
    let roster = scripted(&[300, 100, 100]);
    let mut choosing = Choosing::from(&roster);
    assert_eq!(choosing.next(5), [0, 1, 0, 2, 0]);
    assert_eq!(choosing.counts(500), [300, 100, 100]);
    roster.change(1, |member| member.weight = 500);
    let counts: [usize; 3] = choosing.counts(900);
    assert!(
        counts.iter().zip([300, 500, 100]).all(|(count, due)| count.abs_diff(due) <= 2),
        "{counts:?}"
    );
}

#[test]
fn a_member_that_is_out_gets_none_and_where_all_are_nobody_does() {
    let out = [
        status::DRAIN,
        status::IN_SHUTDOWN,
        status::DISABLED,
        status::STOPPED,
        status::IN_ERROR,
        status::HC_FAIL,
    ];
    for bits in out {
        let roster = scripted(&[100, 100]);
        let mut choosing = Choosing::from(&roster);
        assert_eq!(choosing.counts(4), [2, 2]);
        roster.change(0, |member| member.retry = 1_000_000);
        roster.mark(0, bits);
        assert_eq!(choosing.counts(4), [0, 4], "{bits:#x}");
        roster.mark(1, status::STOPPED);
        assert_eq!(choosing.one(Sign::Alive, 0), None, "{bits:#x}");
        roster.mark(0, 0);
        assert_eq!(choosing.counts(4), [4, 0], "{bits:#x}");
    }
    let roster = scripted(&[100, 100]);
    roster.change(0, |member| member.status = 0);
    assert_eq!(Choosing::from(&roster).counts(4), [0, 4], "not yet made");
}

#[test]
fn a_member_that_failed_in_production_is_tried_again_after_its_time() {
    let roster = scripted(&[100, 100]);
    roster.mark(0, status::IN_ERROR);
    roster.change(0, |member| (member.failed_at, member.retry) = (5_000, 1_000));
    let mut choosing = Choosing::from(&roster);
    choosing.unix.set(6_000);
    assert_eq!(choosing.counts(4), [0, 4]);
    choosing.unix.set(6_001);
    assert_eq!(choosing.counts(4), [2, 2]);
    roster.mark(0, status::IN_ERROR | status::STOPPED);
    assert_eq!(choosing.counts(4), [0, 4], "stopped by hand too");
    choosing.unix.set(0);
    roster.mark(0, status::IN_ERROR | status::IGNORE_ERRORS);
    assert_eq!(choosing.counts(4), [2, 2], "its errors count for nothing");
}

#[test]
fn standbys_serve_where_no_other_does_and_spares_in_the_place_of_others() {
    let roster = scripted(&[100, 100, 100, 100]);
    roster.mark(2, status::HOT_STANDBY);
    roster.mark(3, status::HOT_SPARE);
    let mut choosing = Choosing::from(&roster);
    assert_eq!(choosing.counts(4), [2, 2, 0, 0]);
    roster.mark(0, status::DISABLED);
    assert_eq!(choosing.counts(4), [0, 2, 0, 2]);
    roster.mark(1, status::DRAIN);
    assert_eq!(choosing.counts(4), [0, 0, 0, 4]);
    roster.mark(3, status::HOT_SPARE | status::DISABLED);
    assert_eq!(choosing.counts(4), [0, 0, 4, 0]);
    roster.mark(2, status::HOT_STANDBY | status::STOPPED);
    assert_eq!(choosing.one(Sign::Alive, 0), None);
}

#[test]
fn sets_are_used_in_their_order() {
    let roster = scripted(&[100, 100, 100]);
    roster.change(0, |member| member.set = 7);
    roster.change(1, |member| member.set = 2);
    roster.change(2, |member| member.set = 2);
    let mut choosing = Choosing::from(&roster);
    assert_eq!(choosing.counts(4), [0, 2, 2]);
    roster.mark(1, status::HC_FAIL);
    assert_eq!(choosing.counts(4), [0, 0, 4]);
    roster.mark(2, status::HC_FAIL);
    assert_eq!(choosing.counts(4), [4, 0, 0]);
}

#[test]
fn by_busyness_the_one_with_the_fewest_under_way_gets_the_next() {
    let roster = Scripted { method: Method::ByBusyness, ..scripted(&[100, 100, 100]) };
    let mut choosing = Choosing::from(&roster);
    let under_way: Vec<Choice<()>> = (0..3).map(|_| choosing.choose(GET).unwrap()).collect();
    let slots: Vec<usize> = under_way.iter().map(|choice| choice.member().0).collect();
    assert_eq!(slots, [0, 1, 2]);
    choosing.chooser.end(&under_way[1], Sign::Alive, 0, || 0);
    assert_eq!(choosing.next(3), [1, 1, 1]);
}

#[test]
fn by_traffic_the_one_with_the_fewest_bytes_for_its_weight_gets_the_next() {
    let roster = Scripted { method: Method::ByTraffic, ..scripted(&[100, 300]) };
    let mut choosing = Choosing::from(&roster);
    assert_eq!(choosing.one(Sign::Alive, 90_000), Some(0));
    let mut counts = [0, 0];
    for _ in 0..40 {
        counts[choosing.one(Sign::Alive, 27_000).unwrap()] += 1;
    }
    assert_eq!(counts, [8, 32], "beside the 90 KB, a third");
}

#[test]
fn a_member_where_nobody_is_rests_and_then_one_copy_finds_out() {
    let roster = scripted(&[100, 100]);
    let mut choosing = Choosing::from(&roster);
    let failing = |choosing: &mut Choosing<'_>, count: usize| -> Vec<usize> {
        let mut slots = Vec::new();
        for _ in 0..count {
            let choice = choosing.choose(GET).unwrap();
            let (slot, _) = choice.member();
            let sign = if slot == 0 { Sign::Gone } else { Sign::Alive };
            choosing.chooser.end(&choice, sign, 0, || choosing.now.get());
            slots.push(slot);
        }
        slots
    };
    assert_eq!(failing(&mut choosing, 3), [0, 1, 0]);
    assert_eq!(failing(&mut choosing, 4), [1; 4], "it rests");
    choosing.now.set(choosing.now.get() + 9_999);
    assert_eq!(failing(&mut choosing, 2), [1; 2]);
    choosing.now.set(choosing.now.get() + 1);
    let tried = failing(&mut choosing, 6).into_iter().filter(|slot| *slot == 0).count();
    assert_eq!(tried, 1, "and rests again");
    choosing.now.set(choosing.now.get() + 10_000);
    // While the one that finds out is under way, the others do not wait for it.
    let probe = loop {
        let choice = choosing.choose(GET).unwrap();
        if choice.member().0 == 0 {
            break choice;
        }
        choosing.chooser.end(&choice, Sign::Alive, 0, || 0);
    };
    assert_eq!(choosing.next(3), [1; 3]);
    choosing.chooser.end(&probe, Sign::Alive, 0, || 0);
    assert_eq!(choosing.counts(4), [2, 2], "it is back");
}

#[test]
fn where_all_rest_they_get_copies_all_the_same() {
    let roster = scripted(&[100, 100]);
    let mut choosing = Choosing::from(&roster);
    for _ in 0..4 {
        choosing.one(Sign::Gone, 0).unwrap();
    }
    let mut counts = [0, 0];
    for _ in 0..4 {
        counts[choosing.one(Sign::Gone, 0).unwrap()] += 1;
    }
    assert_eq!(counts, [2, 2]);
    roster.mark(0, status::DISABLED);
    assert_eq!(choosing.one(Sign::Gone, 0), Some(1));
}

#[test]
fn a_member_that_comes_to_rest_is_told_of_once() {
    let roster = scripted(&[100]);
    let mut choosing = Choosing::from(&roster);
    let rested: Vec<Option<u64>> =
        [Sign::Gone, Sign::Gone, Sign::Gone, Sign::Alive, Sign::Gone, Sign::Gone]
            .into_iter()
            .map(|sign| {
                let choice = choosing.choose(GET).unwrap();
                choosing.chooser.end(&choice, sign, 0, || 0).map(|rested| rested.times)
            })
            .collect();
    assert_eq!(rested, [None, Some(1), None, None, None, Some(2)]);
}

#[test]
fn a_member_in_the_slot_of_another_begins_anew() {
    let roster = scripted(&[100, 100]);
    let mut choosing = Choosing::from(&roster);
    let old = choosing.choose(GET).unwrap();
    assert_eq!(old.member(), (0, 100));
    roster.change(0, |member| member.id = 7);
    assert_eq!(choosing.counts(4), [2, 2]);
    assert_eq!(choosing.chooser.end(&old, Sign::Gone, 0, || 0), None);
    assert_eq!(choosing.counts(4), [2, 2]);
}

#[test]
fn a_member_whose_url_will_not_do_gets_none() {
    let roster = Scripted {
        urls: vec![Err("ajp".into()), Ok("http://m/x".into())],
        ..scripted(&[100, 100])
    };
    let mut choosing = Choosing::from(&roster);
    assert_eq!(choosing.counts(4), [0, 4]);
    assert_eq!(choosing.choose(GET).unwrap().url().to_string(), "http://m/x");
    let rules = Rules::default();
    let way_to = |url: &Url| if url.path() == "/" { Err("no".to_owned()) } else { Ok(()) };
    let roster = Scripted {
        urls: vec![Ok("http://m/".into()), Ok("http://m/x".into())],
        ..scripted(&[100, 100])
    };
    let chooser = Chooser::new("staging", rules, Box::new(way_to));
    let mut choosing = Choosing { chooser, ..Choosing::from(&roster) };
    assert_eq!(choosing.counts(4), [0, 4], "nor one that nothing leads to");
}

fn sticky(separator: u8, semicolons: bool) -> Sticky {
    Sticky { cookie: b"SID".to_vec(), parameter: b"sid".to_vec(), separator, semicolons }
}

#[test]
fn a_session_goes_to_the_member_with_its_route_while_that_is_usable() {
    let roster = Scripted { sticky: Some(sticky(b'.', false)), ..scripted(&[100, 100, 100]) };
    let mut choosing = Choosing::from(&roster);
    let request = Request { target: b"/", fields: b"Host: x\r\nCookie: a=b; SID=5ec2e7.c\r\n" };
    let routed = |choosing: &mut Choosing<'_>| -> Vec<usize> {
        let choices = (0..4).map(|_| choosing.choose(request).unwrap().member().0);
        choices.collect()
    };
    assert_eq!(routed(&mut choosing), [2; 4]);
    roster.mark(2, status::DISABLED);
    assert!(!routed(&mut choosing).contains(&2));
    roster.mark(2, status::HOT_STANDBY);
    assert_eq!(routed(&mut choosing), [2; 4]);
    assert!(!choosing.next(6).contains(&2), "without the session");
}

#[test]
fn a_route_is_found_where_mod_proxy_balancer_finds_it() {
    for (target, fields, route) in [
        ("/", "", None),
        ("/", "Cookie: SID=x.a\r\n", Some("a")),
        ("/", "cOOKIE:SID=x.a\r\n", Some("a")),
        ("/", "Cookie: OSID=x.b; SID=x.a\r\n", Some("a")),
        ("/", "Cookie: OSID=x.b\r\n", None),
        ("/", "Cookie: SID = x.a; b=c\r\n", Some("a")),
        ("/", "Cookie: SID =x.a,b=c\r\n", Some("a")),
        ("/", "Cookie: z=1\r\nX-Cookie: SID=x.b\r\nCookie: SID=x.a\r\n", Some("a")),
        ("/", "Cookie: SID=x.a.b\r\n", Some("a.b")),
        ("/", "Cookie: SID=x.\r\n", None),
        ("/", "Cookie: SID=x\r\n", None),
        ("/", "Cookie: SID=\r\n", None),
        ("/p?sid=x.a&b=c", "Cookie: SID=x.b\r\n", Some("a")),
        ("/p;sid=x.a?b=c", "", Some("a")),
        ("/p;sid=x.a;b=c", "", Some("a;b=c")),
        ("/sid/sid=x.a", "", Some("a")),
        ("/p?sid=&b.c", "", Some("c")),
        ("/p?sid=", "Cookie: SID=x.b\r\n", Some("b")),
    ] {
        let request = Request { target: target.as_bytes(), fields: fields.as_bytes() };
        let found = sticky(b'.', false).route(request);
        assert_eq!(found, route.map(str::as_bytes), "{target} {fields}");
    }
    let request = Request { target: b"/p;sid=x!a;b=c", fields: b"" };
    assert_eq!(sticky(b'!', true).route(request), Some(&b"a"[..]));
    assert_eq!(sticky(0, true).route(request), Some(&b"x!a"[..]));
}
