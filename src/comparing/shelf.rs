//! Where each child lays its reports for all to see: memory that children share, and that outlives them.
//!
//! Each child that compares has a [`Slab`], which it alone writes. It writes its reports in whole, by turns into
//! one of two halves, and only then says which holds: so a child that dies while it writes leaves what it wrote
//! before, and a reader never waits. A child that takes the slab of one that has died goes on with the reports that lie
//! there: nothing is moved, and so nothing can be lost or counted twice on the way.
//!
//! Everything is an atomic, and all zeroes is the empty state: the memory may come from `mmap`.

use std::collections::BTreeMap;

use crate::compare::Report;
use crate::compare::noise::Sensitivity;
use crate::stats::{Slot, TARGETS};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The most children that can have reports at once.
pub const SLABS: usize = 1024;
/// The most bytes of one child's reports.
pub const SLAB_BYTES: usize = 64 << 10;
/// Changes with the layout, or with how reports are written.
pub const VERSION: u64 = 1;
/// How often a reader tries anew where a writer was faster.
const TRIES: usize = 100;

/// A target's comparisons that are counted one by one, as they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The answers were the same.
    Equal,
    /// They differed in noise alone.
    Noise,
    /// They differed.
    Differing,
    /// There was no time or no memory to compare them.
    Shed,
    /// One of the answers did not come, or was not seen.
    Unpaired,
}

impl Count {
    /// Every one, in the order of the memory.
    pub const ALL: [Count; 5] =
        [Count::Equal, Count::Noise, Count::Differing, Count::Shed, Count::Unpaired];

    /// As metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            Count::Equal => "equal",
            Count::Noise => "noise",
            Count::Differing => "differing",
            Count::Shed => "shed",
            Count::Unpaired => "unpaired",
        }
    }
}

/// The head of the shelf.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    /// For each target: reports of another epoch than this are none any more.
    epochs: [AtomicU64; TARGETS],
    /// The process that each slab belongs to, or did last; 0 where it never was anybody's.
    holders: [AtomicU32; SLABS],
    counts: [[AtomicU64; Count::ALL.len()]; TARGETS],
}

/// Reports of one writer at a time.
#[repr(C)]
#[derive(Debug)]
pub struct Slab<const WORDS: usize> {
    /// How often something was laid here; the last is in the half that the lowest bit tells.
    turn: AtomicU64,
    halves: [Half<WORDS>; 2],
}

#[repr(C)]
#[derive(Debug)]
struct Half<const WORDS: usize> {
    length: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// A child's slab.
pub type ChildSlab = Slab<{ SLAB_BYTES / 8 }>;

impl Header {
    /// An empty header.
    pub const fn new() -> Header {
        Header {
            epochs: [const { AtomicU64::new(0) }; TARGETS],
            holders: [const { AtomicU32::new(0) }; SLABS],
            counts: [const { [const { AtomicU64::new(0) }; Count::ALL.len()] }; TARGETS],
        }
    }
}

impl Default for Header {
    fn default() -> Header {
        Header::new()
    }
}

impl<const WORDS: usize> Half<WORDS> {
    const fn new() -> Half<WORDS> {
        Half { length: AtomicU64::new(0), words: [const { AtomicU64::new(0) }; WORDS] }
    }
}

impl<const WORDS: usize> Default for Slab<WORDS> {
    fn default() -> Slab<WORDS> {
        Slab::new()
    }
}

impl<const WORDS: usize> Slab<WORDS> {
    /// An empty slab.
    pub const fn new() -> Slab<WORDS> {
        Slab { turn: AtomicU64::new(0), halves: [const { Half::new() }; 2] }
    }

