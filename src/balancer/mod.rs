//! A balancer of mod_proxy's: what is known of its members, and which of them gets the next copy.
//!
//! ```text
//! mod.rs       what mod_proxy knows of a balancer, as it is read
//! chooser.rs   which member gets the next copy, and what became of those before
//! eligible.rs  which members may get one: sets, spares and standbys
//! session.rs   the route that a request's session names
//! ```
//!
//! Members, weights and states are mod_proxy's, read anew for each copy. What a choice leaves behind is
//! this child's own: nothing is ever written where production would see it.

mod chooser;
mod eligible;
mod session;

pub use chooser::{Choice, Chooser, Clock, Rested, WayTo};
pub use session::{Request, Sticky};

use std::fmt;

use crate::target::Url;

/// What mod_proxy knows of a balancer, as it is at this moment.
pub trait Roster: fmt::Debug + Send + Sync {
    /// One of the configured members, where there are some and none of them speaks what members are spoken to by.
    fn stranger(&self) -> Option<String> {
        None
    }

    /// Takes note of where the members are; a child calls it before it has any other thread.
    fn attach(&self);

    /// Shows each member, in the order of mod_proxy's slots.
    fn members(&self, see: &mut dyn FnMut(Member));

    /// How the balancer chooses.
    fn method(&self) -> Method;

    /// Whether sessions are told apart, and how: put into what was read before, whose room it takes.
    fn read_sticky(&self, sticky: &mut Sticky) -> bool;

    /// Whether the member in this slot has this route.
    fn has_route(&self, slot: usize, route: &[u8]) -> bool;

    /// Where the member in this slot is; the error says what keeps it from getting copies.
    fn url(&self, slot: usize) -> Result<Url, String>;
}

/// A member as mod_proxy has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its place among the members, which is nobody else's while the server runs.
    pub slot: usize,
    /// What tells its URL from others: another one in the same slot is another member.
    pub id: u64,
    /// [`status`]
    pub status: u32,
    /// Its `loadfactor=`, times 100.
    pub weight: i32,
    /// Its `lbset=`.
    pub set: i32,
    /// When it last failed in production, in Unix microseconds.
    pub failed_at: i64,
    /// How long mod_proxy then leaves it alone, in microseconds.
    pub retry: i64,
}

/// The bits of a member's status (`PROXY_WORKER_*` in mod_proxy.h).
pub mod status {
    /// mod_proxy is done with making it.
    pub const INITIALIZED: u32 = 0x001;
    /// Its errors count for nothing.
    pub const IGNORE_ERRORS: u32 = 0x002;
    /// It gets only what belongs to a session of its own.
    pub const DRAIN: u32 = 0x004;
    /// It is going away.
    pub const IN_SHUTDOWN: u32 = 0x010;
    /// Switched off.
    pub const DISABLED: u32 = 0x020;
    /// Stopped.
    pub const STOPPED: u32 = 0x040;
    /// It failed in production.
    pub const IN_ERROR: u32 = 0x080;
    /// It is for when there is no other.
    pub const HOT_STANDBY: u32 = 0x100;
    /// mod_proxy_hcheck found it failing.
    pub const HC_FAIL: u32 = 0x400;
    /// It takes the place of one that is out.
    pub const HOT_SPARE: u32 = 0x800;
}

impl Member {
    /// Whether mod_proxy would have it get requests; `unix` is the time in Unix microseconds.
    ///
    /// A session does not reach a draining member: of a copy, nobody waits for the answer. One that failed
    /// in production may be tried again after its time, as mod_proxy itself would try it; that only it can say
    /// that it no longer fails is no reason to wait for ever where it sends nothing there.
    fn is_usable(&self, unix: impl FnOnce() -> i64) -> bool {
        const OUT: u32 = status::DRAIN
            | status::IN_SHUTDOWN
            | status::DISABLED
            | status::STOPPED
            | status::HC_FAIL;
        if !self.has(status::INITIALIZED) || self.has(OUT) {
            return false;
        }
        !self.has(status::IN_ERROR)
            || self.has(status::IGNORE_ERRORS)
            || unix() > self.failed_at.saturating_add(self.retry)
    }

    fn is_standby(&self) -> bool {
        self.has(status::HOT_STANDBY)
    }

    /// Whether it has any of these bits.
    fn has(&self, bits: u32) -> bool {
        self.status & bits != 0
    }
}

/// How a balancer chooses: its `lbmethod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By weight; whatever mod_proxy has beside those below is taken for this.
    ByRequests,
    /// The one with the fewest copies under way.
    ByBusyness,
    /// By weight, of the bytes there and back.
    ByTraffic,
}

impl Method {
    /// The method of this name.
    pub fn named(name: &[u8]) -> Method {
        match name {
            b"bybusyness" => Method::ByBusyness,
            b"bytraffic" => Method::ByTraffic,
            _ => Method::ByRequests,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
