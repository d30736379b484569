//! The faulty staging server holds against itself: each fault as a client sees it on a raw socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::staging::{Fault, FaultyStaging, Length, Then};
use crate::client::{request, request_with};
use crate::wait::{PATIENCE, wait_for};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    /// It did not, for a while.
    StaysOpen,
}

/// How long what must not come is waited for.
const A_WHILE: Duration = Duration::from_millis(50);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn connect(staging: &FaultyStaging) -> TcpStream {
    TcpStream::connect_timeout(&staging.address(), PATIENCE).unwrap()
}

/// What comes, at most `most` bytes, and how it ends; `end` and `least` bytes are waited for with patience.
fn heard(stream: &mut TcpStream, least: usize, most: usize, end: End) -> (Vec<u8>, End) {
    let (mut heard, mut buffer) = (Vec::new(), [0; 65536]);
    while heard.len() < most {
        let due = heard.len() < least || end != End::StaysOpen;
        stream.set_read_timeout(Some(if due { PATIENCE } else { A_WHILE })).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return (heard, End::Closed),
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (heard, End::StaysOpen),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (heard, End::Reset),
            Err(error) => panic!("{error}"),
        }
    }
    (heard, End::StaysOpen)
}

/// Sends a request over a new connection, and holds what comes against what should.
fn expect(staging: &FaultyStaging, bytes: &str, end: End, fault: Fault) {
    let mut stream = connect(staging);
    stream.write_all(request("GET", "/").as_bytes()).unwrap();
    let heard = heard(&mut stream, bytes.len(), 1 << 20, end);
    assert_eq!((String::from_utf8_lossy(&heard.0).as_ref(), heard.1), (bytes, end), "{fault:?}");
}

/// The first so many bytes, or a few more, that a request brings.
fn large(staging: &FaultyStaging, size: usize) -> String {
    let mut stream = connect(staging);
    stream.write_all(request("GET", "/").as_bytes()).unwrap();
    let heard = heard(&mut stream, size, size, End::StaysOpen).0;
    String::from_utf8_lossy(&heard).into_owned()
}

