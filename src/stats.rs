//! Counters in memory that all children share, and that survives graceful restarts.
//!
//! A segment has one [`Row`] per child process, so that counting never contends between children, and
//! a first row that holds what children which have ended left behind. Each row has the same [`Cells`]
//! for every target. A target finds its place by its name, and keeps it as long as the server lives.
//!
//! Everything is an atomic, and all zeroes is the empty state: the memory may come from `mmap`.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::outcome::{Failure, Loss, NotCopied, Outcome, StatusClass};

/// The most targets a server can have counters for.
pub const TARGETS: usize = 128;
/// The most bytes of a target's name.
pub const NAME_BYTES: usize = 248;
/// The most child processes that can mirror at once, dying generations included.
pub const CHILDREN: usize = 1024;
/// The holder of a row whose counters are being moved.
const FOLDING: u32 = u32::MAX;
/// Changes whenever the layout does; a segment of another version is not taken over.
pub const VERSION: u64 = 1;

const LATENCY_BUCKETS: usize = 32;
const CELLS: usize = 64;
const TROUBLES: usize = 16;

/// What is counted for each target, in the order of the status page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Cell {
    /// Copies offered to the target's queue.
    Selected,
    /// Copies a forwarder took from the queue.
    Taken,
    /// Answered with 2xx.
    Delivered2xx,
    /// Answered with 3xx.
    Delivered3xx,
    /// Answered with 4xx.
    Delivered4xx,
    /// Answered with 5xx.
    Delivered5xx,
    /// [`Failure::Connect`].
    FailedConnect,
    /// [`Failure::Refused`].
    FailedRefused,
    /// [`Failure::Timeout`].
    FailedTimeout,
    /// [`Failure::Reset`].
    FailedReset,
    /// [`Failure::Protocol`].
    FailedProtocol,
    /// [`Failure::Dns`].
    FailedDns,
    /// [`Failure::Internal`].
    FailedInternal,
    /// [`Loss::QueueFull`].
    DroppedQueueFull,
    /// [`Loss::Memory`].
    DroppedMemory,
    /// [`Loss::Stopping`].
    DroppedStopping,
    /// [`Loss::Lost`].
    DroppedLost,
    /// [`NotCopied::Refused`].
    NotCopiedRefused,
    /// [`NotCopied::Incomplete`].
    NotCopiedIncomplete,
    /// [`NotCopied::TooLarge`].
    NotCopiedTooLarge,
    /// [`NotCopied::NotCopyable`].
    NotCopiedNotCopyable,
    /// [`NotCopied::Loop`].
    NotCopiedLoop,
    /// [`NotCopied::Off`].
    NotCopiedOff,
    /// Bytes of requests written to staging.
    BytesSent,
    /// Bytes of answers read from staging.
    BytesReceived,
    /// The sum of the exchanges' latencies in microseconds, of delivered copies.
    LatencyMicros,
    /// Forwarder threads that live now.
    Forwarders,
}

impl Cell {
    /// The cells of the promise's right side: every copy ends in exactly one of them.
    pub const OUTCOMES: [Cell; 15] = [
        Cell::Delivered2xx,
        Cell::Delivered3xx,
        Cell::Delivered4xx,
        Cell::Delivered5xx,
        Cell::FailedConnect,
        Cell::FailedRefused,
        Cell::FailedTimeout,
        Cell::FailedReset,
        Cell::FailedProtocol,
        Cell::FailedDns,
        Cell::FailedInternal,
        Cell::DroppedQueueFull,
        Cell::DroppedMemory,
        Cell::DroppedStopping,
        Cell::DroppedLost,
    ];

    /// How many cells there are before the latency histogram.
    const NAMED: usize = Cell::Forwarders as usize + 1;

    fn of_outcome(outcome: Outcome) -> Cell {
        match outcome {
            Outcome::Delivered(StatusClass::Successful) => Cell::Delivered2xx,
            Outcome::Delivered(StatusClass::Redirection) => Cell::Delivered3xx,
            Outcome::Delivered(StatusClass::ClientError) => Cell::Delivered4xx,
            Outcome::Delivered(StatusClass::ServerError) => Cell::Delivered5xx,
            Outcome::Failed(failure) => Cell::of_failure(failure),
            Outcome::Dropped(loss) => Cell::of_loss(loss),
        }
    }

