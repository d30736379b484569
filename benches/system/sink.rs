//! Origin and staging: servers that read requests, count them, and give each the same small answer.
//!
//! While a load runs, its thread serves them too, and never sleeps: production that sends to a peer which sleeps pays
//! for waking it up, on a virtual machine several microseconds, as it would not with peers on other machines.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::framing::{Connection, Found};
use crate::ready::Ready;
use crate::sink_h2::Http2;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The number of the door among a sink's connections, which are counted from one.
const DOOR: usize = 0;

/// How staging does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staging {
    /// It answers at once.
    Well,
    /// It answers after this time.
    Slow(Duration),
    /// It reads, and never answers.
    Stalled,
    /// Nobody listens.
    Dead,
    /// Its backlog is full, so that the kernel ignores who wants to connect.
    SwallowsSyn,
}

/// The servers; they end when dropped.
pub struct Backends {
    ports: [u16; 3],
    http2: Option<SocketAddr>,
    sinks: Arc<Mutex<Sinks>>,
}

/// The servers in the hands of who serves them.
pub struct Sinks {
    origin: Sink,
    staging: Sink,
    /// A staging whose answers have no content.
    terse: Sink,
    /// A staging that speaks HTTP/2, where one is asked for.
    http2: Option<Http2>,
    /// When staging is to become slow, and how.
    step: Option<(Instant, Duration)>,
}

impl Backends {
    /// An origin and a staging that answer at once.
    pub fn start() -> Backends {
        Backends::with(Staging::Well)
    }

    /// An origin that answers at once, and such a staging.
    pub fn with(staging: Staging) -> Backends {
        let sinks = Sinks {
            origin: Sink::new(Staging::Well, ANSWER),
            staging: Sink::new(staging, ANSWER),
            terse: Sink::new(Staging::Well, EMPTY),
            http2: None,
            step: None,
        };
        let ports = [&sinks.origin, &sinks.staging, &sinks.terse].map(|sink| sink.address.port());
        let sinks = Arc::new(Mutex::new(sinks));
        let kept = Arc::downgrade(&sinks);
        // Between loads, at leisure.
        thread::spawn(move || {
            while let Some(sinks) = kept.upgrade() {
                sinks.lock().unwrap().serve();
                drop(sinks);
                thread::sleep(Duration::from_micros(500));
            }
        });
        Backends { ports, http2: None, sinks }
    }

    /// Beside them, a staging that speaks HTTP/2, and answers after this time.
    pub fn and_http2(mut self, latency: Duration) -> Backends {
        let http2 = Http2::after(latency);
        self.http2 = Some(http2.address);
        self.hold().http2 = Some(http2);
        self
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}/", self.ports[0])
    }

    pub fn staging(&self) -> String {
        format!("http://127.0.0.1:{}/", self.ports[1])
    }

    /// A staging that answers at once, without content.
    pub fn terse_staging(&self) -> String {
        format!("http://127.0.0.1:{}/", self.ports[2])
    }

    /// A staging that speaks HTTP/2.
    pub fn http2(&self) -> String {
        format!("h2c://{}/", self.http2.unwrap())
    }

    /// How many copies all stagings have read.
    pub fn copies(&self) -> u64 {
        self.hold().copies()
    }

    /// Lets staging answer after `by` from some moment on, and looks from then on for so many requests in its hand.
    pub fn slow_down(&self, at: Instant, by: Duration, held: usize) {
        let mut sinks = self.hold();
        (sinks.staging.looked_for, sinks.staging.found) = (held, None);
        sinks.step = Some((at, by));
    }

    /// When staging first had as many requests in its hand as were looked for.
    pub fn found(&self) -> Option<Instant> {
        self.hold().staging.found
    }

    /// Takes over the serving.
    pub fn hold(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap()
    }
}

impl Sinks {
    /// How many copies all stagings have read.
    pub fn copies(&self) -> u64 {
        let http2 = self.http2.as_ref().map_or(0, Http2::requests);
        self.staging.requests + self.terse.requests + http2
    }

