//! What staging does wrong, and what becomes of the copy that met it, and of the others.

use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::sync::Mutex;
use std::sync::mpsc;

use super::super::super::testing::{LONG, Staging as Plain};
use super::super::wrong::{Broken, Left};
use super::raw::{self, DATA, END_STREAM, begun, frame, go_away, ok, reset};
use super::*;
use crate::outcome::Failure;

/// What one copy comes to.
fn outcome(mirror: &Mirror, message: Message, limits: Limits) -> Totals {
    mirror.offer_within(message, limits);
    mirror.settled()
}

const SHORT: Limits = Limits {
    timeout: Duration::from_millis(300),
    connect_timeout: Duration::from_millis(300),
    ..LIMITS
};

fn failed(totals: &Totals, failure: Failure) -> u64 {
    totals.count(match failure {
        Failure::Refused => Cell::FailedRefused,
        Failure::Timeout => Cell::FailedTimeout,
        Failure::Reset => Cell::FailedReset,
        Failure::Protocol => Cell::FailedProtocol,
        Failure::Tls => Cell::FailedTls,
        _ => Cell::FailedInternal,
    })
}

#[test]
fn a_port_that_refuses_and_one_that_speaks_something_else_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mirror = Mirror::to(closed, MANY);
    let totals = outcome(&mirror, message("GET", None), LIMITS);
    assert_eq!((failed(&totals, Failure::Refused), totals.count(Cell::Unanswered)), (1, 0));
    let http1 = Plain::answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let mirror = Mirror::to(http1.address, MANY);
    let totals = outcome(&mirror, message("GET", None), LIMITS);
    assert_eq!(failed(&totals, Failure::Protocol), 1, "{totals:?}");
}

#[test]
fn what_staging_says_it_has_not_looked_at_is_sent_again() {
    // The first connection ends with the first stream; the second refuses its first one.
    let staging = Plain::start(|number, stream| {
        raw::greet(stream, b"").unwrap();
        let Some(first) = raw::request(stream) else { return };
        match number {
            0 => {
                stream.write_all(&go_away(0, 0)).unwrap();
                // What is closed with something unread is reset, and what was said may be lost.
                stream.shutdown(Shutdown::Write).unwrap();
                while raw::next(stream).is_some() {}
            }
            _ => {
                stream.write_all(&reset(first, 7)).unwrap();
                while let Some(next) = raw::request(stream) {
                    stream.write_all(&ok(next)).unwrap();
                }
            }
        }
    });
    let mirror = Mirror::to(staging.address, MANY);
    let totals = outcome(&mirror, message("POST", Some(b"once")), LIMITS);
    assert_eq!((totals.count(Cell::Delivered2xx), totals.count(Cell::Unanswered)), (1, 0));
    staging.await_connections(2);
    assert_eq!(staging.connections(), 0);
}

#[test]
fn what_staging_never_looks_at_fails_in_the_end() {
    let staging = Plain::start(|_, stream| {
        raw::greet(stream, b"").unwrap();
        while let Some(next) = raw::request(stream) {
            stream.write_all(&reset(next, 7)).unwrap();
        }
    });
    let mirror = Mirror::to(staging.address, MANY);
    let totals = outcome(&mirror, message("GET", None), LIMITS);
    assert_eq!(failed(&totals, Failure::Reset), 1);
    assert_eq!(staging.connections(), 1);
}

#[test]
fn a_stream_that_goaway_leaves_alone_is_answered_and_the_next_copy_goes_elsewhere() {
    let (told, ended) = mpsc::channel();
    let told = Mutex::new(told);
    let staging = Plain::start(move |number, stream| {
        raw::greet(stream, b"").unwrap();
        let first = raw::request(stream).unwrap();
        if number == 0 {
            stream.write_all(&go_away(first, 0)).unwrap();
        }
        stream.write_all(&ok(first)).unwrap();
        while raw::next(stream).is_some() {}
        told.lock().unwrap().send(number).unwrap();
    });
    let mirror = Mirror::to(staging.address, MANY);
    for delivered in 1..=2 {
        let totals = outcome(&mirror, message("POST", Some(b"once")), LIMITS);
        assert_eq!(totals.count(Cell::Delivered2xx), delivered);
    }
    staging.await_connections(2);
    assert_eq!(ended.recv_timeout(LONG).unwrap(), 0, "we close what staging is done with");
}

