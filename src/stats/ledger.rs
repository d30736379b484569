//! Where one child counts: its row, and the gates through which outcomes reach it.

use std::time::{Duration, Instant};

use super::cells::{Cell, Cells, latency_bucket};
use super::cost::Cost;
use super::gate::Gate;
use super::gauges::Gauges;
use super::segment::{Row, Segment, Slot, TARGETS};
use super::steering::Steering;
use crate::breaker::{Breaker, Millis};
use crate::outcome::{Failure, Loss, NotCopied, Outcome};
use crate::select::Valve;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(super) const TROUBLES: usize = 32;
/// How many pauses, of a millisecond, forwarders have to end what they write when the ledger is closed.
const LAST_WRITES: u32 = 3;

/// This process's row, and the gates through which outcomes reach it.
#[derive(Debug)]
pub struct Ledger {
    segment: Segment,
    row: &'static Row,
    closed: AtomicBool,
    /// One for each target.
    gates: Box<[Gate; TARGETS]>,
}

impl Ledger {
    pub(super) fn new(segment: Segment, row: &'static Row) -> Ledger {
        let named = segment.named();
        // What has no name has no copies, and its memory stays untouched.
        let gates = std::array::from_fn(|place| match row.targets.get(place) {
            Some(cells) if place < named => Gate::behind(cells),
            _ => Gate::new(),
        });
        Ledger { segment, row, closed: AtomicBool::new(false), gates: Box::new(gates) }
    }

    /// The account of one target.
    pub fn account(&'static self, slot: Slot) -> Account {
        let Slot(index) = slot;
        let [first, ..] = &self.row.targets;
        let [first_gate, ..] = &*self.gates;
        let [no_troubles, ..] = &self.segment.header.troubles;
        Account {
            ledger: self,
            cells: self.row.targets.get(index).unwrap_or(first),
            gate: self.gates.get(index).unwrap_or(first_gate),
            troubles: self.segment.header.troubles.get(index).unwrap_or(no_troubles),
            breaker: self.segment.breaker(slot),
            valve: self.segment.valve(slot),
            steering: self.segment.steering(slot),
            slot,
        }
    }

    /// What this process shows of itself.
    pub fn gauges(&self) -> &'static Gauges {
        &self.row.gauges
    }

    /// Where this process counts what its requests cost.
    pub fn cost(&self) -> &'static Cost {
        &self.row.cost
    }

    /// Records what the last 5 seconds brought to all children, if none has yet.
    pub fn record(&self, now: Millis) {
        self.segment.record(now);
    }

    /// Copies of this process without an outcome.
    pub fn pending(&self) -> u64 {
        self.row.targets.iter().take(self.segment.named()).map(Cells::pending).sum()
    }

    /// Ends counting: copies without an outcome become dropped as [`Loss::Stopping`]; returns how many.
    ///
    /// Takes no lock, so that it may run in a signal handler. It waits at most `patience` for forwarders that are
    /// just writing an outcome: what one that is kept from running does not write before the process ends is
    /// counted as [`Loss::Lost`] later. `pause` is called while waiting.
    pub fn close(&self, patience: Duration, pause: impl Fn()) -> u64 {
        self.closed.store(true, Ordering::SeqCst);
        if self.pending() > 0 {
            // Time to count what was just written whole, before the process ends.
            (0..LAST_WRITES).for_each(|_| pause());
        }
        let targets = self.row.targets.iter().zip(&*self.gates).take(self.segment.named());
        let dropped = targets.map(|(cells, gate)| {
            let rest = gate.shut(cells);
            cells.drop_pending(Loss::Stopping, rest);
            rest
        });
        let dropped = dropped.sum();
        let started = Instant::now();
        while self.pending() > 0 && started.elapsed() < patience {
            pause();
        }
        dropped
    }
}

/// Where one process counts what becomes of the copies to one target.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    ledger: &'static Ledger,
    cells: &'static Cells,
    gate: &'static Gate,
    troubles: &'static [AtomicU64; TROUBLES],
    breaker: &'static Breaker,
    valve: &'static Valve,
    steering: &'static Steering,
    slot: Slot,
}

/// What a copy took, and how far it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Bytes written.
    pub sent: u64,
    /// Bytes read.
    pub received: u64,
    /// Whether the whole request was written, over whichever connection.
    pub whole: bool,
    /// From when the copy was ready to be sent to the end of the answer.
    pub latency: Duration,
    /// The part of that in which connections were made.
    pub connecting: Duration,
    /// The status of the answer; 0 where there is none.
    pub status: u16,
}

