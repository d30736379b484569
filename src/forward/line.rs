//! A forwarder's line to staging: its one connection, made, used again, replaced when stale.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout, Transport, time};
use ureq::{Error, Timeout};

use crate::message::Message;
use crate::outcome::StatusClass;
use crate::stats::Traffic;
use crate::target::{Limits, Target};

use super::exchange::{Answered, Broken, exchange};
use super::fault::Fault;
use super::forwarder::Courier;
use super::names::Names;
use super::pace::{Deadline, OnSlow};

/// The most room for a head that is kept between exchanges.
const HEAD_ROOM: usize = 64 * 1024;

/// The connection of one forwarder, made by ureq's chain of connectors.
#[derive(Debug)]
pub(super) struct Line<C: Connector> {
    target: Arc<Target>,
    uri: Uri,
    names: Arc<Names>,
    connector: C,
    on_slow: OnSlow,
    config: Config,
    /// Kept alive from the last exchange.
    connection: Option<C::Out>,
    /// The head of the request that is being sent.
    head: Vec<u8>,
}

impl<C: Connector> Line<C> {
    pub(super) fn new(
        target: Arc<Target>,
        uri: Uri,
        names: Arc<Names>,
        connector: C,
        on_slow: OnSlow,
    ) -> Line<C> {
        // The environment's proxy is not the administrator's.
        let config = Config::builder().proxy(None).build();
        Line { target, uri, names, connector, on_slow, config, connection: None, head: Vec::new() }
    }

    /// Exchanges over the connection, which is kept only if the answer allows it.
    fn exchange_over(
        &mut self,
        mut connection: C::Out,
        message: &Message,
        deadline: &Deadline,
        traffic: &mut Traffic,
    ) -> Result<Answered, Broken> {
        let answered = exchange(&mut connection, &self.head, message, deadline, traffic)?;
        self.connection = answered.reusable.then_some(connection);
        Ok(answered)
    }

    fn connect(&self, limits: &Limits, deadline: &Deadline) -> Result<C::Out, Fault> {
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
        let details = self.details(addresses, timeout);
        let made = self.connector.connect(&details, None).and_then(|connection| {
            // A chain may be made of connectors that all leave it to another.
            connection.ok_or(Error::ConnectionFailed)
        });
        made.map_err(|error| {
            self.names.doubt();
            Fault::connecting(error, deadline)
        })
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

impl<C: Connector> Courier for Line<C> {
    fn deliver(
        &mut self,
        message: &Message,
        limits: &Limits,
        taken: Instant,
        traffic: &mut Traffic,
    ) -> Result<StatusClass, Fault> {
        let deadline = Deadline::new(taken, limits.timeout, self.on_slow.clone());
        self.head.clear();
        self.head.shrink_to(HEAD_ROOM);
        message.write_head(&self.target.url, self.target.path, &mut self.head);

        let kept = mem::take(&mut self.connection);
        if let Some(connection) = kept.and_then(still_open) {
            match self.exchange_over(connection, message, &deadline, traffic) {
                Ok(answered) => return Ok(answered.class),
                // Staging closed the connection as we began to use it.
                Err(broken) if broken.unanswered && message.is_safe() => {}
                Err(broken) => return Err(broken.fault),
            }
        }
        let connection = self.connect(limits, &deadline)?;
        match self.exchange_over(connection, message, &deadline, traffic) {
            Ok(answered) => Ok(answered.class),
            Err(broken) => Err(broken.fault),
        }
    }
}

fn still_open<T: Transport>(mut connection: T) -> Option<T> {
    connection.is_open().then_some(connection)
}

/// In the place of ureq's resolver: names are looked up beside the exchanges, never within.
#[derive(Debug)]
struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Err(Error::HostNotFound)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};

    use super::super::names;
    use super::super::tcp::TcpConnector;
    use super::super::testing::{LIMITS, OK, Staging, bytes, message, request, target};
    use super::*;
    use crate::outcome::Failure;
    use crate::target::{PathMode, Pool};

    const DELIVERED: Result<StatusClass, Failure> = Ok(StatusClass::Successful);

    fn line(authority: impl ToString) -> Line<TcpConnector> {
        line_telling(authority, OnSlow::new(|| {}))
    }

    fn line_telling(authority: impl ToString, on_slow: OnSlow) -> Line<TcpConnector> {
        let target = target(authority, Pool::default());
        let uri = target.url.to_string().parse().unwrap();
        let names = Arc::new(Names::of(&target.url, Box::new(names::system)));
        Line::new(target, uri, names, TcpConnector::new(on_slow.clone()), on_slow)
    }

    impl Line<TcpConnector> {
        fn send_within(&mut self, message: &Message, limits: Limits) -> Result<StatusClass, Fault> {
            self.deliver(message, &limits, Instant::now(), &mut Traffic::default())
        }