    /// Answers what has arrived, to production and to forwarders in turn: staging is as prompt as the origin, and
    /// would be with a machine of its own. Were it passed over for long, large copies would wait for it, fill
    /// `CopyMemory`, and be lost to a slow staging.
    pub fn serve(&mut self) -> bool {
        if let Some((_, by)) = self.step.take_if(|(at, _)| *at <= Instant::now()) {
            self.staging.does = Staging::Slow(by);
        }
        if let Some(http2) = &self.http2 {
            http2.serve();
        }
        let served = [self.origin.serve(), self.staging.serve(), self.terse.serve()];
        served.contains(&true)
    }
}

struct Sink {
    address: SocketAddr,
    does: Staging,
    listener: Option<TcpListener>,
    /// Keeps the port, and the backlog full.
    _door: (Socket, Vec<TcpStream>),
    answer: Arc<[u8]>,
    ready: Ready,
    connections: BTreeMap<usize, Connection>,
    accepted: usize,
    /// Requests to be answered later.
    held: VecDeque<(Instant, usize)>,
    requests: u64,
    looked_for: usize,
    found: Option<Instant>,
}

impl Sink {
    fn new(does: Staging, answer: &[u8]) -> Sink {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let ready = Ready::new();
        let (mut crowd, mut listener) = (Vec::new(), None);
        match does {
            Staging::Dead => {}
            Staging::SwallowsSyn => {
                const BRIEFLY: Duration = Duration::from_millis(50);
                socket.listen(0).unwrap();
                crowd.extend(std::iter::from_fn(|| {
                    TcpStream::connect_timeout(&address, BRIEFLY).ok()
                }));
            }
            _ => {
                socket.listen(4096).unwrap();
                socket.set_nonblocking(true).unwrap();
                let door: TcpListener = socket.try_clone().unwrap().into();
                ready.watch(&door, DOOR);
                listener = Some(door);
            }
        }
        Sink {
            address,
            does,
            listener,
            _door: (socket, crowd),
            answer: answer.into(),
            ready,
            connections: BTreeMap::new(),
            accepted: DOOR,
            held: VecDeque::new(),
            requests: 0,
            looked_for: usize::MAX,
            found: None,
        }
    }

    /// Serves those that have something; whether any had.
    ///
    /// It does not ask for connections before the listener shows some: the kernel makes a socket for each time that it
    /// is asked, and frees those in turn later, which took this core half a millisecond a hundred times a second.
    fn serve(&mut self) -> bool {
        let (mut served, mut rings) = (false, false);
        for (number, gone) in self.ready.look() {
            served = true;
            rings |= number == DOOR;
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            let mut open = connection.go_on();
            while open {
                match connection.look() {
                    Found::Nothing => break,
                    Found::End => open = false,
                    Found::Message => {
                        self.requests += 1;
                        match self.does {
                            Staging::Well => open = connection.send(&self.answer),
                            Staging::Slow(by) => self.held.push_back((Instant::now() + by, number)),
                            _ => {}
                        }
                        if !gone {
                            break;
                        }
                    }
                }
            }
            if gone || !open {
                self.connections.remove(&number);
            }
        }
        if rings {
            self.welcome();
        }
        self.answer_held();
        served
    }

    fn welcome(&mut self) {
        let Some(listener) = &self.listener else { return };
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Whoever waits is not shown again.
                Err(error) => panic!("a backend takes no connection: {error}"),
            };
            let connection = Connection::new(stream);
            self.accepted += 1;
            self.ready.watch(&connection, self.accepted);
            self.connections.insert(self.accepted, connection);
        }
    }

    fn answer_held(&mut self) {
        if self.held.len() >= self.looked_for && self.found.is_none() {
            self.found = Some(Instant::now());
        }
        if self.held.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some((due, number)) = self.held.front().copied()
            && due <= now
        {
            self.held.pop_front();
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            if !connection.send(&self.answer) {
                self.connections.remove(&number);
            }
        }
    }
}
