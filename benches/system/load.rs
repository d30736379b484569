//! Production's clients: a bounded load over kept-alive connections, as fast as it goes or at a fixed rate.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::framing::{Connection, Found};
use crate::ready::Ready;
use crate::sink::{Backends, Sinks};
use crate::table::median_of;

/// What an ordinary client sends: eight fields, and so much content if it is a POST.
pub fn request(method: &str, path: &str, content: usize) -> Arc<[u8]> {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
         Gecko/20100101 Firefox/140.0\r\nAccept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Referer: https://www.example.com/orders/new\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    );
    request += &match method {
        "POST" => format!("Content-Type: application/json\r\nContent-Length: {content}\r\n\r\n"),
        _ => "Cache-Control: no-cache\r\nDNT: 1\r\n\r\n".to_owned(),
    };
    request.into_bytes().into_iter().chain(std::iter::repeat_n(b'x', content)).collect()
}

/// How fast, and how long.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as production answers.
    Saturate(Duration),
    /// So many requests per second, each at its scheduled time, whatever production does.
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

    /// When the next request is to start; `None` where as soon as may be.
    fn next(self, sent: u64) -> Option<Duration> {
        match self {
            Pace::Rate(rate, _) => Some(Duration::from_secs_f64(sent as f64 / rate)),
            _ => None,
        }
    }
}

/// What a load came to.
#[derive(Clone, Debug)]
pub struct Done {
    pub requests: u64,
    pub took: Duration,
    /// Of each request, from its scheduled start to the end of its answer, in nanoseconds; in the order of their ends.
    latencies: Vec<u64>,
}

/// A single hitch of the machine reaches hardly beyond it.
const WINDOW: Duration = Duration::from_millis(50);
/// The least requests that a window has: the 99th percentile is not their largest.
const LEAST: usize = 200;

impl Done {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// The latency that this share of the requests kept below, in microseconds.
    pub fn latency(&self, share: f64) -> f64 {
        quantile(&self.latencies, share)
    }

    /// The same for each [`WINDOW`]'s share of the requests, or for [`LEAST`] where those are fewer: the median.
    pub fn typical_latency(&self, share: f64) -> f64 {
        let windows = (self.took.as_secs_f64() / WINDOW.as_secs_f64()) as usize;
        let windows = windows.min(self.latencies.len() / LEAST).max(1);
        let windows = self.latencies.chunks_exact(self.latencies.len() / windows);
        median_of(windows.map(|window| quantile(window, share)))
    }
}

/// In microseconds.
fn quantile(latencies: &[u64], share: f64) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() as f64 * share) as usize;
    sorted[at.min(sorted.len() - 1)] as f64 / 1e3
}

/// Sends requests over some connections, each with one under way at most, and serves the backends meanwhile.
///
/// One thread that never sleeps does it all: see [`crate::sink`]. A request whose time has come while all connections
/// are in use waits for one, and this wait is part of its latency.
pub fn run(
    port: u16,
    request: &Arc<[u8]>,
    pace: Pace,
    connections: usize,
    backends: &Backends,
) -> Done {
    run_telling(port, request, pace, connections, backends, |_| ())
}

/// As [`run`]; tells how many requests have been answered, each time that some are.
pub fn run_telling(
    port: u16,
    request: &Arc<[u8]>,
    pace: Pace,
    connections: usize,
    backends: &Backends,
    mut tell: impl FnMut(u64),
) -> Done {
    const PATIENCE: Duration = Duration::from_secs(20);
    let mut clients = Clients::connect(port, connections);
    let mut sinks = backends.hold();
    let begun = Instant::now();
    let (mut sent, mut last) = (0, Duration::ZERO);
    loop {
        let elapsed = begun.elapsed();
        let before = clients.latencies.len();
        let over = pace.is_over(elapsed, sent);
        sent += clients.start(request, pace, elapsed, sent);
        clients.look(begun);
        let answered = clients.latencies.len();
        if answered > before {
            last = elapsed;
            tell(answered as u64);
        }
        let served = sinks.serve();
        if over && sent == answered as u64 {
            return Done { requests: sent, took: begun.elapsed(), latencies: clients.latencies };
        }
        assert!(elapsed < last + PATIENCE, "production does not answer");
        if matches!(pace, Pace::Count(_)) && !served && before == answered {
            thread::sleep(Duration::from_micros(20));
        }
    }
}

/// Serves the backends until `done`, for `bound` at most.
pub fn serve_until(
    sinks: &mut Sinks,
    bound: Duration,
    mut done: impl FnMut(&Sinks) -> bool,
) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < bound {
        sinks.serve();
        if done(sinks) {
            return true;
        }
    }
    false
}

struct Clients {
    all: Vec<(Connection, Duration)>,
    /// The numbers of those without a request under way.
    idle: VecDeque<usize>,
    ready: Ready,
    latencies: Vec<u64>,
}

impl Clients {
    fn connect(port: u16, connections: usize) -> Clients {
        let ready = Ready::new();
        let connect = |number| {
            let connection = Connection::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
            ready.watch(&connection, number);
            (connection, Duration::ZERO)
        };
        let all = (0..connections).map(connect).collect();
        Clients { all, idle: (0..connections).collect(), ready, latencies: Vec::new() }
    }

    /// Starts what is due; says how many.
    fn start(&mut self, request: &Arc<[u8]>, pace: Pace, elapsed: Duration, sent: u64) -> u64 {
        let mut started = 0;
        while !pace.is_over(elapsed, sent + started) {
            let due = pace.next(sent + started);
            if due.is_some_and(|due| due > elapsed) {
                break;
            }
            let Some(number) = self.idle.pop_front() else { break };
            let (connection, start) = &mut self.all[number];
            *start = due.unwrap_or(elapsed);
            assert!(connection.send(request), "production takes no request");
            started += 1;
        }
        started
    }

    /// Takes the answers that have come.
    fn look(&mut self, begun: Instant) {
        for (number, gone) in self.ready.look() {
            let (connection, start) = &mut self.all[number];
            assert!(connection.go_on(), "production takes no request");
            let found = connection.look();
            if found == Found::Message {
                let line = &connection.last()[..12];
                assert!(line == b"HTTP/1.1 200", "{}", String::from_utf8_lossy(line));
                self.latencies.push((begun.elapsed() - *start).as_nanos() as u64);
                self.idle.push_back(number);
            }
            let closed = gone || found == Found::End;
            assert!(
                !closed,
                "production closed the connection ({found:?}) instead of answering; what it said last:\n{}",
                String::from_utf8_lossy(connection.last()).trim_end_matches('\0')
            );
        }
    }
}
