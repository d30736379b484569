//! Lines to staging servers that behave and misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::super::layered::Layered;
use super::super::names;
use super::super::tcp::{TcpConnector, TcpTransport, are_open};
use super::super::testing::{LIMITS, OK, Staging, aim, bytes, message, request};
use super::*;
use crate::message::Message;
use crate::outcome::StatusClass;

const DELIVERED: Result<StatusClass, Failure> = Ok(StatusClass::Successful);

fn line(authority: impl ToString) -> Line<TcpConnector> {
    line_telling(authority, OnSlow::new(|| {}))
}

fn line_telling(authority: impl ToString, on_slow: OnSlow) -> Line<TcpConnector> {
    line_of(authority, on_slow)
}

/// One whose bytes go through a transport's buffers.
fn layered_line(authority: impl ToString) -> Line<TcpConnector, Layered<TcpTransport>> {
    line_of(authority, OnSlow::new(|| {}))
}

fn line_of<W: Wire + From<TcpTransport>>(
    authority: impl ToString,
    on_slow: OnSlow,
) -> Line<TcpConnector, W> {
    let aim = Arc::new(aim(authority));
    let uri = aim.url.to_string().parse().unwrap();
    let names = Arc::new(Names::of(&aim.url, Box::new(names::system)));
    let base = Base::default();
    let connector = TcpConnector::new(on_slow.clone(), base.clone(), Arc::default());
    let shared = (Arc::new(Allowance::new(Instant::now())), Arc::default());
    Line::new(aim, uri, names, (connector, base), on_slow, shared)
}

impl<W: Wire + From<TcpTransport>> Line<TcpConnector, W> {
    /// What a forwarder does for a copy alone, but that it looks at the clock rather than polls.
    fn deliver(
        &mut self,
        message: &Message,
        limits: &Limits,
        traffic: &mut Traffic,
    ) -> Result<StatusClass, Fault> {
        if are_open(self.socket().into_iter()) == [false] {
            self.hang_up();
        }
        let deadline = Deadline::new(Instant::now(), limits.timeout);
        let errand = Errand { message, limits, deadline: &deadline, keep: None };
        let mut progress = self.send(&errand, Wait::Long, traffic);
        loop {
            match progress {
                Progress::Ended(result) => return result,
                Progress::Dropped(loss) => panic!("dropped: {loss:?}"),
                Progress::Stale => progress = self.send(&errand, Wait::Long, traffic),
                Progress::Awaits(_) if deadline.left().is_none() => {
                    self.hang_up();
                    return Err(self.late(&deadline));
                }
                Progress::Awaits(_) => {
                    progress = Courier::go_on(self, &errand, Wait::Briefly, traffic);
                }
            }
        }
    }

    fn send_within(&mut self, message: &Message, limits: Limits) -> Result<StatusClass, Fault> {
        self.deliver(message, &limits, &mut Traffic::default())
    }

    fn send_alone(&mut self, message: &Message) -> Result<StatusClass, Failure> {
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
        line.deliver(message, &LIMITS, &mut traffic).unwrap();
        let expected = bytes(message, &line.aim);
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
    let sent = bytes(&message, &aim("www.example.com"));
    let length = sent.len();
    let staging = Staging::start(move |_, stream| {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap();
        sender.send(bytes).unwrap();
        stream.write_all(OK).unwrap();
    });
    assert_eq!(line(staging.address).send_alone(&message), DELIVERED);
    assert!(received.recv().unwrap() == sent);
    assert_eq!(layered_line(staging.address).send_alone(&message), DELIVERED);
    assert!(received.recv().unwrap() == sent);
}

#[test]
fn content_of_an_answer_is_passed_over_and_the_connection_kept() {
    let large = "0123456789".repeat(20_000);
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len());
    let chunks = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n{:x}\r\n{large}\r\n1\r\nx\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len(),
        large.len()
    );
    for answer in [length, chunks] {
        let received = 3 * answer.len() as u64;
        let staging = Staging::answering(answer.leak().as_bytes());
        fn thrice<W: Wire + From<TcpTransport>>(mut line: Line<TcpConnector, W>) -> Traffic {
            let mut traffic = Traffic::default();
            for _ in 0..3 {
                line.deliver(&message("GET", None), &LIMITS, &mut traffic).unwrap();
            }
            traffic
        }
        assert_eq!(thrice(line(staging.address)).received, received);
        assert_eq!(staging.connections(), 1);
        assert_eq!(thrice(layered_line(staging.address)).received, received);
        assert_eq!(staging.connections(), 1);
    }
}

