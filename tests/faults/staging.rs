//! A staging server with one fault at a time, which can be switched while it runs; the same each time.
//!
//! It needs nothing of the tests but `wire`, so that other programs can take it in by its path. A fault that
//! breaks TLS is not here: it comes with targets that speak TLS.

use std::collections::HashMap;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockRef, Socket, Type};

use crate::wire::{self, Wire};

/// What is wrong with staging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: every request is answered at once, with 200, and connections are kept.
    None,
    /// Nobody listens, and all connections are closed. The port stays reserved.
    Dead,
    /// The backlog is full, so that the kernel ignores who wants to connect; all connections are closed.
    SwallowSyn,
    /// Accepts, and never reads.
    NeverReads,
    /// Reads requests, and never answers.
    NeverAnswers,
    /// Answers after this time.
    AnswersAfter(Duration),
    /// Answers at one byte a second, from the first of the head on.
    Drip,
    /// Reads a request, and resets the connection.
    ResetBeforeHead,
    /// Resets the connection within the answer's head.
    ResetWithinHead,
    /// Resets the connection within the answer's content.
    ResetAfterHead,
    /// Answers with bytes that are no HTTP, and closes.
    Garbage,
    /// Answers with a head of 1 MB.
    HugeHead,
    /// Answers with content that never ends, as fast as it is taken.
    EndlessBody,
    /// Sends interim answers without end, as fast as they are taken.
    FloodOf1xx,
    /// Announces another length than that of its content, and keeps the connection.
    WrongContentLength(Length),
    /// Answers, and then closes the connection without having said so.
    ClosesKeptConnections,
    /// Keeps the connection after its first answer, and closes it when the next request is on its way.
    ClosesWhenUsedAgain,
    /// Answers each request as soon as it has read its head.
    AnswersBeforeBody(Then),
    /// Dead and well by turns of this length, dead first.
    Flapping(Duration),
}

/// What an announced length is beside the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    TooLong,
    TooShort,
}

/// What follows an answer that came before the request's content was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Reads,
    Closes,
    /// Neither reads nor closes.
    Hangs,
}

/// Who is told what the server receives and sends, and says what it answers where nothing is wrong.
pub trait Witness: Send + Sync {
    /// A request was read to its end, even if only after the connection was closed.
    fn received(&self, _head: &[u8], _content: &[u8]) {}

    /// The answer to a request with this head.
    fn answer(&self, _head: &[u8]) -> Vec<u8> {
        OK.to_vec()
    }

    /// An answer to it was written to its end.
    fn answered(&self, _head: &[u8]) {}

    /// A connection broke within a request's content: how much of it was sent cannot be told.
    fn broken(&self) {}
}

/// Nobody.
impl Witness for () {}

/// The server, on a port of 127.0.0.1 that it keeps whatever its fault; stopped when dropped, with all its threads.
pub struct FaultyStaging {
    address: SocketAddr,
    shared: Arc<Shared>,
    wake: PipeWriter,
    door: Option<JoinHandle<()>>,
}

struct Shared {
    witness: Arc<dyn Witness>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What was asked for, and how often something was.
    wanted: Fault,
    asked: u64,
    /// How much of that is in force.
    obeyed: u64,
    /// The fault at this moment, and how often it has changed.
    fault: Fault,
    changes: u64,
    stopped: bool,
    received_whole: u64,
    answered: u64,
    connections: u64,
    shut: u64,
    open: HashMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// How often those who wait look whether their peer has gone.
const LOOK: Duration = Duration::from_millis(20);

impl FaultyStaging {
    pub fn start(fault: Fault) -> FaultyStaging {
        FaultyStaging::watched(fault, Arc::new(()))
    }

    pub fn watched(fault: Fault, witness: Arc<dyn Witness>) -> FaultyStaging {
        let reserve = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = reserve.local_addr().unwrap().as_socket().unwrap();
        let (woken, wake) = io::pipe().unwrap();
        let state = State {
            wanted: fault,
            asked: 1,
            obeyed: 0,
            fault: Fault::Dead,
            changes: 0,
            stopped: false,
            received_whole: 0,
            answered: 0,
            connections: 0,
            shut: 0,
            open: HashMap::new(),
            threads: Vec::new(),
        };
        let shared =
            Arc::new(Shared { witness, state: Mutex::new(state), changed: Condvar::new() });
        let door = Door::new(reserve, address, woken, Arc::clone(&shared));
        let door = Some(thread::spawn(move || door.keep()));
        let staging = FaultyStaging { address, shared, wake, door };
        staging.wait_until_obeyed();
        staging
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a fault in the place of the one before, at once: for requests that it holds back too.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.lock();
        (state.wanted, state.asked) = (fault, state.asked + 1);
        drop(state);
        self.wait_until_obeyed();
    }

    /// Requests whose head and announced content were read to their end, while the connection was not closed.
    pub fn received_whole(&self) -> u64 {
        self.shared.lock().received_whole
    }

    /// Answers that were written to their end.
    pub fn answered(&self) -> u64 {
        self.shared.lock().answered
    }

