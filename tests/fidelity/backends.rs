//! What production leans on: an origin, an application by FastCGI, and a server of tunnels.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::httpd::free_port;
use crate::staging::{OK, Received, Staging};
use crate::wait::wait_for;
use crate::wire;

/// Shared by both productions, so that they answer alike.
pub struct Backends {
    pub origin: Staging,
    pub fastcgi: u16,
    pub tunnels: u16,
    pub gate: Gate,
    /// Nobody listens here.
    pub dead: u16,
}

impl Backends {
    pub fn start() -> Backends {
        Backends {
            origin: Staging::with_answers(answer),
            fastcgi: listen(serve_fastcgi),
            tunnels: listen(serve_tunnel),
            gate: Gate::start(),
            dead: free_port(),
        }
    }
}

/// The origin's answer: what the path asks for.
fn answer(request: &Received) -> Vec<u8> {
    let line = request.request_line();
    let path = line.split(' ').nth(1).unwrap_or_default();
    if path.contains("cached") {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 6\r\n";
        return format!("{head}Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\ncached").into();
    }
    if let Some(status) = path.split("answers-").nth(1).and_then(|rest| rest.get(..3)) {
        return format!("HTTP/1.1 {status} As Asked\r\nContent-Length: 5\r\n\r\nasked").into();
    }
    OK.into()
}

/// Serves each connection on a thread of its own, as long as the tests run.
fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A peer that goes away ends the connection: nothing to report.
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Agrees to any upgrade, and to any connection that was made for a CONNECT; then gives back what it gets.
fn serve_tunnel(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer)?;
    if buffer.starts_with(b"GET ") {
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        write!(stream, "{head}Sec-WebSocket-Accept: {accept}\r\n\r\n")?;
    } else {
        stream.write_all(&buffer[..read])?;
    }
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read])?;
    }
}

/// An origin that tells how much of a request's content has reached it.
pub struct Gate {
    pub port: u16,
    passed: Arc<AtomicUsize>,
}

impl Gate {
    fn start() -> Gate {
        let passed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&passed);
        Gate { port: listen(move |stream| serve_gate(stream, &counter)), passed }
    }

    /// Before a request.
    pub fn shut(&self) {
        self.passed.store(0, Ordering::SeqCst);
    }

    /// Waits until so many bytes of the content have arrived.
    pub fn passed(&self, count: usize) {
        let passed = || (self.passed.load(Ordering::SeqCst) >= count).then_some(());
        wait_for("the content at the origin", passed);
    }
}

/// Counts content as it comes, chunked or not; answers once it is whole.
fn serve_gate(mut stream: TcpStream, passed: &AtomicUsize) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        read.extend_from_slice(&buffer[..length]);
        let Some(head_end) = wire::find(&read, b"\r\n\r\n").map(|at| at + 4) else { continue };
        let declared =
            wire::field(&read, "Content-Length").map(|length| length.parse::<usize>().unwrap());
        passed.store(read.len() - head_end, Ordering::SeqCst);
        let is_whole = match declared {
            Some(length) => read.len() >= head_end + length,
            None => read.ends_with(b"\r\n0\r\n\r\n"),
        };
        if is_whole {
            stream.write_all(OK.as_bytes())?;
            read.clear();
        }
    }
}

const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const END_REQUEST: u8 = 3;

/// One request of FastCGI: answers with the content it got, once that has ended.
fn serve_fastcgi(mut stream: TcpStream) -> io::Result<()> {
    let mut content = Vec::new();
    let id = loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header)?;
        let [_, kind, id_high, id_low, length_high, length_low, padding, _] = header;
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let mut record = vec![0; length + usize::from(padding)];
        stream.read_exact(&mut record)?;
        match kind {
            STDIN if length == 0 => break [id_high, id_low],
            STDIN => content.extend_from_slice(&record[..length]),
            // It does not wait for the content.
            PARAMS if wire::find(&record, b"/ignores").is_some() => break [id_high, id_low],
            _ => {}
        }
    };
    let head = "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    for part in [head.as_bytes(), &content].concat().chunks(60_000) {
        write_record(&mut stream, STDOUT, id, part)?;
    }
    write_record(&mut stream, STDOUT, id, &[])?;
    write_record(&mut stream, END_REQUEST, id, &[0; 8])?;
    // What was not read would have the connection reset, and so cut the answer short.
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

fn write_record(stream: &mut TcpStream, kind: u8, id: [u8; 2], part: &[u8]) -> io::Result<()> {
    let length = u16::try_from(part.len()).unwrap().to_be_bytes();
    let header = [1, kind, id[0], id[1], length[0], length[1], 0, 0];
    stream.write_all(&[&header, part].concat())
}
