//! Addresses of a target's name, looked up beside the exchanges and kept when DNS fails.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::unversioned::resolver::ResolvedSocketAddrs;

use crate::boundary::Boundary;
use crate::outcome::Failure;
use crate::target::{DNS_REFRESH, Url};

use super::fault::Fault;
use super::pace::OnSlow;

/// How long after a failed lookup there is no other.
const PAUSE: Duration = Duration::from_secs(1);
/// How long after a lookup there is no other, however much its result is doubted.
const PAUSE_IN_DOUBT: Duration = Duration::from_secs(10);
/// How long an address that could not be connected to comes after the others.
const PENANCE: Duration = Duration::from_secs(10);

/// Finds the addresses of a host; may take as long as it likes.
pub(super) type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The system's resolver.
pub(super) fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// The addresses of one target.
pub(super) struct Names {
    host: String,
    port: u16,
    /// The host, where it is an address itself, or has none for it is reached by a path: nothing is ever looked up.
    literal: Option<ResolvedSocketAddrs>,
    lookup: Box<Lookup>,
    fresh: Duration,
    known: Mutex<Known>,
    /// Rings when a lookup has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    /// The last good answer; empty before there was one.
    addresses: Vec<SocketAddr>,
    /// How often they were asked for: the next connection begins with the next one.
    turn: usize,
    /// Those that could not be connected to, and when.
    failed: Vec<(SocketAddr, Instant)>,
    /// Why the last lookup failed.
    error: String,
    under_way: bool,
    /// From when on there may be another lookup: while the addresses are fresh, and while in doubt.
    next: Option<Instant>,
    next_in_doubt: Option<Instant>,
}

