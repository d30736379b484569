//! One thread in each child that compares answers, when nothing else needs the processor.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_queue::ArrayQueue;

use super::criteria::Criteria;
use super::examples::mask_examples;
use super::kept::{Content, Kept};
use super::pair::Answered;
use super::shelf::{Begun, Count, Place, Reports, Shelf};
use crate::boundary::Boundary;
use crate::compare::noise::Standing;
use crate::compare::report::Observation;
use crate::compare::{Aspects, Comparison, Report, Route, compare};
use crate::mask::Masks;
use crate::stats::Slot;

/// The most pairs that wait: what comes while there are as many is shed.
const MOST: usize = 256;
/// How long the thread sleeps between looks, as long as there is something to do, and when there is not.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];
/// How often reports are laid down, while there is always more to compare.
const PERIOD: Duration = Duration::from_secs(1);
/// JSON is compared without recursion, and texts by lines: nothing is deep.
const STACK: usize = 512 * 1024;
/// The priority of the thread, of which 0 is production's and 19 the least.
const NICE: i32 = 10;

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
    pairs: ArrayQueue<Pair>,
    targets: Vec<Compared>,
    shelf: Shelf,
    /// Pairs that are offered and not yet in a report that all can see.
    open: AtomicUsize,
}

/// Two answers, or three, to the same request.
struct Pair {
    target: usize,
    aspects: Aspects,
    production: Arc<Kept>,
    copy: Answered,
}

impl fmt::Debug for Comparer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparer").field("waiting", &self.pairs.len()).finish_non_exhaustive()
    }
}

impl Comparer {
    /// Starts the thread, which lives as long as the child, and lays its reports down at `place`. Signals must
    /// be blocked, for it inherits the mask.
    pub fn start(targets: Vec<Compared>, place: Place) -> io::Result<Arc<Comparer>> {
        let comparer = Comparer::new(targets, *place.shelf());
        let worker = Worker::new(Arc::clone(&comparer), place);
        let thread = thread::Builder::new().name("copy-compare".to_owned()).stack_size(STACK);
        thread.spawn(move || worker.live())?;
        Ok(comparer)
    }

    fn new(targets: Vec<Compared>, shelf: Shelf) -> Arc<Comparer> {
        let (pairs, open) = (ArrayQueue::new(MOST), AtomicUsize::new(0));
        Arc::new(Comparer { pairs, targets, shelf, open })
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
    pub(super) fn offer(
        &self,
        target: usize,
        aspects: Aspects,
        answers: Option<(Arc<Kept>, Answered)>,
    ) {
        let Some((production, copy)) = answers else {
            return self.count(target, Count::Unpaired);
        };
        let is_shed = |kept: &Kept| kept.content() == Content::Shed;
        if is_shed(&production) || is_shed(&copy.kept) {
            return self.count(target, Count::Shed);
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        let pair = Pair { target, aspects, production, copy };
        if self.pairs.push(pair).is_err() {
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
    place: Place,
    /// What it has made, and what who had the place before has left.
    reports: Reports,
    /// Pairs in them that nobody else has seen yet.
    unseen: usize,
    seen: Instant,
}

impl Worker {
    fn new(comparer: Arc<Comparer>, place: Place) -> Worker {
        let reports = place.left();
        Worker { comparer, place, reports, unseen: 0, seen: Instant::now() }
    }

    fn live(mut self) {
        give_way();
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
            && let Some(pair) = self.comparer.pairs.pop()
        {
            // However it ends, it is taken account of.
            self.unseen = self.unseen.saturating_add(1);
            done = done.saturating_add(1);
            self.record(&pair);
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
        let (target, copy) = (pair.target, &pair.copy);
        let Some(compared) = self.comparer.targets.get(target) else { return };
        let epoch = self.comparer.shelf.epoch(compared.slot);
        let begun = self.reports.entry(compared.slot.index()).or_default();
        if begun.epoch != epoch {
            *begun = Begun { epoch, ..Begun::default() };
        }
        let report = &mut begun.report;
        let staging = judged(pair, &copy.kept, compared);
        let control = copy.control.as_ref().map(|control| judged(pair, control, compared));
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
        let count = verdict(report, &route, &staging);
        self.comparer.shelf.count(compared.slot, count);
    }

    /// Lays the reports down for all to see.
    fn show(&mut self) {
        self.place.lay(&self.reports);
        self.comparer.open.fetch_sub(self.unseen, Ordering::AcqRel);
        (self.unseen, self.seen) = (0, Instant::now());
    }
}

/// An answer compared with production's, with what masks hide hidden in the examples.
fn judged(pair: &Pair, answer: &Kept, compared: &Compared) -> Comparison {
    let fields = (pair.production.fields(), answer.fields());
    let (production, other) = (pair.production.answer(&fields.0), answer.answer(&fields.1));
    let mut comparison = compare(&production, &other, compared.criteria.rules(pair.aspects));
    if let Some(masks) = &compared.masks {
        mask_examples(&mut comparison.differences, masks);
    }
    comparison
}

/// What the comparison comes to, as far as noise is known by now.
fn verdict(report: &Report, route: &Route, comparison: &Comparison) -> Count {
    if comparison.is_equal() {
        return Count::Equal;
    }
    let differences = &comparison.differences;
    let Some(of_route) = report.routes().iter().find(|known| known.route == *route) else {
        return Count::Differing;
    };
    let is_noise = |path: &str, change| {
        let row = of_route.rows().iter().find(|row| row.change == change && row.path == path);
        row.is_some_and(|row| report.standing(of_route, row) != Standing::Real)
    };
    let list = differences.list().iter();
    match differences.unlisted() == 0
        && list.into_iter().all(|found| is_noise(&found.path, found.change))
    {
        true => Count::Noise,
        false => Count::Differing,
    }
}

/// The method and the request target of a request line.
fn request(line: &[u8]) -> (&[u8], &[u8]) {
    let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (method, target) = line.split_at(space);
    (method, target.get(1..).unwrap_or_default())
}

/// Lets all other threads go before this one; where that cannot be, it is one among them.
fn give_way() {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}
