//! The mirror of one child process: its targets with their forwarders, its memory, its counters.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::boundary::Boundary;
use crate::breaker::{Millis, Pass};
use crate::clock;
use crate::compare::Aspects;
use crate::comparing::{
    Comparer, Comparisons, ControlCopy, Copies, CopySide, InScope, Manner, Plan, pair,
};
use crate::config::{Choice, ListId, Policy, Resolved, ServerPolicy, TargetId, Traced};
use crate::copylog::{Awaiting, Copied, CopyLog, Requested, Told};
use crate::fates::{Fate, Fates};
use crate::forward::Forwarders;
use crate::mask::Masks;
use crate::memory::Budget;
use crate::message::{Head, LoopMark, Message, TraceHeader};
use crate::outcome::{Failure, GivenUp, Loss, NotCopied, Outcome};
use crate::queue::{Held, Job};
use crate::select::{Asked, Miss, Rule, chance};
use crate::stats::{Account, Ledger, Slot, Traffic, Trouble};
use crate::target::Target;

/// All that one child needs to copy requests; lives as long as the process.
#[derive(Debug)]
pub struct Mirror {
    policy: Arc<Policy>,
    lanes: Vec<Lane>,
    budget: Budget,
    ledger: &'static Ledger,
    mark: LoopMark,
    stopping: AtomicBool,
    /// Who compares answers, where any are.
    comparer: Option<Arc<Comparer>>,
    /// Who logs copies, where they are.
    log: Option<&'static CopyLog>,
}

/// The way to one target.
#[derive(Debug)]
struct Lane {
    id: TargetId,
    target: Arc<Target>,
    account: Account,
    forwarders: Forwarders,
    masks: Option<Arc<Masks>>,
}

/// The heads that some of a request's targets have for themselves, by their places; mostly none.
pub type OwnHeads = Option<Box<Vec<(usize, Head)>>>;

/// The targets of a list that a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    list: ListId,
    /// A bit for each place in the list; those beyond its end mean nothing.
    places: [u64; 2],
}

const _: () = assert!(crate::stats::TARGETS <= 2 * u64::BITS as usize);

impl Chosen {
    /// All of them.
    pub fn all(list: ListId) -> Chosen {
        Chosen { list, places: [u64::MAX; 2] }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places == [0; 2]
    }

    /// Leaves out the one at that place.
    pub fn remove(&mut self, place: usize) {
        let [low, high] = &mut self.places;
        let word = if place < 64 { low } else { high };
        *word &= !(1 << (place % 64));
    }

    /// The one place, where there is no other.
    fn only(&self) -> Option<usize> {
        let [low, high] = self.places;
        let places = u128::from(high) << 64 | u128::from(low);
        places.is_power_of_two().then(|| places.trailing_zeros() as usize)
    }

    fn has(&self, place: usize) -> bool {
        let [low, high] = self.places;
        let word = if place < 64 { low } else { high };
        word >> (place % 64) & 1 == 1
    }

    fn add(&mut self, place: usize) {
        let [low, high] = &mut self.places;
        let word = if place < 64 { low } else { high };
        *word |= 1 << (place % 64);
    }
}

impl Mirror {
    /// Starts every target's forwarders. `slots` are the targets' counters, in the policy's order;
    /// signals must be blocked, for threads inherit the mask.
    pub fn start(
        policy: Arc<Policy>,
        slots: &[Slot],
        ledger: Ledger,
        mark: &str,
    ) -> io::Result<Mirror> {
        let ledger: &'static Ledger = Box::leak(Box::new(ledger));
        let lane = |((id, resolved), slot): ((TargetId, &Resolved), &Slot)| {
            let Resolved { target, route, masks, .. } = resolved;
            let account = ledger.account(*slot);
            let forwarders = Forwarders::start(Arc::clone(target), route, account)?;
            let (target, masks) = (Arc::clone(target), masks.clone());
            Ok(Lane { id, target, account, forwarders, masks })
        };
        let lanes = policy.identified().zip(slots).map(lane).collect::<io::Result<_>>()?;
        let budget = Budget::new(policy.memory()).wiping(policy.hides()).prepared();
        let (stopping, comparer, log) = (AtomicBool::new(false), None, None);
        let mark = LoopMark::new(mark);
        Ok(Mirror { policy, lanes, budget, ledger, mark, stopping, comparer, log })
    }

