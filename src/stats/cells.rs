//! What is counted for each target, and one child's counters of one.

use crate::outcome::{Failure, Loss, NotCopied, Outcome, StatusClass};
use crate::sync::atomic::{AtomicU64, Ordering};

pub(super) const LATENCY_BUCKETS: usize = 32;
pub(super) const CELLS: usize = 80;

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
    /// [`Failure::Tls`].
    FailedTls,
    /// [`Failure::Proxy`].
    FailedProxy,
    /// [`Loss::QueueFull`].
    DroppedQueueFull,
    /// [`Loss::Memory`].
    DroppedMemory,
    /// [`Loss::Breaker`].
    DroppedBreaker,
    /// [`Loss::Rate`].
    DroppedRate,
    /// [`Loss::NoMember`].
    DroppedNoMember,
    /// [`Loss::Unmaskable`].
    DroppedUnmaskable,
    /// [`Loss::Off`].
    DroppedOff,
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
    /// [`NotCopied::Method`].
    NotCopiedMethod,
    /// [`NotCopied::Body`].
    NotCopiedBody,
    /// [`NotCopied::Sampled`].
    NotCopiedSampled,
    /// [`NotCopied::Condition`].
    NotCopiedCondition,
    /// Bytes of requests written to staging.
    BytesSent,
    /// Bytes of answers read from staging.
    BytesReceived,
    /// The sum of the exchanges' latencies in microseconds, of delivered copies.
    LatencyMicros,
    /// Forwarder threads that live now.
    Forwarders,
    /// Copies that were written whole and are not delivered: not yet, or, where they have failed or were
    /// dropped, never will be. Of those alone it is unknown whether staging did their work.
    Unanswered,
}

impl Cell {
    /// The cells of the promise's right side: every copy ends in exactly one of them.
    pub const OUTCOMES: [Cell; 22] = [
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
        Cell::FailedTls,
        Cell::FailedProxy,
        Cell::DroppedQueueFull,
        Cell::DroppedMemory,
        Cell::DroppedBreaker,
        Cell::DroppedRate,
        Cell::DroppedNoMember,
        Cell::DroppedUnmaskable,
        Cell::DroppedOff,
        Cell::DroppedStopping,
        Cell::DroppedLost,
    ];

    /// Ways to be delivered.
    pub const DELIVERED: &[Cell] =
        &[Cell::Delivered2xx, Cell::Delivered3xx, Cell::Delivered4xx, Cell::Delivered5xx];

    /// Ways to fail.
    pub const FAILED: &[Cell] = &[
        Cell::FailedConnect,
        Cell::FailedRefused,
        Cell::FailedTimeout,
        Cell::FailedReset,
        Cell::FailedProtocol,
        Cell::FailedDns,
        Cell::FailedInternal,
        Cell::FailedTls,
        Cell::FailedProxy,
    ];

    /// Ways to be dropped.
    pub const DROPPED: &[Cell] = &[
        Cell::DroppedQueueFull,
        Cell::DroppedMemory,
        Cell::DroppedBreaker,
        Cell::DroppedRate,
        Cell::DroppedNoMember,
        Cell::DroppedUnmaskable,
        Cell::DroppedOff,
        Cell::DroppedStopping,
        Cell::DroppedLost,
    ];

    /// What copies end in that no forwarder ever took in hand.
    pub(super) const UNSENT: [Cell; 6] = [
        Cell::DroppedQueueFull,
        Cell::DroppedMemory,
        Cell::DroppedBreaker,
        Cell::DroppedRate,
        Cell::DroppedUnmaskable,
        Cell::DroppedOff,
    ];

    /// How many cells there are before the latency histogram.
    pub(super) const NAMED: usize = Cell::Unanswered as usize + 1;

    pub(super) fn of_outcome(outcome: Outcome) -> Cell {
        match outcome {
            Outcome::Delivered(StatusClass::Successful) => Cell::Delivered2xx,
            Outcome::Delivered(StatusClass::Redirection) => Cell::Delivered3xx,
            Outcome::Delivered(StatusClass::ClientError) => Cell::Delivered4xx,
            Outcome::Delivered(StatusClass::ServerError) => Cell::Delivered5xx,
            Outcome::Failed(failure) => Cell::of_failure(failure),
            Outcome::Dropped(loss) => Cell::of_loss(loss),
        }
    }

    pub(super) fn of_failure(failure: Failure) -> Cell {
        match failure {
            Failure::Connect => Cell::FailedConnect,
            Failure::Refused => Cell::FailedRefused,
            Failure::Timeout => Cell::FailedTimeout,
            Failure::Reset => Cell::FailedReset,
            Failure::Protocol => Cell::FailedProtocol,
            Failure::Dns => Cell::FailedDns,
            Failure::Internal => Cell::FailedInternal,
            Failure::Tls => Cell::FailedTls,
            Failure::Proxy => Cell::FailedProxy,
        }
    }

