//! What becomes of copies on their way to targets.

use std::net::TcpListener;
use std::thread;

use super::*;
use crate::breaker::{Rules, Sign, State};
use crate::config::{
    Draft, Origin, Place, ProxyDefaults, ScopeSettings, ServerPolicy, ServerSettings, find,
};
use crate::copylog::Awaiting;
use crate::message::{Additions, Field, Head, LoopMark, Received};
use crate::queue::{Held, Job};
use crate::select::{Rate, Share};
use crate::stats::{Cell, Segment, tests::segment};
use crate::wait;

/// A mirror of these targets, whose breakers open at the first failure.
struct World {
    segment: Segment,
    slots: Vec<Slot>,
    mirror: &'static Mirror,
    list: ListId,
    server: &'static ServerPolicy,
}

impl World {
    fn of(targets: &[String]) -> World {
        let (mut draft, mut scope, mut server) =
            (Draft::default(), ScopeSettings::default(), ServerSettings::default());
        for target in targets {
            let mut place = Place {
                draft: &mut draft,
                scope: &mut scope,
                server: &mut server,
                which: None,
                in_section: false,
                origin: Origin::default(),
            };
            find("CopyTarget").unwrap().apply(&mut place, target).unwrap();
        }
        let policy = Arc::new(draft.resolve().unwrap());
        let segment = segment(1);
        let slot = |known: &Resolved| segment.slot(&known.target.name).unwrap();
        let slots: Vec<Slot> = policy.targets().iter().map(slot).collect();
        let ledger = segment.join(7, |_| true).unwrap();
        let mirror = Mirror::start(policy, &slots, ledger, "5ec2e7").unwrap();
        let mirror = Box::leak(Box::new(mirror));
        World {
            segment,
            slots,
            mirror,
            list: scope.list().unwrap(),
            server: Box::leak(Box::new(server.resolve(ProxyDefaults::default()))),
        }
    }

    /// Opens the breaker of a target.
    fn open(&self, target: usize, retry: Duration) {
        let breaker = self.segment.breaker(self.slots[target]);
        breaker.configure(Rules { failures: 1, retry }, clock::now());
        breaker.report(breaker.admit(clock::now).unwrap(), Sign::Gone, clock::now).unwrap();
    }

    fn head(&self) -> Head {
        let fields = [Field::new(b"Host", b"www.example.com")];
        let received = Received {
            method: b"GET",
            target: b"/",
            fields: fields.into_iter(),
            connection: b"",
            has_content: false,
        };
        let additions = Additions {
            mark: &LoopMark::new("5ec2e7"),
            forwarded: None,
            preserve_host: false,
            trace: None,
        };
        Head::serialise(&received, &additions, self.mirror.budget()).unwrap()
    }

    fn offer(&self) {
        let (message, chosen) = (self.head().with_content(None), Chosen::all(self.list));
        let (awaiting, fates) = (&mut Awaiting::None, &mut nobody());
        let source = Source::now(self.server, awaiting, fates);
        self.mirror.offer(message, None, chosen, source);
    }

    fn obstacle(&self) -> Option<Loss> {
        self.mirror.obstacle(Chosen::all(self.list))
    }

