//! The hand-over of one request to its targets.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::boundary::Boundary;
use crate::breaker::Pass;
use crate::clock;
use crate::comparing::{Copies, CopySide};
use crate::config::ServerPolicy;
use crate::copylog::{Awaiting, Copied, Requested, Told};
use crate::fates::{Fate, Fates};
use crate::mask::Masks;
use crate::message::{Head, Message};
use crate::outcome::{Failure, GivenUp, Loss, NotCopied, Outcome};
use crate::queue::{Held, Job};
use crate::select::{Asked, Miss, Rule, chance};
use crate::stats::Traffic;

use super::Mirror;
use super::chosen::Chosen;
use super::lane::Lane;

/// The heads that some of a request's targets have for themselves, by their places; mostly none.
pub type OwnHeads = Option<Box<Vec<(usize, Head)>>>;

impl Mirror {
    /// Hands one copy to each of these targets; some have a head of their own. Never blocks: where it cannot,
    /// the copy is dropped.
    #[inline(always)]
    pub fn offer(&self, message: Message, own: OwnHeads, chosen: Chosen, mut source: Source<'_>) {
        let from = &mut source;
        if let Some(own) = own {
            return self.offer_each(message, *own, Copies::default(), chosen, from);
        }
        if let Some(lane) = self.only(chosen) {
            // What follows the content nobody has edited.
            let message = match lane.target.edits {
                Some(_) => message.with_trailers(None),
                None => message,
            };
            self.offer_to(lane, Held::Alone(message), None, from);
            return;
        }
        let message = Arc::new(message);
        for lane in self.lanes(chosen) {
            self.offer_to(lane, Held::Shared(Arc::clone(&message)), None, from);
        }
    }

    /// As [`offer`](Self::offer), where answers to some of the copies are compared; those go to controls too.
    #[cold]
    pub fn offer_compared(
        &self,
        message: Message,
        own: OwnHeads,
        copies: Copies,
        chosen: Chosen,
        mut source: Source<'_>,
    ) {
        let own = own.map(|own| *own).unwrap_or_default();
        self.offer_each(message, own, copies, chosen, &mut source);
    }

    #[cold]
    fn offer_each(
        &self,
        message: Message,
        mut own: Vec<(usize, Head)>,
        mut copies: Copies,
        chosen: Chosen,
        from: &mut Source<'_>,
    ) {
        let message = Arc::new(message);
        for (place, lane) in self.placed(chosen) {
            let head = own.iter().position(|(owner, _)| *owner == place);
            let held = match head.map(|at| own.swap_remove(at)) {
                // What follows the content nobody has edited.
                Some((_, head)) if lane.target.edits.is_some() => {
                    Held::Alone(head.with_content_of(&message).with_trailers(None))
                }
                Some((_, head)) => Held::Alone(head.with_content_of(&message)),
                None => Held::Shared(Arc::clone(&message)),
            };
            let (side, control) = copies.take(place);
            let side = side.map(Box::new);
            let control = control.and_then(|one| Some((self.lanes.get(one.control)?, one.side)));
            let Some((control, control_side)) = control else {
                self.offer_to(lane, held, side, from);
                continue;
            };
            // It sees no more than the target: what that gets, with the same masks; and nothing where that gets nothing.
            let held = held.share();
            if self.offer_to(lane, Held::Shared(Arc::clone(&held)), side, from) {
                self.offer_to_control(control, held, &lane.masks, control_side, from);
            }
        }
    }

    /// Hands a target's copy to its control too, unless an operator has said otherwise.
    fn offer_to_control(
        &self,
        lane: &Lane,
        message: Arc<Message>,
        masks: &Option<Arc<Masks>>,
        side: CopySide,
        from: &mut Source<'_>,
    ) {
        let steering = lane.account.steering();
        if !steering.is_on() {
            lane.account.not_copied(NotCopied::Off);
            return from.fates.note(lane.id, Fate::NotCopied(NotCopied::Off));
        }
        // It has no rule but what is set.
        let (rule, request) = (Rule::default(), Asked::new(false, &()));
        let (valve, set) = (lane.account.valve(), steering.overrides());
        match rule.judge(&request, valve, set, chance, clock::nanos) {
            Ok(()) => {
                self.offer_masked(lane, Held::Shared(message), masks, Some(Box::new(side)), from);
            }
            Err(miss) => {
                if miss == Miss::Rate {
                    let told = self.told(lane, from);
                    tell_dropped(told, Loss::Rate, &message);
                }
                from.fates.note(lane.id, lane.pass_over(miss));
            }
        }
    }

    /// Whether it was handed over.
    #[inline]
    fn offer_to(
        &self,
        lane: &Lane,
        message: Held,
        compare: Option<Box<CopySide>>,
        from: &mut Source<'_>,
    ) -> bool {
        self.offer_masked(lane, message, &lane.masks, compare, from)
    }

