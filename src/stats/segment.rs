//! The shared memory: a row of counters for each child, the targets they belong to, the sum of all.

use super::cells::{CELLS, Cells};
use super::cost::{Cost, Costs};
use super::gauges::{Gauges, Memory};
use super::ledger::{Ledger, TROUBLES};
use super::series::{Growth, Series};
use super::steering::Steering;
use super::totals::Totals;
use super::unlogged::Unlogged;
use crate::breaker::{Breaker, Millis};
use crate::select::Valve;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The most targets a server can have counters for.
pub const TARGETS: usize = 128;
/// The most bytes of a target's name.
pub const NAME_BYTES: usize = 248;
/// The most child processes that can mirror at once, dying generations included.
pub const CHILDREN: usize = 1024;
/// The holder of a row whose child has ended, and which another may go on with.
const ENDED: u32 = u32::MAX;
/// The bit that tells, in a row's holder, that this process counts what the dead one before it had in hand.
const ENDING: u32 = 1 << 31;
/// Changes whenever the layout does; a segment of another version is not taken over.
pub const VERSION: u64 = 9;

/// The counters of one child process, and of those before it that had this row.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Row {
    pub(super) targets: [Cells; TARGETS],
    pub(super) gauges: Gauges,
    pub(super) cost: Cost,
}

impl Row {
    /// An empty row.
    pub const fn new() -> Row {
        Row { targets: [const { Cells::new() }; TARGETS], gauges: Gauges::new(), cost: Cost::new() }
    }
}

impl Default for Row {
    fn default() -> Row {
        Row::new()
    }
}

#[repr(C)]
#[derive(Debug)]
struct Name {
    length: AtomicU64,
    words: [AtomicU64; NAME_BYTES / 8],
}

impl Name {
    const fn new() -> Name {
        Name { length: AtomicU64::new(0), words: [const { AtomicU64::new(0) }; NAME_BYTES / 8] }
    }

    fn read(&self) -> String {
        let length = self.length.load(Ordering::Acquire) as usize;
        let mut bytes: Vec<u8> =
            self.words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        bytes.truncate(length);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn write(&self, name: &str) {
        for (word, chunk) in self.words.iter().zip(name.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        self.length.store(name.len() as u64, Ordering::Release);
    }
}

/// The head of a segment.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    /// The secret of the loop mark.
    mark: [AtomicU64; 2],
    /// What changes to the steering have to show.
    nonce: [AtomicU64; 2],
    started: AtomicU64,
    /// Panics that were caught.
    faults: AtomicU64,
    /// What `CopyLog` lacks.
    unlogged: Unlogged,
    names: [Name; TARGETS],
    /// How often each kind of trouble with each target was met, for thinning the log.
    pub(super) troubles: [[AtomicU64; TROUBLES]; TARGETS],
    /// The breaker of each target.
    pub(super) breakers: [Breaker; TARGETS],
    /// What holds the copies to each target back.
    valves: [Valve; TARGETS],
    /// What operators have set of each target.
    pub(super) steering: [Steering; TARGETS],
    series: Series,
    /// The process that counts in each row; 0 where none ever did, [`ENDED`] where it has ended.
    pids: [AtomicU32; CHILDREN],
}

impl Header {
    /// An empty header.
    pub const fn new() -> Header {
        Header {
            mark: [const { AtomicU64::new(0) }; 2],
            nonce: [const { AtomicU64::new(0) }; 2],
            started: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            unlogged: Unlogged::new(),
            names: [const { Name::new() }; TARGETS],
            troubles: [const { [const { AtomicU64::new(0) }; TROUBLES] }; TARGETS],
            breakers: [const { Breaker::new() }; TARGETS],
            valves: [const { Valve::new() }; TARGETS],
            steering: [const { Steering::new() }; TARGETS],
            series: Series::new(),
            pids: [const { AtomicU32::new(0) }; CHILDREN],
        }
    }
}

impl Default for Header {
    fn default() -> Header {
        Header::new()
    }
}

/// A target's place in a [`Segment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub(super) usize);

impl Slot {
    /// Its number.
    pub fn index(self) -> usize {
        self.0
    }
}

/// The shared memory: every child's counters, and who they belong to.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub(super) header: &'static Header,
    rows: &'static [Row],
}

