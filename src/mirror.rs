//! The mirror of one child process: its targets with their forwarders, its memory, its counters.
//!
//! ```text
//! chosen.rs   which targets of a list a request goes to
//! offer.rs    the hand-over to them
//! lane.rs     the way to one of them
//! ```

mod chosen;
mod lane;
mod offer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::breaker::Millis;
use crate::clock;
use crate::compare::Aspects;
use crate::comparing::{Comparer, Comparisons, ControlCopy, InScope, Manner, Plan, pair};
use crate::config::{Choice, ListId, Policy, Resolved, TargetId, Traced};
use crate::copylog::CopyLog;
use crate::fates::{Fate, Fates};
use crate::forward::Forwarders;
use crate::memory::Budget;
use crate::message::{LoopMark, TraceHeader};
use crate::outcome::{Loss, NotCopied};
use crate::select::{Asked, Miss, chance};
use crate::stats::{Account, Ledger, Slot};
use crate::target::Target;

use lane::Lane;

pub use chosen::Chosen;
pub use offer::{OwnHeads, Source};

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
            let overflows = AtomicBool::new(false);
            Ok(Lane { id, target, account, forwarders, masks, overflows })
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
        let mut chosen = Chosen::none(list);
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

    /// Why none of these targets would take a copy now, where all have the same reason: then none need be made.
    #[inline(always)]
    pub fn obstacle(&self, chosen: Chosen) -> Option<Loss> {
        if let Some(only) = self.only(chosen) {
            return only.obstacle();
        }
        let mut obstacles = self.lanes(chosen).map(Lane::obstacle);
        let first = obstacles.next()??;
        obstacles.all(|obstacle| obstacle == Some(first)).then_some(first)
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

    /// Ends mirroring: takes nothing more, wakes whoever might wait for copies that are there, waits until all copies
    /// have an outcome, at most as long as `CopyDrainTimeout`, and counts the rest as dropped. Returns how many those
    /// were.
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

#[cfg(test)]
mod tests;