#[test]
fn a_reset_has_the_reason_that_staging_gives() {
    for (reason, failure) in [
        (0, Failure::Reset),
        (1, Failure::Protocol),
        (2, Failure::Reset),
        (3, Failure::Protocol),
        (8, Failure::Reset),
        (11, Failure::Reset),
        (13, Failure::Protocol),
        (0x1234, Failure::Reset),
    ] {
        let staging = Plain::start(move |_, stream| {
            raw::greet(stream, b"").unwrap();
            let first = raw::request(stream).unwrap();
            stream.write_all(&reset(first, reason)).unwrap();
            while let Some(next) = raw::request(stream) {
                stream.write_all(&ok(next)).unwrap();
            }
        });
        let mirror = Mirror::to(staging.address, MANY);
        let totals = outcome(&mirror, message("GET", None), LIMITS);
        assert_eq!(failed(&totals, failure), 1, "{reason}: {totals:?}");
        assert_eq!(totals.count(Cell::Unanswered), 1);
        let totals = outcome(&mirror, message("GET", None), LIMITS);
        assert_eq!(totals.count(Cell::Delivered2xx), 1, "the others go on");
    }
}

#[test]
fn staging_that_closes_over_open_streams_fails_them_and_no_other() {
    let staging = Plain::start(|number, stream| {
        raw::greet(stream, b"").unwrap();
        let first = raw::request(stream).unwrap();
        match number {
            0 => {
                stream.write_all(&begun(first)).unwrap();
                (0..4).for_each(|_| assert!(raw::request(stream).is_some()));
            }
            _ => {
                stream.write_all(&ok(first)).unwrap();
                while raw::next(stream).is_some() {}
            }
        }
    });
    let mirror = Mirror::to(staging.address, MANY);
    (0..5).for_each(|_| mirror.offer(message("GET", None)));
    let totals = mirror.settled();
    assert_eq!((failed(&totals, Failure::Reset), totals.count(Cell::Unanswered)), (5, 5));
    let totals = outcome(&mirror, message("GET", None), LIMITS);
    assert_eq!(totals.count(Cell::Delivered2xx), 1);
}