        fn send(&mut self, message: &Message) -> Result<StatusClass, Failure> {
            self.send_within(message, LIMITS).map_err(|fault| fault.failure)
        }
    }

    fn within(timeout: Duration) -> Limits {
        Limits { timeout, ..LIMITS }
    }

    #[test]
    fn each_request_is_sent_at_once_and_as_it_is() {
        let (sender, received) = mpsc::channel();
        let staging = Staging::start(move |_, stream| {
            while let Some(request) = request(stream) {
                sender.send(request).unwrap();
                stream.write_all(OK).unwrap();
            }
        });
        let mut line = line(staging.address);
        let mut traffic = Traffic::default();
        let content = vec![b'x'; 1024];
        let messages = [
            message("GET", None),
            message("POST", Some(&content)),
            message("GET", Some(b"with content")),
            message("PURGE", None),
        ];
        let mut sent = 0;
        for message in &messages {
            line.deliver(message, &LIMITS, Instant::now(), &mut traffic).unwrap();
            let expected = bytes(message, &line.target);
            sent += expected.len();
            assert_eq!(received.recv().unwrap(), expected);
        }
        assert_eq!(traffic.sent, sent as u64);
        assert_eq!(traffic.received, (messages.len() * OK.len()) as u64);
        assert_eq!(staging.connections(), 1, "one connection serves them all");
    }