    /// Connections that were accepted until now.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// How often the port was shut, and connections reset that were not yet accepted.
    pub fn shut(&self) -> u64 {
        self.shared.lock().shut
    }

    /// Connections that have not ended on both sides.
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    fn wait_until_obeyed(&self) {
        (&self.wake).write_all(b"!").unwrap();
        let waits = |state: &mut State| state.obeyed < state.asked;
        drop(self.shared.changed.wait_while(self.shared.lock(), waits).unwrap());
    }
}

impl Drop for FaultyStaging {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        let _ = self.wake.write_all(b"!");
        if let Some(door) = self.door.take() {
            let _ = door.join();
        }
        let mut state = self.shared.lock();
        state.hang_up(Shutdown::Both);
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl State {
    fn hang_up(&mut self, how: Shutdown) {
        for stream in self.open.values() {
            let _ = stream.shutdown(how);
        }
    }
}

/// Who listens and accepts.
struct Door {
    /// Never listens, and so keeps the port while nobody does.
    _reserve: Socket,
    address: SocketAddr,
    woken: PipeReader,
    shared: Arc<Shared>,
    listener: Option<Socket>,
    /// Our own connections that fill the backlog.
    crowd: Vec<TcpStream>,
    /// When a flapping server turns.
    turns: Option<Instant>,
}

impl Door {
    fn new(reserve: Socket, address: SocketAddr, woken: PipeReader, shared: Arc<Shared>) -> Door {
        let (listener, crowd, turns) = (None, Vec::new(), None);
        Door { _reserve: reserve, address, woken, shared, listener, crowd, turns }
    }

    fn keep(mut self) {
        let mut obeyed = 0;
        loop {
            let state = self.shared.lock();
            let (stopped, wanted, asked, now) =
                (state.stopped, state.wanted, state.asked, state.fault);
            drop(state);
            if stopped {
                return;
            }
            let changed = asked > obeyed;
            let turned = !changed && self.turns.is_some_and(|turns| turns <= Instant::now());
            if changed || turned {
                let well = turned && now == Fault::Dead;
                self.turns = None;
                let fault = match wanted {
                    Fault::Flapping(period) => {
                        self.turns = Some(Instant::now() + period);
                        if well { Fault::None } else { Fault::Dead }
                    }
                    fault => fault,
                };
                obeyed = asked;
                self.put_in_force(fault, obeyed);
            }
            self.wait();
        }
    }

    fn put_in_force(&mut self, fault: Fault, obeyed: u64) {
        let shut = matches!(fault, Fault::Dead | Fault::SwallowSyn);
        if shut {
            self.welcome_the_last();
        }
        let mut state = self.shared.lock();
        (state.fault, state.changes) = (fault, state.changes + 1);
        if shut {
            state.hang_up(Shutdown::Write);
        }
        drop(state);
        if (shut || !self.crowd.is_empty()) && self.listener.take().is_some() {
            self.shared.lock().shut += 1;
            self.crowd.clear();
        }
        if fault == Fault::SwallowSyn {
            self.fill();
        } else if !shut && self.listener.is_none() {
            self.listener = Some(listening(self.address, 128));
        }
        self.shared.lock().obeyed = obeyed;
        self.shared.changed.notify_all();
    }

    /// Accepts who is already connected, for the kernel resets those when nobody listens any more.
    fn welcome_the_last(&self) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.crowd.is_empty()) else {
            return;
        };
        listener.set_nonblocking(true).unwrap();
        while let Ok((socket, _)) = listener.accept() {
            socket.set_nonblocking(false).unwrap();
            self.shared.welcome(socket.into());
        }
    }

    /// Listens, and fills the backlog until the kernel answers nobody any more.
    fn fill(&mut self) {
        self.listener = Some(listening(self.address, 0));
        while let Ok(stream) = TcpStream::connect_timeout(&self.address, 2 * LOOK) {
            self.crowd.push(stream);
        }
    }

    /// Waits for a client, an order or a turn; serves the client.
    fn wait(&mut self) {
        let left = self.turns.map(|turns| turns.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec::try_from(left).unwrap());
        let mut ready = vec![PollFd::new(&self.woken, PollFlags::IN)];
        let listener = self.listener.as_ref().filter(|_| self.crowd.is_empty());
        ready.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
        let _ = poll(&mut ready, left.as_ref());
        let [ordered, knocked] =
            [0, 1].map(|at| ready.get(at).is_some_and(|fd| !fd.revents().is_empty()));
        if ordered {
            let _ = self.woken.read(&mut [0; 64]);
        } else if knocked && let Some(Ok((socket, _))) = listener.map(Socket::accept) {
            self.shared.welcome(socket.into());
        }
    }
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

const RECEIVE_BUFFER: usize = 256 << 10;

fn listening(address: SocketAddr, backlog: i32) -> Socket {
    let socket = bound(address);
    // What is not read soon fills it, also where the kernel would let it grow.
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    socket.listen(backlog).unwrap();
    socket
}

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
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn welcome(self: &Arc<Shared>, stream: TcpStream) {
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
