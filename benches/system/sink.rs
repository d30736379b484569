//! Origin and staging: servers that read requests, count them, and give each the same small answer.
//!
//! While a load runs, its thread serves them too, and never sleeps: production that sends to a peer which sleeps pays
//! for waking it up, on a virtual machine several microseconds, as it would not with peers on other machines.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::framing::{Connection, Found};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/// Both servers; they end when dropped.
pub struct Backends {
    ports: [u16; 2],
    sinks: Arc<Mutex<Sinks>>,
}

/// The servers in the hands of who serves them.
pub struct Sinks {
    origin: Sink,
    staging: Sink,
    round: u64,
}

impl Backends {
    /// An origin and a staging that answer at once.
    pub fn start() -> Backends {
        Backends::with_staging(true)
    }

    /// The same, but staging reads and never answers.
    pub fn with_stalled_staging() -> Backends {
        Backends::with_staging(false)
    }

    fn with_staging(answers: bool) -> Backends {
        let sinks = Sinks { origin: Sink::new(true), staging: Sink::new(answers), round: 0 };
        let ports =
            [&sinks.origin, &sinks.staging].map(|sink| sink.listener.local_addr().unwrap().port());
        let sinks = Arc::new(Mutex::new(sinks));
        let kept = Arc::downgrade(&sinks);
        // Between loads, at leisure.
        thread::spawn(move || {
            while let Some(sinks) = kept.upgrade() {
                sinks.lock().unwrap().serve();
                thread::sleep(Duration::from_micros(500));
            }
        });
        Backends { ports, sinks }
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}/", self.ports[0])
    }

    pub fn staging(&self) -> String {
        format!("http://127.0.0.1:{}/", self.ports[1])
    }

    /// How many copies staging has read.
    pub fn copies(&self) -> u64 {
        self.sinks.lock().unwrap().staging.requests
    }

    /// Takes over the serving.
    pub fn hold(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap()
    }
}

impl Sinks {
    /// Answers what has arrived; whether anything had.
    pub fn serve(&mut self) -> bool {
        self.round += 1;
        let all = self.round.is_multiple_of(16);
        let origin = self.origin.serve(all);
        self.staging.serve(all) || origin
    }
}

struct Sink {
    listener: TcpListener,
    connections: Vec<Peer>,
    answers: bool,
    requests: u64,
}

struct Peer {
    connection: Connection,
    /// Looks in vain since the last request: a connection that is not in use is looked at less often.
    idle: u32,
}

impl Sink {
    fn new(answers: bool) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Sink { listener, connections: Vec::new(), answers, requests: 0 }
    }

    fn serve(&mut self, all: bool) -> bool {
        if all {
            let new = |stream: TcpStream| Peer { connection: Connection::new(stream), idle: 0 };
            self.connections.extend(self.listener.incoming().map_while(Result::ok).map(new));
        }
        let before = self.requests;
        self.connections.retain_mut(|peer| {
            if peer.idle > 200 && !all {
                return true;
            }
            peer.idle += 1;
            match peer.connection.look() {
                Found::Nothing => true,
                Found::End => false,
                Found::Message => {
                    peer.idle = 0;
                    self.requests += 1;
                    !self.answers || peer.connection.send(ANSWER)
                }
            }
        });
        self.requests > before
    }
}