    #[test]
    fn large_content_arrives_whole() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        let message = message("PUT", Some(&content));
        let (sender, received) = mpsc::channel();
        let url = target("staging", Pool::default());
        let mut head = Vec::new();
        message.write_head(&url.url, PathMode::Append, &mut head);
        let length = head.len() + content.len();
        let staging = Staging::start(move |_, stream| {
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).unwrap();
            sender.send(bytes).unwrap();
            stream.write_all(OK).unwrap();
        });
        assert_eq!(line(staging.address).send(&message), DELIVERED);
        assert!(received.recv().unwrap().ends_with(&content));
    }

    #[test]
    fn a_connection_that_staging_closed_is_replaced_before_use() {
        let staging = Staging::closing_after(OK);
        let mut line = line(staging.address);
        for _ in 0..3 {
            assert_eq!(line.send(&message("POST", Some(b"x"))), DELIVERED);
            // Wait for the end of the connection, which any read shows.
            let connection = line.connection.as_mut().unwrap();
            let patience = NextTimeout { after: LIMITS.timeout.into(), ..NextTimeout::default() };
            assert!(!connection.await_input(patience).unwrap());
        }
        assert_eq!(staging.connections(), 3);
    }

    /// Keeps the connection until the second request arrives, and closes it unanswered.
    fn closing_on_reuse() -> Staging {
        Staging::start(|number, stream| {
            for exchange in 0.. {
                if request(stream).is_none() || (number == 0 && exchange == 1) {
                    return;
                }
                stream.write_all(OK).unwrap();
            }
        })
    }

    #[test]
    fn a_safe_request_that_met_a_closing_connection_is_sent_once_more() {
        let staging = closing_on_reuse();
        let mut line = line(staging.address);
        assert_eq!(line.send(&message("GET", None)), DELIVERED);
        assert_eq!(line.send(&message("GET", None)), DELIVERED);
        assert_eq!(staging.connections(), 2);
    }

    #[test]
    fn another_request_is_never_sent_twice() {
        let staging = closing_on_reuse();
        let mut line = line(staging.address);
        assert_eq!(line.send(&message("POST", Some(b"x"))), DELIVERED);
        assert_eq!(line.send(&message("POST", Some(b"x"))), Err(Failure::Reset));
        assert_eq!(line.send(&message("POST", Some(b"x"))), DELIVERED);
        assert_eq!(staging.connections(), 2);
    }

    #[test]
    fn a_fresh_connection_that_closes_unanswered_is_not_tried_again() {
        let staging = Staging::closing_after(b"");
        assert_eq!(line(staging.address).send(&message("GET", None)), Err(Failure::Reset));
        assert_eq!(staging.connections(), 1);
    }

    #[test]
    fn stray_bytes_end_the_connection() {
        let staging = Staging::answering(b"HTTP/1.1 204 No Content\r\n\r\nstray");
        let mut line = line(staging.address);
        for _ in 0..2 {
            assert_eq!(line.send(&message("GET", None)), DELIVERED);
        }
        assert_eq!(staging.connections(), 2);
    }

    #[test]
    fn answers_end_as_they_say() {
        for (answer, expected, connections) in [
            (OK, DELIVERED, 1),
            (
                b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
                Ok(StatusClass::Redirection),
                1,
            ),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", DELIVERED, 1),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", DELIVERED, 2),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Err(Failure::Protocol), 2),
            (b"220 mail.example.com ESMTP\r\n", Err(Failure::Protocol), 2),
        ] {
            let staging = Staging::answering(answer);
            let mut line = line(staging.address);
            for _ in 0..2 {
                assert_eq!(line.send(&message("GET", None)), expected);
            }
            assert_eq!(staging.connections(), connections);
        }
        for (answer, expected) in [
            (&b"HTTP/1.1 503 Busy\r\n\r\nuntil the end"[..], Ok(StatusClass::ServerError)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Err(Failure::Reset)),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                Err(Failure::Reset),
            ),
            (b"HTTP/1.1 200 O", Err(Failure::Reset)),
        ] {
            let staging = Staging::closing_after(answer);
            assert_eq!(line(staging.address).send(&message("GET", None)), expected);
        }
    }

    #[test]
    fn an_endless_answer_is_delivered_at_the_limit() {
        let staging = Staging::start(|_, stream| {
            request(stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        assert_eq!(line(staging.address).send(&message("GET", None)), DELIVERED);
    }

    #[test]
    fn the_deadline_holds_however_staging_drips() {
        let staging = Staging::start(|_, stream| {
            request(stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            while stream.write_all(b"x").is_ok() {
                std::thread::yield_now();
            }
        });
        let started = Instant::now();
        let timeout = Duration::from_millis(60);
        let fault = line(staging.address).send_within(&message("GET", None), within(timeout));
        assert_eq!(fault.unwrap_err().failure, Failure::Timeout);
        assert!((timeout..timeout * 100).contains(&started.elapsed()), "{:?}", started.elapsed());
    }

    #[test]
    fn the_deadline_holds_when_staging_reads_nothing_or_answers_nothing() {
        // It accepts, as the system does for it, and that is all.
        let staging = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = staging.local_addr().unwrap();
        for content in [100, 16 << 20] {
            let message = message("POST", Some(&vec![b'x'; content]));
            let started = Instant::now();
            let timeout = Duration::from_millis(60);
            let fault = line(address).send_within(&message, within(timeout)).unwrap_err();
            assert_eq!(fault.failure, Failure::Timeout);
            assert!(fault.what.ends_with(": not done within 60ms"), "{}", fault.what);
            assert!(
                (timeout..timeout * 100).contains(&started.elapsed()),
                "{:?}",
                started.elapsed()
            );
        }
    }

    #[test]
    fn an_answer_before_the_end_of_the_request_counts() {
        let staging = Staging::start(|_, stream| {
            let mut first = [0; 100];
            stream.read_exact(&mut first).unwrap();
            stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // Closed with most of the request unread: the system resets the connection.
        });
        let message = message("POST", Some(&vec![b'x'; 16 << 20]));
        assert_eq!(line(staging.address).send(&message), Ok(StatusClass::ClientError));
    }

    #[test]
    fn failures_to_connect_are_told_apart() {
        // Bound, so that nobody else listens there, but not listening.
        let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let free = deaf.local_addr().unwrap().as_socket().unwrap();
        let fault = line(free).send_within(&message("GET", None), LIMITS).unwrap_err();
        assert_eq!(fault.failure, Failure::Refused);
        assert_eq!(fault.what, format!("connect to {free}: Connection refused (os error 111)"));
        // No connection leaves to a broadcast address.
        let fault = line("255.255.255.255").send_within(&message("GET", None), LIMITS).unwrap_err();
        assert_eq!(fault.failure, Failure::Connect, "{}", fault.what);
    }

    #[test]
    fn a_connection_takes_no_longer_than_it_may_and_tells_that_it_is_slow() {
        // Where nobody accepts, and no more may wait to be, the system leaves the rest unanswered.
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap().as_socket().unwrap();
        let wait = Duration::from_millis(30);
        let waiting: Vec<_> = std::iter::repeat_with(|| TcpStream::connect_timeout(&address, wait))
            .map_while(Result::ok)
            .collect();
        assert!(!waiting.is_empty());

        let told = Arc::new(AtomicUsize::new(0));
        let tells = Arc::clone(&told);
        let on_slow = OnSlow::new(move || {
            tells.fetch_add(1, Ordering::Relaxed);
        });
        for (limits, failure) in [
            (Limits { connect_timeout: wait, ..LIMITS }, Failure::Connect),
            (within(wait), Failure::Timeout),
        ] {
            let mut line = line_telling(address, on_slow.clone());
            let fault = line.send_within(&message("GET", None), limits).unwrap_err();
            assert_eq!(fault.failure, failure);
            assert_eq!(fault.what, format!("connect to {address}: connection timed out"));
        }
        assert!(told.load(Ordering::Relaxed) >= 2);
    }
}
