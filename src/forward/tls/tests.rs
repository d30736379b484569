//! Connections to a server of rustls on a socket of loopback.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;
use ureq::Timeout;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::ArrayVec;
use ureq::unversioned::transport::ConnectionDetails;

use super::super::layered::Layered;
use super::super::line::Unresolved;
use super::super::pace::OnSlow;
use super::super::tcp::{Base, TcpConnector};
use super::super::testing::LONG;
use super::super::wire::Wire;
use super::*;
use crate::target::Url;
use crate::tls::{Loader, Settings};

type Server = StreamOwned<ServerConnection, TcpStream>;

/// A server that does this with its one connection, and the connection as its client has it.
fn connect(serve: impl FnOnce(Server) + Send + 'static) -> TlsTransport {
    connect_to(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
}

fn connect_to(listener: TcpListener, serve: impl FnOnce(Server) + Send + 'static) -> TlsTransport {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["staging.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut server = StreamOwned::new(connection, stream);
        server.conn.complete_io(&mut server.sock).unwrap();
        serve(server);
    });
    let base = Base::default();
    let tcp = TcpConnector::new(OnSlow::new(|| {}), base, Arc::default());
    let settings = Settings { verify: Some(false), ..Settings::default() };
    let url = Url::parse("https://staging.test/").unwrap();
    let tls = Loader::default().load(&settings, &url).unwrap();
    let mut addrs = ArrayVec::from_fn(|_| address);
    addrs.push(address);
    let (uri, config): (Uri, _) = (url.to_string().parse().unwrap(), Config::default());
    let details = ConnectionDetails {
        uri: &uri,
        addrs,
        config: &config,
        request_level: false,
        resolver: &Unresolved,
        now: time::Instant::now(),
        timeout: within(LONG),
        current_time: Arc::new(time::Instant::now),
        run_connector: Arc::new(|_| Err(Error::ConnectionFailed)),
        register_shutdown: Arc::new(|_| Ok(())),
    };
    tcp.chain(TlsConnector::new(tls)).connect(&details, None).unwrap().unwrap()
}

fn within(time: Duration) -> NextTimeout {
    NextTimeout { after: time.into(), reason: Timeout::Global, ..NextTimeout::default() }
}

/// Waits until the socket shows that there is something to do.
fn wait(transport: &TlsTransport, flags: PollFlags) {
    let mut socket = [PollFd::from_borrowed_fd(transport.tcp.socket(), flags)];
    let long = Timespec::try_from(LONG).unwrap();
    assert_eq!(poll(&mut socket, Some(&long)).unwrap(), 1, "staging does its part");
}

/// Reads without waiting until there is nothing, and then as the socket shows that there is more.
fn read(transport: &mut TlsTransport, amount: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < amount {
        match transport.await_input(within(AT_ONCE)) {
            Ok(open) => assert!(open),
            Err(Error::Timeout(_)) => wait(transport, PollFlags::IN),
            Err(error) => panic!("{error}"),
        }
        let input = transport.room.input();
        bytes.extend_from_slice(input);
        let consumed = input.len();
        transport.room.input_consume(consumed);
    }
    bytes
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[test]
fn what_staging_does_not_take_at_once_is_sent_when_it_does() {
    let (begin, begun) = mpsc::channel::<()>();
    let (received, receives) = mpsc::channel();
    let wire = connect(move |mut server| {
        begun.recv().unwrap();
        let mut bytes = vec![0; 8 << 20];
        server.read_exact(&mut bytes).unwrap();
        received.send(bytes).unwrap();
    });
    let mut wire = Layered::from(wire);
    let content = content(8 << 20);
    let (mut sent, mut waits) = (0, 0);
    while sent < content.len() {
        match wire.write(std::iter::once(&content[sent..]), within(AT_ONCE)) {
            Ok(written) => sent += written,
            Err(Error::Timeout(_)) => {
                if waits == 0 {
                    begin.send(()).unwrap();
                }
                waits += 1;
                wait(wire.transport(), PollFlags::OUT);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(waits > 0, "eight megabytes are more than a socket takes");
    assert!(receives.recv().unwrap() == content);
}

#[test]
fn staging_that_takes_a_little_at_a_time_has_no_more_time_than_one_that_takes_nothing() {
    const TIME: Duration = Duration::from_millis(200);
    let (end, ended) = mpsc::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The least there is.
    SockRef::from(&listener).set_recv_buffer_size(1).unwrap();
    let mut transport = connect_to(listener, move |mut server| {
        let mut bytes = [0; 1024];
        // Each time well before the other's patience ends.
        while ended.recv_timeout(TIME / 8) == Err(RecvTimeoutError::Timeout) {
            if server.sock.read(&mut bytes).is_err() {
                return;
            }
        }
    });
    SockRef::from(&transport.tcp.socket()).set_send_buffer_size(1).unwrap();
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < LONG, "each part that it takes gives it the whole time again");
        let output = transport.buffers().output().len();
        match transport.transmit_output(output, within(TIME)) {
            Ok(()) => {}
            Err(Error::Timeout(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    drop(end);
}

#[test]
fn all_that_is_received_is_read_though_the_socket_shows_nothing_more() {
    let (end, ended) = mpsc::channel::<()>();
    let mut transport = connect(move |mut server| {
        // Many small records, in as few pieces as may be; and then one that is larger than a read.
        server.conn.set_buffer_limit(None);
        for piece in content(30_000).chunks(7) {
            server.conn.writer().write_all(piece).unwrap();
        }
        server.write_all(&content(70_000)).unwrap();
        ended.recv().unwrap_err();
    });
    let expected = [content(30_000), content(70_000)].concat();
    assert!(read(&mut transport, expected.len()) == expected);
    assert!(matches!(transport.await_input(within(AT_ONCE)), Err(Error::Timeout(_))));
    drop(end);
}

#[test]
fn tickets_leave_a_connection_open_and_content_that_nobody_asked_for_does_not() {
    let (tell, told) = mpsc::channel::<()>();
    let mut transport = connect(move |mut server| {
        // The handshake has ended with tickets.
        told.recv().unwrap();
        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        told.recv().unwrap_err();
    });
    wait(&transport, PollFlags::IN);
    assert!(Transport::is_open(&mut transport));
    tell.send(()).unwrap();
    wait(&transport, PollFlags::IN);
    assert!(!Transport::is_open(&mut transport));
    drop(tell);
}

#[test]
fn a_connection_that_staging_has_closed_is_not_open_and_its_input_ends() {
    let mut transport = connect(|mut server| {
        server.write_all(b"last").unwrap();
        server.conn.send_close_notify();
        server.flush().unwrap();
    });
    assert_eq!(read(&mut transport, 4), b"last");
    assert!(!transport.await_input(within(LONG)).unwrap());
    assert!(!Transport::is_open(&mut transport));
}

#[test]
fn input_that_is_cut_off_ends_for_its_framing_to_tell_whether_it_is_whole() {
    let mut transport = connect(|mut server| {
        server.write_all(b"last").unwrap();
    });
    assert_eq!(read(&mut transport, 4), b"last");
    assert!(!transport.await_input(within(LONG)).unwrap());
}
