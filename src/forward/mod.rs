//! The forwarders of one target: threads that take copies from its queue and send them to staging.
//!
//! ```text
//! pool.rs        which thread waits for copies, which rest, when another is started
//! forwarder.rs   one thread: takes copies, sees each to its outcome, rests
//! lines.rs       the pool's connections: how many, which are idle, when one goes
//! batch.rs       the copies that one thread has under way
//! hand.rs        one of them, from the queue to its one outcome
//! scrub.rs       what staging may not see is taken out
//! courier.rs     what carries it, as a forwarder sees it
//! balanced.rs    a line to each member of a balancer, and which of them carries it
//! line.rs        one connection: made, used again, replaced when stale
//! exchange.rs    one request written, one answer read, a step at a time
//! answer.rs      where an answer ends, and whether the connection outlives it
//! allowance.rs   how much of long answers is read
//! connecting.rs  whether connections are slow to make, and not too many
//! head.rs        what an answer's head says about its framing
//! wire.rs        what an exchange writes to and reads from
//! layered.rs     the same through ureq's transports, as TLS uses it
//! dial.rs        how sockets are made and connected: from where, by which path
//! tcp.rs         sockets: our connector and transport at the head of ureq's chain
//! tunnel.rs      the way through a proxy, opened before anything else goes over a socket
//! tls.rs         TLS over them: those that follow in the chain
//! room.rs        a connection's buffers
//! h2/            HTTP/2: all copies of a target by one thread, over one connection
//! names.rs       addresses of the target's name, looked up beside the exchanges
//! pace.rs        the time an exchange has, and who is told when it drags
//! fault.rs       why an exchange failed
//! report.rs      what the error log is told of copies
//! ```
//!
//! Imports run downwards. Nothing here knows httpd, and nothing here is reached by the request path
//! but [`Forwarders::reserve`] and [`Forwarders::queued`]; under prefork its thread, which a signal ends, calls
//! [`Forwarders::rouse`] too.

mod allowance;
mod answer;
mod balanced;
mod batch;
mod connecting;
mod courier;
mod dial;
mod exchange;
mod fault;
mod forwarder;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod h2;
mod hand;
mod head;
mod layered;
mod line;
mod lines;
mod names;
mod pace;
mod pool;
mod report;
mod room;
mod scrub;
mod tcp;
#[cfg(test)]
mod testing;
mod tls;
mod tunnel;
mod wire;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::Uri;

use crate::queue::{self, Full, Offers, Reserved};
use crate::route::Route;
use crate::stats::Account;
use crate::target::{Aim, Proxy, Target, Url};
use crate::tls::Tls;

use allowance::Allowance;
use balanced::{Balance, Balanced};
use connecting::{Connecting, Over};
use courier::Hire;
use dial::Dial;
use layered::Layered;
use line::Line;
use names::{Lookup, Names};
use pace::OnSlow;
use pool::Pool;
use tcp::{Base, TcpConnector};
use tls::{TlsConnector, TlsTransport};
use tunnel::Tunnel;
use ureq::unversioned::transport::Connector;
use wire::Wire;

/// The pool of one target in one child process, as the request path sees it.
pub struct Forwarders {
    offers: Offers,
}

impl Forwarders {
    /// Starts the target's `min` threads, and fails where not even one can be started.
    ///
    /// They, and all that they start, inherit the caller's signal mask.
    pub fn start(target: Arc<Target>, route: &Route, account: Account) -> io::Result<Forwarders> {
        let over = match route {
            Route::Direct { tls: None, .. } => Over::Plain,
            // Of a balancer, with a line to each of some members, which may be over TLS.
            _ => Over::Tls,
        };
        let shared = Shared::of(&target, over, account);
        let connecting = Arc::clone(&shared.connecting);
        let hire = match route {
            Route::Direct { url, tls } => {
                let names = shared.names(url, Box::new(names::system));
                let told = Arc::clone(&target);
                names.look_ahead(move |why| report::unresolved(account, &told, why));
                let makings = Makings::of(Aim::of(&target, url.clone()), names, shared)?;
                if url.scheme().is_h2() {
                    let offers = h2::start(target, account, makings, tls.as_ref())?;
                    return Ok(Forwarders { offers });
                }
                makings.hire(tls.clone())
            }
            Route::Balanced { url, roster, tls } => {
                let (below, tls) = (url.path().to_owned(), tls.clone());
                let towards = Arc::clone(&target);
                let lines_to_member = Box::new(move |member: &Url| {
                    let tls = balanced::towards(member, tls.as_ref())?;
                    let aim = Aim::of(&towards, member.below(&below));
                    let names = shared.names(&aim.url, Box::new(names::system));
                    let lines = lines_to(aim, tls, names, shared.clone());
                    lines.map_err(|error| error.to_string())
                });
                let roster = Arc::clone(roster);
                let balance = Arc::new(Balance::new(&target, roster, account, lines_to_member));
                let hire: Hire =
                    Box::new(move |on_slow| Box::new(Balanced::new(Arc::clone(&balance), on_slow)));
                hire
            }
        };
        Forwarders::with_couriers(target, account, hire, connecting)
    }