impl Segment {
    /// Looks at shared memory as a segment: its header, and one row per child.
    pub fn new(header: &'static Header, rows: &'static [Row]) -> Segment {
        Segment { header, rows }
    }

    /// Initialises zeroed memory; `secret` is what loop marks and the nonce are made of, `now` in Unix seconds.
    pub fn initialise(&self, secret: [u64; 4], now: u64) {
        for (word, value) in self.header.mark.iter().chain(&self.header.nonce).zip(secret) {
            word.store(value, Ordering::Relaxed);
        }
        self.header.started.store(now, Ordering::Relaxed);
    }

    /// The value of this server's loop mark.
    pub fn loop_mark(&self) -> String {
        let [high, low, ..] = self.secret();
        format!("{high:016x}{low:016x}")
    }

    /// What changes to the steering have to show, to prove that they come from a page of ours.
    pub fn nonce(&self) -> String {
        let [.., high, low] = self.secret();
        format!("{high:016x}{low:016x}")
    }

    /// What the loop mark and the nonce are made of.
    pub fn secret(&self) -> [u64; 4] {
        let Header { mark: [a, b], nonce: [c, d], .. } = self.header;
        [a, b, c, d].map(|word| word.load(Ordering::Relaxed))
    }

    /// Where the memory begins.
    pub fn start(&self) -> *const Header {
        std::ptr::from_ref(self.header)
    }

    /// When counting began, in Unix seconds.
    pub fn started(&self) -> u64 {
        self.header.started.load(Ordering::Relaxed)
    }

