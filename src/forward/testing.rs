//! What the room's tests share: messages, accounts, and staging servers on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::breaker::Breaker;
use crate::memory::Budget;
use crate::message::{Additions, Field, Head, LoopMark, Message, Received};
use crate::outcome::StatusClass;
use crate::queue::{Held, Job};
use crate::route::Route;
use crate::stats::tests::segment;
use crate::stats::{Account, Ledger, Segment, Totals, Traffic};
use crate::target::{Aim, Limits, Pool, Target, Url};

use super::courier::{Courier, Errand, Hire, Progress};
use super::exchange::Wait;
use super::fault::Fault;
use super::pace::{Deadline, OnSlow};

/// Long enough for anything that a test waits for; only a failing test waits this long.
pub(super) const LONG: Duration = Duration::from_secs(20);

pub(super) const LIMITS: Limits =
    Limits { timeout: LONG, connect_timeout: LONG, receive_buffer: 0 };

/// An allowance of one test's own.
pub(super) fn budget() -> &'static Budget {
    Box::leak(Box::new(Budget::new(1 << 30)))
}

pub(super) fn message(method: &str, content: Option<&[u8]>) -> Message {
    message_of(method, content, budget())
}

pub(super) fn message_of(method: &str, content: Option<&[u8]>, budget: &'static Budget) -> Message {
    let received = Received {
        method: method.as_bytes(),
        target: b"/path?query",
        fields: [Field::new(b"Host", b"www.example.com"), Field::new(b"uSER-aGENT", b"test")]
            .into_iter(),
        connection: b"",
        has_content: content.is_some(),
    };
    let additions = Additions {
        mark: &LoopMark::new("5ec2e7"),
        forwarded: None,
        preserve_host: true,
        trace: None,
    };
    let head = Head::serialise(&received, &additions, budget).unwrap();
    let content = content.map(|bytes| {
        let mut content = budget.segments();
        assert!(content.append(bytes));
        content
    });
    head.with_content(content)
}

pub(super) fn job(message: Message, limits: Limits) -> Job {
    let pass = Breaker::new().admit(|| 0).unwrap();
    Job {
        message: Held::Alone(message),
        limits,
        offered: Instant::now(),
        pass,
        masks: None,
        compare: None,
        told: None,
    }
}

/// The bytes that staging is to receive.
pub(super) fn bytes(message: &Message, aim: &Aim) -> Vec<u8> {
    message.parts(aim).collect::<Vec<_>>().concat()
}

pub(super) fn aim(authority: impl ToString) -> Aim {
    let url = Url::parse(&format!("http://{}/", authority.to_string())).unwrap();
    Aim::at(url)
}

pub(super) fn direct(authority: impl ToString) -> Route {
    Route::Direct { url: aim(authority).url, tls: None }
}

pub(super) fn target(authority: impl ToString, pool: Pool) -> Arc<Target> {
    Arc::new(Target { name: "staging".to_owned(), pool, ..Target::at(aim(authority).url) })
}

/// A target without limits of its own.
pub(super) fn plain_target() -> Target {
    Target::at(aim("127.0.0.1:1").url)
}

/// The counters of one test.
#[derive(Clone, Copy)]
pub(super) struct Counters {
    segment: Segment,
    pub(super) ledger: &'static Ledger,
    pub(super) account: Account,
}

impl Counters {
    pub(super) fn new() -> Counters {
        let segment = segment(1);
        let ledger: &'static Ledger = Box::leak(Box::new(segment.join(1, |_| true).unwrap()));
        Counters { segment, ledger, account: ledger.account(segment.slot("staging").unwrap()) }
    }

    pub(super) fn totals(&self) -> Totals {
        self.segment.totals().remove(0)
    }

    /// Waits until the counters are as they should be, and returns them.
    pub(super) fn until(&self, as_expected: impl Fn(&Totals) -> bool) -> Totals {
        let started = Instant::now();
        loop {
            let totals = self.totals();
            if as_expected(&totals) {
                return totals;
            }
            assert!(started.elapsed() < LONG, "never came about: {totals:?}");
            thread::yield_now();
        }
    }
}

/// A staging server; each connection is served by a thread of its own.
pub(super) struct Staging {
    pub(super) address: SocketAddr,
    /// Connections accepted so far.
    accepted: mpsc::Receiver<()>,
}

impl Staging {
    /// `serve` is given each connection, and its number from 0.
    pub(super) fn start(serve: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static) -> Staging {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        let (sender, accepted) = mpsc::channel();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (mut stream, serve) = (stream.unwrap(), Arc::clone(&serve));
                if sender.send(()).is_err() {
                    return;
                }
                thread::spawn(move || serve(number, &mut stream));
            }
        });
        Staging { address, accepted }
    }

    /// Answers every request with the same bytes.
    pub(super) fn answering(answer: &'static [u8]) -> Staging {
        Staging::start(move |_, stream| {
            while request(stream).is_some() {
                stream.write_all(answer).unwrap();
            }
        })
    }

    /// Answers the first request of every connection, and closes it.
    pub(super) fn closing_after(answer: &'static [u8]) -> Staging {
        Staging::start(move |_, stream| {
            request(stream);
            stream.write_all(answer).unwrap();
        })
    }

    /// Waits until so many more connections are accepted.
    pub(super) fn await_connections(&self, count: usize) {
        (0..count).for_each(|_| self.accepted.recv_timeout(LONG).unwrap());
    }

    /// Connections accepted since it was last asked.
    pub(super) fn connections(&self) -> usize {
        self.accepted.try_iter().count()
    }
}

/// What one `read` gives: a small request that was sent at once is whole. `None` at the end.
pub(super) fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 256 * 1024];
    let read = stream.read(&mut buffer).unwrap_or(0);
    buffer.truncate(read);
    Some(buffer).filter(|bytes| !bytes.is_empty())
}

pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A courier that is a function, and has each copy delivered when it returns.
pub(super) struct Hired<F>(F);

impl<F> Hired<F>
where
    F: FnMut(&Message) -> Result<StatusClass, Fault> + Send + 'static,
{
    /// Each connection gets a function of its own.
    pub(super) fn each(make: impl Fn(OnSlow) -> F + Send + Sync + 'static) -> Hire {
        Box::new(move |on_slow| Box::new(Hired(make(on_slow))))
    }
}

impl<F: FnMut(&Message) -> Result<StatusClass, Fault> + Send> Courier for Hired<F> {
    fn has_connection(&self) -> bool {
        true
    }

    fn send(&mut self, errand: &Errand<'_>, _: Wait, _: &mut Traffic) -> Progress {
        Progress::Ended((self.0)(errand.message))
    }

    fn go_on(&mut self, errand: &Errand<'_>, wait: Wait, traffic: &mut Traffic) -> Progress {
        self.send(errand, wait, traffic)
    }

    fn late(&self, deadline: &Deadline) -> Fault {
        Fault::late("be a function", deadline)
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
