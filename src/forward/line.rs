//! A line to staging: one connection, made, used again, replaced when stale.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use socket2::Socket;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout, time};
use ureq::{Error, Timeout};

use crate::clock;
use crate::outcome::{Failure, StatusClass};
use crate::stats::Traffic;
use crate::target::{Aim, Limits};

use super::allowance::Allowance;
use super::connecting::{Connecting, Over};
use super::courier::{Courier, Errand, Progress};
use super::exchange::{Awaits, Broken, Exchange, Step, Until, Wait};
use super::fault::Fault;
use super::names::Names;
use super::pace::{Deadline, OnSlow, SLOW};
use super::tcp::Base;
use super::wire::Wire;

/// One connection of a target's, made by ureq's chain of connectors.
#[derive(Debug)]
pub(super) struct Line<C: Connector, W = <C as Connector>::Out> {
    aim: Arc<Aim>,
    uri: Uri,
    names: Arc<Names>,
    connector: C,
    base: Base,
    on_slow: OnSlow,
    allowance: Arc<Allowance>,
    connecting: Arc<Connecting>,
    config: Config,
    connection: Option<W>,
    /// The connection's socket.
    socket: Option<Arc<Socket>>,
    /// Who is at its other end, where that is an address.
    peer: Option<SocketAddr>,
    /// The exchange under way.
    exchange: Option<Exchange>,
    /// Whether it goes over a connection that was used before.
    reused: bool,
}

impl<C: Connector, W: Wire + From<C::Out>> Line<C, W> {
    /// `base` tells the socket under each connection that `connector` makes.
    pub(super) fn new(
        aim: Arc<Aim>,
        uri: Uri,
        names: Arc<Names>,
        (connector, base): (C, Base),
        on_slow: OnSlow,
        (allowance, connecting): (Arc<Allowance>, Arc<Connecting>),
    ) -> Line<C, W> {
        // The environment's proxy is not the administrator's.
        let config = Config::builder().proxy(None).build();
        Line {
            aim,
            uri,
            names,
            connector,
            base,
            on_slow,
            allowance,
            connecting,
            config,
            connection: None,
            socket: None,
            peer: None,
            exchange: None,
            reused: false,
        }
    }

    /// A connection's socket, and the address that it is to, for who speaks over it in another way.
    pub(super) fn dial(mut self, limits: &Limits) -> Result<(OwnedFd, Option<SocketAddr>), Fault> {
        let deadline = Deadline::new(Instant::now(), limits.timeout);
        self.connect(limits, &deadline, &mut Traffic::default())?;
        let socket = self.socket.take().map(|socket| socket.try_clone());
        let socket = socket.unwrap_or_else(|| Err(std::io::Error::other("no socket")));
        let socket = socket.map_err(|error| Fault::connecting(Error::Io(error), &deadline))?;
        Ok((socket.into(), self.peer))
    }

    /// Begins the exchange, over a new connection where there is none.
    fn begin(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
        if self.is_astray() {
            self.hang_up();
            // Who may not wait is asked again when no other copy would wait for the connection.
            if wait == Wait::Not {
                return Progress::Stale;
            }
        }
        self.reused = self.connection.is_some();
        if !self.reused
            && let Err(fault) = self.connect(errand.limits, errand.deadline, traffic)
        {
            return Progress::Ended(Err(fault));
        }
        let keeping = errand.keep.map(|keep| keep.keeping(errand.message));
        self.exchange = Some(Exchange::of(errand.message).keeping(keeping));
        self.go_on(errand, wait, traffic)
    }

    /// Takes the exchange a step further.
    fn go_on(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
        match self.step(errand, wait, traffic) {
            Ok(Err(awaits)) => Progress::Awaits(awaits),
            Ok(Ok(answered)) => {
                let class = self.answered(answered.class);
                if class.is_ok()
                    && let Some(keep) = errand.keep
                    && let Some(kept) = self.exchange.as_mut().and_then(Exchange::take_kept)
                {
                    keep.put(kept);
                }
                if !answered.reusable {
                    self.hang_up();
                }
                Progress::Ended(class)
            }
            Err(broken) => self.give_up(broken, errand),
        }
    }

    /// What an answer came to: it is staging's, but for that of a proxy which does not let us through.
    fn answered(&self, class: StatusClass) -> Result<StatusClass, Fault> {
        const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;
        let status = self.exchange.as_ref().map_or(0, Exchange::status);
        match &self.aim.via {
            Some(via) if status == PROXY_AUTHENTICATION_REQUIRED => {
                let what = format!("the proxy {}: it answered {status}", via.proxy);
                Err(Fault::new(Failure::Proxy, what))
            }
            _ => Ok(class),
        }
    }