    fn with_couriers(
        target: Arc<Target>,
        account: Account,
        hire: Hire,
        connecting: Arc<Connecting>,
    ) -> io::Result<Forwarders> {
        let (offers, jobs) = queue::bounded(target.pool.queue);
        Pool::start(target, account, jobs, (hire, connecting))?;
        Ok(Forwarders { offers })
    }

    /// A place for one copy, unless the queue is full.
    ///
    /// Neither this nor filling it blocks or starts a thread; filling it wakes at most one.
    #[inline]
    pub fn reserve(&self) -> Result<Reserved<'_>, Full> {
        self.offers.reserve()
    }

    /// Hands a copy over at once.
    #[cfg(test)]
    pub fn offer(&self, job: queue::Job) -> Result<(), Full> {
        self.offers.offer(job)
    }

    /// Has a thread that waits for copies look for them: see [`Offers::rouse`].
    pub fn rouse(&self) {
        self.offers.rouse();
    }

    /// Copies that wait.
    pub fn queued(&self) -> usize {
        self.offers.len()
    }

    /// The queue's end, for tests that hand copies over otherwise.
    #[cfg(test)]
    pub fn offers(&self) -> &Offers {
        &self.offers
    }
}

/// What all lines of one target share.
#[derive(Clone)]
struct Shared {
    allowance: Arc<Allowance>,
    connecting: Arc<Connecting>,
    /// The address of this machine that connections leave from.
    bind_address: Option<IpAddr>,
    /// The proxy that they go through.
    proxy: Option<Arc<Proxy>>,
    dns_refresh: Duration,
}

impl Shared {
    fn of(target: &Target, over: Over, account: Account) -> Shared {
        let made = &account.valve().connections;
        Shared {
            allowance: Arc::new(Allowance::new(Instant::now())),
            connecting: Arc::new(Connecting::to(target.pool.max, over, made)),
            bind_address: target.bind_address,
            proxy: target.proxy.clone(),
            dns_refresh: target.dns_refresh,
        }
    }

    /// The proxy on the way to a URL: there is none before what is on this machine.
    fn proxy_to(&self, url: &Url) -> Option<&Arc<Proxy>> {
        self.proxy.as_ref().filter(|_| url.socket().is_none())
    }

    /// What is known of a URL's host, or of its proxy's, which knows the other.
    fn names(&self, url: &Url, lookup: Box<Lookup>) -> Arc<Names> {
        let url = self.proxy_to(url).map_or(url, |proxy| proxy.at());
        Arc::new(Names::of(url, lookup).fresh_for(self.dns_refresh))
    }
}

/// Makes lines to one server, which share what is known of its name.
fn lines_to(aim: Aim, tls: Option<Tls>, names: Arc<Names>, shared: Shared) -> io::Result<Hire> {
    Makings::of(aim, names, shared).map(|makings| makings.hire(tls))
}

/// What lines to one server are made of, which share what is known of its name.
struct Makings {
    aim: Arc<Aim>,
    /// What layers over the socket ask for, who know of no other way there.
    uri: Uri,
    names: Arc<Names>,
    dial: Dial,
    tunnel: Option<Tunnel>,
    shared: Shared,
}

