//! What became of each request, as its client, production's origin and each staging server saw it.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::traffic::Traffic;

/// How many targets there are.
pub const TARGETS: usize = 3;

/// The ledger of one soak.
pub struct Ledger {
    pub traffic: Traffic,
    issued: AtomicU64,
    /// The end of each request as its client saw it: an [`End`].
    ends: Marks,
    /// Whether the origin received it whole.
    served: Marks,
    /// What each staging server saw of it.
    pub copies: [Marks; TARGETS],
    /// What is wrong, as it was found.
    wrong: Mutex<Vec<String>>,
}

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Unknown,
    /// With the answer it must have.
    Answered,
    /// Production had closed the connection, kept from an earlier request, before it took this one.
    Untaken,
    /// The client closed in the middle of it.
    Aborted,
    /// The client closed when it was sent.
    Left,
}

/// It was received whole.
pub const RECEIVED: u8 = 1;
/// It was received whole once more.
pub const AGAIN: u8 = 2;
/// It was answered.
pub const ANSWERED: u8 = 4;

impl Ledger {
    pub fn new(traffic: Traffic) -> Ledger {
        Ledger {
            traffic,
            issued: AtomicU64::new(0),
            ends: Marks::default(),
            served: Marks::default(),
            copies: std::array::from_fn(|_| Marks::default()),
            wrong: Mutex::default(),
        }
    }

    /// The number of the next request.
    pub fn issue(&self) -> u64 {
        self.issued.fetch_add(1, Ordering::Relaxed)
    }

    pub fn issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }

    pub fn end(&self, id: u64, end: End) {
        self.ends.mark(id, end as u8);
    }

    pub fn ended(&self, id: u64) -> End {
        let ends = [End::Answered, End::Untaken, End::Aborted, End::Left];
        let seen = self.ends.of(id);
        ends.into_iter().find(|end| *end as u8 == seen).unwrap_or(End::Unknown)
    }

    /// The origin has received it whole.
    pub fn serve(&self, id: u64) {
        self.served.mark(id, RECEIVED);
    }

    pub fn was_served(&self, id: u64) -> bool {
        self.served.of(id) != 0
    }

    /// Something is not as it must be.
    pub fn wrong(&self, what: impl fmt::Display) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_string());
    }

    pub fn wrongs(&self) -> Vec<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A few bits for each request.
pub struct Marks([OnceLock<Box<[AtomicU8]>>; BLOCKS]);

const BLOCKS: usize = 1 << 10;
const BLOCK: usize = 1 << 16;

impl Default for Marks {
    fn default() -> Marks {
        Marks([const { OnceLock::new() }; BLOCKS])
    }
}

impl Marks {
    /// Adds bits; those that were there before.
    pub fn mark(&self, id: u64, bits: u8) -> u8 {
        self.at(id).fetch_or(bits, Ordering::Relaxed)
    }

    pub fn of(&self, id: u64) -> u8 {
        self.at(id).load(Ordering::Relaxed)
    }

    fn at(&self, id: u64) -> &AtomicU8 {
        let at = usize::try_from(id).unwrap();
        let empty = || (0..BLOCK).map(|_| AtomicU8::new(0)).collect();
        &self.0[at / BLOCK].get_or_init(empty)[at % BLOCK]
    }
}