    fn count(&self, target: usize, cell: Cell) -> u64 {
        self.segment.totals()[target].count(cell)
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_target_whose_breaker_is_open_gets_no_copy_and_where_all_are_none_is_made() {
    let world = World::of(&["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"].map(String::from));
    assert_eq!(world.obstacle(), None);
    world.open(0, HOUR);
    assert_eq!(world.obstacle(), None);
    world.offer();
    assert_eq!([0, 1].map(|target| world.count(target, Cell::DroppedBreaker)), [1, 0]);
    // One that still waited would be dropped with the next.
    wait::until(|| world.count(1, Cell::FailedRefused) == 1);
    world.open(1, HOUR);
    assert_eq!(world.obstacle(), Some(Loss::Breaker));
    world.offer();
    assert_eq!([0, 1].map(|target| world.count(target, Cell::DroppedBreaker)), [2, 1]);
    assert_eq!([0, 1].map(|target| world.count(target, Cell::Selected)), [2, 2]);
}

#[test]
fn a_target_that_is_switched_off_is_not_chosen_and_gets_no_copy() {
    let world = World::of(&["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"].map(String::from));
    let steering = [0, 1].map(|target| world.segment.steering(world.slots[target]));
    let off = || [0, 1].map(|target| world.count(target, Cell::NotCopiedOff));
    let chosen = || {
        let (chosen, _) = world.mirror.choose(world.list, &Asked::new(false, &()), &mut nobody());
        [0, 1].map(|place| chosen.has(place))
    };
    assert!(world.mirror.is_open(world.list));
    assert_eq!(chosen(), [true, true]);
    steering[0].switch(Some(false));
    assert!(!world.mirror.is_open(world.list));
    assert_eq!((chosen(), off()), ([false, true], [1, 0]));
    steering[1].switch(Some(false));
    assert_eq!((chosen(), off()), ([false, false], [2, 1]));
    steering[0].switch(None);
    assert_eq!((chosen(), off()), ([true, false], [2, 2]));
}

#[test]
fn what_an_operator_sets_goes_before_any_rule() {
    let world = World::of(
        &["http://127.0.0.1:1/a sample=100%", "http://127.0.0.1:1/b rate=1/s"].map(String::from),
    );
    let [first, second] = [0, 1].map(|target| world.segment.steering(world.slots[target]));
    first.set_sample(Share::parse("0.001%"));
    second.set_rate(Rate::parse("1000000/s"));
    for _ in 0..100 {
        world.mirror.choose(world.list, &Asked::new(false, &()), &mut nobody());
    }
    // By chance one in a hundred thousand is copied.
    assert!(world.count(0, Cell::NotCopiedSampled) >= 95);
    assert_eq!(world.count(1, Cell::DroppedRate), 0);
    second.set_rate(None);
    for _ in 0..100 {
        world.mirror.choose(world.list, &Asked::new(false, &()), &mut nobody());
    }
    assert!(world.count(1, Cell::DroppedRate) > 50);
}

#[test]
fn what_waits_when_its_target_is_switched_off_is_dropped() {
    // Connections are made, and nobody answers.
    let staging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = staging.local_addr().unwrap();
    let world = World::of(&[format!("http://{address}/ max=1 timeout=1s")]);
    world.offer();
    wait::until(|| world.count(0, Cell::Taken) == 1);
    world.offer();
    world.offer();
    world.segment.steering(world.slots[0]).switch(Some(false));
    wait::until(|| world.segment.totals()[0].pending() == 0);
    assert_eq!(world.count(0, Cell::DroppedOff), 2);
    assert_eq!(world.count(0, Cell::FailedTimeout), 1);
}

#[test]
fn a_copy_that_woke_nobody_before_its_child_was_to_end_is_sent() {
    let world = World::of(&["http://127.0.0.1:1/ timeout=1h".to_owned()]);
    let lane = &world.mirror.lanes[0];
    wait::until(|| lane.forwarders.offers().are_awaited());
    lane.account.select();
    lane.forwarders.offers().offer_unheard(Job {
        message: Held::Alone(world.head().with_content(None)),
        limits: *world.server.limits(),
        offered: Instant::now(),
        pass: lane.account.breaker().admit(clock::now).unwrap(),
        masks: None,
        compare: None,
        told: None,
    });
    assert_eq!(world.mirror.drain(thread::yield_now), 0, "it was given up");
    assert_eq!(world.count(0, Cell::FailedRefused), 1);
}

#[test]
fn a_probe_that_finds_the_queue_full_leaves_its_place_to_another() {
    // Connections are made, and nobody answers.
    let staging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = staging.local_addr().unwrap();
    let world = World::of(&[format!("http://{address}/ max=1 queue=1 timeout=1h")]);
    world.offer();
    wait::until(|| world.count(0, Cell::Taken) == 1);
    world.offer();
    world.open(0, Duration::from_millis(1));
    wait::until(|| world.obstacle().is_none());
    world.offer();
    assert_eq!(world.count(0, Cell::DroppedQueueFull), 1);
    assert_eq!(world.obstacle(), Some(Loss::QueueFull), "there is no probe under way");
    let state = world.segment.breaker(world.slots[0]).snapshot().state;
    assert!(matches!(state, Some(State::Open { .. })), "{state:?}");
}

#[test]
fn a_target_whose_queue_is_full_gets_no_copy_and_where_all_are_none_is_made() {
    // Connections are made, and nobody answers.
    let stagings = ["a", "b"].map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap()));
    let world = World::of(&stagings.each_ref().map(|(name, staging)| {
        format!("http://{}/{name} max=1 queue=1 timeout=1h", staging.local_addr().unwrap())
    }));
    let refused = || [0, 1].map(|target| world.count(target, Cell::DroppedQueueFull));
    world.offer();
    wait::until(|| [0, 1].iter().all(|target| world.count(*target, Cell::Taken) == 1));
    world.offer();
    assert_eq!((refused(), world.obstacle()), ([0, 0], None), "nobody was refused yet");
    world.offer();
    assert_eq!((refused(), world.obstacle()), ([1, 1], Some(Loss::QueueFull)));
    let [first, _second] = stagings;
    drop(first);
    let wait_for_first = || wait::until(|| world.segment.totals()[0].pending() == 0);
    wait_for_first();
    assert_eq!(world.obstacle(), None, "there is room in one");
    world.offer();
    assert_eq!(refused(), [1, 2]);
    // One that still waited would be dropped with the next.
    wait_for_first();
    world.open(0, HOUR);
    assert_eq!(world.obstacle(), None, "each has a reason of its own");
    world.offer();
    assert_eq!((refused(), world.count(0, Cell::DroppedBreaker)), ([1, 3], 1));
    assert_eq!([0, 1].map(|target| world.count(target, Cell::Selected)), [5, 5]);
}

/// Nobody asks what became of copies.
fn nobody() -> Fates {
    Fates::asked_for(false)
}
