//! One thread in each child that compares answers, when nothing else needs the processor.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::criteria::Criteria;
use super::examples::mask_examples;
use super::kept::{Content, Kept};
use super::pair::{Answered, Plan};
use super::shelf::{Begun, Count, Place, Reports, Shelf};
use crate::boundary::Boundary;
use crate::channel::{self, Receiver, Sender};
use crate::compare::noise::Standing;
use crate::compare::report::Observation;
use crate::compare::report::{RouteReport, Row};
use crate::compare::{Comparison, Difference, Differences, Report, Route, Rules, compare};
use crate::copylog::{CopyLog, Differing, Entry, Found, Micros, Occasion, Production, Requested};
use crate::mask::Masks;
use crate::stats::Slot;

/// The most pairs that wait: what comes while there are as many is shed.
const MOST: usize = 256;
/// The most rules that are kept: those that a configuration has more of are made again.
const MOST_RULES: usize = 256;
/// How long the thread sleeps between looks, as long as there is something to do, and when there is not.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];
/// How often reports are laid down, while there is always more to compare.
const PERIOD: Duration = Duration::from_secs(1);
/// JSON is compared without recursion, and texts by lines: nothing is deep.
const STACK: usize = 512 * 1024;

/// What is compared of one target's copies.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The target's place among the counters.
    pub slot: Slot,
    /// By what they are compared.
    pub criteria: Arc<Criteria>,
    /// What of the answers nobody may see.
    pub masks: Option<Arc<Masks>>,
}

/// Where answers are handed to the thread.
pub struct Comparer {
    pairs: Sender<Pair>,
    targets: Vec<Compared>,
    /// The `CopyCompareIgnore` lines of sections.
    lines: Vec<Vec<String>>,
    shelf: Shelf,
    /// Pairs that are offered and not yet in a report that all can see.
    open: AtomicUsize,
}

/// Two answers, or three, to the same request.
struct Pair {
    plan: Plan,
    production: Arc<Kept>,
    copy: Answered,
}

impl fmt::Debug for Comparer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparer").field("waiting", &self.pairs.len()).finish_non_exhaustive()
    }
}

impl Comparer {
    /// Starts the thread, which lives as long as the child, lays its reports down at `place`, and tells the log. `lines` are
    /// those of `CopyCompareIgnore` in sections. Signals must be blocked, for it inherits the mask; `give_way` is what it
    /// does first, to let all other threads go before it.
    pub fn start(
        targets: Vec<Compared>,
        lines: Vec<Vec<String>>,
        place: Place,
        log: Option<&'static CopyLog>,
        give_way: fn(),
    ) -> io::Result<Arc<Comparer>> {
        let (comparer, taken) = Comparer::new(targets, lines, *place.shelf());
        let worker = Worker::new((Arc::clone(&comparer), taken), place, log);
        let thread = thread::Builder::new().name("copy-compare".to_owned()).stack_size(STACK);
        thread.spawn(move || {
            give_way();
            worker.live();
        })?;
        Ok(comparer)
    }

    /// One, and what it is offered, for its thread.
    fn new(
        targets: Vec<Compared>,
        lines: Vec<Vec<String>>,
        shelf: Shelf,
    ) -> (Arc<Comparer>, Receiver<Pair>) {
        let ((pairs, taken), open) = (channel::bounded(MOST), AtomicUsize::new(0));
        (Arc::new(Comparer { pairs, targets, lines, shelf, open }), taken)
    }

    /// One that nobody works for.
    #[cfg(test)]
    pub fn idle() -> Arc<Comparer> {
        let header = Box::leak(Box::new(super::Header::new()));
        Comparer::new(Vec::new(), Vec::new(), Shelf::new(header, &[])).0
    }

    /// What is compared of the copies to the target at that place in the configuration.
    pub fn target(&self, target: usize) -> Option<&Compared> {
        self.targets.get(target)
    }