    /// The same with copies logged by this one.
    pub fn logging_by(self, log: &'static CopyLog) -> Mirror {
        Mirror { log: Some(log), ..self }
    }

    /// The same with answers compared by this one, whose targets are in the policy's order.
    pub fn comparing_by(self, comparer: Arc<Comparer>) -> Mirror {
        Mirror { comparer: Some(comparer), ..self }
    }

    /// The child's memory for copies.
    pub fn budget(&'static self) -> &'static Budget {
        &self.budget
    }

    /// The configuration that holds in it.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// This server's loop mark.
    pub fn mark(&self) -> &LoopMark {
        &self.mark
    }

    /// The field that marks a scope's copies.
    pub fn trace(&self, trace: Traced) -> Option<&TraceHeader> {
        self.policy.trace(trace)
    }

    /// Whether the list names any target.
    #[inline]
    pub fn has_targets(&self, list: ListId) -> bool {
        !self.policy.list(list).is_empty()
    }

    /// Whether every request goes to all targets of the list: none has rules, and operators have set nothing.
    #[inline(always)]
    pub fn is_open(&self, list: ListId) -> bool {
        let is_untouched = |choice: &Choice| {
            let lane = self.lanes.get(choice.target.index());
            lane.is_none_or(|lane| lane.account.steering().is_untouched())
        };
        self.policy.is_open(list) && self.policy.list(list).iter().all(is_untouched)
    }

    /// Which targets of the list the request goes to, by their rules and by what operators have set, and which would
    /// get it but for their rates; counts why it does not go to the others.
    #[inline(always)]
    pub fn choose(&self, list: ListId, request: &Asked<'_>, fates: &mut Fates) -> (Chosen, Chosen) {
        let mut chosen = Chosen { list, places: [0; 2] };
        let mut limited = chosen;
        for (place, choice) in self.policy.list(list).iter().enumerate() {
            let Some(lane) = self.lanes.get(choice.target.index()) else { continue };
            let steering = lane.account.steering();
            if !steering.is_on() {
                lane.account.not_copied(NotCopied::Off);
                fates.note(lane.id, Fate::NotCopied(NotCopied::Off));
                continue;
            }
            let (valve, set) = (lane.account.valve(), steering.overrides());
            match choice.rule.judge(request, valve, set, chance, clock::nanos) {
                Ok(()) => chosen.add(place),
                Err(miss) => {
                    if miss == Miss::Rate {
                        limited.add(place);
                    }
                    fates.note(lane.id, lane.pass_over(miss));
                }
            }
        }
        (chosen, limited)
    }

    /// Whether any of these targets would take a copy now: where all breakers are open, none need be made.
    #[inline(always)]
    pub fn would_take(&self, chosen: Chosen) -> bool {
        if let Some(only) = self.only(chosen) {
            return only.account.breaker().would_admit(clock::now);
        }
        self.lanes(chosen).any(|lane| lane.account.breaker().would_admit(clock::now))
    }

    /// Whether copies to some target of the list may have fields of their own.
    #[inline]
    pub fn has_own_fields(&self, chosen: Chosen) -> bool {
        self.policy.has_own_fields(chosen.list)
    }

    /// The one target, if it has fields of its own, and there is no other, nor a control, to get copies without.
    pub fn sole_with_own_fields(&self, chosen: Chosen) -> Option<&Target> {
        let lane = self.only(chosen).filter(|_| self.comparer.is_none())?;
        lane.target.has_own_fields().then_some(&*lane.target)
    }

    /// Those of these targets whose copies may have fields of their own, with their places.
    pub fn with_own_fields(&self, chosen: Chosen) -> impl Iterator<Item = (usize, &Target)> {
        let targets = self.placed(chosen).map(|(place, lane)| (place, &*lane.target));
        targets.filter(|(_, target)| target.has_own_fields())
    }

    /// The comparisons of a request with this method, as its scope or its targets ask for them; mostly none.
    #[inline(always)]
    pub fn to_compare(
        &self,
        chosen: Chosen,
        scope: InScope,
        method: &[u8],
    ) -> Option<Box<Comparisons>> {
        self.comparisons(self.comparer.as_ref()?, chosen, scope, method)
    }

    #[inline(never)]
    fn comparisons(
        &self,
        comparer: &Arc<Comparer>,
        chosen: Chosen,
        scope: InScope,
        method: &[u8],
    ) -> Option<Box<Comparisons>> {
        let asked = scope.asked.and_then(|asked| self.policy.asked(asked));
        let mut all: Option<Box<Comparisons>> = None;
        for (place, lane) in self.placed(chosen) {
            let asked = lane.target.compare.as_ref().or(asked);
            if let Some(aspects) = asked.and_then(|asked| asked.aspects_of(method, chance)) {
                let all = all.get_or_insert_with(Box::default);
                self.arrange(all, comparer, (chosen, place), (scope, aspects));
            }
        }
        all
    }

    /// Adds the comparison of the copy to the target at that place.
    #[cold]
    fn arrange(
        &self,
        all: &mut Comparisons,
        comparer: &Arc<Comparer>,
        (chosen, place): (Chosen, usize),
        (scope, aspects): (InScope, Aspects),
    ) {
        let choice = self.policy.list(chosen.list).get(place);
        let target = choice.map_or(usize::MAX, |choice| choice.target.index());
        let Some(resolved) = self.policy.targets().get(target) else { return };
        let limit = aspects.body.then(|| resolved.criteria.limit(scope.limit));
        let plan = Plan { target, manner: Manner { aspects, limit, ignored: scope.ignored } };
        let (production, staging, control) = pair(comparer, plan, resolved.control.is_some());
        all.production.sides.push(production);
        all.copies.targets.push((place, staging));
        let control = resolved.control.map(TargetId::index).zip(control);
        let beside = |(control, side)| ControlCopy { beside: place, control, side };
        all.copies.controls.extend(control.map(beside));
        all.production.limit = all.production.limit.max(limit);
    }

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
        let masks = masks.clone();
        let job = Job { message, limits: *server.limits(), offered, pass, masks, compare, told };
        let in_hand = InHand(lane, pass);
        Boundary::HandOver.enter();
        let offered = lane.forwarders.offer(job);
        std::mem::forget(in_hand);
        if offered.is_err() {
            breaker.give_back(pass, clock::now);
            lane.drop_unsent(Loss::QueueFull);
            from.fates.note(lane.id, Fate::Dropped(Loss::QueueFull));
            return false;
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
        let mut one = Chosen { list: chosen.list, places: [0; 2] };
        one.add(place);
        self.give_up(reason, one, fates);
        chosen.remove(place);
        one
    }

    /// Ends mirroring: takes nothing more, waits until all copies have an outcome, at most as long as
    /// `CopyDrainTimeout`, and counts the rest as dropped. Returns how many those were.
    ///
    /// Takes no lock and allocates nothing, for prefork runs it inside a signal handler that may have
    /// interrupted a hand-over. `pause` is to sleep for about a millisecond.
    pub fn drain(&self, pause: impl Fn()) -> u64 {
        const PATIENCE: Duration = Duration::from_secs(1);
        /// What lines have at least: the writer may be resting.
        const LAST_LINES: Duration = Duration::from_millis(300);
        self.stopping.store(true, Ordering::SeqCst);
        self.lanes.iter().for_each(|lane| lane.forwarders.rouse());
        let started = Instant::now();
        let open = || {
            self.ledger.pending() > 0 || self.comparer.as_ref().is_some_and(|one| one.open() > 0)
        };
        while open() && started.elapsed() < self.policy.drain_timeout() {
            pause();
        }
        let lost = self.ledger.close(PATIENCE, &pause);
        if let Some(log) = self.log {
            let end = started.checked_add(self.policy.drain_timeout()).unwrap_or(started);
            log.drain(end.max(Instant::now() + LAST_LINES), pause);
        }
        lost
    }

    /// The one target, where there is no other: a copy for it alone needs no counting of who uses it.
    #[inline(always)]
    fn only(&self, chosen: Chosen) -> Option<&Lane> {
        let list = self.policy.list(chosen.list);
        let choice = match list {
            [only] if chosen.has(0) => only,
            _ => list.get(chosen.only()?)?,
        };
        self.lanes.get(choice.target.index())
    }

    /// Where copies to each target are counted, in the policy's order.
    pub fn accounts(&self) -> impl Iterator<Item = Account> + '_ {
        self.lanes.iter().map(|lane| lane.account)
    }