impl Account {
    /// The target's breaker, which it shares with all processes.
    pub fn breaker(&self) -> &'static Breaker {
        self.breaker
    }

    /// What holds the target's copies back, which it shares with all processes.
    pub fn valve(&self) -> &'static Valve {
        self.valve
    }

    /// What operators have set of the target.
    pub fn steering(&self) -> &'static Steering {
        self.steering
    }

    /// How many of this process's copies have entered the target's queue so far, and how many have left it.
    ///
    /// Those that an opening breaker takes out of the queue are as if they had never entered.
    pub fn passage(&self) -> (u64, u64) {
        let count = |cell: Cell| self.cells.cell(cell).load(Ordering::Acquire);
        let left = count(Cell::Taken);
        let unsent: u64 = Cell::UNSENT.iter().map(|cell| count(*cell)).sum();
        (count(Cell::Selected).saturating_sub(unsent), left)
    }

    /// Shows since when the oldest of this process's copies in the target's queue waits.
    pub fn show_oldest(&self, since: Option<Millis>) {
        let Slot(index) = self.slot;
        self.ledger.row.gauges.show_oldest(index, since);
    }

    /// Counts a copy that is about to be offered: from here on it must have an outcome.
    pub fn select(&self) {
        self.cells.add(Cell::Selected, 1);
    }

    /// Counts the outcome of a copy that was never handed over, unless the ledger was closed over it.
    pub fn drop_unsent(&self, loss: Loss) {
        if self.gate.pass() {
            // Whoever sees the outcome sees the copy: `select` came before.
            self.cells.cell(Cell::of_loss(loss)).fetch_add(1, Ordering::Release);
        }
    }

    /// Counts a request that was not copied.
    pub fn not_copied(&self, reason: NotCopied) {
        self.cells.add(Cell::of_not_copied(reason), 1);
    }

    /// Whether the ledger is closed: every copy has its outcome, and none more is to be sent.
    pub fn is_closed(&self) -> bool {
        self.ledger.closed.load(Ordering::Relaxed)
    }

    /// Counts a copy that left the queue.
    pub fn taken(&self) {
        if !self.ledger.closed.load(Ordering::Relaxed) {
            self.cells.add(Cell::Taken, 1);
        }
    }

    /// Counts a copy that was written whole, once, as soon as it is: its child may not live to see more.
    pub fn written(&self) {
        self.cells.add(Cell::Unanswered, 1);
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

    /// Counts the outcome of a copy that was handed over, unless the ledger was closed over it; if it
    /// was written whole, [`written`](Account::written) has told so.
    pub fn settle(&self, outcome: Outcome, traffic: Traffic) {
        if !self.gate.pass() {
            return;
        }
        self.cells.add(Cell::BytesSent, traffic.sent);
        self.cells.add(Cell::BytesReceived, traffic.received);
        if let Outcome::Delivered(_) = outcome {
            if traffic.whole {
                self.cells.cell(Cell::Unanswered).fetch_sub(1, Ordering::Relaxed);
            }
            let micros = u64::try_from(traffic.latency.as_micros()).unwrap_or(u64::MAX);
            self.cells.add(Cell::LatencyMicros, micros);
            let bucket = Cell::NAMED + latency_bucket(micros);
            self.cells.at(bucket).fetch_add(1, Ordering::Relaxed);
        }
        // Last, so that whoever sees the outcome sees what came with it.
        self.cells.cell(Cell::of_outcome(outcome)).fetch_add(1, Ordering::Release);
    }

    /// Counts a trouble for the log: how often it was met, over all children and restarts.
    pub fn trouble(&self, trouble: Trouble) -> u64 {
        let index = match trouble {
            Trouble::Failed(failure) => failure as usize,
            Trouble::Dropped(loss) => Failure::ALL.len() + loss as usize,
            Trouble::Unknown => Failure::ALL.len() + Loss::ALL.len(),
            Trouble::Unresolved => Failure::ALL.len() + Loss::ALL.len() + 1,
            Trouble::Connections => Failure::ALL.len() + Loss::ALL.len() + 2,
        };
        let [first, ..] = self.troubles;
        self.troubles.get(index).unwrap_or(first).fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

/// What the error log is told of, thinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A copy failed.
    Failed(Failure),
    /// A copy was dropped.
    Dropped(Loss),
    /// An expression could not be evaluated.
    Unknown,
    /// A child that starts cannot look up the target's name.
    Unresolved,
    /// Too many connections were made.
    Connections,
}

const _: () = assert!(Failure::ALL.len() + Loss::ALL.len() + 2 < TROUBLES);
