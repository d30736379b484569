//! The ways of requests, in whatever order httpd calls.

use super::*;
use crate::breaker::{Rules, Sign};
use crate::clock;
use crate::config::{Draft, Origin, Place, ProxyDefaults, ServerSettings, find};
use crate::message::Field;
use crate::stats::{Cell, Segment, tests::segment};
use crate::wait;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

/// A mirror of one target, where nobody listens, and the settings of its scope.
struct World {
    segment: Segment,
    mirror: &'static Mirror,
    server: &'static ServerPolicy,
    settings: ScopeSettings,
}

impl<'a> Known<'a> for () {
    fn client(&self) -> Forwarded<'a> {
        Forwarded { client: b"192.0.2.7", proto: "http" }
    }

    fn proxy_preserve_host(&self) -> bool {
        false
    }
}

impl World {
    fn configured(lines: &[(&str, &str)]) -> World {
        let (mut draft, mut settings, mut server) =
            (Draft::default(), ScopeSettings::default(), ServerSettings::default());
        for (directive, arguments) in lines {
            let mut place = Place {
                draft: &mut draft,
                scope: &mut settings,
                server: &mut server,
                which: None,
                in_section: false,
                origin: Origin::default(),
            };
            find(directive).unwrap().apply(&mut place, arguments).unwrap();
        }
        let policy = Arc::new(draft.resolve().unwrap());
        let segment = segment(1);
        let slots: Vec<_> =
            policy.targets().iter().map(|t| segment.slot(&t.target.name).unwrap()).collect();
        let ledger = segment.join(7, |_| true).unwrap();
        let mirror = Mirror::start(policy, &slots, ledger, "5ec2e7").unwrap();
        World {
            segment,
            mirror: Box::leak(Box::new(mirror)),
            server: Box::leak(Box::new(server.resolve(ProxyDefaults::default()))),
            settings,
        }
    }

    fn begin(&self, content: Option<Option<u64>>) -> Journey {
        Journey::begin(self.mirror, self.server, content)
    }

    fn decide(&self, journey: &mut Journey) -> bool {
        let scope = Scope { settings: &self.settings, known: () };
        let fields = [Field::new(b"Host", b"www.example.com")];
        let received = Received {
            method: b"POST",
            target: b"/",
            fields: fields.iter().copied(),
            connection: b"",
            has_content: journey.wants_content(),
        };
        let requested = || Requested::received(received.method, received.target);
        let chosen = journey.choose(&self.settings, true, &(), requested);
        chosen.is_some_and(|chosen| journey.select(chosen, &scope, &received))
    }

    fn count(&self, cell: Cell) -> u64 {
        self.segment.totals()[0].count(cell)
    }
}

const TARGET: (&str, &str) = ("CopyTarget", "http://127.0.0.1:1/");

#[test]
fn a_request_without_content_is_handed_over_when_it_is_decided() {
    let world = World::configured(&[TARGET]);
    let mut journey = world.begin(None);
    assert!(world.decide(&mut journey));
    assert_eq!(world.count(Cell::Selected), 1);
    assert!(!journey.is_open());
    journey.conclude();
    assert!(!world.decide(&mut journey), "nothing is decided twice");
    assert_eq!(world.count(Cell::Selected), 1);
}

#[test]
fn content_is_handed_over_at_its_end_however_often_that_is_told() {
    let world = World::configured(&[TARGET]);
    let mut journey = world.begin(Some(Some(5)));
    world.decide(&mut journey);
    journey.content(Part::Bytes(b"hello"));
    assert_eq!(world.count(Cell::Selected), 0);
    journey.content(Part::End);
    journey.content(Part::End);
    journey.conclude();
    assert_eq!(world.count(Cell::Selected), 1);
}

#[test]
fn content_that_was_read_before_the_decision_is_handed_over_with_it() {
    let world = World::configured(&[TARGET]);
    let mut journey = world.begin(Some(None));
    journey.content(Part::Bytes(b"hello"));
    journey.content(Part::End);
    assert_eq!(world.count(Cell::Selected), 0);
    world.decide(&mut journey);
    assert_eq!(world.count(Cell::Selected), 1);
}

#[test]
fn a_request_that_ends_before_its_content_is_incomplete() {
    let world = World::configured(&[TARGET]);
    let mut journey = world.begin(Some(Some(8)));
    world.decide(&mut journey);
    journey.content(Part::Bytes(b"hello"));
    journey.conclude();
    journey.conclude();
    assert_eq!(world.count(Cell::NotCopiedIncomplete), 1);
    assert_eq!(world.count(Cell::Selected), 0);
}

#[test]
fn content_above_the_limit_of_its_scope_is_too_large() {
    let world = World::configured(&[TARGET, ("CopyBodyLimit", "4")]);
    let mut journey = world.begin(Some(Some(5)));
    world.decide(&mut journey);
    journey.content(Part::Bytes(b"hello"));
    assert!(!journey.wants_bytes());
    journey.content(Part::End);
    assert_eq!(world.count(Cell::NotCopiedTooLarge), 1);
}