    pub(super) fn of_loss(loss: Loss) -> Cell {
        match loss {
            Loss::QueueFull => Cell::DroppedQueueFull,
            Loss::Memory => Cell::DroppedMemory,
            Loss::Breaker => Cell::DroppedBreaker,
            Loss::Rate => Cell::DroppedRate,
            Loss::NoMember => Cell::DroppedNoMember,
            Loss::Unmaskable => Cell::DroppedUnmaskable,
            Loss::Off => Cell::DroppedOff,
            Loss::Stopping => Cell::DroppedStopping,
            Loss::Lost => Cell::DroppedLost,
        }
    }

    pub(super) fn of_not_copied(reason: NotCopied) -> Cell {
        match reason {
            NotCopied::Refused => Cell::NotCopiedRefused,
            NotCopied::Incomplete => Cell::NotCopiedIncomplete,
            NotCopied::TooLarge => Cell::NotCopiedTooLarge,
            NotCopied::NotCopyable => Cell::NotCopiedNotCopyable,
            NotCopied::Loop => Cell::NotCopiedLoop,
            NotCopied::Off => Cell::NotCopiedOff,
            NotCopied::Method => Cell::NotCopiedMethod,
            NotCopied::Body => Cell::NotCopiedBody,
            NotCopied::Sampled => Cell::NotCopiedSampled,
            NotCopied::Condition => Cell::NotCopiedCondition,
        }
    }
}

const _: () = assert!(Cell::NAMED + LATENCY_BUCKETS <= CELLS);

/// One child's counters of one target.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Cells(pub(super) [AtomicU64; CELLS]);

impl Cells {
    pub(super) const fn new() -> Cells {
        Cells([const { AtomicU64::new(0) }; CELLS])
    }

    pub(super) fn at(&self, index: usize) -> &AtomicU64 {
        let [first, ..] = &self.0;
        self.0.get(index).unwrap_or(first)
    }

    pub(super) fn cell(&self, cell: Cell) -> &AtomicU64 {
        self.at(cell as usize)
    }

    pub(super) fn add(&self, cell: Cell, amount: u64) {
        self.cell(cell).fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn outcomes(&self) -> u64 {
        Cell::OUTCOMES.iter().map(|&cell| self.cell(cell).load(Ordering::Acquire)).sum()
    }

    /// Gives so many copies without an outcome this one, and empties the gauges.
    pub(super) fn drop_pending(&self, loss: Loss, pending: u64) {
        self.cell(Cell::of_loss(loss)).fetch_add(pending, Ordering::Release);
        self.empty_gauges();
    }

    /// Counts every copy without an outcome as lost, and empties the gauges.
    ///
    /// Nobody else counts here any more, unless it is another who does this very thing.
    pub(super) fn lose_pending(&self) {
        let lost = self.cell(Cell::DroppedLost);
        let lose = |lost: u64| Some(lost.saturating_add(self.pending_with(lost)));
        let _ = lost.fetch_update(Ordering::AcqRel, Ordering::Acquire, lose);
        self.empty_gauges();
    }

    fn empty_gauges(&self) {
        self.cell(Cell::Forwarders).store(0, Ordering::Relaxed);
        let load = |&cell: &Cell| self.cell(cell).load(Ordering::Relaxed);
        let unsent: u64 = Cell::UNSENT.iter().map(load).sum();
        let selected = self.cell(Cell::Selected).load(Ordering::Relaxed);
        self.cell(Cell::Taken).store(selected.saturating_sub(unsent), Ordering::Relaxed);
    }

    /// Copies without an outcome, where so many are lost.
    fn pending_with(&self, lost: u64) -> u64 {
        let others = Cell::OUTCOMES.iter().filter(|cell| **cell != Cell::DroppedLost);
        let others: u64 = others.map(|&cell| self.cell(cell).load(Ordering::Acquire)).sum();
        let selected = self.cell(Cell::Selected).load(Ordering::Acquire);
        selected.saturating_sub(others.saturating_add(lost))
    }

    pub(super) fn pending(&self) -> u64 {
        // Outcomes first: a copy selected in between shows as pending, never as less than none.
        let outcomes = self.outcomes();
        self.cell(Cell::Selected).load(Ordering::Acquire).saturating_sub(outcomes)
    }
}

/// The bucket of a latency: bucket `i` holds what lasted less than 2^i microseconds, and at least half.
pub(super) fn latency_bucket(micros: u64) -> usize {
    ((u64::BITS - micros.leading_zeros()) as usize).min(LATENCY_BUCKETS - 1)
}
