//! Production's clients: a bounded load over kept-alive connections, as fast as it goes or at a fixed rate.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::framing::{Connection, Found};
use crate::sink::Backends;

/// What an ordinary client sends; eight fields, and 1 KiB of content if it is a POST.
pub fn request(method: &str, path: &str) -> Vec<u8> {
    let content = if method == "POST" { 1024 } else { 0 };
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
         Gecko/20100101 Firefox/140.0\r\nAccept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Referer: https://www.example.com/orders/new\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    );
    request += &match content {
        0 => "Cache-Control: no-cache\r\nDNT: 1\r\n\r\n".to_owned(),
        _ => format!("Content-Type: application/json\r\nContent-Length: {content}\r\n\r\n"),
    };
    request.into_bytes().into_iter().chain(std::iter::repeat_n(b'x', content)).collect()
}

/// How fast, and how long.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as production answers.
    Saturate(Duration),
    /// So many requests per second, evenly spread, whatever production does.
    Rate(f64, Duration),
    /// So many requests; the time does not matter.
    Count(u64),
}

impl Pace {
    fn is_over(self, elapsed: Duration, sent: u64) -> bool {
        match self {
            Pace::Saturate(time) | Pace::Rate(_, time) => elapsed >= time,
            Pace::Count(count) => sent >= count,
        }
    }

    fn is_due(self, elapsed: Duration, sent: u64) -> bool {
        match self {
            Pace::Rate(rate, _) => elapsed.as_secs_f64() * rate >= sent as f64,
            _ => true,
        }
    }
}

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub requests: u64,
    pub took: Duration,
}

impl Done {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// Sends requests over some connections, each with one under way at most, and serves the backends meanwhile.
///
/// One thread that never sleeps does it all: see [`crate::sink`].
pub fn run(port: u16, request: &[u8], pace: Pace, connections: usize, backends: &Backends) -> Done {
    const PATIENCE: Duration = Duration::from_secs(20);
    let mut clients: Vec<Client> = (0..connections).map(|_| Client::connect(port)).collect();
    let mut sinks = backends.hold();
    let begun = Instant::now();
    let (mut sent, mut answered, mut last) = (0, 0, Duration::ZERO);
    loop {
        let elapsed = begun.elapsed();
        let before = (sent, answered);
        for client in &mut clients {
            if client.waits && client.is_answered() {
                client.waits = false;
                answered += 1;
                last = elapsed;
            }
            if !client.waits && !pace.is_over(elapsed, sent) && pace.is_due(elapsed, sent) {
                assert!(client.connection.send(request), "production takes no request");
                client.waits = true;
                sent += 1;
            }
        }
        let served = sinks.serve();
        if sent == answered && pace.is_over(elapsed, sent) {
            return Done { requests: sent, took: elapsed };
        }
        assert!(elapsed < last + PATIENCE, "production does not answer");
        if matches!(pace, Pace::Count(_)) && !served && before == (sent, answered) {
            thread::sleep(Duration::from_micros(20));
        }
    }
}

struct Client {
    connection: Connection,
    waits: bool,
}

impl Client {
    fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        Client { connection: Connection::new(stream), waits: false }
    }

    fn is_answered(&mut self) -> bool {
        let found = self.connection.look();
        assert!(found != Found::End, "production closed the connection instead of answering");
        let answered = found == Found::Message;
        let line = &self.connection.last()[..12];
        assert!(!answered || line == b"HTTP/1.1 200", "{}", String::from_utf8_lossy(line));
        answered
    }
}