    fn of_failure(failure: Failure) -> Cell {
        match failure {
            Failure::Connect => Cell::FailedConnect,
            Failure::Refused => Cell::FailedRefused,
            Failure::Timeout => Cell::FailedTimeout,
            Failure::Reset => Cell::FailedReset,
            Failure::Protocol => Cell::FailedProtocol,
            Failure::Dns => Cell::FailedDns,
            Failure::Internal => Cell::FailedInternal,
        }
    }

    fn of_loss(loss: Loss) -> Cell {
        match loss {
            Loss::QueueFull => Cell::DroppedQueueFull,
            Loss::Memory => Cell::DroppedMemory,
            Loss::Stopping => Cell::DroppedStopping,
            Loss::Lost => Cell::DroppedLost,
        }
    }

    fn of_not_copied(reason: NotCopied) -> Cell {
        match reason {
            NotCopied::Refused => Cell::NotCopiedRefused,
            NotCopied::Incomplete => Cell::NotCopiedIncomplete,
            NotCopied::TooLarge => Cell::NotCopiedTooLarge,
            NotCopied::NotCopyable => Cell::NotCopiedNotCopyable,
            NotCopied::Loop => Cell::NotCopiedLoop,
            NotCopied::Off => Cell::NotCopiedOff,
        }
    }
}

const _: () = assert!(Cell::NAMED + LATENCY_BUCKETS <= CELLS);

/// One child's counters of one target.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Cells([AtomicU64; CELLS]);

impl Cells {
    const fn new() -> Cells {
        Cells([const { AtomicU64::new(0) }; CELLS])
    }

    fn at(&self, index: usize) -> &AtomicU64 {
        {
            let [first, ..] = &self.0;
            self.0.get(index).unwrap_or(first)
        }
    }

    fn cell(&self, cell: Cell) -> &AtomicU64 {
        self.at(cell as usize)
    }

    fn add(&self, cell: Cell, amount: u64) {
        self.cell(cell).fetch_add(amount, Ordering::Relaxed);
    }

    fn outcomes(&self) -> u64 {
        Cell::OUTCOMES
            .iter()
            .map(|&cell| self.cell(cell).load(Ordering::Acquire))
            .sum()
    }

    /// Gives every copy without an outcome this one, and empties the gauges; returns how many.
    fn end(&self, loss: Loss) -> u64 {
        let pending = self.pending();
        self.add(Cell::of_loss(loss), pending);
        self.cell(Cell::Forwarders).store(0, Ordering::Relaxed);
        let unsent = [Cell::DroppedQueueFull, Cell::DroppedMemory];
        let unsent: u64 = unsent
            .iter()
            .map(|&cell| self.cell(cell).load(Ordering::Relaxed))
            .sum();
        let selected = self.cell(Cell::Selected).load(Ordering::Relaxed);
        self.cell(Cell::Taken)
            .store(selected.saturating_sub(unsent), Ordering::Relaxed);
        pending
    }

    fn pending(&self) -> u64 {
        // Outcomes first: a copy selected in between shows as pending, never as less than none.
        let outcomes = self.outcomes();
        self.cell(Cell::Selected)
            .load(Ordering::Acquire)
            .saturating_sub(outcomes)
    }
}

/// The counters of one child process; the first row of a segment belongs to no child.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Row {
    targets: [Cells; TARGETS],
}

impl Row {
    /// An empty row.
    pub const fn new() -> Row {
        Row {
            targets: [const { Cells::new() }; TARGETS],
        }
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
        Name {
            length: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; NAME_BYTES / 8],
        }
    }

    fn read(&self) -> String {
        let length = self.length.load(Ordering::Acquire) as usize;
        let mut bytes: Vec<u8> = self
            .words
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .collect();
        bytes.truncate(length);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn write(&self, name: &str) {
        for (word, chunk) in self.words.iter().zip(name.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            bytes
                .iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        self.length.store(name.len() as u64, Ordering::Release);
    }
}

/// The head of a segment.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    version: AtomicU64,
    /// The secret of the loop mark.
    mark: [AtomicU64; 2],
    started: AtomicU64,
    /// How many rows have been folded, and how many are being folded now: what readers check.
    folds: AtomicU64,
    folding: AtomicU64,
    names: [Name; TARGETS],
    /// How often each kind of trouble with each target was met, for thinning the log.
    troubles: [[AtomicU64; TROUBLES]; TARGETS],
    /// The process that counts in each row; 0 where the row is free.
    pids: [AtomicU32; CHILDREN],
}

