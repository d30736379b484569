//! The targets, their keys, and their staging servers, which check every copy that they receive whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chance::Chance;
use crate::faults::{Fault, FaultyStaging, Witness};
use crate::ledger::{AGAIN, ANSWERED, Ledger, RECEIVED, TARGETS};
use crate::traffic;

/// The targets' names, the most connections of one child to them, and their other keys.
///
/// The first is told exactly: see [`crate::schedule`].
const KEYS: [(&str, u64, &str); TARGETS] = [
    ("roomy", 12, "timeout=700ms queue=4000 ttl=2s failures=0"),
    ("narrow", 2, "timeout=400ms connectiontimeout=150ms queue=16 ttl=1s failures=0"),
    (
        "slight",
        5,
        "timeout=1s connectiontimeout=300ms min=2 queue=300 ttl=1s failures=8 retry=700ms",
    ),
];

/// The targets' staging servers.
pub struct Stagings([Staging; TARGETS]);

/// A target and its staging server.
pub struct Staging {
    pub name: &'static str,
    /// The most connections, of one child and of all.
    max: u64,
    most: u64,
    keys: &'static str,
    pub server: FaultyStaging,
    /// Connections that broke within a request's content.
    broken: Arc<AtomicU64>,
}

impl Stagings {
    /// `children` is how many of them may live at once.
    pub fn start(ledger: &Arc<Ledger>, children: u64) -> Stagings {
        Stagings(std::array::from_fn(|at| {
            let (name, max, keys) = KEYS[at];
            let broken = Arc::default();
            let seen = Seen { ledger: Arc::clone(ledger), at, name, broken: Arc::clone(&broken) };
            let server = FaultyStaging::watched(Fault::None, Arc::new(seen));
            Staging { name, max, most: max * children, keys, server, broken }
        }))
    }

    /// The lines that make them targets.
    pub fn lines(&self) -> String {
        let line = |staging: &Staging| {
            let Staging { name, max, keys, server, .. } = staging;
            format!("CopyTarget http://{}/ name={name} max={max} {keys}\n", server.address())
        };
        self.0.iter().map(line).collect()
    }

    pub fn all(&self) -> &[Staging; TARGETS] {
        &self.0
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.0.iter().for_each(|staging| staging.server.set(Fault::None));
    }

    /// Whether nobody is connected any more, and so all that was sent is read.
    pub fn are_left(&self) -> bool {
        self.0.iter().all(|staging| staging.server.open() == 0)
    }
}

impl Staging {
    /// The most requests of which cannot be told whether all of them was sent. When a port is shut, as many of them as
    /// there may be connections that the kernel has made, in the clients' eyes, and not yet handed over.
    pub fn in_the_dark(&self) -> u64 {
        self.broken.load(Ordering::Relaxed) + self.server.shut() * self.most
    }
}

/// What one staging server sees.
struct Seen {
    ledger: Arc<Ledger>,
    at: usize,
    name: &'static str,
    broken: Arc<AtomicU64>,
}

impl Witness for Seen {
    fn received(&self, head: &[u8], content: &[u8]) {
        let Some(copy) = self.ledger.traffic.of_head(head) else {
            self.ledger.wrong(format!("{} got a copy without a number", self.name));
            return;
        };
        let wrong = |what: String| {
            self.ledger.wrong(format!("the copy of {} at {}: {what}", copy.id, self.name));
        };
        if let Some(difference) = copy.differs_from(head, content) {
            wrong(difference);
        }
        let marks = &self.ledger.copies[self.at];
        let before = marks.mark(copy.id, RECEIVED);
        if before & RECEIVED != 0 {
            // Once more, where the connection was closed as it was used again, and only what does no harm. The server
            // may find the first only then, in what it had not read.
            if !copy.is_safe() {
                wrong(format!("{} was received twice", copy.method));
            }
            if marks.mark(copy.id, AGAIN) & AGAIN != 0 {
                wrong("was received three times".to_owned());
            }
        }
    }

    fn answer(&self, head: &[u8]) -> Vec<u8> {
        let mut chance = Chance::of(self.at as u64, traffic::number(head).unwrap_or_default());
        let status = chance.weighted(&[
            (90, "200 OK"),
            (3, "302 Found"),
            (4, "404 Not Found"),
            (3, "503 Service Unavailable"),
        ]);
        let length = chance.weighted(&[(8, 2), (4, 500), (1, 30_000)]);
        let mut answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        if !head.starts_with(b"HEAD ") {
            answer.extend_from_slice(&traffic::noise()[..length]);
        }
        answer
    }

    fn answered(&self, head: &[u8]) {
        if let Some(id) = traffic::number(head) {
            let before = self.ledger.copies[self.at].mark(id, ANSWERED);
            if before & ANSWERED != 0 {
                self.ledger.wrong(format!("the copy of {id} was answered twice at {}", self.name));
            }
        }
    }

    fn broken(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }
}
