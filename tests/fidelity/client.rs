//! A client that keeps every byte production sent it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::backends::Backends;
use super::http1;
use super::production::Doors;
use super::row::{Act, Door, Row, Version};
use crate::wait::PATIENCE;
use crate::wire::{field, find};

/// Ends what a client does: its answer says that production is done with what came before.
pub const FENCE: &str = "GET /fence HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n";

/// One connection to production, with all that was read from it.
pub struct Transcript {
    stream: Stream,
    read: Vec<u8>,
    /// How much of it belongs to responses that were asked for.
    at: usize,
    statuses: Vec<u16>,
    backends: Arc<Backends>,
    /// The last response said that it is the last, or the client has hung up.
    ended: bool,
}

enum Stream {
    Tcp(TcpStream),
    /// `openssl s_client`: stops when its input ends.
    Tls(Child),
    Closed,
}

/// What a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub bytes: Vec<u8>,
    /// The status of each final response but the fence's.
    pub statuses: Vec<u16>,
}

impl Transcript {
    fn connect(port: u16, backends: &Arc<Backends>) -> Transcript {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Transcript::over(Stream::Tcp(stream), backends)
    }

    /// A connection by TLS 1.2, which alone lets a server ask for another handshake.
    fn connect_tls(port: u16, backends: &Arc<Backends>) -> Transcript {
        let address = format!("127.0.0.1:{port}");
        let client = Command::new("openssl")
            .args(["s_client", "-quiet", "-tls1_2", "-connect", &address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("openssl: {error}; the tests need it installed"));
        Transcript::over(Stream::Tls(client), backends)
    }

    fn over(stream: Stream, backends: &Arc<Backends>) -> Transcript {
        let (read, statuses) = (Vec::new(), Vec::new());
        Transcript { stream, read, at: 0, statuses, backends: Arc::clone(backends), ended: false }
    }

    /// What lies behind production.
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Stream::Tls(client) => {
                let input = client.stdin.as_mut().unwrap();
                input.write_all(bytes.as_ref()).and_then(|()| input.flush())
            }
            Stream::Closed => panic!("sending after hanging up"),
        };
        // Production may have answered and closed before it read everything.
        if let Err(error) = sent {
            let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
            assert!(gone.contains(&error.kind()), "{error}");
        }
    }

    /// The status of the next final response, read whole.
    pub fn response(&mut self) -> u16 {
        self.response_to("")
    }

    /// As [`response`](Self::response), to this method: no content comes after HEAD and CONNECT.
    pub fn response_to(&mut self, method: &str) -> u16 {
        loop {
            let status = self.any_response(matches!(method, "HEAD" | "CONNECT"));
            if status >= 200 || status == 101 {
                self.statuses.push(status);
                return status;
            }
        }
    }

    /// The status of the next response, a 1xx too.
    pub fn any_response(&mut self, without_content: bool) -> u16 {
        let head = self.head();
        let status = String::from_utf8_lossy(&head[9..12]).parse().expect("a status");
        let empty = without_content || matches!(status, 100..200 | 204 | 304);
        if empty {
        } else if field(&head, "Transfer-Encoding").is_some() {
            self.pass_chunks();
        } else if let Some(length) = field(&head, "Content-Length") {
            self.pass(length.parse().expect("a length"));
        } else {
            self.pass_rest();
            self.ended = true;
        }
        self.ended |= field(&head, "Connection").is_some_and(|option| option == "close");
        status
    }

    /// Waits until production has begun to answer.
    pub fn await_bytes(&mut self) {
        self.need(|rest| (!rest.is_empty()).then_some(0));
    }

    /// Reads so many bytes that are no response, as a tunnel's.
    pub fn raw(&mut self, length: usize) -> &[u8] {
        self.pass(length);
        &self.read[self.at - length..self.at]
    }

    /// Says that nothing more will be sent.
    pub fn sends_no_more(&mut self) {
        if let Stream::Tcp(stream) = &self.stream {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    }

    /// Closes the connection; what came after the last response that was asked for is forgotten.
    pub fn hang_up(&mut self) {
        self.read.truncate(self.at);
        self.stream = Stream::Closed;
        self.ended = true;
    }

    /// Sends the fence, over this connection or one of its own, and reads to the end.
    fn fenced(mut self, port: u16) -> Heard {
        let statuses = std::mem::take(&mut self.statuses);
        let mut bytes = Vec::new();
        if self.ended {
            while self.fill() {}
            bytes.append(&mut self.read);
            self = Transcript::connect(port, &self.backends.clone());
        }
        self.send(FENCE);
        // Production may close without having said that it would.
        if self.read.len() == self.at && !self.fill() {
            bytes.append(&mut self.read);
            self = Transcript::connect(port, &self.backends.clone());
            self.send(FENCE);
        }
        self.response();
        while self.fill() {}
        bytes.append(&mut self.read);
        Heard { bytes, statuses }
    }

    fn head(&mut self) -> Vec<u8> {
        let length = self.need(|rest| find(rest, b"\r\n\r\n").map(|at| at + 4));
        self.at += length;
        self.read[self.at - length..self.at].to_vec()
    }

    fn pass_chunks(&mut self) {
        loop {
            let line = self.need(|rest| find(rest, b"\r\n").map(|at| at + 2));
            let size =
                String::from_utf8_lossy(&self.read[self.at..self.at + line - 2]).into_owned();
            let size = usize::from_str_radix(size.split(';').next().unwrap().trim(), 16).unwrap();
            self.at += line;
            self.pass(size + 2);
            if size == 0 {
                return;
            }
        }
    }

    fn pass(&mut self, length: usize) {
        self.need(|rest| (rest.len() >= length).then_some(length));
        self.at += length;
    }

    fn pass_rest(&mut self) {
        while self.fill() {}
        self.at = self.read.len();
    }

    /// Reads on until `enough` is found in what was not passed yet.
    fn need(&mut self, enough: impl Fn(&[u8]) -> Option<usize>) -> usize {
        loop {
            if let Some(length) = enough(&self.read[self.at..]) {
                return length;
            }
            let text = || String::from_utf8_lossy(&self.read[self.at..]).into_owned();
            let before = text();
            assert!(self.fill(), "production closed after {before:?}");
        }
    }

    fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 65536];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(&mut buffer),
            Stream::Tls(client) => client.stdout.as_mut().unwrap().read(&mut buffer),
            Stream::Closed => Ok(0),
        };
        match read {
            Ok(read) => {
                self.read.extend_from_slice(&buffer[..read]);
                read > 0
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("reading from production: {error}"),
        }
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        if let Stream::Tls(client) = &mut self.stream {
            drop(client.stdin.take());
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

/// Plays a row's client, and its fence after it.
pub fn play(row: &Row, version: Version, doors: &Doors, backends: &Arc<Backends>) -> Heard {
    let mut client = match row.door {
        Door::Tls => Transcript::connect_tls(doors.port(row.door), backends),
        door => Transcript::connect(doors.port(door), backends),
    };
    match &row.act {
        Act::Asks(request) => client.send(http1::bytes(request, version)),
        Act::Sends(bytes) => client.send(bytes),
        Act::Plays(dialogue) => dialogue(&mut client),
    }
    if !matches!(row.act, Act::Plays(_)) {
        for at in 0..row.answers.len() {
            let method = row.requests.get(at).map_or(&b""[..], |request| &request.method);
            client.response_to(if method == b"HEAD" { "HEAD" } else { "" });
        }
    }
    client.fenced(doors.port(Door::Main))
}
