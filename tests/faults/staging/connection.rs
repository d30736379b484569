//! One connection: what is read of it, and what a fault makes of the answers.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::{Fault, LOOK, Length, Shared, State, Then};
use crate::wire::{self, Wire};

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    TimeIsUp,
    /// The fault has changed.
    LetGo,
    /// The peer has gone, or the server stops.
    Over,
}

/// What follows a request that is dealt with.
enum Next {
    Keep,
    Close,
    Reset,
}

impl Shared {
    pub(super) fn welcome(self: &Arc<Shared>, stream: TcpStream) {
        // Out of files: as good as closed at once.
        let Ok(handle) = stream.try_clone() else { return };
        let mut state = self.lock();
        state.connections += 1;
        let number = state.connections;
        state.open.insert(number, handle);
        state.threads.retain(|thread| !thread.is_finished());
        let shared = Arc::clone(self);
        state.threads.push(thread::spawn(move || {
            stream.set_write_timeout(Some(LOOK)).unwrap();
            let mut wire = Wire::new(stream);
            let next = shared.serve(&mut wire).unwrap_or(Next::Close);
            match next {
                Next::Reset => {
                    SockRef::from(wire.stream()).set_linger(Some(Duration::ZERO)).unwrap();
                }
                _ => shared.see_out(&mut wire),
            }
            // Before the connection: the last handle that closes resets.
            shared.lock().open.remove(&number);
        }));
    }

    /// Serves a connection until its end; a client that goes away is an error, of no interest.
    fn serve(&self, wire: &mut Wire) -> io::Result<Next> {
        for served in 0.. {
            let Some((fault, changes)) = self.before_reading(wire)? else {
                return Ok(Next::Close);
            };
            if fault == Fault::ClosesWhenUsedAgain && served > 0 {
                return Ok(Next::Close);
            }
            let Some(head) = wire.head()? else { return Ok(Next::Close) };
            let next = match fault {
                Fault::AnswersBeforeBody(then) => self.answer_early(wire, &head, then, changes)?,
                _ => {
                    self.receive(wire, &head)?;
                    let (fault, changes) = self.fault();
                    self.respond(wire, &head, fault, changes)?
                }
            };
            if !matches!(next, Next::Keep) {
                return Ok(next);
            }
        }
        Ok(Next::Close)
    }

    /// The fault when a request may be read that has begun to arrive; `None` where none will come.
    ///
    /// It looks at the socket and takes nothing from it: clients ask for one thing at a time.
    fn before_reading(&self, wire: &Wire) -> io::Result<Option<(Fault, u64)>> {
        if wire.stream().peek(&mut [0])? == 0 {
            return Ok(None);
        }
        loop {
            let (fault, changes) = self.fault();
            if fault != Fault::NeverReads {
                return Ok(Some((fault, changes)));
            } else if self.hold(wire, changes, None) == Held::Over {
                return Ok(None);
            }
        }
    }

    fn receive(&self, wire: &mut Wire, head: &[u8]) -> io::Result<()> {
        self.read(wire, head)?;
        self.lock().received_whole += 1;
        Ok(())
    }

    fn read(&self, wire: &mut Wire, head: &[u8]) -> io::Result<()> {
        let content = wire.content(head, false).inspect_err(|error| {
            if error.kind() != ErrorKind::UnexpectedEof {
                self.witness.broken();
            }
        })?;
        self.witness.received(head, &content);
        Ok(())
    }

    /// Closes, and reads what was not read and what is still on its way, so that it is known what was sent.
    fn see_out(&self, wire: &mut Wire) {
        let _ = wire.stream().shutdown(Shutdown::Write);
        while let Ok(Some(head)) = wire.head() {
            if self.read(wire, &head).is_err() {
                return;
            }
        }
    }

    fn answer_early(
        &self,
        wire: &mut Wire,
        head: &[u8],
        then: Then,
        changes: u64,
    ) -> io::Result<Next> {
        let has_content = wire::field(head, "Content-Length").is_some_and(|length| length != "0");
        if !has_content {
            self.receive(wire, head)?;
        }
        let answered = self.answer(wire, head, changes, &self.witness.answer(head));
        let hangs = then == Then::Hangs && self.hold(wire, changes, None) == Held::Over;
        let closes = answered.is_err() || then == Then::Closes || hangs;
        if closes {
            let _ = wire.stream().shutdown(Shutdown::Write);
            if has_content {
                self.read(wire, head)?;
            }
            return Ok(Next::Close);
        }
        if has_content {
            self.receive(wire, head)?;
        }
        Ok(Next::Keep)
    }