impl Header {
    /// An empty header.
    pub const fn new() -> Header {
        Header {
            version: AtomicU64::new(0),
            mark: [const { AtomicU64::new(0) }; 2],
            started: AtomicU64::new(0),
            folds: AtomicU64::new(0),
            folding: AtomicU64::new(0),
            names: [const { Name::new() }; TARGETS],
            troubles: [const { [const { AtomicU64::new(0) }; TROUBLES] }; TARGETS],
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
pub struct Slot(usize);

/// The shared memory: every child's counters, and who they belong to.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    header: &'static Header,
    base: &'static Row,
    rows: &'static [Row],
}

impl Segment {
    /// Looks at shared memory as a segment: its header, the row of the past, and one row per child.
    pub fn new(header: &'static Header, base: &'static Row, rows: &'static [Row]) -> Segment {
        Segment { header, base, rows }
    }

    /// Whether the memory was initialised by this version of the layout.
    pub fn is_current(&self) -> bool {
        self.header.version.load(Ordering::Acquire) == VERSION
    }

    /// Initialises zeroed memory; `secret` is what loop marks are made of, `now` in Unix seconds.
    pub fn initialise(&self, secret: [u64; 2], now: u64) {
        for (word, value) in self.header.mark.iter().zip(secret) {
            word.store(value, Ordering::Relaxed);
        }
        self.header.started.store(now, Ordering::Relaxed);
        self.header.version.store(VERSION, Ordering::Release);
    }

    /// The value of this server's loop mark.
    pub fn loop_mark(&self) -> String {
        let [high, low] = self
            .header
            .mark
            .each_ref()
            .map(|word| word.load(Ordering::Relaxed));
        format!("{high:016x}{low:016x}")
    }

    /// When counting began, in Unix seconds.
    pub fn started(&self) -> u64 {
        self.header.started.load(Ordering::Relaxed)
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

    /// Takes a row for this process; `None` where all are taken by processes that live.
    pub fn join(&self, pid: u32, alive: impl Fn(u32) -> bool) -> Option<Ledger> {
        // A row under our own number is that of a process which had it before us.
        self.fold_the_dead(|other| other != pid && alive(other));
        let take = |(holder, _): &(&AtomicU32, &Row)| {
            holder
                .compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        let (_, row) = self.header.pids.iter().zip(self.rows).find(take)?;
        Some(Ledger {
            segment: *self,
            row,
            closed: AtomicBool::new(false),
            settling: AtomicUsize::new(0),
        })
    }

    /// Moves the counters of processes that no longer live to the first row; what they had in hand is lost.
    pub fn fold_the_dead(&self, alive: impl Fn(u32) -> bool) {
        for (holder, row) in self.header.pids.iter().zip(self.rows) {
            let pid = holder.load(Ordering::Acquire);
            if pid == 0 || pid == FOLDING || alive(pid) {
                continue;
            }
            // Whoever wins the exchange folds, so that nothing is counted twice.
            if holder
                .compare_exchange(pid, FOLDING, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                self.fold(row);
                holder.store(0, Ordering::Release);
            }
        }
    }

    fn fold(&self, row: &Row) {
        self.header.folding.fetch_add(1, Ordering::SeqCst);
        for (cells, base) in row
            .targets
            .iter()
            .zip(&self.base.targets)
            .take(self.named())
        {
            cells.end(Loss::Lost);
            for (from, to) in cells.0.iter().zip(&base.0) {
                to.fetch_add(from.swap(0, Ordering::AcqRel), Ordering::AcqRel);
            }
        }
        self.header.folds.fetch_add(1, Ordering::SeqCst);
        self.header.folding.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many targets were ever configured; their places come first.
    fn named(&self) -> usize {
        let named = |name: &&Name| name.length.load(Ordering::Acquire) > 0;
        self.header.names.iter().take_while(named).count()
    }

    /// The totals of every target that was ever configured, in the order of their places.
    pub fn totals(&self) -> Vec<Totals> {
        const TRIES: usize = 100;
        let mut totals = Vec::new();
        for _ in 0..TRIES {
            let before = self.header.folds.load(Ordering::SeqCst);
            let quiet = self.header.folding.load(Ordering::SeqCst) == 0;
            totals = self.sum();
            if quiet
                && self.header.folding.load(Ordering::SeqCst) == 0
                && self.header.folds.load(Ordering::SeqCst) == before
            {
                break;
            }
            std::thread::yield_now();
        }
        totals
    }

    fn sum(&self) -> Vec<Totals> {
        let used = |(pid, _): &(&AtomicU32, &Row)| pid.load(Ordering::Acquire) != 0;
        let names = self.header.names.iter().take(self.named()).enumerate();
        names
            .map(|(index, name)| {
                let mut cells = [0_u64; CELLS];
                let rows = self
                    .header
                    .pids
                    .iter()
                    .zip(self.rows)
                    .filter(used)
                    .map(|(_, row)| row);
                for row in rows.chain([self.base]) {
                    if let Some(row) = row.targets.get(index) {
                        // Backwards: what is counted first is read last, so no sum runs ahead of its whole.
                        for (sum, cell) in cells.iter_mut().zip(&row.0).rev() {
                            *sum = sum.wrapping_add(cell.load(Ordering::Acquire));
                        }
                    }
                }
                Totals {
                    name: name.read(),
                    cells,
                }
            })
            .collect()
    }
}

/// What all children counted of one target.
#[derive(Clone, Debug)]
pub struct Totals {
    /// The target's name.
    pub name: String,
    cells: [u64; CELLS],
}

impl Totals {
    /// One counter.
    pub fn count(&self, cell: Cell) -> u64 {
        self.cells.get(cell as usize).copied().unwrap_or_default()
    }

    /// The sum of some counters.
    pub fn sum(&self, cells: &[Cell]) -> u64 {
        cells.iter().map(|&cell| self.count(cell)).sum()
    }

    /// Copies that wait in queues.
    pub fn queued(&self) -> u64 {
        let unsent = [Cell::DroppedQueueFull, Cell::DroppedMemory];
        self.count(Cell::Selected)
            .saturating_sub(self.sum(&unsent))
            .saturating_sub(self.count(Cell::Taken))
            .min(self.pending())
    }

    /// Copies that forwarders are sending.
    pub fn in_flight(&self) -> u64 {
        self.pending().saturating_sub(self.queued())
    }

    /// Copies without an outcome yet.
    pub fn pending(&self) -> u64 {
        self.count(Cell::Selected)
            .saturating_sub(self.sum(&Cell::OUTCOMES))
    }

    /// The latency that the given share of delivered copies stayed under, an upper bound within a
    /// factor of two; `None` before the first delivery.
    pub fn latency(&self, share: f64) -> Option<Duration> {
        let buckets = self.cells.get(Cell::NAMED..Cell::NAMED + LATENCY_BUCKETS)?;
        let total: u64 = buckets.iter().sum();
        let rank = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return Some(Duration::from_micros(1_u64 << index));
            }
        }
        None
    }

    /// The histogram of latencies: the upper bound of each bucket, and how many deliveries fell into it.
    pub fn latency_histogram(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let buckets = self.cells.get(Cell::NAMED..Cell::NAMED + LATENCY_BUCKETS);
        let counts = buckets.unwrap_or_default().iter().copied().enumerate();
        counts.map(|(index, count)| (Duration::from_micros(1_u64 << index), count))
    }
}

/// The bucket of a latency: bucket `i` holds what lasted less than 2^i microseconds, and at least half.
fn latency_bucket(micros: u64) -> usize {
    ((u64::BITS - micros.leading_zeros()) as usize).min(LATENCY_BUCKETS - 1)
}

/// This process's row, and the gate through which outcomes reach it.
#[derive(Debug)]
pub struct Ledger {
    segment: Segment,
    row: &'static Row,
    closed: AtomicBool,
    /// Forwarders that are writing an outcome at this moment.
    settling: AtomicUsize,
}

impl Ledger {
    /// The account of one target.
    pub fn account(&'static self, slot: Slot) -> Account {
        let Slot(index) = slot;
        let [first, ..] = &self.row.targets;
        let [no_troubles, ..] = &self.segment.header.troubles;
        Account {
            ledger: self,
            cells: self.row.targets.get(index).unwrap_or(first),
            troubles: self
                .segment
                .header
                .troubles
                .get(index)
                .unwrap_or(no_troubles),
        }
    }

    /// Copies of this process without an outcome.
    pub fn pending(&self) -> u64 {
        self.row
            .targets
            .iter()
            .take(self.segment.named())
            .map(Cells::pending)
            .sum()
    }

    /// Ends counting: copies without an outcome become dropped as [`Loss::Stopping`]; returns how many.
    ///
    /// Takes no lock, and waits at most `patience` for forwarders that are just writing an outcome, so
    /// that it may run in a signal handler. `pause` is called while waiting.
    pub fn close(&self, patience: Duration, pause: impl Fn()) -> u64 {
        self.closed.store(true, Ordering::SeqCst);
        let started = Instant::now();
        while self.settling.load(Ordering::SeqCst) > 0 && started.elapsed() < patience {
            pause();
        }
        let targets = self.row.targets.iter().take(self.segment.named());
        targets.map(|cells| cells.end(Loss::Stopping)).sum()
    }
}

/// Where one process counts what becomes of the copies to one target.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    ledger: &'static Ledger,
    cells: &'static Cells,
    troubles: &'static [AtomicU64; TROUBLES],
}

/// What a delivered copy took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Bytes written.
    pub sent: u64,
    /// Bytes read.
    pub received: u64,
    /// From taking the copy from the queue to the end of the answer.
    pub latency: Duration,
}

impl Account {
    /// Counts a copy that is about to be offered: from here on it must have an outcome.
    pub fn select(&self) {
        self.cells.add(Cell::Selected, 1);
    }