    /// Lays these bytes here, if there is room for them all. One writer at a time.
    fn lay(&self, bytes: &[u8]) -> bool {
        if bytes.len() > WORDS * 8 {
            return false;
        }
        let turn = self.turn.load(Ordering::Relaxed).wrapping_add(1);
        let Half { length, words } = self.half(turn);
        length.store(bytes.len() as u64, Ordering::Relaxed);
        for (word, chunk) in words.iter().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
        }
        self.turn.store(turn, Ordering::Release);
        // What is written next goes over what readers may be reading: they are to see that it is their turn no more.
        fence(Ordering::Release);
        true
    }

    /// What lies here; `None` where it was written over each time.
    fn read(&self) -> Option<Vec<u8>> {
        (0..TRIES).find_map(|_| {
            let turn = self.turn.load(Ordering::Acquire);
            let Half { length, words } = self.half(turn);
            let length = usize::try_from(length.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
            let words = words.iter().take(length.div_ceil(8));
            let mut bytes: Vec<u8> =
                words.flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
            bytes.truncate(length);
            fence(Ordering::Acquire);
            (self.turn.load(Ordering::Relaxed) == turn).then_some(bytes)
        })
    }

    fn half(&self, turn: u64) -> &Half<WORDS> {
        let [even, odd] = &self.halves;
        if turn.is_multiple_of(2) { even } else { odd }
    }
}

/// The memory that children share for their reports.
#[derive(Clone, Copy, Debug)]
pub struct Shelf {
    header: &'static Header,
    slabs: &'static [ChildSlab],
}

/// A child's place on the shelf.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    shelf: Shelf,
    slab: &'static ChildSlab,
}

/// A report, and the epoch that it was begun in.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    /// The target's epoch then.
    pub epoch: u64,
    /// The report.
    pub report: Report,
}

/// What a child writes, by its targets' places.
pub type Reports = BTreeMap<usize, Begun>;

impl Shelf {
    /// Looks at shared memory as a shelf: its header, and one slab for each child.
    pub fn new(header: &'static Header, slabs: &'static [ChildSlab]) -> Shelf {
        Shelf { header, slabs }
    }