    /// What follows a request that was read whole.
    fn respond(
        &self,
        wire: &mut Wire,
        head: &[u8],
        fault: Fault,
        changes: u64,
    ) -> io::Result<Next> {
        let ok = &self.witness.answer(head);
        match fault {
            Fault::NeverAnswers if self.hold(wire, changes, None) == Held::Over => {
                return Ok(Next::Close);
            }
            Fault::AnswersAfter(time) if self.hold(wire, changes, Some(time)) == Held::Over => {
                return Ok(Next::Close);
            }
            Fault::Drip => {
                for (at, byte) in ok.iter().enumerate() {
                    match self.hold(wire, changes, Some(Duration::from_secs(1))) {
                        Held::TimeIsUp => self.write(wire, changes, &[*byte])?,
                        Held::LetGo => {
                            self.answer(wire, head, changes, &ok[at..])?;
                            return Ok(Next::Keep);
                        }
                        Held::Over => return Ok(Next::Close),
                    }
                }
                self.count_answer(head);
                return Ok(Next::Keep);
            }
            Fault::ResetBeforeHead => return Ok(Next::Reset),
            Fault::ResetWithinHead => {
                self.write(wire, changes, &ok[..ok.len() / 2])?;
                return Ok(Next::Reset);
            }
            Fault::ResetAfterHead => {
                self.write(wire, changes, &ok[..ok.len() - 1])?;
                return Ok(Next::Reset);
            }
            Fault::Garbage => {
                self.write(wire, changes, b"\0\xff\x16 this is no HTTP\r\n\r\n")?;
                return Ok(Next::Close);
            }
            Fault::HugeHead => {
                self.answer(wire, head, changes, &huge_head())?;
                return Ok(Next::Keep);
            }
            Fault::EndlessBody => {
                self.write(wire, changes, b"HTTP/1.1 200 OK\r\n\r\n")?;
                return self.repeat(wire, changes, &[b'.'; 16 << 10]).map(|()| Next::Close);
            }
            Fault::FloodOf1xx => {
                self.repeat(wire, changes, &b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100))?;
            }
            Fault::WrongContentLength(Length::TooLong) => {
                self.answer(
                    wire,
                    head,
                    changes,
                    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok",
                )?;
                return Ok(Next::Keep);
            }
            Fault::WrongContentLength(Length::TooShort) => {
                self.answer(
                    wire,
                    head,
                    changes,
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, more",
                )?;
                return Ok(Next::Keep);
            }
            Fault::ClosesKeptConnections => {
                self.answer(wire, head, changes, ok)?;
                return Ok(Next::Close);
            }
            _ => {}
        }
        self.answer(wire, head, changes, ok)?;
        Ok(Next::Keep)
    }

    fn fault(&self) -> (Fault, u64) {
        let state = self.lock();
        (state.fault, state.changes)
    }

    /// Waits until the fault is another, or the time is up, or the peer has gone.
    fn hold(&self, wire: &Wire, changes: u64, time: Option<Duration>) -> Held {
        let end = time.map(|time| Instant::now() + time);
        loop {
            let left = end.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
            let same = |state: &mut State| state.changes == changes && !state.stopped;
            let waited = self.changed.wait_timeout_while(self.lock(), left.min(LOOK), same);
            let (state, waited) = waited.unwrap();
            if state.stopped {
                return Held::Over;
            } else if !waited.timed_out() {
                return Held::LetGo;
            }
            drop(state);
            if has_gone(wire.stream()) {
                return Held::Over;
            } else if end.is_some_and(|end| end <= Instant::now()) {
                return Held::TimeIsUp;
            }
        }
    }

    fn answer(&self, wire: &mut Wire, head: &[u8], changes: u64, answer: &[u8]) -> io::Result<()> {
        self.write(wire, changes, answer)?;
        self.count_answer(head);
        Ok(())
    }

    fn count_answer(&self, head: &[u8]) {
        self.witness.answered(head);
        self.lock().answered += 1;
    }

    /// Writes the same again and again, until the fault is another.
    fn repeat(&self, wire: &mut Wire, changes: u64, bytes: &[u8]) -> io::Result<()> {
        while self.fault().1 == changes {
            self.write(wire, changes, bytes)?;
        }
        Ok(())
    }

    /// Writes all; fails where the fault changes while the peer takes nothing.
    fn write(&self, wire: &mut Wire, changes: u64, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match wire.stream().write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let state = self.lock();
                    if state.changes != changes || state.stopped {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn huge_head() -> Vec<u8> {
    let field = format!("X-Filler: {}\r\n", "x".repeat(1000));
    let mut head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_vec();
    while head.len() < 1_000_000 {
        head.extend_from_slice(field.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Whether the peer has closed, however much of what it sent is unread.
fn has_gone(stream: &TcpStream) -> bool {
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut socket = [PollFd::new(stream, PollFlags::RDHUP)];
    let _ = poll(&mut socket, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    socket[0].revents().intersects(gone)
}