    /// How many panics were caught, in all children.
    pub fn faults(&self) -> &'static AtomicU64 {
        &self.header.faults
    }

    /// What `CopyLog` lacks, of all children.
    pub fn unlogged(&self) -> &'static Unlogged {
        &self.header.unlogged
    }

    /// Finds the target's place, or gives it one; `None` where all are taken.
    ///
    /// Only the parent process calls this, before it has children of the new configuration.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        for (index, place) in self.header.names.iter().enumerate() {
            if place.length.load(Ordering::Acquire) == 0 {
                place.write(name);
                return Some(Slot(index));
            }
            if place.read() == name {
                return Some(Slot(index));
            }
        }
        None
    }

    /// The target's breaker.
    pub fn breaker(&self, Slot(index): Slot) -> &'static Breaker {
        let [first, ..] = &self.header.breakers;
        self.header.breakers.get(index).unwrap_or(first)
    }

    /// What holds the copies to the target back.
    pub fn valve(&self, Slot(index): Slot) -> &'static Valve {
        let [first, ..] = &self.header.valves;
        self.header.valves.get(index).unwrap_or(first)
    }

    /// What operators have set of the target.
    pub fn steering(&self, Slot(index): Slot) -> &'static Steering {
        let [first, ..] = &self.header.steering;
        self.header.steering.get(index).unwrap_or(first)
    }

    /// Takes over what operators have set of the target in a former segment.
    pub fn take_over(&self, former: &Segment, name: &str) {
        if let (Some(from), Some(to)) = (former.find(name), self.slot(name)) {
            self.steering(to).take_over(former.steering(from));
        }
    }

    /// The target's place, by its name, if it has one.
    pub fn find(&self, name: &str) -> Option<Slot> {
        let names = self.header.names.iter().take(self.named());
        names.enumerate().find(|(_, known)| known.read() == name).map(|(index, _)| Slot(index))
    }

    /// Records what the last 5 seconds brought, unless another child has, or they are not over.
    pub fn record(&self, now: Millis) {
        self.header.series.record(now, || self.totals());
    }

    /// What the last 15 minutes brought for the target, the oldest first; `None` where nobody recorded it.
    pub fn series(&self, Slot(index): Slot, now: Millis) -> Vec<Option<Growth>> {
        self.header.series.of(index, now)
    }

    /// Since when the target's oldest copy waits, to within a second.
    pub fn oldest(&self, Slot(index): Slot) -> Option<Millis> {
        self.held_rows().filter_map(|row| row.gauges.oldest(index)).min()
    }

    /// What all children use of their memory for copies, as of the last second.
    pub fn memory(&self) -> Memory {
        self.held_rows().fold(Memory::default(), |memory, row| memory.add(&row.gauges))
    }

    /// What timed requests took, in all children.
    pub fn costs(&self) -> Costs {
        Costs::sum(self.used_rows().map(|row| &row.cost))
    }

    /// Takes a row for this process; `None` where all are taken by processes that live.
    ///
    /// It goes on with what the row's former holders have counted: that is never moved, so nothing of it can be
    /// lost, or seen twice.
    pub fn join(&self, pid: u32, alive: impl Fn(u32) -> bool) -> Option<Ledger> {
        // A row under our own number is that of a process which had it before us.
        self.end_the_dead(pid, |other| other != pid && alive(other));
        let take = |(holder, _): &(&AtomicU32, &Row)| {
            [0, ENDED].into_iter().any(|free| exchange(holder, free, pid))
        };
        let (_, row) = self.header.pids.iter().zip(self.rows).find(take)?;
        Some(Ledger::new(*self, row))
    }

    /// Counts as lost what processes that no longer live had in hand; `pid` is the one that does so.
    ///
    /// Should that one end half way, whoever looks next takes it up: no step counts anything twice.
    pub fn end_the_dead(&self, pid: u32, alive: impl Fn(u32) -> bool) {
        for (holder, row) in self.header.pids.iter().zip(self.rows) {
            let held = holder.load(Ordering::Acquire);
            if held == 0 || held == ENDED || alive(held & !ENDING) {
                continue;
            }
            if exchange(holder, held, ENDING | pid) {
                let named = self.named();
                row.targets.iter().take(named).for_each(Cells::lose_pending);
                row.gauges.clear(named);
                // Unless it was taken from us, given up for dead.
                exchange(holder, ENDING | pid, ENDED);
            }
        }
    }

    /// As if this process had died while it ended the row of another.
    #[cfg(test)]
    pub(super) fn take_dead(&self, row: usize, from: u32, pid: u32) {
        assert!(exchange(&self.header.pids[row], from, ENDING | pid));
    }

    /// How many targets were ever configured; their places come first.
    pub(super) fn named(&self) -> usize {
        let named = |name: &&Name| name.length.load(Ordering::Acquire) > 0;
        self.header.names.iter().take_while(named).count()
    }

    /// The totals of every target that was ever configured, in the order of their places.
    pub fn totals(&self) -> Vec<Totals> {
        (0..self.named()).map(|index| self.totals_of(Slot(index))).collect()
    }

    /// The rows that children have counted in.
    fn used_rows(&self) -> impl Iterator<Item = &'static Row> {
        self.rows_where(|holder| holder != 0)
    }

    /// The rows of children that have not ended.
    fn held_rows(&self) -> impl Iterator<Item = &'static Row> {
        self.rows_where(|holder| holder != 0 && holder & ENDING == 0)
    }

    fn rows_where(&self, is_meant: impl Fn(u32) -> bool) -> impl Iterator<Item = &'static Row> {
        let rows = self.header.pids.iter().zip(self.rows);
        rows.filter(move |(holder, _)| is_meant(holder.load(Ordering::Acquire))).map(|(_, row)| row)
    }

    /// One target's totals.
    pub fn totals_of(&self, slot: Slot) -> Totals {
        let Slot(index) = slot;
        let mut cells = [0_u64; CELLS];
        for row in self.used_rows() {
            if let Some(row) = row.targets.get(index) {
                // Backwards: what is counted first is read last, so no sum runs ahead of its whole.
                for (sum, cell) in cells.iter_mut().zip(&row.0).rev() {
                    *sum = sum.wrapping_add(cell.load(Ordering::Acquire));
                }
            }
        }
        let name = self.header.names.get(index).map(Name::read).unwrap_or_default();
        let held = self.valve(slot).throttle.snapshot();
        Totals::new(name, slot, self.breaker(slot).snapshot(), held, cells)
    }
}

/// Whether the holder was the one, and is the other now. Of many who try only one succeeds.
fn exchange(holder: &AtomicU32, from: u32, to: u32) -> bool {
    holder.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}