    /// Pairs that are not yet in a report that all can see.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Takes answers to compare, or, where there are too many, lets them go. Never waits, and wakes nobody.
    pub(super) fn offer(&self, plan: Plan, answers: Option<(Arc<Kept>, Answered)>) {
        let target = plan.target;
        let Some((production, mut copy)) = answers else {
            return self.count(target, Count::Unpaired);
        };
        let is_shed = |kept: &Kept| kept.content() == Content::Shed;
        if is_shed(&production) || is_shed(&copy.kept) {
            return self.count(target, Count::Shed);
        }
        // What is not known of a control's answer is no sign that it is production's.
        copy.control = copy.control.filter(|control| !is_shed(control));
        self.open.fetch_add(1, Ordering::AcqRel);
        let pair = Pair { plan, production, copy };
        if self.pairs.try_send(pair).is_err() {
            self.open.fetch_sub(1, Ordering::AcqRel);
            self.count(target, Count::Shed);
        }
    }

    fn count(&self, target: usize, count: Count) {
        if let Some(compared) = self.targets.get(target) {
            self.shelf.count(compared.slot, count);
        }
    }
}

/// The thread, and its reports.
struct Worker {
    comparer: Arc<Comparer>,
    taken: Receiver<Pair>,
    place: Place,
    log: Option<&'static CopyLog>,
    /// What it has made, and what who had the place before has left.
    reports: Reports,
    /// By what answers are compared, as soon as some are.
    rules: HashMap<Plan, Rules>,
    /// Pairs in them that nobody else has seen yet.
    unseen: usize,
    seen: Instant,
}

impl Worker {
    fn new(
        (comparer, taken): (Arc<Comparer>, Receiver<Pair>),
        place: Place,
        log: Option<&'static CopyLog>,
    ) -> Worker {
        let (reports, rules) = (place.left(), HashMap::new());
        let (unseen, seen) = (0, Instant::now());
        Worker { comparer, taken, place, log, reports, rules, unseen, seen }
    }

    fn live(mut self) {
        let [short, long] = PAUSES;
        let mut pause = long;
        loop {
            // A panic is counted and logged where it happens: the next pair may be better.
            let work = catch_unwind(AssertUnwindSafe(|| self.work(usize::MAX)));
            pause = match work {
                Ok(0) => pause.saturating_mul(2).min(long),
                _ => short,
            };
            thread::sleep(pause);
        }
    }

    /// Compares what waits, at most so many; how many.
    fn work(&mut self, most: usize) -> usize {
        Boundary::Compare.enter();
        let mut done = 0;
        while done < most
            && let Ok(pair) = self.taken.try_recv()
        {
            // However it ends, it is taken account of.
            self.unseen = self.unseen.saturating_add(1);
            done = done.saturating_add(1);
            self.record(&pair);
            // On a busy core whoever runs goes on for milliseconds, whatever its priority, and requests would wait for it.
            thread::yield_now();
            if self.seen.elapsed() >= PERIOD {
                self.show();
            }
        }
        if self.unseen > 0 {
            self.show();
        }
        Boundary::Compare.leave();
        done
    }

    fn record(&mut self, pair: &Pair) {
        let (plan, copy) = (pair.plan, &pair.copy);
        let Some(compared) = self.comparer.targets.get(plan.target) else { return };
        if self.rules.len() >= MOST_RULES && !self.rules.contains_key(&plan) {
            self.rules.clear();
        }
        let made = || compared.criteria.rules(plan.manner, &self.comparer.lines);
        let by = (compared, &*self.rules.entry(plan).or_insert_with(made));
        let epoch = self.comparer.shelf.epoch(compared.slot);
        let begun = self.reports.entry(compared.slot.index()).or_default();
        if begun.epoch != epoch {
            *begun = Begun { epoch, ..Begun::default() };
        }
        let report = &mut begun.report;
        let staging = judged(pair, &copy.kept, by);
        let control = copy.control.as_ref().map(|control| judged(pair, control, by));
        let (method, request_target) = request(&copy.request);
        let route = Route::of(method, request_target);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        report.record(&Observation {
            at,
            route: &route,
            request: copy.digest,
            staging: &staging,
            control: control.as_ref(),
        });
        let judged = Judged::of(report, &route, &staging);
        self.comparer.shelf.count(compared.slot, judged.verdict);
        if let Some(log) = self.log {
            judged.tell(log, pair, &route);
        }
    }

    /// Lays the reports down for all to see.
    fn show(&mut self) {
        self.place.lay(&self.reports);
        self.comparer.open.fetch_sub(self.unseen, Ordering::AcqRel);
        (self.unseen, self.seen) = (0, Instant::now());
    }
}