impl Makings {
    fn of(aim: Aim, names: Arc<Names>, shared: Shared) -> io::Result<Makings> {
        let uri = aim.url.behind_socket().parse().map_err(io::Error::other)?;
        let dial = Dial::to(&aim.url, shared.bind_address);
        let proxy = shared.proxy_to(&aim.url);
        let tunnel = proxy.map(|proxy| Tunnel::through(Arc::clone(proxy), &aim.url));
        Ok(Makings { aim: Arc::new(aim), uri, names, dial, tunnel, shared })
    }

    /// Makes lines.
    fn hire(self, tls: Option<Tls>) -> Hire {
        Box::new(move |on_slow| match &tls {
            None => Box::new(self.plain(on_slow)),
            Some(tls) => Box::new(self.secure(tls, on_slow)),
        })
    }

    fn plain(&self, on_slow: OnSlow) -> Line<TcpConnector> {
        let chain = self.connector(&on_slow);
        self.line(chain, on_slow)
    }

    fn secure(
        &self,
        tls: &Tls,
        on_slow: OnSlow,
    ) -> Line<impl Connector<Out = TlsTransport> + use<>, Layered<TlsTransport>> {
        let (connector, base) = self.connector(&on_slow);
        self.line((connector.chain(TlsConnector::new(tls.clone())), base), on_slow)
    }

    fn connector(&self, on_slow: &OnSlow) -> (TcpConnector, Base) {
        let (base, connecting) = (Base::default(), Arc::clone(&self.shared.connecting));
        let connector = TcpConnector::new(on_slow.clone(), base.clone(), connecting);
        (connector.by(self.dial.clone()).through(self.tunnel.clone()), base)
    }

    fn line<C: Connector, W: Wire + From<C::Out>>(
        &self,
        chain: (C, Base),
        on_slow: OnSlow,
    ) -> Line<C, W> {
        let (aim, uri, names) = (Arc::clone(&self.aim), self.uri.clone(), Arc::clone(&self.names));
        let Shared { allowance, connecting, .. } = self.shared.clone();
        Line::new(aim, uri, names, chain, on_slow, (allowance, connecting))
    }
}

/// Whether connections can leave this machine from that address.
pub fn is_local(address: IpAddr) -> bool {
    dial::is_local(address)
}

