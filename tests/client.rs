//! Production's client: raw requests out, whole responses in, over one connection.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use crate::wait::PATIENCE;
use crate::wire::{self, Wire};

/// One connection to production.
pub struct Client {
    wire: Wire,
}

/// A response, read whole.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Status line and fields, as received.
    pub head: Vec<u8>,
    pub content: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16) -> Client {
        Client::patient(port, PATIENCE)
    }

    /// One that waits so long for an answer.
    pub fn patient(port: u16, patience: Duration) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        Client { wire: Wire::new(stream) }
    }

    /// One of which little is under way: what it has sent was read by production, but for some 64 KiB on either side.
    pub fn connect_narrowly(port: u16) -> Client {
        let client = Client::connect(port);
        client.wire.narrow(64 << 10);
        client
    }

    pub fn send(&mut self, request: impl AsRef<[u8]>) {
        self.wire.write(request.as_ref()).unwrap();
    }

    /// The next final response to a request of any method but HEAD.
    pub fn response(&mut self) -> Response {
        self.read(true)
    }

    /// The next response, a 1xx too.
    pub fn any_response(&mut self) -> Response {
        self.read_one(true)
    }

    /// Sends a request without content and reads its response.
    pub fn get(&mut self, path: &str) -> Response {
        self.exchange(request("GET", path))
    }

    /// Sends a whole request and reads its response; a HEAD request's has no content.
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        let request = request.as_ref();
        self.send(request);
        self.read(!request.starts_with(b"HEAD "))
    }

    /// Sends a whole request and reads its response; `None` where production closed the connection,
    /// which was kept from an earlier request, before it answered: as it may at any time.
    pub fn exchange_if_kept(&mut self, request: &[u8]) -> Option<Response> {
        self.wire.write(request).ok()?;
        let answers = self.wire.has_more().is_ok_and(|answers| answers);
        answers.then(|| self.read(!request.starts_with(b"HEAD ")))
    }

    /// The next bytes, whatever they mean.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.wire.exactly(count).unwrap()
    }

    /// The next final response to a request that was sent with others.
    pub fn response_to(&mut self, request: &[u8]) -> Response {
        self.read(!request.starts_with(b"HEAD "))
    }

    /// Whether production has closed the connection, within a bound.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.wire.head(), Ok(None) | Err(_))
    }

    fn read(&mut self, with_content: bool) -> Response {
        loop {
            let response = self.read_one(with_content);
            if !(100..200).contains(&response.status) || response.status == 101 {
                return response;
            }
        }
    }

    fn read_one(&mut self, with_content: bool) -> Response {
        let head = self
            .wire
            .head()
            .unwrap_or_else(|error| panic!("reading a response: {error}"))
            .expect("production closed the connection instead of answering");
        let status = status(&head);
        let empty = !with_content || matches!(status, 100..200 | 204 | 304);
        let content = match empty {
            true => Vec::new(),
            false => self.wire.content(&head, true).unwrap(),
        };
        Response { status, head, content }
    }
}

impl Response {
    pub fn field(&self, name: &str) -> Option<String> {
        wire::field(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The response less what differs from one second, or one connection, to the next.
    pub fn comparable(&self) -> String {
        let head = String::from_utf8_lossy(&self.head).into_owned();
        let lines = head.split("\r\n").filter(|line| !line.starts_with("Date:"));
        let lines: Vec<&str> = lines.collect();
        lines.join("\r\n") + &self.text()
    }
}

/// A request without content for the host `www.example.com`.
pub fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
}

/// A request with content, framed by its length.
pub fn request_with(method: &str, path: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), content].concat()
}

/// `GET path` on a connection of its own.
pub fn get(port: u16, path: &str) -> Response {
    Client::connect(port).get(path)
}

/// Sends a request over a connection of its own, and reads until production answers or gives up.
pub fn attempt(port: u16, request: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut wire = Wire::new(stream);
    wire.write(request)?;
    wire.head()
}

/// Whether something accepts connections on the port.
pub fn accepts(port: u16) -> bool {
    let address = ([127, 0, 0, 1], port).into();
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

fn status(head: &[u8]) -> u16 {
    let line = String::from_utf8_lossy(head);
    let code = line.split(' ').nth(1).and_then(|code| code.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("not a response: {line}"))
}