    /// Counts the outcome of a copy that was never handed over.
    pub fn drop_unsent(&self, loss: Loss) {
        self.cells.add(Cell::of_loss(loss), 1);
    }

    /// Counts a request that was not copied.
    pub fn not_copied(&self, reason: NotCopied) {
        self.cells.add(Cell::of_not_copied(reason), 1);
    }

    /// Counts a copy that left the queue.
    pub fn taken(&self) {
        if !self.ledger.closed.load(Ordering::Relaxed) {
            self.cells.add(Cell::Taken, 1);
        }
    }

    /// Counts a forwarder thread that starts (or, with `false`, ends).
    pub fn forwarder(&self, starts: bool) {
        let cell = self.cells.cell(Cell::Forwarders);
        if self.ledger.closed.load(Ordering::Relaxed) {
            return;
        }
        if starts {
            cell.fetch_add(1, Ordering::Relaxed);
        } else {
            let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        }
    }

    /// Counts the outcome of a copy that was handed over, unless the ledger was closed over it.
    pub fn settle(&self, outcome: Outcome, traffic: Traffic) {
        self.ledger.settling.fetch_add(1, Ordering::SeqCst);
        if !self.ledger.closed.load(Ordering::SeqCst) {
            self.cells.add(Cell::BytesSent, traffic.sent);
            self.cells.add(Cell::BytesReceived, traffic.received);
            if let Outcome::Delivered(_) = outcome {
                let micros = u64::try_from(traffic.latency.as_micros()).unwrap_or(u64::MAX);
                self.cells.add(Cell::LatencyMicros, micros);
                let bucket = Cell::NAMED + latency_bucket(micros);
                self.cells.at(bucket).fetch_add(1, Ordering::Relaxed);
            }
            // Last, so that whoever sees the outcome sees what came with it.
            self.cells
                .cell(Cell::of_outcome(outcome))
                .fetch_add(1, Ordering::Release);
        }
        self.ledger.settling.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts a trouble for the log: how often it was met, over all children and restarts.
    pub fn trouble(&self, trouble: Trouble) -> u64 {
        let index = match trouble {
            Trouble::Failed(failure) => failure as usize,
            Trouble::Dropped(loss) => Failure::ALL.len() + loss as usize,
        };
        let [first, ..] = self.troubles;
        self.troubles
            .get(index)
            .unwrap_or(first)
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }
}

/// What the error log is told of, thinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A copy failed.
    Failed(Failure),
    /// A copy was dropped.
    Dropped(Loss),
}

const _: () = assert!(Failure::ALL.len() + Loss::ALL.len() <= TROUBLES);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A segment of its own for one test.
    pub(crate) fn segment(children: usize) -> Segment {
        let rows: Vec<Row> = (0..children).map(|_| Row::new()).collect();
        let segment = Segment::new(
            Box::leak(Box::new(Header::new())),
            Box::leak(Box::new(Row::new())),
            Vec::leak(rows),
        );
        segment.initialise([1, 2], 0);
        segment
    }

