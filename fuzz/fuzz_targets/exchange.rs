//! An exchange over a connection that does anything: it ends, by what staging said, and every byte is counted.
#![no_main]

use std::collections::VecDeque;
use std::io;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mod_copy::capture::Capture;
use mod_copy::forward::fuzzing::ureq::unversioned::transport::{Buffers, NextTimeout, Transport};
use mod_copy::forward::fuzzing::ureq::{Error, Timeout};
use mod_copy::forward::fuzzing::{Answer, End, buffers, exchange};
use mod_copy::memory::Budget;
use mod_copy::message::{Additions, Head, LoopMark, Message, Received};
use mod_copy::outcome::Failure;
use mod_copy::stats::Traffic;
use mod_copy::target::{Aim, Url};

#[derive(Arbitrary, Debug)]
struct Play {
    to_head: bool,
    content: u16,
    writes: VecDeque<Write>,
    reads: VecDeque<Read>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Write {
    All,
    /// This many bytes, and no more for now.
    Some(u8),
    Reset,
}

#[derive(Arbitrary, Clone, Debug)]
enum Read {
    Bytes(Vec<u8>),
    /// A well-formed answer with this content.
    Answer(Vec<u8>),
    Nothing,
    Reset,
}

/// The connection; where the play ends, staging takes everything, and closes.
#[derive(Debug)]
struct Scripted<B> {
    buffers: B,
    play: Play,
    /// Bytes of the output that wait to be written.
    waiting: Vec<u8>,
    written: Vec<u8>,
    /// What staging sent.
    pieces: Vec<Vec<u8>>,
    reset: bool,
}

impl<B: Buffers + std::fmt::Debug + Send + Sync + 'static> Transport for Scripted<B> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        self.waiting.extend(&self.buffers.output()[..amount]);
        let taken = match self.play.writes.pop_front().unwrap_or(Write::All) {
            Write::All => self.waiting.len(),
            Write::Some(amount) => self.waiting.len().min(amount.into()),
            Write::Reset => {
                self.reset = true;
                return Err(Error::Io(io::ErrorKind::BrokenPipe.into()));
            }
        };
        self.written.extend(self.waiting.drain(..taken));
        if self.waiting.is_empty() { Ok(()) } else { Err(Error::Timeout(Timeout::Global)) }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let bytes = match self.play.reads.pop_front() {
            None => return Ok(false),
            Some(Read::Nothing) => return Err(Error::Timeout(Timeout::Global)),
            Some(Read::Reset) => {
                return Err(Error::Io(io::ErrorKind::ConnectionReset.into()));
            }
            Some(Read::Bytes(bytes)) if bytes.is_empty() => {
                return Err(Error::Timeout(Timeout::Global));
            }
            Some(Read::Bytes(bytes)) => bytes,
            Some(Read::Answer(content)) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
                [head.as_bytes(), &content].concat()
            }
        };
        let room = self.buffers.input_append_buf();
        let fits = bytes.len().min(room.len());
        room[..fits].copy_from_slice(&bytes[..fits]);
        self.buffers.input_appended(fits);
        if fits < bytes.len() {
            self.play.reads.push_front(Read::Bytes(bytes[fits..].to_vec()));
        }
        self.pieces.push(bytes[..fits].to_vec());
        Ok(true)
    }

    fn is_open(&mut self) -> bool {
        true
    }
}

static BUDGET: Budget = Budget::new(1 << 30);

fuzz_target!(|play: Play| {
    let steps = play.writes.len() + play.reads.iter().map(read_steps).sum::<usize>() + 64;
    let message = message(&play);
    let aim = Aim::at(Url::parse("http://s/").unwrap());
    let method: &[u8] = if play.to_head { b"HEAD" } else { b"POST" };
    let (waiting, written, pieces) = Default::default();
    let transport = Scripted { buffers: buffers(), play, waiting, written, pieces, reset: false };
    let mut traffic = Traffic::default();
    let (end, transport) = exchange(transport, &message, &aim, steps, &mut traffic);

    let request = message.parts(&aim).collect::<Vec<_>>().concat();
    assert!(request.starts_with(&transport.written), "in order, each byte once");
    assert!(traffic.sent as usize <= transport.written.len());
    if !transport.reset {
        assert_eq!((traffic.sent as usize, &transport.written), (request.len(), &request));
    }

    let mut answer = Answer::to(method);
    let fed = transport
        .pieces
        .iter()
        .try_fold(0, |used, piece| Ok::<_, &str>(used + answer.feed(piece)?));
    let given: usize = transport.pieces.iter().map(Vec::len).sum();
    assert_eq!(traffic.received as usize, given, "every byte is counted");
    let stray = fed.is_ok_and(|used: usize| used < given);
    match end {
        End::Waits => panic!("no end after {steps} steps"),
        End::Answered(class, reusable) => {
            assert_eq!(answer.class(), Some(class));
            let whole = answer.is_complete();
            assert!(whole || answer.ends_at_close() || transport.reset);
            assert_eq!(reusable, whole && answer.is_persistent() && !stray && !transport.reset);
        }
        End::Broken(failure, what, unanswered) => {
            let malformed = fed.is_err() && !transport.reset;
            assert_eq!(failure == Failure::Protocol, malformed, "{what}");
            assert!(malformed || failure == Failure::Reset, "{failure:?} {what}");
            assert_eq!(unanswered, failure == Failure::Reset && given == 0);
            assert!(malformed || transport.reset || !answer.is_complete(), "{what}");
            assert!(!what.is_empty() && what.is_ascii(), "no byte of staging's: {what}");
        }
    }
});

fn read_steps(read: &Read) -> usize {
    match read {
        Read::Bytes(bytes) | Read::Answer(bytes) => 2 + bytes.len() / 1024,
        Read::Nothing | Read::Reset => 1,
    }
}

fn message(play: &Play) -> Message {
    let received = Received {
        method: if play.to_head { b"HEAD" } else { b"POST" },
        target: b"/",
        fields: std::iter::empty(),
        connection: b"",
        has_content: play.content > 0,
    };
    let additions = Additions {
        mark: &LoopMark::new("5ec2e7"),
        forwarded: None,
        preserve_host: false,
        trace: None,
    };
    let head = Head::serialise(&received, &additions, &BUDGET).unwrap();
    let content = (play.content > 0).then(|| {
        let mut capture = Capture::new(1 << 20, &BUDGET);
        capture.take(&(0..play.content).map(|at| (at / 7) as u8).collect::<Vec<u8>>(), None, None);
        capture.end();
        capture.finish(None).unwrap()
    });
    head.with_content(content)
}
