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
use crate::target::Url;

use super::fault::Fault;
use super::pace::OnSlow;

/// How long addresses are used before they are looked up again.
const FRESH: Duration = Duration::from_secs(60);
/// How long after a failed lookup there is no other.
const PAUSE: Duration = Duration::from_secs(1);
/// How long after a lookup there is no other, however much its result is doubted.
const PAUSE_IN_DOUBT: Duration = Duration::from_secs(10);

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
    known: Mutex<Known>,
    /// Rings when a lookup has ended.
    ended: Condvar,
}

#[derive(Debug)]
struct Known {
    /// The last good answer; empty before there was one.
    addresses: ResolvedSocketAddrs,
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
            known: Mutex::new(Known {
                addresses: resolved([]),
                error: String::new(),
                under_way: false,
                next: None,
                next_in_doubt: None,
            }),
            ended: Condvar::new(),
        }
    }

    /// The last good addresses, at once; where there are none yet, waits for them up to `patience`.
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
        if !known.under_way && known.next.is_none_or(|next| next <= now) {
            self.start_lookup(&mut known);
        }
        if known.addresses.is_empty() && known.under_way {
            drop(known);
            on_slow.tell();
            let waited =
                self.ended.wait_timeout_while(self.known(), patience, |known| known.under_way);
            (known, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if !known.addresses.is_empty() {
            return Ok(known.addresses.clone());
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

    /// Starts the one lookup there is at a time, in a thread that ends with it.
    fn start_lookup(self: &Arc<Names>, known: &mut Known) {
        let names = Arc::clone(self);
        known.under_way = true;
        let started = thread::Builder::new().name("copy-dns".to_owned()).spawn(move || {
            let found = catch_unwind(AssertUnwindSafe(|| {
                Boundary::Lookup.enter();
                (names.lookup)(&names.host, names.port)
            }));
            let found = found.unwrap_or_else(|_| Err(io::Error::other("the lookup panicked")));
            names.known().learn(found);
            names.ended.notify_all();
        });
        if let Err(error) = started {
            known.learn(Err(error));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, found: io::Result<Vec<SocketAddr>>) {
        let now = Instant::now();
        self.under_way = false;
        self.next_in_doubt = now.checked_add(PAUSE_IN_DOUBT);
        self.next = now.checked_add(PAUSE);
        match found {
            Ok(found) if !found.is_empty() => {
                self.addresses = resolved(found);
                self.next = now.checked_add(FRESH);
            }
            Ok(_) => "no addresses".clone_into(&mut self.error),
            Err(error) => self.error = error.to_string(),
        }
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
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::super::testing::LONG;
    use super::*;

    type Answer = io::Result<Vec<SocketAddr>>;

    /// Names whose lookups tell when they begin, and end as the test says.
    struct Scripted {
        names: Arc<Names>,
        begun: Receiver<()>,
        answers: Sender<Answer>,
    }

    impl Scripted {
        fn new() -> Scripted {
            let (begins, begun) = mpsc::channel();
            let (answers, answered) = mpsc::channel();
            let answered = Mutex::new(answered);
            let lookup = move |host: &str, port: u16| {
                assert_eq!((host, port), ("staging.internal.net", 8080));
                begins.send(()).unwrap();
                answered.lock().unwrap().recv().unwrap_or_else(|_| Ok(Vec::new()))
            };
            let url = Url::parse("http://staging.internal.net:8080/").unwrap();
            Scripted { names: Arc::new(Names::of(&url, Box::new(lookup))), begun, answers }
        }

        fn at(&self, now: Instant, patience: Duration) -> Result<Vec<SocketAddr>, String> {
            at(&self.names, now, patience)
        }

        /// Ends the lookup that is under way.
        fn end(&self, answer: Answer) {
            self.begun.recv().unwrap();
            self.answers.send(answer).unwrap();
            let ended =
                self.names.ended.wait_while(self.names.known(), |known| known.under_way).unwrap();
            assert!(!ended.under_way);
        }

        fn looks_up(&self) -> bool {
            self.names.known().under_way
        }
    }

    fn at(names: &Arc<Names>, now: Instant, wait: Duration) -> Result<Vec<SocketAddr>, String> {
        let found = names.addresses(now, wait, &OnSlow::new(|| {}));
        found.map(|found| found.to_vec()).map_err(|fault| {
            assert_eq!(fault.failure, Failure::Dns);
            fault.what
        })
    }

    fn address(last: u8) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([192, 0, 2, last], 8080))]
    }

    fn failed() -> Answer {
        Err(io::Error::other("no such host"))
    }

    #[test]
    fn an_address_is_never_looked_up() {
        let url = Url::parse("http://[::1]:8080/").unwrap();
        let names = Arc::new(Names::of(&url, Box::new(|_, _| unreachable!())));
        let found = names.addresses(Instant::now(), Duration::ZERO, &OnSlow::new(|| {})).unwrap();
        assert_eq!(found.to_vec(), ["[::1]:8080".parse().unwrap()]);
    }

    #[test]
    fn lookups_at_the_same_time_are_one() {
        let scripted = Scripted::new();
        let (names, now) = (&scripted.names, Instant::now());
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| at(names, now, LONG))).collect();
            scripted.end(Ok(address(1)));
            for one in waiting {
                assert_eq!(one.join().unwrap(), Ok(address(1)));
            }
        });
        assert!(scripted.begun.try_recv().is_err(), "there was one lookup");
        assert_eq!(scripted.at(now, Duration::ZERO), Ok(address(1)), "which is remembered");
    }

    #[test]
    fn a_slow_resolver_delays_no_exchange_to_a_known_address() {
        let scripted = Scripted::new();
        let now = Instant::now();
        let late = Err("resolve staging.internal.net: not done within 0ns".to_owned());
        assert_eq!(scripted.at(now, Duration::ZERO), late);
        scripted.end(Ok(address(1)));
        let later = Instant::now() + FRESH;
        for _ in 0..3 {
            assert_eq!(scripted.at(later, Duration::ZERO), Ok(address(1)));
        }
        scripted.end(Ok(address(2)));
        assert_eq!(scripted.at(later, Duration::ZERO), Ok(address(2)));
    }

    #[test]
    fn the_last_good_addresses_are_kept_when_a_lookup_fails() {
        let scripted = Scripted::new();
        assert!(scripted.at(Instant::now(), Duration::ZERO).is_err());
        scripted.end(Ok(address(1)));
        let later = Instant::now() + FRESH;
        assert_eq!(scripted.at(later, Duration::ZERO), Ok(address(1)));
        scripted.end(failed());
        assert_eq!(scripted.at(Instant::now(), Duration::ZERO), Ok(address(1)));
        assert!(!scripted.looks_up(), "not at once");
        assert_eq!(scripted.at(Instant::now() + PAUSE, Duration::ZERO), Ok(address(1)));
        assert!(scripted.looks_up());
    }

    #[test]
    fn a_failure_is_remembered_for_a_moment() {
        let scripted = Scripted::new();
        assert!(scripted.at(Instant::now(), Duration::ZERO).is_err());
        scripted.end(failed());
        let told = Err("resolve staging.internal.net: no such host".to_owned());
        for _ in 0..3 {
            assert_eq!(scripted.at(Instant::now(), LONG), told);
        }
        assert!(!scripted.looks_up());
        let later = Instant::now() + PAUSE;
        assert!(scripted.at(later, Duration::ZERO).is_err());
        scripted.end(Ok(Vec::new()));
        let none = Err("resolve staging.internal.net: no addresses".to_owned());
        assert_eq!(scripted.at(Instant::now(), LONG), none);
    }

    #[test]
    fn doubt_makes_addresses_old_but_not_at_once() {
        let scripted = Scripted::new();
        assert!(scripted.at(Instant::now(), Duration::ZERO).is_err());
        scripted.end(Ok(address(1)));
        scripted.names.doubt();
        assert_eq!(scripted.at(Instant::now(), Duration::ZERO), Ok(address(1)));
        assert!(!scripted.looks_up());
        assert_eq!(scripted.at(Instant::now() + PAUSE_IN_DOUBT, Duration::ZERO), Ok(address(1)));
        assert!(scripted.looks_up());
    }

    #[test]
    fn a_panic_in_the_resolver_is_a_failed_lookup() {
        let url = Url::parse("http://staging/").unwrap();
        let names = Arc::new(Names::of(&url, Box::new(|_, _| panic!("on purpose"))));
        let found = names.addresses(Instant::now(), LONG, &OnSlow::new(|| {}));
        assert_eq!(found.unwrap_err().what, "resolve staging: the lookup panicked");
    }
}