    /// A slab for this process; `None` where all belong to processes that live.
    pub fn take(&self, pid: u32, alive: impl Fn(u32) -> bool) -> Option<Place> {
        // What belongs to our own number is that of a process which had it before us.
        let is_free = |holder: u32| holder == 0 || holder == pid || !alive(holder);
        let take = |(holder, _): &(&AtomicU32, &ChildSlab)| {
            let before = holder.load(Ordering::Acquire);
            is_free(before)
                && holder.compare_exchange(before, pid, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let (_, slab) = self.header.holders.iter().zip(self.slabs).find(take)?;
        Some(Place { shelf: *self, slab })
    }

    /// All reports by their targets' places, those of children that ended included.
    pub fn reports(&self) -> BTreeMap<usize, Report> {
        let mut all = BTreeMap::<usize, Report>::new();
        let holders = self.header.holders.iter().zip(self.slabs);
        for (_, slab) in holders.filter(|(holder, _)| holder.load(Ordering::Acquire) != 0) {
            for (slot, Begun { report, .. }) in self.read(slab) {
                all.entry(slot).or_default().merge(&report);
            }
        }
        all
    }

    /// Counts one comparison, or one that was not made.
    pub fn count(&self, slot: Slot, count: Count) {
        if let Some(place) =
            self.header.counts.get(slot.index()).and_then(|of| of.get(count as usize))
        {
            place.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often it was counted for the target.
    pub fn counted(&self, slot: Slot, count: Count) -> u64 {
        let place = self.header.counts.get(slot.index()).and_then(|of| of.get(count as usize));
        place.map_or(0, |place| place.load(Ordering::Relaxed))
    }

    /// The target's epoch.
    pub fn epoch(&self, slot: Slot) -> u64 {
        self.epoch_at(slot.index())
    }

    fn epoch_at(&self, slot: usize) -> u64 {
        self.header.epochs.get(slot).map_or(0, |epoch| epoch.load(Ordering::Acquire))
    }

    /// Begins anew with this target: its report is empty, and its counts are zero.
    pub fn clear(&self, slot: Slot) {
        self.clear_at(slot.index());
    }

    /// Begins anew with all targets.
    pub fn clear_all(&self) {
        (0..TARGETS).for_each(|slot| self.clear_at(slot));
    }

    fn clear_at(&self, slot: usize) {
        if let Some(epoch) = self.header.epochs.get(slot) {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
        let counts = self.header.counts.get(slot).into_iter().flatten();
        counts.for_each(|count| count.store(0, Ordering::Relaxed));
    }

    /// What lies in a slab, as far as it is of this epoch.
    fn read(&self, slab: &ChildSlab) -> Reports {
        let bytes = slab.read().unwrap_or_default();
        let mut reports = parse(&bytes).unwrap_or_default();
        reports.retain(|slot, begun| begun.epoch == self.epoch_at(*slot));
        reports
    }
}

impl Place {
    /// What lies here, as who had the place before has left it.
    pub fn left(&self) -> Reports {
        self.shelf.read(self.slab)
    }

    /// Lays these reports here, in the place of those before.
    pub fn lay(&self, reports: &Reports) {
        self.slab.lay(&write(reports, SLAB_BYTES));
    }

    /// The shelf that it is a place on.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

/// The reports as bytes, each with as much room as its neighbours leave it: place, epoch, length, report.
fn write(reports: &Reports, most: usize) -> Vec<u8> {
    const HEAD: usize = 14;
    let mut bytes = Vec::new();
    for (index, (slot, Begun { epoch, report })) in reports.iter().enumerate() {
        let left = reports.len().saturating_sub(index);
        let share = most.saturating_sub(bytes.len()) / left;
        let report = report.encode(share.saturating_sub(HEAD));
        let (Ok(slot), Ok(length)) = (u16::try_from(*slot), u32::try_from(report.len())) else {
            continue;
        };
        bytes.extend_from_slice(&slot.to_le_bytes());
        bytes.extend_from_slice(&epoch.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&report);
    }
    bytes
}

/// Reads what [`write`] wrote; `None` where it is anything else.
fn parse(mut bytes: &[u8]) -> Option<Reports> {
    let mut reports = Reports::new();
    while let Some((slot, rest)) = bytes.split_first_chunk() {
        let (epoch, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (report, rest) = rest.split_at_checked(length)?;
        let report = Report::decode(report, Sensitivity::default())?;
        let epoch = u64::from_le_bytes(*epoch);
        reports.insert(usize::from(u16::from_le_bytes(*slot)), Begun { epoch, report });
        bytes = rest;
    }
    bytes.is_empty().then_some(reports)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::compare::answer::{Answer, Body, compare};
    use crate::compare::report::Observation;
    use crate::compare::{Route, Rules};
    use crate::stats::tests::segment;

    /// A shelf of one test's own, with room for four children.
    fn shelf() -> Shelf {
        let slabs: Vec<ChildSlab> = (0..4).map(|_| ChildSlab::new()).collect();
        Shelf::new(Box::leak(Box::new(Header::new())), Vec::leak(slabs))
    }

    /// A report of one comparison in which the statuses differ.
    fn report(path: &str) -> Report {
        let answer = |status| Answer {
            status,
            fields: &[],
            body: Body::Truncated,
            latency: Duration::from_millis(1),
        };
        let staging = compare(&answer(200), &answer(404), &Rules::default());
        let mut report = Report::default();
        report.record(&Observation {
            at: 7,
            route: &Route::of(b"GET", path.as_bytes()),
            request: 1,
            staging: &staging,
            control: None,
        });
        report
    }

    fn compared(shelf: &Shelf, slot: Slot) -> u64 {
        shelf.reports().get(&slot.index()).map_or(0, |report| report.total().compared)
    }

    fn of(slot: Slot, epoch: u64, report: Report) -> Reports {
        Reports::from([(slot.index(), Begun { epoch, report })])
    }

    #[test]
    fn what_children_lay_down_is_merged_and_outlives_them() {
        let (shelf, slot) = (shelf(), segment(1).slot("a").unwrap());
        let (first, second) = (shelf.take(1, |_| true).unwrap(), shelf.take(2, |_| true).unwrap());
        first.lay(&of(slot, shelf.epoch(slot), report("/a")));
        second.lay(&of(slot, shelf.epoch(slot), report("/a")));
        assert_eq!(compared(&shelf, slot), 2);
        second.lay(&of(slot, shelf.epoch(slot), report("/b")));
        assert_eq!(shelf.reports()[&slot.index()].routes().len(), 2);
        assert!((3..=4).all(|pid| shelf.take(pid, |_| true).is_some()));
        assert!(shelf.take(5, |_| true).is_none(), "all are taken by who lives");
    }

    #[test]
    fn who_takes_the_place_of_a_dead_child_goes_on_with_its_reports() {
        let (shelf, slot) = (shelf(), segment(1).slot("a").unwrap());
        let (first, _) = (shelf.take(1, |_| true).unwrap(), shelf.take(2, |_| true).unwrap());
        first.lay(&of(slot, shelf.epoch(slot), report("/a")));
        let next = shelf.take(3, |pid| pid > 1).unwrap();
        assert_eq!(compared(&shelf, slot), 1, "nothing is lost");
        let mut left = next.left();
        left.get_mut(&slot.index()).unwrap().report.merge(&report("/a"));
        next.lay(&left);
        assert_eq!(compared(&shelf, slot), 2);
        let same_number = shelf.take(3, |_| true).unwrap();
        assert_eq!(same_number.left()[&slot.index()].report.total().compared, 2);
    }

    #[test]
    fn what_was_made_before_a_new_beginning_is_seen_no_more() {
        let (shelf, slot) = (shelf(), segment(1).slot("a").unwrap());
        let place = shelf.take(1, |_| true).unwrap();
        let before = shelf.epoch(slot);
        place.lay(&of(slot, before, report("/a")));
        shelf.count(slot, Count::Differing);
        shelf.clear(slot);
        assert_eq!((compared(&shelf, slot), shelf.counted(slot, Count::Differing)), (0, 0));
        place.lay(&of(slot, before, report("/a")));
        assert_eq!(compared(&shelf, slot), 0, "a child that has not noticed yet");
        assert!(place.left().is_empty());
        place.lay(&of(slot, shelf.epoch(slot), report("/a")));
        assert_eq!(compared(&shelf, slot), 1);
    }

    #[test]
    fn readers_never_see_half_of_what_is_laid_down() {
        let slab: &'static Slab<64> = Box::leak(Box::new(Slab::new()));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                (0..20_000_u32).for_each(|round| {
                    let length = 400 + round as usize % 100;
                    assert!(slab.lay(&vec![round as u8; length]));
                });
            });
            while !writer.is_finished() {
                let Some(bytes) = slab.read() else { continue };
                assert!(bytes.iter().all(|byte| Some(byte) == bytes.first()), "{bytes:?}");
            }
        });
        assert!(!slab.lay(&[0; 513]));
        assert_eq!(slab.read().map(|bytes| bytes.len()), Some(499));
    }

    #[test]
    fn more_than_there_is_room_for_is_laid_down_without_the_least() {
        let mut reports = Reports::new();
        for target in 0..3 {
            let mut all = Report::default();
            (0..40)
                .for_each(|index| all.merge(&report(&format!("/{target}/{index}x/{index:0>80}y"))));
            reports.insert(target, Begun { epoch: 0, report: all });
        }
        let bytes = write(&reports, 4_000);
        assert!(bytes.len() <= 4_000 && bytes.len() > 3_000, "{}", bytes.len());
    }
}