    fn step(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Step {
        let (Some(connection), Some(exchange)) = (&mut self.connection, &mut self.exchange) else {
            let fault = Fault::new(Failure::Internal, "go on with no exchange");
            return Err(Broken { fault, unanswered: false });
        };
        let until = &Until {
            wait,
            deadline: errand.deadline,
            on_slow: &self.on_slow,
            allowance: &self.allowance,
        };
        match exchange.awaits() {
            Awaits::Room => {
                let parts = || errand.message.parts(&self.aim);
                exchange.write(connection, parts, until, traffic)
            }
            Awaits::Answer => exchange.read(connection, until, traffic),
        }
    }

    /// The connection broke: where staging closed it as we began to use it, the request may be sent again.
    fn give_up(&mut self, broken: Broken, errand: &Errand<'_>) -> Progress {
        self.hang_up();
        let closed_between = self.reused && broken.unanswered;
        if closed_between && errand.message.is_safe() {
            return Progress::Stale;
        }
        let stagings = [Failure::Reset, Failure::Protocol, Failure::Tls];
        if stagings.contains(&broken.fault.failure) && !closed_between {
            self.connecting.count_broken(self.over(), clock::nanos());
        }
        Progress::Ended(Err(broken.fault))
    }

    /// Whether the target's name means other addresses than its connection is to.
    fn is_astray(&self) -> bool {
        self.peer.is_some_and(|peer| !self.names.has(&peer, Instant::now()))
    }

    fn hang_up(&mut self) {
        (self.connection, self.socket, self.peer) = (None, None, None);
    }

    fn connect(
        &mut self,
        limits: &Limits,
        deadline: &Deadline,
        traffic: &mut Traffic,
    ) -> Result<(), Fault> {
        let begun = Instant::now();
        let made = self.make_connection(limits, deadline);
        // Whichever took long: the name, the socket, or TLS. A socket that did not is noted by its maker.
        let took = begun.elapsed();
        traffic.connecting += took;
        if took >= SLOW {
            self.connecting.note_slow(true);
        }
        // What nobody took, or nobody was asked for, cost little.
        let unasked = [Failure::Refused, Failure::Dns];
        if !made.as_ref().is_err_and(|fault| unasked.contains(&fault.failure)) {
            self.connecting.count(self.over(), clock::nanos());
        }
        made
    }

    fn over(&self) -> Over {
        if self.aim.url.scheme().is_secure() { Over::Tls } else { Over::Plain }
    }

    fn make_connection(&mut self, limits: &Limits, deadline: &Deadline) -> Result<(), Fault> {
        let patience = |doing| {
            let left = deadline.left().ok_or_else(|| Fault::late(doing, deadline))?;
            Ok(left.min(limits.connect_timeout))
        };
        let wait = patience("resolve the target's name")?;
        let addresses = self.names.addresses(Instant::now(), wait, &self.on_slow)?;
        let timeout = NextTimeout {
            after: patience("connect")?.into(),
            reason: Timeout::Connect,
            ..NextTimeout::default()
        };
        self.base.prepare(limits.receive_buffer);
        let details = self.details(addresses.clone(), timeout);
        let made = self.connector.connect(&details, None).and_then(|connection| {
            // A chain may be made of connectors that all leave it to another.
            connection.ok_or(Error::ConnectionFailed)
        });
        let connection = made.map_err(|error| {
            self.names.doubt();
            Fault::connecting(error, deadline)
        })?;
        (self.connection, self.socket) = (Some(connection.into()), self.base.take());
        self.peer = self.base.peer();
        let untried = addresses.iter().position(|address| Some(*address) == self.peer);
        self.names
            .failed(addresses.get(..untried.unwrap_or(0)).unwrap_or_default(), Instant::now());
        Ok(())
    }

    fn details(&self, addrs: ResolvedSocketAddrs, timeout: NextTimeout) -> ConnectionDetails<'_> {
        ConnectionDetails {
            uri: &self.uri,
            addrs,
            config: &self.config,
            request_level: false,
            resolver: &Unresolved,
            now: time::Instant::now(),
            timeout,
            current_time: Arc::new(time::Instant::now),
            run_connector: Arc::new(|_| Err(Error::ConnectionFailed)),
            register_shutdown: Arc::new(|_| Ok(())),
        }
    }
}

impl<C: Connector, W: Wire + From<C::Out>> Courier for Line<C, W> {
    fn is_open(&mut self) -> bool {
        self.connection.as_mut().is_some_and(Wire::is_open)
    }

    fn has_connection(&self) -> bool {
        self.connection.is_some()
    }

    fn send(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
        self.begin(errand, wait, traffic)
    }

    fn go_on(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
        Line::go_on(self, errand, wait, traffic)
    }

    fn late(&self, deadline: &Deadline) -> Fault {
        let late = |exchange: &Exchange| exchange.late(deadline);
        self.exchange.as_ref().map_or_else(|| Fault::late("begin", deadline), late)
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(|socket| socket.as_fd())
    }
}

/// In the place of ureq's resolver: names are looked up beside the exchanges, never within.
#[derive(Debug)]
pub(super) struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Err(Error::HostNotFound)
    }
}

#[cfg(test)]
mod tests;
