//! What no mirror does without, beside what httpd takes for the request: content copied once as it passes, sent in
//! one call over a connection that is kept, and its answer read. It wakes nobody, hands nothing over, accounts for
//! nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Plan;
use crate::beside;
use crate::cores;
use crate::framing;
use crate::load::Pace;
use crate::pair::{self, Run, Subject};
use crate::production::{self, CONNECTIONS, Module, Request};
use crate::sink::Backends;
use crate::table::{Required, Table};

/// Content passes in pieces of this size, each of which is in the caches then.
const PIECE: usize = 8 * 1024;
/// Copies that are sent before any is counted.
const WARM: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures each size of POST as fast as it goes, and each kind of request at half load, in turn with httpd.
pub fn measure(plan: &Plan, table: &mut Table) {
    let backends = Backends::start();
    let httpd = production::start(Module::Off, &backends);
    let mut patience = plan.patience;
    for request in [1, 64, 1024].map(Request::Post) {
        eprintln!("an ideal mirror of a {request} …");
        cores::wait_for_quiet(&mut patience);
        let off = Subject::httpd(&httpd, request, 0);
        let rounds: Vec<(Run, f64)> = (0..plan.pairs)
            .map(|_| {
                let off = pair::run(&off, Pace::Saturate(plan.run), &backends);
                (off, ideal(&request.bytes(), plan.run, &backends))
            })
            .collect();
        let all = |figure: fn(&(Run, f64)) -> f64| rounds.iter().map(figure).collect();
        table.title(format!("an ideal mirror of a {request}, as fast as it goes"));
        table.row("CPU of 1,000 requests, off, ms", all(|(off, _)| off.cpu), Required::Nothing);
        table.row("CPU of 1,000 copies, ms", all(|(_, copy)| *copy), Required::Nothing);
        let ratios = all(|(off, copy)| (off.cpu + copy) / off.cpu);
        table.row("CPU ratio", ratios, Required::Nothing);
        table.others(all(|(off, _)| off.others));
    }
    for request in Request::ALL {
        eprintln!("an ideal mirror beside a {request} …");
        cores::wait_for_quiet(&mut patience);
        beside::measure(&Subject::httpd(&httpd, request, 0), request, plan, &backends, table);
    }
}

/// The CPU time of one copy on production's core, in microseconds; the backends are served on the other.
fn ideal(request: &[u8], time: Duration, backends: &Backends) -> f64 {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut sinks = backends.hold();
            while !ended.load(Ordering::Relaxed) {
                sinks.serve();
            }
        });
        let _end = End(&ended);
        let mut copies = Kept::some(request, backends);
        cores::on_productions(|| mirror(&mut copies, time))
    })
}

/// Ends the serving, also where the copying panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends copies as fast as it goes, as many at a time as production has connections: what each takes.
fn mirror(copies: &mut [Kept<'_>], time: Duration) -> f64 {
    let mut send = || {
        copies.iter_mut().for_each(Kept::send);
        copies.iter_mut().for_each(Kept::read_answer);
        copies.len() as u64
    };
    let mut warm = 0;
    while warm < WARM {
        warm += send();
    }
    let (begun, before, mut sent) = (Instant::now(), cpu(), 0);
    while begun.elapsed() < time {
        sent += send();
    }
    (cpu() - before).as_secs_f64() * 1e6 / sent as f64
}

/// The CPU time of this thread.
pub fn cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// A connection to staging, and the place where what is sent over it is copied to.
pub struct Kept<'a> {
    stream: TcpStream,
    request: &'a [u8],
    place: Vec<u8>,
}

impl<'a> Kept<'a> {
    /// As many as production has connections.
    pub fn some(request: &'a [u8], backends: &Backends) -> Vec<Kept<'a>> {
        let staging = backends.staging();
        let address = staging.trim_start_matches("http://").trim_end_matches('/');
        (0..CONNECTIONS).map(|_| Kept::of(request, address)).collect()
    }

    fn of(request: &'a [u8], address: &str) -> Kept<'a> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Kept { stream, request, place: request.to_vec() }
    }

    /// Copies the request as it would pass, from a place that is read again and again, and sends it.
    pub fn send(&mut self) {
        // All of the content is the same letter: what follows the first pieces need not be touched.
        let passes = &self.request[..self.request.len().min(2 * PIECE)];
        let (first, rest) = self.place.split_at_mut(passes.len());
        first.copy_from_slice(passes);
        for piece in rest.chunks_mut(PIECE) {
            piece.copy_from_slice(&passes[passes.len() - piece.len()..]);
        }
        self.stream.write_all(&self.place).unwrap();
    }

    pub fn read_answer(&mut self) {
        let (mut answer, mut filled) = ([0; 256], 0);
        while framing::length(&answer[..filled]) != Some(filled) {
            let read = self.stream.read(&mut answer[filled..]).unwrap();
            assert!(read > 0, "staging closed the connection");
            filled += read;
        }
    }
}