#[test]
fn a_connection_that_staging_closed_while_it_was_idle_costs_no_copy() {
    let staging = Plain::start(|_, stream| {
        raw::greet(stream, b"").unwrap();
        let first = raw::request(stream).unwrap();
        stream.write_all(&ok(first)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        while raw::next(stream).is_some() {}
    });
    let mirror = Mirror::to(staging.address, MANY);
    for _ in 0..20 {
        mirror.offer(message("GET", None));
        mirror.settled();
    }
    assert_eq!(mirror.settled().count(Cell::Delivered2xx), 20);
}

#[test]
fn a_stream_that_stalls_is_late_and_keeps_no_other_waiting() {
    // No window for content, and no answer to who has none to send but to the second.
    let staging = Plain::start(|_, stream| {
        raw::greet(stream, &[0, 4, 0, 0, 0, 0]).unwrap();
        while let Some(next) = raw::next(stream) {
            if next.kind == raw::HEADERS && next.flags & END_STREAM != 0 {
                stream.write_all(&ok(next.stream)).unwrap();
            }
        }
    });
    let mirror = Mirror::to(staging.address, MANY);
    outcome(&mirror, message("GET", None), LIMITS);
    mirror.offer_within(message("POST", Some(&[b'x'; 70_000])), SHORT);
    for _ in 0..3 {
        mirror.offer(message("GET", None));
    }
    let totals = mirror.settled();
    assert_eq!((failed(&totals, Failure::Timeout), totals.count(Cell::Delivered2xx)), (1, 4));
    assert_eq!(totals.count(Cell::Unanswered), 0, "it was not written whole");
    staging.await_connections(1);
    assert_eq!(staging.connections(), 0);
}

#[test]
fn a_connection_over_which_nothing_comes_is_used_no_more() {
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let staging = Plain::start(move |number, stream| {
        raw::greet(stream, b"").unwrap();
        if number == 0 {
            let _ = held.lock().unwrap().recv();
            return;
        }
        while let Some(next) = raw::request(stream) {
            stream.write_all(&ok(next)).unwrap();
        }
    });
    let mirror = Mirror::to(staging.address, MANY);
    // With the first, settings may come.
    for late in 1..=2 {
        let totals = outcome(&mirror, message("GET", None), SHORT);
        assert!(failed(&totals, Failure::Timeout) <= late, "{totals:?}");
    }
    let totals = outcome(&mirror, message("GET", None), LIMITS);
    assert!(totals.count(Cell::Delivered2xx) >= 1, "{totals:?}");
    drop(hold);
}

#[test]
fn of_an_endless_answer_no_more_is_read_than_of_any_and_the_others_go_on() {
    let staging = Plain::start(|_, stream| {
        raw::greet(stream, b"").unwrap();
        let first = raw::request(stream).unwrap();
        stream.write_all(&begun(first)).unwrap();
        let (mut window, piece) = (65_535_usize, [b'x'; 16_000]);
        loop {
            while window >= piece.len() {
                window -= piece.len();
                if stream.write_all(&frame(DATA, 0, first, &piece)).is_err() {
                    return;
                }
            }
            match raw::next(stream) {
                Some(frame) if frame.kind == raw::WINDOW_UPDATE && frame.stream == first => {
                    window += u32::from_be_bytes(frame.payload.try_into().unwrap()) as usize;
                }
                Some(frame) if frame.kind == raw::RST_STREAM => break,
                Some(_) => {}
                None => return,
            }
        }
        while let Some(next) = raw::request(stream) {
            stream.write_all(&ok(next)).unwrap();
        }
    });
    let mirror = Mirror::to(staging.address, MANY);
    let totals = outcome(&mirror, message("GET", None), LIMITS);
    assert_eq!(totals.count(Cell::Delivered2xx), 1, "{totals:?}");
    let received = totals.count(Cell::BytesReceived);
    assert!((1_000_000..1_200_000).contains(&received), "{received}");
    let totals = outcome(&mirror, message("GET", None), LIMITS);
    assert_eq!(totals.count(Cell::Delivered2xx), 2);
    staging.await_connections(1);
    assert_eq!(staging.connections(), 0);
}

#[test]
fn fields_beyond_any_measure_are_not_an_answer() {
    let staging = Plain::start(|_, stream| {
        raw::greet(stream, b"").unwrap();
        while let Some(next) = raw::request(stream) {
            // `:status: 200`, and then literal fields of 4 KiB without end.
            let mut fields = vec![0x88];
            for _ in 0..40 {
                fields.extend_from_slice(&[0, 1, b'x', 0x7f, 0x81, 0x1f]);
                fields.extend_from_slice(&[b'y'; 4096]);
            }
            let mut kind = raw::HEADERS;
            let mut parts = fields.chunks(16_000).peekable();
            while let Some(part) = parts.next() {
                let last = if parts.peek().is_none() { 4 } else { 0 };
                let end = if kind == raw::HEADERS { END_STREAM } else { 0 };
                if stream.write_all(&frame(kind, last | end, next, part)).is_err() {
                    return;
                }
                kind = 9;
            }
        }
    });
    let mirror = Mirror::to(staging.address, MANY);
    let totals = outcome(&mirror, message("GET", None), LIMITS);
    assert_eq!(failed(&totals, Failure::Protocol), 1, "{totals:?}");
}

#[test]
fn whatever_comes_back_each_copy_has_one_outcome() {
    let staging = Plain::start(|number, stream| {
        let mut random = fastrand::Rng::with_seed(number as u64);
        if raw::greet(stream, b"").is_none() {
            return;
        }
        let mut streams = Vec::new();
        while let Some(next) = raw::next(stream) {
            if next.kind != raw::HEADERS {
                continue;
            }
            streams.push(next.stream);
            let any = streams[random.usize(..streams.len())];
            let bytes = match random.u8(..10) {
                0 => frame(random.u8(..), random.u8(..), any, &[random.u8(..); 40]),
                1 => reset(any, random.u32(..14)),
                2 => go_away(any, random.u32(..14)),
                3 => begun(any),
                4 => frame(DATA, random.u8(..2), any, b"content"),
                5 => (0..20).map(|_| random.u8(..)).collect(),
                6 if random.u8(..4) == 0 => return,
                _ => ok(any),
            };
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let mirror = Mirror::to(staging.address, Pool { max: 8, ..MANY });
    for number in 0..400 {
        let content = (number % 3 == 0).then_some(&[b'x'; 30_000][..]);
        mirror.offer_within(message("POST", content), SHORT);
    }
    let totals = mirror.settled();
    assert_eq!(totals.sum(&Cell::OUTCOMES), 400, "{totals:?}");
    assert_eq!(totals.count(Cell::Taken), 400);
    assert_eq!(failed(&totals, Failure::Internal), 0, "{totals:?}");
}

#[test]
fn what_staging_has_begun_to_answer_is_not_sent_again_whatever_it_says() {
    type Answer = fn(u32) -> Vec<u8>;
    type Said = fn(u32, u32) -> Vec<u8>;
    let answers: [(Answer, &str); 2] = [(begun, "200"), (raw::early_hints, "103")];
    let said: [(Said, &str); 2] = [(reset, "REFUSED_STREAM"), (above, "GOAWAY")];
    for (answer, status) in answers {
        for (said, name) in said {
            let name = format!("{name} after {status}");
            let staging = Plain::start(move |_, stream| {
                raw::greet(stream, b"").unwrap();
                let Some(first) = raw::request(stream) else { return };
                stream.write_all(&[answer(first), said(first, 7)].concat()).unwrap();
                while let Some(next) = raw::request(stream) {
                    stream.write_all(&ok(next)).unwrap();
                }
            });
            let mirror = Mirror::to(staging.address, MANY);
            let totals = outcome(&mirror, message("POST", Some(b"once")), LIMITS);
            assert_eq!(failed(&totals, Failure::Reset), 1, "{name}: {totals:?}");
            assert_eq!(totals.count(Cell::Delivered2xx), 0, "{name}");
            staging.await_connections(1);
            assert_eq!(staging.connections(), 0, "{name}");
        }
    }
}

/// A GOAWAY that says that this stream was not looked at.
fn above(_: u32, _: u32) -> Vec<u8> {
    go_away(0, 0)
}

#[test]
fn goaway_costs_a_copy_one_try_and_no_more() {
    let (answer, answered) = mpsc::channel();
    let (answer, answered) = (Mutex::new(answer), Mutex::new(answered));
    let staging = Plain::start(move |number, stream| {
        raw::greet(stream, b"").unwrap();
        let Some(first) = raw::request(stream) else { return };
        match number {
            0 => {
                raw::request(stream).unwrap();
                stream.write_all(&go_away(first, 0)).unwrap();
                // A stream that is left alone keeps the connection from its end, until the other copy is elsewhere.
                answered.lock().unwrap().recv_timeout(LONG).unwrap();
                stream.write_all(&ok(first)).unwrap();
            }
            1 => stream.write_all(&go_away(0, 0)).unwrap(),
            _ => {
                stream.write_all(&ok(first)).unwrap();
                answer.lock().unwrap().send(()).unwrap();
            }
        }
        while raw::next(stream).is_some() {}
    });
    let mirror = Mirror::to(staging.address, MANY);
    mirror.offer(message("POST", Some(b"kept")));
    let totals = outcome(&mirror, message("POST", Some(b"once")), LIMITS);
    assert_eq!(totals.count(Cell::Delivered2xx), 2, "{totals:?}");
    staging.await_connections(3);
}

#[test]
fn a_connection_that_takes_no_more_streams_has_left_the_copy_unsent_whyever() {
    // Neither staging's word nor the socket's, as when the numbers of streams are used up.
    let error = h2::Error::from(h2::Reason::INTERNAL_ERROR);
    assert_eq!(Broken::unready(&error).left, Left::Unsent);
}

#[test]
fn so_many_interim_answers_are_borne_and_no_more() {
    for (interim, delivered) in [(16, 1), (17, 0)] {
        let staging = Plain::start(move |_, stream| {
            raw::greet(stream, b"").unwrap();
            while let Some(next) = raw::request(stream) {
                let early = raw::early_hints(next).repeat(interim);
                stream.write_all(&[early, ok(next)].concat()).unwrap();
            }
        });
        let mirror = Mirror::to(staging.address, MANY);
        let totals = outcome(&mirror, message("GET", None), LIMITS);
        assert_eq!(totals.count(Cell::Delivered2xx), delivered, "{interim}: {totals:?}");
        assert_eq!(failed(&totals, Failure::Protocol), 1 - delivered, "{interim}: {totals:?}");
    }
}