/// An answer compared with production's, with what masks hide hidden in the examples.
fn judged(pair: &Pair, answer: &Kept, (compared, rules): (&Compared, &Rules)) -> Comparison {
    let fields = (pair.production.fields(), answer.fields());
    let bodies = (pair.production.body(), answer.body());
    let production = pair.production.answer(&fields.0, &bodies.0);
    let other = answer.answer(&fields.1, &bodies.1);
    let mut comparison = compare(&production, &other, rules);
    if let Some(masks) = &compared.masks {
        mask_examples(&mut comparison.differences, masks);
    }
    comparison
}

/// A comparison with what its report knows by now.
struct Judged<'a> {
    report: &'a Report,
    of_route: Option<&'a RouteReport>,
    differences: &'a Differences,
    /// What it comes to.
    verdict: Count,
}

impl<'a> Judged<'a> {
    fn of(report: &'a Report, route: &Route, comparison: &'a Comparison) -> Judged<'a> {
        let of_route = report.routes().iter().find(|known| known.route == *route);
        let differences = &comparison.differences;
        let judged = Judged { report, of_route, differences, verdict: Count::Equal };
        Judged { verdict: judged.verdict(), ..judged }
    }

    /// Whether that place is noise, as far as that is known.
    fn standing(&self, found: &Difference) -> Standing {
        let is_row = |row: &&Row| row.change == found.change && row.path == found.path;
        let row = self.of_route.and_then(|of| Some((of, of.rows().iter().find(is_row)?)));
        row.map_or(Standing::Real, |(of_route, row)| self.report.standing(of_route, row))
    }

    fn verdict(&self) -> Count {
        let is_noise = |found: &Difference| self.standing(found) != Standing::Real;
        match self.differences {
            none if none.is_empty() => Count::Equal,
            some if some.unlisted() == 0 && some.list().iter().all(is_noise) => Count::Noise,
            _ => Count::Differing,
        }
    }

    /// Has a line written, where the request's server has a log that wants one.
    fn tell(&self, log: &CopyLog, pair: &Pair, route: &Route) {
        let is_differing = self.verdict == Count::Differing;
        let occasion = pair.production.occasion();
        let wanting = |occasion: &&Occasion| log.wants_comparison(occasion.logs, is_differing);
        if let Some(occasion) = occasion.filter(wanting) {
            let told = told(occasion, &pair.production);
            log.take(Entry::of(self.found(pair, route), pair.plan.target, told));
        }
    }

    /// What a log is told of it: where the answers differ, and not what they have there.
    fn found(&self, pair: &Pair, route: &Route) -> Found {
        let verdict = self.verdict;
        let place = |found: &Difference| Differing {
            path: found.path.as_str().into(),
            change: found.change.name(),
            standing: self.standing(found).name(),
            count: found.count,
        };
        let requested = Requested::seen(&pair.copy.request);
        Found::new((verdict.name(), verdict == Count::Differing), route.as_str(), requested)
            .answered(pair.copy.kept.status, pair.copy.kept.latency)
            .in_places(self.differences.list().iter().map(place), self.differences.unlisted())
    }
}

/// The request behind a comparison, with the time and the status that were compared.
fn told(occasion: &Occasion, kept: &Kept) -> Occasion {
    let took = Micros::try_from(kept.latency.as_micros()).unwrap_or(Micros::MAX);
    let production = Production { status: kept.status, took, ..occasion.production.clone() };
    Occasion { production, ..*occasion }
}

