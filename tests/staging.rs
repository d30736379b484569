//! A recording server on raw sockets: staging, and in many tests production's origin.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use crate::httpd::free_port;
use crate::wait::PATIENCE;
use crate::wire::{self, Wire};

/// What an ordinary staging server answers.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// How the server treats its clients; a change reaches those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Answers at once.
    Answers,
    /// Answers after this time.
    Slow(Duration),
    /// Reads requests and does not answer while it is in this mode.
    Stalled,
    /// Accepts connections and reads nothing.
    NeverReads,
    /// Reads a request and closes the connection.
    Closes,
    /// Answers without end, a byte every few milliseconds.
    Drips,
}

/// One request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Received {
    /// Request line, fields and the empty line.
    pub head: Vec<u8>,
    pub content: Vec<u8>,
    /// The ordinal of its connection, from 1.
    pub connection: usize,
}

impl Received {
    pub fn request_line(&self) -> String {
        let end = wire::find(&self.head, b"\r\n").unwrap();
        String::from_utf8_lossy(&self.head[..end]).into_owned()
    }

    pub fn field(&self, name: &str) -> Option<String> {
        wire::field(&self.head, name)
    }

    /// The head with its loop mark checked for form and taken out.
    pub fn head_without_mark(&self) -> String {
        let head = String::from_utf8_lossy(&self.head).into_owned();
        let mut marks = 0;
        let mut rest = String::new();
        for line in head.split_inclusive("\r\n") {
            match line.strip_prefix("X-Mod-Copy: ") {
                Some(mark) => {
                    let mark = mark.trim_end();
                    assert!(
                        mark.len() == 32 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()),
                        "{line}"
                    );
                    marks += 1;
                }
                None => rest.push_str(line),
            }
        }
        assert_eq!(marks, 1, "one loop mark in\n{head}");
        rest
    }
}

/// The server; stopped when dropped.
pub struct Staging {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// Gives the whole answer to a request, as bytes.
type Answer = Box<dyn Fn(&Received) -> Vec<u8> + Send + Sync>;

struct Shared {
    answer: Answer,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    stopped: bool,
    received: Vec<Received>,
    connections: usize,
    open: Vec<TcpStream>,
}

impl Staging {
    /// A server that answers `200 OK` to everything.
    pub fn start() -> Staging {
        Staging::with_answer(OK)
    }

    /// A server that gives the same answer to everything; with `Connection: close` in it, closes after it.
    pub fn with_answer(answer: &str) -> Staging {
        let answer = answer.as_bytes().to_vec();
        Staging::with_answers(move |_| answer.clone())
    }

    /// A server that makes its answer from the request.
    pub fn with_answers(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Staging {
        let state = State {
            mode: Mode::Answers,
            stopped: true,
            received: Vec::new(),
            connections: 0,
            open: Vec::new(),
        };
        let mut staging = Staging {
            port: free_port(),
            shared: Arc::new(Shared {
                answer: Box::new(answer),
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
            accepting: None,
        };
        staging.resume();
        staging
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`, the value of `Host` in copies to it.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server's URL with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority())
    }

    pub fn set(&self, mode: Mode) {
        self.shared.lock().mode = mode;
        self.shared.changed.notify_all();
    }

    /// Everything received until now.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// What was received after the first `count` requests.
    pub fn received_after(&self, count: usize) -> Vec<Received> {
        self.shared.lock().received[count..].to_vec()
    }

    /// Everything received, as soon as `count` requests were.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(&format!("{count} requests"), |received| received.len() >= count)
    }

    /// Everything received, as soon as `enough` says so.
    pub fn wait_until(&self, what: &str, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let state = self.shared.lock();
        let lacking = |state: &mut State| !enough(&state.received);
        let (state, waited) =
            self.shared.changed.wait_timeout_while(state, PATIENCE, lacking).unwrap();
        let received = state.received.clone();
        drop(state);
        let lines: Vec<String> = received.iter().map(Received::request_line).collect();
        assert!(
            !waited.timed_out(),
            "{what}: not within {PATIENCE:?}, staging received {lines:#?}"
        );
        received
    }

    /// How many requests were received until now.
    pub fn count(&self) -> usize {
        self.shared.lock().received.len()
    }

    /// How many connections were accepted until now.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Closes every connection and the port; what was received is kept.
    pub fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else {
            return;
        };
        let mut state = self.shared.lock();
        state.stopped = true;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        accepting.join().unwrap();
    }

    /// Listens again after [`stop`](Staging::stop), on the same port.
    pub fn resume(&mut self) {
        assert!(self.accepting.is_none(), "staging listens already");
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        self.shared.lock().stopped = false;
        let shared = Arc::clone(&self.shared);
        self.accepting = Some(thread::spawn(move || {
            shared.accept(&listener);
            // For all: a program that another test is just starting has it too, until it is another program.
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        }));
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn accept(self: Arc<Shared>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            let Ok(stream) = stream else { continue };
            state.connections += 1;
            let connection = state.connections;
            state.open.push(stream.try_clone().unwrap());
            drop(state);
            let shared = Arc::clone(&self);
            thread::spawn(move || {
                // A client that goes away, or a server that stops, ends the connection: nothing to report.
                let _ = shared.serve(stream, connection);
            });
        }
    }

    fn serve(&self, stream: TcpStream, connection: usize) -> io::Result<()> {
        let mut wire = Wire::new(stream);
        loop {
            self.while_in(Mode::NeverReads);
            let Some(head) = wire.head()? else {
                return Ok(());
            };
            if wire::field(&head, "Expect").is_some() {
                wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let content = wire.content(&head, false)?;
            let received = Received { head, content, connection };
            let answer = (self.answer)(&received);
            let is_head = received.head.starts_with(b"HEAD ");
            let mode = {
                let mut state = self.lock();
                state.received.push(received);
                self.changed.notify_all();
                state.mode
            };
            match mode {
                Mode::Closes => return wire.stream().shutdown(Shutdown::Both),
                Mode::Slow(latency) => thread::sleep(latency),
                Mode::Drips => self.drip(&mut wire)?,
                _ => self.while_in(Mode::Stalled),
            }
            let head_end = wire::find(&answer, b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
            wire.write(&answer[..if is_head { head_end } else { answer.len() }])?;
            if wire::field(&answer[..head_end], "Connection")
                .is_some_and(|option| option == "close")
            {
                return wire.stream().shutdown(Shutdown::Both);
            }
        }
    }

    fn drip(&self, wire: &mut Wire) -> io::Result<()> {
        wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
        while !self.lock().stopped {
            wire.write(b".")?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until the server is not, or no longer, in this mode.
    fn while_in(&self, mode: Mode) {
        let state = self.lock();
        let waiting = |state: &mut State| state.mode == mode && !state.stopped;
        drop(self.changed.wait_while(state, waiting).unwrap());
    }
}