impl fmt::Debug for Forwarders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarders").field("queued", &self.queued()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;
    use std::sync::mpsc;
    use std::thread;

    use super::testing::{
        Counters, LIMITS, OK, Staging, aim, budget, direct, job, message, message_of, request,
        target,
    };
    use super::*;
    use crate::stats::Cell;
    use crate::target::{Limits, Pool as Size};
    use crate::wait;

    #[test]
    fn each_slow_exchange_has_a_connection_until_there_are_max() {
        let (gate, passed) = mpsc::channel::<()>();
        let passed = Mutex::new(passed);
        let staging = Staging::start(move |_, stream| {
            while request(stream).is_some() {
                passed.lock().unwrap().recv().unwrap();
                stream.write_all(OK).unwrap();
            }
        });
        let size = Size { min: 1, max: 4, ttl: Duration::from_millis(30), queue: 100 };
        let counters = Counters::new();
        let forwarders = Forwarders::start(
            target(staging.address, size),
            &direct(staging.address),
            counters.account,
        )
        .unwrap();
        for _ in 0..10 {
            counters.account.select();
            forwarders.offer(job(message("GET", None), LIMITS)).unwrap();
        }
        staging.await_connections(4);
        let full = counters.until(|totals| totals.in_flight() == 4);
        assert_eq!(full.queued(), 6);
        // Who makes several connections does without as many threads.
        assert!((2..=4).contains(&full.count(Cell::Forwarders)), "{full:?}");
        (0..10).for_each(|_| gate.send(()).unwrap());
        let rest = counters.until(|totals| totals.count(Cell::Forwarders) == 1);
        assert_eq!((rest.count(Cell::Delivered2xx), rest.pending()), (10, 0));
        assert_eq!(rest.count(Cell::BytesReceived), 10 * OK.len() as u64);
        assert_eq!(staging.connections(), 0, "no more than those");
    }

    #[test]
    fn large_content_takes_no_memory_while_staging_thinks_about_it() {
        const CONTENT: usize = 300_000;
        let (gate, passed) = mpsc::channel::<()>();
        let passed = Mutex::new(passed);
        let staging = Staging::start(move |_, stream| {
            let mut left = CONTENT;
            while left > 0 {
                let read = request(stream).unwrap();
                left = left.saturating_sub(read.iter().filter(|byte| **byte == b'#').count());
            }
            passed.lock().unwrap().recv().unwrap();
            stream.write_all(OK).unwrap();
        });
        let (counters, budget) = (Counters::new(), budget());
        let pool = target(staging.address, Size::default());
        let forwarders =
            Forwarders::start(pool, &direct(staging.address), counters.account).unwrap();
        let message = message_of("POST", Some(&[b'#'; CONTENT]), budget);
        counters.account.select();
        forwarders.offer(job(message, LIMITS)).unwrap();
        wait::until(|| budget.used() < CONTENT);
        assert_eq!(counters.totals().in_flight(), 1);
        gate.send(()).unwrap();
        counters.until(|totals| totals.count(Cell::Delivered2xx) == 1);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn staging_that_keeps_no_connection_gets_one_in_each_millisecond_of_a_core() {
        const COPIES: u64 = 300;
        let staging = Staging::start(|_, stream| {
            request(stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let (begun, counters) = (Instant::now(), Counters::new());
        let pool = target(staging.address, Size { max: 1, queue: 1000, ..Size::default() });
        let forwarders =
            Forwarders::start(pool, &direct(staging.address), counters.account).unwrap();
        for _ in 0..COPIES {
            counters.account.select();
            forwarders.offer(job(message("GET", None), LIMITS)).unwrap();
        }
        let totals = counters.until(|totals| totals.pending() == 0);
        assert_eq!(totals.count(Cell::Delivered2xx), COPIES, "{totals:?}");
        let cores = thread::available_parallelism().unwrap().get() as u32;
        // One may be made at once.
        let least = Duration::from_millis(COPIES - 2) / cores;
        assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    }

    #[test]
    fn every_copy_has_one_outcome_whatever_staging_does() {
        // Every other connection is answered; the rest close at once, answer garbage, or hang.
        let (hold, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let staging = Staging::start(move |number, stream| {
            request(stream);
            match number % 6 {
                1 => {}
                3 => stream.write_all(b"garbage\r\n").unwrap(),
                5 => drop(held.lock().unwrap().recv()),
                _ => stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n").unwrap(),
            }
        });
        let counters = Counters::new();
        let pool = target(staging.address, Size { max: 3, ..Size::default() });
        let forwarders =
            Forwarders::start(pool, &direct(staging.address), counters.account).unwrap();
        let limits = Limits { timeout: Duration::from_secs(3), ..LIMITS };
        for _ in 0..18 {
            counters.account.select();
            forwarders.offer(job(message("POST", Some(b"x")), limits)).unwrap();
        }
        let totals = counters.until(|totals| totals.pending() == 0);
        let counts = [
            Cell::Selected,
            Cell::Taken,
            Cell::Delivered4xx,
            Cell::FailedReset,
            Cell::FailedProtocol,
            Cell::FailedTimeout,
            Cell::Unanswered,
        ];
        assert_eq!(counts.map(|cell| totals.count(cell)), [18, 18, 9, 3, 3, 3, 9]);
        assert_eq!(totals.sum(&Cell::OUTCOMES), 18);
        drop(hold);
    }

    #[test]
    fn a_name_that_does_not_resolve_fails_its_copies() {
        let lookup = Box::new(|_: &str, _: u16| Err(io::Error::other("no such host")));
        let counters = Counters::new();
        let pool = target("staging.invalid", Size::default());
        let (aim, shared) =
            (aim("staging.invalid"), Shared::of(&pool, Over::Plain, counters.account));
        let connecting = Arc::clone(&shared.connecting);
        let names = shared.names(&aim.url, lookup);
        let hire = lines_to(aim, None, names, shared).unwrap();
        let forwarders =
            Forwarders::with_couriers(pool, counters.account, hire, connecting).unwrap();
        for _ in 0..3 {
            counters.account.select();
            forwarders.offer(job(message("GET", None), LIMITS)).unwrap();
        }
        let totals = counters.until(|totals| totals.pending() == 0);
        assert_eq!((totals.count(Cell::FailedDns), totals.count(Cell::Unanswered)), (3, 0));
    }
}
