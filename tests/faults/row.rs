//! One row: what is wrong with staging, what is sent meanwhile, and what becomes of it.

use std::time::Duration;

use super::staging::Fault;
use crate::client::{request, request_with};

/// How many copies each row sends while its fault lasts: so many failures in a row open the breaker.
pub const COPIES: u64 = 3;
/// How long it is open.
pub const RETRY: Duration = Duration::from_millis(500);

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What the target is called, and the location that is copied to it.
    pub name: &'static str,
    pub fault: Fault,
    pub asks: Asks,
    /// Keys of the target.
    pub keys: &'static str,
    /// What becomes of the [`COPIES`]: counters of copy-status.
    pub outcomes: &'static [(&'static str, u64)],
    /// What the log is told of the failures, `ADDRESS` being staging's.
    pub told: &'static str,
    /// Whether it is played under worker and prefork too.
    pub everywhere: bool,
}

/// What production's client sends.
#[derive(Clone, Copy, Debug)]
pub enum Asks {
    Get,
    /// A POST with content of this length.
    Post(usize),
}

/// More than the sockets between httpd and staging hold.
pub const LARGE: Asks = Asks::Post(5 << 20);

impl Row {
    /// A fault that harms no copy.
    pub const fn delivered(name: &'static str, fault: Fault) -> Row {
        Row {
            name,
            fault,
            asks: Asks::Get,
            // For a machine that is busy with other things.
            keys: "timeout=20s connectiontimeout=20s",
            outcomes: &[("delivered.2xx", COPIES)],
            told: "",
            everywhere: false,
        }
    }

    /// A fault that every copy fails of; `counter` says how.
    pub const fn failed(
        name: &'static str,
        fault: Fault,
        outcomes: &'static [(&'static str, u64)],
        told: &'static str,
    ) -> Row {
        Row { outcomes, told, ..Row::delivered(name, fault) }
    }

    pub const fn asking(self, asks: Asks) -> Row {
        Row { asks, ..self }
    }

    /// With a short timeout, for faults that end with it: long enough for staging that is well.
    pub const fn impatient(self) -> Row {
        Row { keys: "timeout=4s connectiontimeout=20s", ..self }
    }

    /// The same, for large content.
    pub const fn somewhat_impatient(self) -> Row {
        Row { keys: "timeout=8s connectiontimeout=20s", ..self }
    }

    pub const fn with_keys(self, keys: &'static str) -> Row {
        Row { keys, ..self }
    }

    pub const fn everywhere(self) -> Row {
        Row { everywhere: true, ..self }
    }

    /// Why all its copies fail; `None` where not all do.
    pub fn failure(&self) -> Option<&'static str> {
        let (counter, count) = self.outcomes[0];
        counter.strip_prefix("failed.").filter(|_| count == COPIES)
    }

    /// Whether it opens the breaker: staging that talks nonsense is there.
    pub fn opens_breaker(&self) -> bool {
        self.failure().is_some_and(|failure| failure != "protocol")
    }

    pub fn request(&self) -> Vec<u8> {
        let path = format!("/{}/a", self.name);
        match self.asks {
            Asks::Get => request("GET", &path).into_bytes(),
            Asks::Post(length) => request_with("POST", &path, &vec![b'x'; length]),
        }
    }
}