impl Names {
    /// The addresses of a URL's host.
    pub(super) fn of(url: &Url, lookup: Box<Lookup>) -> Names {
        let ip: Option<IpAddr> = url.host().parse().ok();
        let literal = ip.map(|ip| resolved([SocketAddr::new(ip, url.port())]));
        let literal = if url.socket().is_some() { Some(resolved([])) } else { literal };
        Names {
            host: url.host().to_owned(),
            port: url.port(),
            literal,
            lookup,
            fresh: DNS_REFRESH,
            known: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// The same, looked up again when they are so old.
    pub(super) fn fresh_for(self, fresh: Duration) -> Names {
        Names { fresh, ..self }
    }

    /// Looks the name up beforehand, beside the caller; `unresolved` is told why that brings nothing.
    pub(super) fn look_ahead(self: &Arc<Names>, unresolved: impl FnOnce(&str) + Send + 'static) {
        let mut known = self.known();
        if self.literal.is_none() && !known.under_way {
            self.start_lookup(&mut known, Some(Box::new(unresolved)));
        }
    }

    /// Whether a connection to that address is still one to the name. A lookup that is due is started.
    pub(super) fn has(self: &Arc<Names>, address: &SocketAddr, now: Instant) -> bool {
        if self.literal.is_some() {
            return true;
        }
        let mut known = self.known();
        self.look_up_if_due(&mut known, now);
        known.addresses.is_empty() || known.addresses.contains(address)
    }

    /// The last good addresses, at once; where there are none yet, waits for them up to `patience`. Each time
    /// another one comes first, and those that failed of late come last.
    ///
    /// A lookup that is due is started, and never waited for while there are addresses.
    pub(super) fn addresses(
        self: &Arc<Names>,
        now: Instant,
        patience: Duration,
        on_slow: &OnSlow,
    ) -> Result<ResolvedSocketAddrs, Fault> {
        if let Some(literal) = &self.literal {
            return Ok(literal.clone());
        }
        let mut known = self.known();
        self.look_up_if_due(&mut known, now);
        if known.addresses.is_empty() && known.under_way {
            drop(known);
            on_slow.tell();
            let waited =
                self.ended.wait_timeout_while(self.known(), patience, |known| known.under_way);
            (known, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if !known.addresses.is_empty() {
            return Ok(known.next_turn(now));
        }
        let host = &self.host;
        let what = match known.under_way {
            true => format!("resolve {host}: not done within {patience:?}"),
            false => format!("resolve {host}: {}", known.error),
        };
        Err(Fault::new(Failure::Dns, what))
    }

    /// None of the addresses could be connected to: they may be out of date.
    pub(super) fn doubt(&self) {
        let mut known = self.known();
        known.next = known.next.min(known.next_in_doubt);
    }

    /// These could not be connected to, while another one could.
    pub(super) fn failed(&self, addresses: &[SocketAddr], now: Instant) {
        if addresses.is_empty() {
            return;
        }
        let mut known = self.known();
        known.failed.retain(|(address, _)| !addresses.contains(address));
        known.failed.extend(addresses.iter().map(|address| (*address, now)));
    }

    fn look_up_if_due(self: &Arc<Names>, known: &mut Known, now: Instant) {
        if !known.under_way && known.next.is_none_or(|next| next <= now) {
            self.start_lookup(known, None);
        }
    }

    /// Starts the one lookup there is at a time, in a thread that ends with it.
    fn start_lookup(self: &Arc<Names>, known: &mut Known, unresolved: Option<Box<Unresolved>>) {
        let names = Arc::clone(self);
        known.under_way = true;
        let started = thread::Builder::new().name("copy-dns".to_owned()).spawn(move || {
            let found = catch_unwind(AssertUnwindSafe(|| {
                Boundary::Lookup.enter();
                (names.lookup)(&names.host, names.port)
            }));
            let found = found.unwrap_or_else(|_| Err(io::Error::other("the lookup panicked")));
            let error = names.known().learn(found, names.fresh);
            names.ended.notify_all();
            if let (Some(error), Some(unresolved)) = (error, unresolved) {
                unresolved(&error);
            }
        });
        if let Err(error) = started {
            known.learn(Err(error), self.fresh);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Is told why a name does not resolve.
type Unresolved = dyn FnOnce(&str) + Send;

impl Known {
    /// Takes what a lookup found; or why it found nothing.
    fn learn(&mut self, found: io::Result<Vec<SocketAddr>>, fresh: Duration) -> Option<String> {
        let now = Instant::now();
        self.under_way = false;
        self.next_in_doubt = now.checked_add(PAUSE_IN_DOUBT.min(fresh));
        self.next = now.checked_add(PAUSE.min(fresh));
        match found {
            Ok(found) if !found.is_empty() => {
                self.failed.retain(|(address, _)| found.contains(address));
                self.addresses = found;
                self.next = now.checked_add(fresh);
                return None;
            }
            Ok(_) => "no addresses".clone_into(&mut self.error),
            Err(error) => self.error = error.to_string(),
        }
        Some(self.error.clone())
    }

    /// The addresses, of which another one comes first each time, and those that failed of late last.
    fn next_turn(&mut self, now: Instant) -> ResolvedSocketAddrs {
        let first = self.turn.checked_rem(self.addresses.len()).unwrap_or_default();
        self.turn = self.turn.wrapping_add(1);
        let (before, from) = self.addresses.split_at_checked(first).unwrap_or_default();
        let mut addresses: Vec<SocketAddr> = from.iter().chain(before).copied().collect();
        addresses.sort_by_key(|address| {
            let failed = self.failed.iter().find(|(failed, _)| failed == address);
            failed.is_some_and(|(_, when)| now.saturating_duration_since(*when) < PENANCE)
        });
        resolved(addresses)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("host", &self.host).finish_non_exhaustive()
    }
}

/// As many of the addresses as ureq has room for.
fn resolved(addresses: impl IntoIterator<Item = SocketAddr>) -> ResolvedSocketAddrs {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let mut resolved = ResolvedSocketAddrs::from_fn(|_| nowhere);
    for address in addresses {
        if resolved.try_push(address).is_err() {
            break;
        }
    }
    resolved
}

#[cfg(test)]
mod tests;