#[test]
fn a_connection_that_staging_closed_is_replaced_before_use() {
    let staging = Staging::closing_after(OK);
    let mut line = line(staging.address);
    for _ in 0..3 {
        assert_eq!(line.send_alone(&message("POST", Some(b"x"))), DELIVERED);
        // Wait for the end of the connection, which any read shows.
        let connection = line.connection.as_mut().unwrap();
        let patience = NextTimeout { after: LIMITS.timeout.into(), ..NextTimeout::default() };
        assert!(!connection.read(patience).unwrap());
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
    assert_eq!(line.send_alone(&message("GET", None)), DELIVERED);
    assert_eq!(line.send_alone(&message("GET", None)), DELIVERED);
    assert_eq!(staging.connections(), 2);
}

#[test]
fn another_request_is_never_sent_twice() {
    let staging = closing_on_reuse();
    let mut line = line(staging.address);
    assert_eq!(line.send_alone(&message("POST", Some(b"x"))), DELIVERED);
    assert_eq!(line.send_alone(&message("POST", Some(b"x"))), Err(Failure::Reset));
    assert_eq!(line.send_alone(&message("POST", Some(b"x"))), DELIVERED);
    assert_eq!(staging.connections(), 2);
}

#[test]
fn a_fresh_connection_that_closes_unanswered_is_not_tried_again() {
    let staging = Staging::closing_after(b"");
    assert_eq!(line(staging.address).send_alone(&message("GET", None)), Err(Failure::Reset));
    assert_eq!(staging.connections(), 1);
}

#[test]
fn stray_bytes_end_the_connection() {
    let staging = Staging::answering(b"HTTP/1.1 204 No Content\r\n\r\nstray");
    let mut line = line(staging.address);
    for _ in 0..2 {
        assert_eq!(line.send_alone(&message("GET", None)), DELIVERED);
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
            assert_eq!(line.send_alone(&message("GET", None)), expected);
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
        assert_eq!(line(staging.address).send_alone(&message("GET", None)), expected);
    }
}

#[test]
fn long_answers_beyond_the_allowance_are_delivered_and_cost_the_connection() {
    let content = "x".repeat(200_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{content}");
    let staging = Staging::start(move |_, stream| {
        while request(stream).is_some() && stream.write_all(answer.as_bytes()).is_ok() {}
    });
    let mut line = line(staging.address);
    (0..2).for_each(|_| assert_eq!(line.send_alone(&message("GET", None)), DELIVERED));
    assert_eq!(staging.connections(), 1);
    // None is left, and while it is kept from the clock, none comes.
    let future = Instant::now() + Duration::from_secs(3600);
    while line.allowance.take(1 << 16, future) {}
    (0..2).for_each(|_| assert_eq!(line.send_alone(&message("GET", None)), DELIVERED));
    assert_eq!(staging.connections(), 1, "the second of them needed one");
}

#[test]
fn an_endless_answer_is_delivered_at_the_limit() {
    let staging = Staging::start(|_, stream| {
        request(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(line(staging.address).send_alone(&message("GET", None)), DELIVERED);
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
        assert!((timeout..timeout * 100).contains(&started.elapsed()), "{:?}", started.elapsed());
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
    assert_eq!(line(staging.address).send_alone(&message), Ok(StatusClass::ClientError));
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

/// Makes connections as slowly as a handshake may.
#[derive(Debug)]
struct Slowly(TcpConnector);

impl Connector for Slowly {
    type Out = TcpTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<TcpTransport>, Error> {
        let made = self.0.connect(details, chained);
        let began = Instant::now();
        while began.elapsed() < SLOW {
            std::hint::spin_loop();
        }
        made
    }
}

#[test]
fn a_connection_is_slow_to_make_whichever_layer_takes_long() {
    let staging = Staging::answering(OK);
    let Line { aim, uri, names, connector, base, on_slow, allowance, .. } = line(staging.address);
    let connecting: Arc<Connecting> = Arc::default();
    let (chain, shared) = ((Slowly(connector), base), (allowance, Arc::clone(&connecting)));
    let mut line: Line<Slowly> = Line::new(aim, uri, names, chain, on_slow, shared);
    let (message, deadline) = (message("GET", None), Deadline::new(Instant::now(), LIMITS.timeout));
    let errand = Errand { message: &message, limits: &LIMITS, deadline: &deadline, keep: None };
    line.send(&errand, Wait::Long, &mut Traffic::default());
    assert!(connecting.is_slow());
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

#[test]
fn a_connection_is_kept_whatever_the_system_calls_its_other_end() {
    let staging = Staging::answering(OK);
    let mut line = line(format!("staging:{}", staging.address.port()));
    // Which leads to 127.0.0.1.
    let anywhere = |_: &str, port: u16| Ok(vec![SocketAddr::from(([0, 0, 0, 0], port))]);
    line.names = Arc::new(Names::of(&line.aim.url, Box::new(anywhere)));
    for _ in 0..3 {
        assert_eq!(line.send_alone(&message("GET", None)), DELIVERED);
    }
    staging.await_connections(1);
    assert_eq!(staging.connections(), 0);
}

#[test]
fn what_staging_breaks_off_counts_and_what_it_closes_between_exchanges_does_not() {
    let owes = |staging: &Staging, methods: &[&str]| {
        let Line { aim, uri, names, connector, base, on_slow, allowance, .. } =
            line(staging.address);
        let connecting = Arc::new(Connecting::to(1, Over::Plain, Box::leak(Box::default())));
        let shared = (allowance, Arc::clone(&connecting));
        let mut line: Line<TcpConnector> =
            Line::new(aim, uri, names, (connector, base), on_slow, shared);
        for method in methods {
            let _ = line.deliver(&message(method, None), &LIMITS, &mut Traffic::default());
        }
        // At once, however long it took until here.
        connecting.owed(|| 0).is_some()
    };
    assert!(!owes(&Staging::answering(OK), &["GET", "GET"]));
    let closing = Staging::start(|_, stream| {
        request(stream);
        stream.write_all(OK).unwrap();
        request(stream);
    });
    assert!(!owes(&closing, &["GET", "POST"]), "closed as it was used again");
    for broken in [&b"HTTP/1.1 200 O"[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"no"] {
        assert!(owes(&Staging::closing_after(broken), &["GET"]), "{broken:?}");
    }
}