#[test]
fn content_that_is_announced_to_be_too_large_is_not_kept_until_it_is() {
    const LIMIT: usize = 100_000;
    let world = World::configured(&[TARGET, ("CopyBodyLimit", "100000")]);
    for announced in [LIMIT, LIMIT + 1] {
        let mut journey = world.begin(Some(Some(announced as u64)));
        world.decide(&mut journey);
        journey.content(Part::Bytes(&[b'x'; 20_000]));
        assert_eq!(journey.wants_bytes(), announced == LIMIT);
        journey.conclude();
    }
    let counts = [Cell::NotCopiedIncomplete, Cell::NotCopiedTooLarge];
    assert_eq!(counts.map(|cell| world.count(cell)), [1, 1]);
}

#[test]
fn content_beyond_copy_memory_is_dropped_and_its_memory_returned() {
    let world = World::configured(&[TARGET, ("CopyMemory", "64K")]);
    let mut journey = world.begin(Some(None));
    world.decide(&mut journey);
    journey.content(Part::Bytes(&[0; 100_000]));
    journey.content(Part::End);
    assert_eq!(world.count(Cell::DroppedMemory), 1);
    assert_eq!(world.count(Cell::Selected), 1);
    drop(journey);
    assert_eq!(world.mirror.budget().used(), 0);
}

#[test]
fn where_all_breakers_are_open_no_head_is_made_and_no_content_kept() {
    let world = World::configured(&[TARGET]);
    let slot = world.segment.slot("http://127.0.0.1:1/").unwrap();
    let breaker = world.segment.breaker(slot);
    breaker.configure(Rules { failures: 1, ..Rules::default() }, clock::now());
    breaker.report(breaker.admit(clock::now).unwrap(), Sign::Gone, clock::now).unwrap();
    let mut journey = world.begin(Some(Some(5)));
    journey.content(Part::Bytes(b"hel"));
    assert!(!world.decide(&mut journey));
    assert_eq!((journey.is_open(), journey.wants_content()), (false, false));
    assert_eq!((world.count(Cell::Selected), world.count(Cell::DroppedBreaker)), (1, 1));
    assert_eq!(world.mirror.budget().used(), 0);
}

#[test]
fn while_the_queue_is_full_no_head_is_made_and_no_content_kept() {
    // Connections are made, and nobody answers.
    let staging = TcpListener::bind("127.0.0.1:0").unwrap();
    let target =
        format!("http://{}/ name=staging max=1 queue=1 timeout=1h", staging.local_addr().unwrap());
    let world = World::configured(&[("CopyTarget", &target)]);
    let begun = || {
        let mut journey = world.begin(Some(Some(5)));
        (world.decide(&mut journey), journey)
    };
    // The first is under way, the second waits, and the third finds out.
    for copies in 1..=3 {
        let (is_begun, mut journey) = begun();
        assert!(is_begun);
        journey.content(Part::Bytes(b"hello"));
        journey.content(Part::End);
        wait::until(|| copies > 1 || world.count(Cell::Taken) == 1);
    }
    let used = world.mirror.budget().used();
    let (is_begun, journey) = begun();
    assert!(!is_begun && !journey.is_open() && !journey.wants_content());
    assert_eq!((world.count(Cell::Selected), world.count(Cell::DroppedQueueFull)), (4, 2));
    // Content of the first is let go once it is sent.
    assert!(world.mirror.budget().used() <= used);
    // The first fails, and then the second is under way.
    drop(staging);
    wait::until(|| world.count(Cell::Taken) == 2);
    assert!(begun().0, "there is room again");
}

#[test]
fn what_access_control_refused_is_counted_as_such() {
    let world = World::configured(&[TARGET]);
    let mut journey = world.begin(None);
    journey.refuse(NotCopied::Refused, &world.settings);
    journey.conclude();
    assert_eq!(world.count(Cell::NotCopiedRefused), 1);
    assert_eq!(world.count(Cell::Selected), 0);
}

#[test]
fn what_is_switched_off_is_counted_as_such() {
    let world = World::configured(&[TARGET, ("MirrorRequest", "Off")]);
    let mut journey = world.begin(None);
    assert!(!world.decide(&mut journey));
    assert_eq!(world.count(Cell::NotCopiedOff), 1);
}

#[test]
fn draining_gives_every_copy_its_outcome() {
    let world = World::configured(&[TARGET, ("CopyDrainTimeout", "1s")]);
    for _ in 0..10 {
        world.decide(&mut world.begin(None));
    }
    let pause = || thread::yield_now();
    world.mirror.drain(pause);
    let totals = world.segment.totals().remove(0);
    assert_eq!(totals.sum(&Cell::OUTCOMES), 10);
    world.decide(&mut world.begin(None));
    assert_eq!(world.mirror.budget().used(), 0);
    world.segment.end_the_dead(0, |_| false);
    let totals = world.segment.totals().remove(0);
    assert_eq!((totals.count(Cell::DroppedLost), totals.sum(&Cell::OUTCOMES)), (1, 11));
}
