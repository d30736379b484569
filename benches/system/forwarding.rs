//! What an exchange costs its forwarder over a connection that is kept: by TLS, beside the same in the clear.
//!
//! Without httpd: a forwarder of the module's in this process, and a staging that answers at once.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use mod_copy::breaker::Breaker;
use mod_copy::config::{Draft, Origin, Place, ScopeSettings, ServerSettings, find};
use mod_copy::forward::Forwarders;
use mod_copy::memory::Budget;
use mod_copy::message::{Additions, Field, Forwarded, Head, LoopMark, Message, Received};
use mod_copy::queue::{Held, Job};
use mod_copy::stats::{Account, Cell, Header, Row, Segment};
use mod_copy::target::{Aim, Limits, Url};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::Plan;
use crate::certified;
use crate::pair::FORWARDERS;
use crate::table::{Required, Table};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const CONTENT: [u8; 1024] = [b'x'; 1024];
const WARM: u64 = 1_000;
const COUNTED: u64 = 10_000;
/// Copies that wait at the same time, so that to wake the forwarder is no part of the cost.
const AT_ONCE: u64 = 500;

/// Interleaved runs, in the clear and by TLS.
pub fn measure(plan: &Plan, table: &mut Table) {
    let tls = certified::config();
    let (mut plain, mut secure) = (Vec::new(), Vec::new());
    for _ in 0..plan.pairs {
        plain.push(run(None));
        secure.push(run(Some(&tls)));
    }
    let ratios = plain.iter().zip(&secure).map(|(plain, secure)| secure / plain).collect();
    table.title(
        "an exchange of 1 KiB over a kept connection, in the forwarder, without httpd".into(),
    );
    table.row("CPU, in the clear, µs", plain, Required::Nothing);
    table.row("CPU, by TLS, µs", secure, Required::Nothing);
    table.row("CPU ratio, TLS", ratios, Required::AtMost(1.50));
}

/// The CPU time of one exchange, in microseconds.
fn run(tls: Option<&Arc<ServerConfig>>) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let port = listener.local_addr().unwrap().port();
    let url = Url::parse(&format!("{scheme}://localhost:{port}/")).unwrap();
    let budget: &'static Budget = Box::leak(Box::new(Budget::new(1 << 30).prepared()));
    let length = message(budget).parts(&Aim::at(url.clone())).map(<[u8]>::len).sum();
    let tls = tls.cloned();
    // Ends with its one connection, which ends with the forwarders.
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        match tls {
            None => answer(stream, length),
            Some(config) => answer(secured(stream, config), length),
        }
    });
    let draft = configured(&url);
    let policy = draft.resolve().unwrap();
    let resolved = &policy.targets()[0];
    let (segment, account) = account();
    let forwarders =
        Forwarders::start(Arc::clone(&resolved.target), &resolved.route, account).unwrap();
    let send = |count: u64| {
        let delivered = || segment.totals()[0].count(Cell::Delivered2xx);
        let before = delivered();
        for sent in (0..count).step_by(AT_ONCE as usize) {
            for _ in 0..AT_ONCE {
                account.select();
                forwarders.reserve().unwrap().fill(job(message(budget))).unwrap();
            }
            while delivered() < before + sent + AT_ONCE {
                thread::sleep(Duration::from_micros(300));
            }
        }
    };
    send(WARM);
    let before = forwarders_cpu();
    send(COUNTED);
    (forwarders_cpu() - before).as_secs_f64() * 1e6 / COUNTED as f64
}

/// Answers each so many bytes.
fn answer(mut stream: impl Read + Write, length: usize) {
    let (mut buffer, mut unanswered) = (vec![0; 64 * 1024], 0);
    while let Ok(read) = stream.read(&mut buffer)
        && read > 0
    {
        unanswered += read;
        while unanswered >= length {
            unanswered -= length;
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}

fn secured(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(config).unwrap(), stream)
}

fn configured(url: &Url) -> Draft {
    let (mut draft, mut scope, mut server) =
        (Draft::default(), ScopeSettings::default(), ServerSettings::default());
    for (directive, arguments) in
        [("CopyTLSVerify", "Off"), ("CopyTarget", &format!("{url} name=staging max=1"))]
    {
        let mut place = Place {
            draft: &mut draft,
            scope: &mut scope,
            server: &mut server,
            which: None,
            in_section: false,
            origin: Origin::default(),
        };
        find(directive).unwrap().apply(&mut place, arguments).unwrap();
    }
    draft
}

fn account() -> (Segment, Account) {
    let rows = Vec::leak(vec![Row::new()]);
    let segment = Segment::new(Box::leak(Box::new(Header::new())), rows);
    segment.initialise([1, 2, 3, 4], 0);
    let ledger = Box::leak(Box::new(segment.join(1, |_| true).unwrap()));
    (segment, ledger.account(segment.slot("staging").unwrap()))
}

fn message(budget: &'static Budget) -> Message {
    let fields: [(&[u8], &[u8]); 8] = [
        (b"Host", b"www.example.com"),
        (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (b"Accept", b"application/json, text/plain, */*"),
        (b"Accept-Language", b"en-US,en;q=0.5"),
        (b"Referer", b"https://www.example.com/orders/new"),
        (b"Cookie", b"session=0123456789abcdef0123456789abcdef; theme=dark"),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"1024"),
    ];
    let received = Received {
        method: b"POST",
        target: b"/orders?id=42",
        fields: fields.map(|(name, value)| Field::new(name, value)).into_iter(),
        connection: b"",
        has_content: true,
    };
    let forwarded = Some(Forwarded { client: b"127.0.0.1", proto: "http" });
    static MARK: OnceLock<LoopMark> = OnceLock::new();
    let additions = Additions {
        mark: MARK.get_or_init(|| LoopMark::new("0123456789abcdef0123456789abcdef")),
        forwarded,
        preserve_host: false,
        trace: None,
    };
    let head = Head::serialise(&received, &additions, budget).unwrap();
    let mut content = budget.segments();
    assert!(content.append(&CONTENT));
    head.with_content(Some(content))
}

fn job(message: Message) -> Job {
    static LIMITS: Limits = Limits {
        timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        receive_buffer: 0,
    };
    let pass = Breaker::new().admit(|| 0).unwrap();
    let message = Held::Alone(message);
    let offered = Instant::now();
    Job { message, limits: LIMITS, offered, pass, masks: None, compare: None, told: None }
}

/// The CPU time that forwarders of this process have taken.
fn forwarders_cpu() -> Duration {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let taken = threads.filter_map(|thread| {
        let name = fs::read_to_string(thread.path().join("comm")).ok()?;
        let taken = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        name.starts_with(FORWARDERS).then(|| taken.split(' ').next()?.parse::<u64>().ok()).flatten()
    });
    Duration::from_nanos(taken.sum())
}