    /// Shows how much memory copies take in this child, once what nobody needs is freed.
    pub fn show_memory(&self) {
        self.budget.trim();
        let [used, limit] = [self.budget.used(), self.policy.memory()].map(|bytes| bytes as u64);
        self.ledger.gauges().show_memory(used, limit);
    }

    /// Counts a request that spent so much in this module, of so much in all.
    pub fn count_cost(&self, ours: Duration, whole: Duration) {
        self.ledger.cost().count(ours, whole);
    }

    /// Records what the last 5 seconds brought to all children, if none has yet.
    pub fn record(&self, now: Millis) {
        self.ledger.record(now);
    }

    #[inline(always)]
    fn lanes(&self, chosen: Chosen) -> impl Iterator<Item = &Lane> {
        self.placed(chosen).map(|(_, lane)| lane)
    }

    /// The chosen targets' lanes, with their places in the list.
    #[inline(always)]
    fn placed(&self, chosen: Chosen) -> impl Iterator<Item = (usize, &Lane)> {
        let choices = self.policy.list(chosen.list).iter().enumerate();
        let choices = choices.filter(move |(place, _)| chosen.has(*place));
        choices.filter_map(|(place, choice)| Some((place, self.lanes.get(choice.target.index())?)))
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

impl Lane {
    fn give_up(&self, reason: GivenUp) {
        match reason {
            GivenUp::NotCopied(reason) => self.account.not_copied(reason),
            GivenUp::Dropped(loss) => {
                self.account.select();
                self.drop_unsent(loss);
            }
        }
    }

    /// Counts why a request does not go to this target.
    #[inline(always)]
    fn pass_over(&self, miss: Miss<'_>) -> Fate {
        let reason = match miss {
            Miss::Method => NotCopied::Method,
            Miss::Body => NotCopied::Body,
            Miss::Sampled => NotCopied::Sampled,
            Miss::Condition => NotCopied::Condition,
            Miss::Unknown(error) => {
                self.tell_unknown(error);
                NotCopied::Condition
            }
            Miss::Rate => {
                self.account.select();
                self.drop_unsent(Loss::Rate);
                return Fate::Dropped(Loss::Rate);
            }
        };
        self.account.not_copied(reason);
        Fate::NotCopied(reason)
    }

    /// The 1st, 2nd, 4th, 8th … time that an expression cannot be evaluated the log is told.
    #[cold]
    fn tell_unknown(&self, error: &[u8]) {
        let count = self.account.trouble(Trouble::Unknown);
        if count.is_power_of_two() {
            let error = String::from_utf8_lossy(error);
            let name = &self.target.name;
            log::warn!(
                "CPY0115: a request is not copied to {name}: an expression cannot be evaluated: {error} \
                 ({count} so far)"
            );
        }
    }

    /// Drops a selected copy before the hand-over; the 1st, 2nd, 4th, 8th … time the log is told.
    fn drop_unsent(&self, loss: Loss) {
        self.account.drop_unsent(loss);
        let number = match loss {
            Loss::QueueFull => "CPY0111",
            Loss::Memory => "CPY0112",
            // The log is told when the breaker opens, and a rate is what was asked for.
            Loss::Breaker
            | Loss::Rate
            | Loss::NoMember
            | Loss::Unmaskable
            | Loss::Off
            | Loss::Stopping
            | Loss::Lost => return,
        };
        let count = self.account.trouble(Trouble::Dropped(loss));
        if count.is_power_of_two() {
            let (name, reason) = (&self.target.name, loss.name());
            log::warn!("{number}: a copy to {name} was dropped: {reason} ({count} so far)");
        }
    }
}

#[cfg(test)]
mod tests;