    fn ledger(segment: Segment, pid: u32) -> &'static Ledger {
        Box::leak(Box::new(segment.join(pid, |_| true).unwrap()))
    }

    const DELIVERED: Outcome = Outcome::Delivered(StatusClass::Successful);

    #[test]
    fn a_target_keeps_its_place_by_its_name() {
        let segment = segment(1);
        let first = segment.slot("http://staging/").unwrap();
        let second = segment.slot("beta").unwrap();
        assert_ne!(first, second);
        assert_eq!(segment.slot("http://staging/"), Some(first));
        for index in 2..TARGETS {
            assert!(segment.slot(&format!("target {index}")).is_some());
        }
        assert_eq!(segment.slot("one too many"), None);
        let names: Vec<String> = segment
            .totals()
            .into_iter()
            .map(|totals| totals.name)
            .collect();
        assert_eq!(names[..2], ["http://staging/", "beta"]);
    }

    #[test]
    fn every_copy_shows_as_queued_then_in_flight_then_settled() {
        let segment = segment(1);
        let account = ledger(segment, 7).account(segment.slot("a").unwrap());
        let gauges = || {
            let totals = segment.totals().remove(0);
            (
                totals.queued(),
                totals.in_flight(),
                totals.sum(&Cell::OUTCOMES),
            )
        };
        account.select();
        account.drop_unsent(Loss::QueueFull);
        assert_eq!(gauges(), (0, 0, 1));
        account.select();
        assert_eq!(gauges(), (1, 0, 1));
        account.taken();
        assert_eq!(gauges(), (0, 1, 1));
        account.settle(
            DELIVERED,
            Traffic {
                sent: 10,
                received: 20,
                latency: Duration::ZERO,
            },
        );
        assert_eq!(gauges(), (0, 0, 2));
    }

    #[test]
    fn closing_gives_what_is_pending_its_outcome_and_nothing_a_second_one() {
        let segment = segment(1);
        let ledger = ledger(segment, 7);
        let account = ledger.account(segment.slot("a").unwrap());
        for _ in 0..3 {
            account.select();
        }
        account.taken();
        account.taken();
        account.settle(DELIVERED, Traffic::default());
        assert_eq!(ledger.pending(), 2);
        ledger.close(Duration::from_secs(1), || {});
        account.settle(DELIVERED, Traffic::default());
        let totals = segment.totals().remove(0);
        assert_eq!(totals.count(Cell::DroppedStopping), 2);
        assert_eq!(totals.count(Cell::Delivered2xx), 1);
        assert_eq!((totals.queued(), totals.in_flight()), (0, 0));
    }

    #[test]
    fn what_a_dead_child_had_in_hand_is_lost_and_the_rest_is_kept() {
        let segment = segment(1);
        let slot = segment.slot("a").unwrap();
        let account = ledger(segment, 7).account(slot);
        account.select();
        account.select();
        account.taken();
        account.settle(DELIVERED, Traffic::default());
        assert!(segment.join(8, |_| true).is_none(), "the only row is taken");
        assert!(segment.join(8, |pid| pid != 7).is_some());
        let totals = segment.totals().remove(0);
        assert_eq!(totals.count(Cell::Selected), 2);
        assert_eq!(totals.count(Cell::DroppedLost), 1);
        assert_eq!(totals.count(Cell::Delivered2xx), 1);
        assert_eq!(totals.pending(), 0);
    }

    #[test]
    fn latencies_are_told_within_a_factor_of_two() {
        let segment = segment(1);
        let account = ledger(segment, 7).account(segment.slot("a").unwrap());
        assert_eq!(segment.totals().remove(0).latency(0.5), None);
        for micros in [100, 100, 100, 5000] {
            account.select();
            let latency = Duration::from_micros(micros);
            account.settle(
                DELIVERED,
                Traffic {
                    latency,
                    ..Traffic::default()
                },
            );
        }
        let totals = segment.totals().remove(0);
        assert_eq!(totals.latency(0.5), Some(Duration::from_micros(128)));
        assert_eq!(totals.latency(1.0), Some(Duration::from_micros(8192)));
        assert_eq!(totals.count(Cell::LatencyMicros), 5300);
        assert_eq!(
            totals
                .latency_histogram()
                .map(|(_, count)| count)
                .sum::<u64>(),
            4
        );
    }

    #[test]
    fn troubles_are_counted_apart() {
        let segment = segment(1);
        let account = ledger(segment, 7).account(segment.slot("a").unwrap());
        assert_eq!(account.trouble(Trouble::Failed(Failure::Refused)), 1);
        assert_eq!(account.trouble(Trouble::Failed(Failure::Refused)), 2);
        assert_eq!(account.trouble(Trouble::Dropped(Loss::QueueFull)), 1);
    }

    #[test]
    fn the_loop_mark_is_the_secret_in_hexadecimal() {
        assert_eq!(segment(1).loop_mark(), "00000000000000010000000000000002");
    }
}