fn refuses(address: SocketAddr) -> bool {
    let refused = TcpStream::connect(address).err();
    refused.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn each_answer_is_as_faulty_as_its_name_says() {
    let staging = FaultyStaging::start(Fault::None);
    let (half, all_but_one) = (&OK[..OK.len() / 2], &OK[..OK.len() - 1]);
    let too_long = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok";
    let too_short = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, more";
    let garbage = "\0\u{fffd}\u{16} this is no HTTP\r\n\r\n";
    for (fault, bytes, end) in [
        (Fault::None, OK, End::StaysOpen),
        (Fault::NeverReads, "", End::StaysOpen),
        (Fault::NeverAnswers, "", End::StaysOpen),
        (Fault::AnswersAfter(A_WHILE * 100), "", End::StaysOpen),
        (Fault::AnswersAfter(Duration::from_millis(1)), OK, End::StaysOpen),
        (Fault::Drip, "", End::StaysOpen),
        (Fault::ResetBeforeHead, "", End::Reset),
        (Fault::ResetWithinHead, half, End::Reset),
        (Fault::ResetAfterHead, all_but_one, End::Reset),
        (Fault::Garbage, garbage, End::Closed),
        (Fault::WrongContentLength(Length::TooLong), too_long, End::StaysOpen),
        (Fault::WrongContentLength(Length::TooShort), too_short, End::StaysOpen),
        (Fault::ClosesKeptConnections, OK, End::Closed),
        (Fault::ClosesWhenUsedAgain, OK, End::StaysOpen),
        (Fault::AnswersBeforeBody(Then::Reads), OK, End::StaysOpen),
        (Fault::AnswersBeforeBody(Then::Closes), OK, End::Closed),
        (Fault::AnswersBeforeBody(Then::Hangs), OK, End::StaysOpen),
    ] {
        staging.set(fault);
        expect(&staging, bytes, end, fault);
    }
}

#[test]
fn heads_contents_and_interim_answers_are_as_large_as_they_should_be() {
    let staging = FaultyStaging::start(Fault::HugeHead);
    let head = large(&staging, 1_000_000);
    assert!(head.len() >= 1_000_000 && head.find("\r\n\r\n").is_none_or(|end| end > 999_000));
    staging.set(Fault::EndlessBody);
    let endless = large(&staging, 2 << 20);
    assert!(endless.len() >= 2 << 20 && endless.starts_with("HTTP/1.1 200 OK\r\n\r\n...."));
    staging.set(Fault::FloodOf1xx);
    let flood = large(&staging, 2 << 20);
    assert!(flood.len() >= 2 << 20 && flood.matches("HTTP/1.1 103 ").count() > 10_000);
}

#[test]
fn who_is_dead_refuses_and_comes_back_on_its_port() {
    let staging = FaultyStaging::start(Fault::Dead);
    assert!(refuses(staging.address()));
    staging.set(Fault::None);
    let mut kept = connect(&staging);
    kept.write_all(request("GET", "/").as_bytes()).unwrap();
    assert_eq!(heard(&mut kept, OK.len(), OK.len(), End::StaysOpen).0, OK.as_bytes());
    staging.set(Fault::Dead);
    assert_eq!(heard(&mut kept, 0, 1, End::Closed), (Vec::new(), End::Closed));
    assert!(refuses(staging.address()));
    staging.set(Fault::None);
    expect(&staging, OK, End::StaysOpen, Fault::None);
    assert_eq!((staging.received_whole(), staging.answered(), staging.connections()), (2, 2, 2));
}

#[test]
fn a_full_backlog_lets_nobody_in_until_it_is_emptied() {
    let staging = FaultyStaging::start(Fault::SwallowSyn);
    let error = TcpStream::connect_timeout(&staging.address(), A_WHILE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    staging.set(Fault::None);
    expect(&staging, OK, End::StaysOpen, Fault::None);
    staging.set(Fault::SwallowSyn);
    let error = TcpStream::connect_timeout(&staging.address(), A_WHILE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn requests_that_are_held_back_are_let_go_by_the_next_fault() {
    let staging = FaultyStaging::start(Fault::None);
    for fault in [
        Fault::NeverReads,
        Fault::NeverAnswers,
        Fault::AnswersAfter(PATIENCE * 10),
        Fault::Drip,
        Fault::AnswersBeforeBody(Then::Hangs),
    ] {
        staging.set(fault);
        let (before, mut stream) = (staging.received_whole(), connect(&staging));
        stream.write_all(&request_with("POST", "/", b"x")).unwrap();
        let early = matches!(fault, Fault::AnswersBeforeBody(_));
        let waits = if early { OK } else { "" };
        let came = heard(&mut stream, waits.len(), usize::MAX, End::StaysOpen);
        assert_eq!(came, (waits.into(), End::StaysOpen), "{fault:?}");
        staging.set(Fault::None);
        if !early {
            let came = heard(&mut stream, OK.len(), OK.len(), End::StaysOpen).0;
            assert_eq!(came, OK.as_bytes(), "{fault:?}");
        }
        wait_for("the request is read", || (staging.received_whole() > before).then_some(()));
    }
}

#[test]
fn kept_connections_close_when_they_should() {
    let staging = FaultyStaging::start(Fault::ClosesWhenUsedAgain);
    let mut stream = connect(&staging);
    stream.write_all(request("GET", "/").as_bytes()).unwrap();
    assert_eq!(heard(&mut stream, OK.len(), usize::MAX, End::StaysOpen).0, OK.as_bytes());
    stream.write_all(request("GET", "/").as_bytes()).unwrap();
    assert_eq!(heard(&mut stream, 0, 1, End::Closed).0, b"");
    assert_eq!((staging.received_whole(), staging.answered()), (1, 1));
}

#[test]
fn who_flaps_is_dead_and_well_by_turns_and_stops_when_dropped() {
    let staging = FaultyStaging::start(Fault::Flapping(Duration::from_millis(50)));
    let (begun, mut turns, mut dead) = (Instant::now(), 0, true);
    while turns < 4 {
        let refused = refuses(staging.address());
        turns += u32::from(refused != dead);
        dead = refused;
    }
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
    let (address, mut waiting) = (staging.address(), connect_when_well(&staging));
    drop(staging);
    assert!(refuses(address));
    assert_eq!(heard(&mut waiting, 0, 1, End::Closed).0, b"");
}

fn connect_when_well(staging: &FaultyStaging) -> TcpStream {
    wait_for("staging is well", || TcpStream::connect(staging.address()).ok())
}