    /// As [`offer_to`](Self::offer_to), with masks that need not be the target's own.
    #[inline]
    fn offer_masked(
        &self,
        lane: &Lane,
        message: Held,
        masks: &Option<Arc<Masks>>,
        compare: Option<Box<CopySide>>,
        from: &mut Source<'_>,
    ) -> bool {
        let Source { server, offered, .. } = *from;
        lane.account.select();
        let told = if server.logs.is_some() { self.told(lane, from) } else { None };
        if self.stopping.load(Ordering::Relaxed) {
            tell_dropped(told, Loss::Stopping, &message);
            from.fates.note(lane.id, Fate::Dropped(Loss::Stopping));
            lane.drop_unsent(Loss::Stopping);
            return false;
        }
        let breaker = lane.account.breaker();
        let Some(pass) = breaker.admit(clock::now) else {
            tell_dropped(told, Loss::Breaker, &message);
            from.fates.note(lane.id, Fate::Dropped(Loss::Breaker));
            lane.drop_unsent(Loss::Breaker);
            return false;
        };
        let in_hand = InHand(lane, pass);
        Boundary::HandOver.enter();
        let Ok(place) = lane.forwarders.reserve() else {
            tell_dropped(told, Loss::QueueFull, &message);
            mem::forget(in_hand);
            return overflow(lane, pass, from);
        };
        let masks = masks.clone();
        let job = Job { message, limits: *server.limits(), offered, pass, masks, compare, told };
        let filled = place.fill(job);
        mem::forget(in_hand);
        if filled.is_err() {
            return overflow(lane, pass, from);
        }
        from.fates.note(lane.id, Fate::HandedOver);
        true
    }

    /// Counts, for each of these targets, why a request brings forth no copy.
    pub fn give_up(&self, reason: GivenUp, chosen: Chosen, fates: &mut Fates) {
        for lane in self.lanes(chosen) {
            lane.give_up(reason);
            fates.note(
                lane.id,
                match reason {
                    GivenUp::NotCopied(reason) => Fate::NotCopied(reason),
                    GivenUp::Dropped(loss) => Fate::Dropped(loss),
                },
            );
        }
    }

    /// Has lines written of copies that were dropped before they were offered, where the server has a `CopyLog`.
    pub fn log_dropped(
        &self,
        loss: Loss,
        chosen: Chosen,
        requested: impl Fn() -> Requested,
        (server, awaiting): (&ServerPolicy, &mut Awaiting),
    ) {
        let (Some(log), Some(logs)) = (self.log, server.logs) else { return };
        for lane in self.lanes(chosen) {
            let told = awaiting.expect(log, logs.id, lane.id);
            told.arrive(Copied::dropped(loss, None, requested()));
        }
    }

    /// Who is told what becomes of a copy to this target.
    fn told(&self, lane: &Lane, from: &mut Source<'_>) -> Option<Told> {
        Some(from.awaiting.expect(self.log?, from.server.logs?.id, lane.id))
    }

    /// Counts why the target at that place gets no copy, and leaves it out; that one alone.
    pub fn give_up_one(
        &self,
        reason: GivenUp,
        chosen: &mut Chosen,
        place: usize,
        fates: &mut Fates,
    ) -> Chosen {
        let mut one = Chosen::none(chosen.list);
        one.add(place);
        self.give_up(reason, one, fates);
        chosen.remove(place);
        one
    }
}

/// Where copies come from, and who is told of them.
#[derive(Debug)]
pub struct Source<'a> {
    server: &'static ServerPolicy,
    offered: Instant,
    awaiting: &'a mut Awaiting,
    fates: &'a mut Fates,
}

impl<'a> Source<'a> {
    /// A request to this server, now. Where that has a `CopyLog`, `awaiting` are then the copies whose lines wait for
    /// production's answer.
    #[inline(always)]
    pub fn now(
        server: &'static ServerPolicy,
        awaiting: &'a mut Awaiting,
        fates: &'a mut Fates,
    ) -> Source<'a> {
        Source { server, offered: Instant::now(), awaiting, fates }
    }
}

fn tell_dropped(told: Option<Told>, loss: Loss, message: &Message) {
    if let Some(told) = told {
        told.arrive(Copied::dropped(loss, None, Requested::of(message, false)));
    }
}

/// There was no place for a copy: it was not handed over.
#[cold]
fn overflow(lane: &Lane, pass: Pass, from: &mut Source<'_>) -> bool {
    lane.overflows.store(true, Ordering::Relaxed);
    lane.account.breaker().give_back(pass, clock::now);
    lane.drop_unsent(Loss::QueueFull);
    from.fates.note(lane.id, Fate::Dropped(Loss::QueueFull));
    false
}

/// A selected copy that nobody else knows of yet: a panic fails it.
struct InHand<'a>(&'a Lane, Pass);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let InHand(Lane { account, .. }, pass) = self;
        account.breaker().give_back(*pass, clock::now);
        account.taken();
        account.settle(Outcome::Failed(Failure::Internal), Traffic::default());
    }
}