/// The method and the request target of a request line.
fn request(line: &[u8]) -> (&[u8], &[u8]) {
    let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (method, target) = line.split_at(space);
    (method, target.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::Lines;
    use super::super::criteria::Limits;
    use super::super::kept::Keeping;
    use super::super::pair::Manner;
    use super::super::shelf::{ChildSlab, Header};
    use super::*;
    use crate::compare::Aspects;
    use crate::memory::Budget;
    use crate::stats::tests::segment;

    const BOTH: Plan = Plan {
        target: 0,
        manner: Manner {
            aspects: Aspects { headers: true, body: true },
            limit: Some(1 << 20),
            ignored: Lines::NONE,
        },
    };

    /// A worker that nobody has work but the test, for one target.
    fn worker() -> Worker {
        let slabs = Box::leak(Box::new([ChildSlab::new()]));
        let shelf = Shelf::new(Box::leak(Box::new(Header::new())), slabs);
        let slot = segment(1).slot("a").unwrap();
        let criteria = Arc::new(Criteria::of(&[], Limits::default(), &[]));
        let comparer =
            Comparer::new(vec![Compared { slot, criteria, masks: None }], Vec::new(), shelf);
        Worker::new(comparer, shelf.take(1, |_| true).unwrap(), None)
    }

    fn budget(bytes: usize) -> &'static Budget {
        Box::leak(Box::new(Budget::new(bytes)))
    }

    fn kept(budget: &'static Budget, body: &str) -> Kept {
        let mut keeping = Keeping::new(budget, Some(1 << 20));
        keeping.head(200, [&b"Content-Type: application/json\r\n"[..]]);
        keeping.content(body.as_bytes());
        keeping.finish(Duration::from_millis(2))
    }

    fn offer(worker: &Worker, budget: &'static Budget, staging: &str) {
        let production = Arc::new(kept(budget, r#"{"a":1}"#));
        let kept = kept(budget, staging);
        let copy = Answered { kept, request: b"GET /a?b".to_vec(), digest: 7, control: None };
        worker.comparer.offer(BOTH, Some((production, copy)));
    }

    fn counted(worker: &Worker, count: Count) -> u64 {
        let Compared { slot, .. } = worker.comparer.targets[0];
        worker.comparer.shelf.counted(slot, count)
    }

    #[test]
    fn what_is_compared_is_reported_counted_and_its_memory_given_back() {
        let (mut worker, budget) = (worker(), budget(1 << 20));
        offer(&worker, budget, r#"{ "a": 1.0 }"#);
        offer(&worker, budget, r#"{"a":2}"#);
        assert_eq!(worker.comparer.open(), 2);
        assert_eq!(worker.work(usize::MAX), 2);
        assert_eq!((worker.comparer.open(), budget.used()), (0, 0));
        assert_eq!([Count::Equal, Count::Differing].map(|count| counted(&worker, count)), [1, 1]);
        let reports = worker.comparer.shelf.reports();
        let route = &reports.values().next().unwrap().routes()[0];
        assert_eq!((route.route.as_str(), route.compared), ("GET /a", 2));
        assert_eq!(route.rows()[0].path, "$.a");
    }

    #[test]
    fn more_than_may_wait_are_shed_and_so_is_what_memory_does_not_bear() {
        let (mut worker, budget) = (worker(), budget(64 << 20));
        (0..MOST + 5).for_each(|_| offer(&worker, budget, "{}"));
        assert_eq!((worker.comparer.open(), counted(&worker, Count::Shed)), (MOST, 5));
        worker.work(usize::MAX);
        assert_eq!((worker.comparer.open(), budget.used()), (0, 0));
        assert_eq!(counted(&worker, Count::Differing), MOST as u64);
        let poor: &'static Budget = Box::leak(Box::new(Budget::new(100)));
        offer(&worker, poor, "{}");
        assert_eq!(counted(&worker, Count::Shed), 6);
        worker.comparer.offer(BOTH, None);
        assert_eq!(counted(&worker, Count::Unpaired), 1);
    }

    #[test]
    fn noise_is_counted_as_such_once_it_is_known() {
        let (mut worker, budget) = (worker(), budget(64 << 20));
        for moment in 0..20 {
            let moments =
                [0, 1].map(|more| format!(r#"{{"at":{}}}"#, 1_795_292_175 + 2 * moment + more));
            let production = Arc::new(kept(budget, &moments[0]));
            let kept = kept(budget, &moments[1]);
            let copy = Answered { kept, request: b"GET /a".to_vec(), digest: 7, control: None };
            worker.comparer.offer(BOTH, Some((production, copy)));
            worker.work(usize::MAX);
        }
        let [noise, differing] =
            [Count::Noise, Count::Differing].map(|count| counted(&worker, count));
        assert!(noise >= 10 && noise + differing == 20, "{noise} {differing}");
    }
}
