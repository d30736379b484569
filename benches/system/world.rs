//! The core without httpd: a mirror whose staging answers at once, and requests for it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use mod_copy::comparing::{self, ChildSlab, Compared, Comparer, Keeping, Production, Shelf};
use mod_copy::config::{
    Draft, ListId, Origin, Place, ProxyDefaults, Resolved, ScopeSettings, ServerPolicy,
    ServerSettings, find,
};
use mod_copy::copylog::{Awaiting, Requested};
use mod_copy::edit::{Edit, Edits};
use mod_copy::fates::Fates;
use mod_copy::journey::{Journey, Known, Scope};
use mod_copy::memory::Budget;
use mod_copy::message::{
    Additions, Field, Forwarded, Head, HeaderSection, LoopMark, Message, Received,
};
use mod_copy::mirror::{self, Chosen, Mirror};
use mod_copy::stats::{Header, Row, Segment};
use rustix::process::setpriority_process;

/// A mirror of one target that answers, the settings of a request's scope, and those of one outside.
pub struct World {
    segment: Segment,
    pub mirror: &'static Mirror,
    comparer: Option<Arc<Comparer>>,
    pub server: &'static ServerPolicy,
    pub scope: ScopeSettings,
    list: ListId,
    /// Of a scope that the same target gets next to nothing of.
    pub sampled_out: ScopeSettings,
    /// Of scopes where answers are not compared, where next to none are, and where all are.
    pub compared: [ScopeSettings; 3],
}

pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::new(false))
}

/// One where answers are compared.
pub fn comparing_world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::new(true))
}

impl World {
    fn new(compares: bool) -> World {
        let (mut draft, mut scopes, mut server) =
            (Draft::default(), [ScopeSettings::default(); 5], ServerSettings::default());
        for (at, directive, arguments) in [
            (0, "CopyTarget", format!("{} max=1 name=staging", staging())),
            (0, "CopyMemory", "1G".into()),
            (1, "MirrorRequest", "staging sample=0.001%".into()),
            (2, "MirrorRequest", "staging".into()),
            (2, "CopyCompare", "Off".into()),
            (3, "MirrorRequest", "staging".into()),
            (3, "CopyCompare", "headers body sample=0.001%".into()),
            (4, "MirrorRequest", "staging".into()),
            (4, "CopyCompare", "headers body".into()),
        ] {
            let mut place = Place {
                draft: &mut draft,
                scope: &mut scopes[at],
                server: &mut server,
                which: None,
                in_section: false,
                origin: Origin::default(),
            };
            assert!(find(directive).unwrap().apply(&mut place, &arguments).is_ok());
        }
        let [scope, sampled_out, compared @ ..] = scopes;
        let policy = Arc::new(draft.resolve().unwrap());
        let segment = segment(1);
        let name = |known: &Resolved| segment.slot(&known.target.name).unwrap();
        let slots: Vec<_> = policy.targets().iter().map(name).collect();
        let ledger = segment.join(std::process::id(), |_| true).unwrap();
        let known = policy.targets().iter().zip(&slots).map(|(known, slot)| Compared {
            slot: *slot,
            criteria: Arc::clone(&known.criteria),
            masks: None,
        });
        let known: Vec<Compared> = known.collect();
        let mut mirror = Mirror::start(policy, &slots, ledger, "5ec2e7").unwrap();
        let comparer = compares.then(|| {
            let (header, slabs) = (comparing::Header::new(), vec![ChildSlab::new()]);
            let shelf = Shelf::new(Box::leak(Box::new(header)), Vec::leak(slabs));
            let place = shelf.take(std::process::id(), |_| true).unwrap();
            let give_way = || {
                let _ = setpriority_process(None, 10);
            };
            Comparer::start(known, Vec::new(), place, None, give_way).unwrap()
        });
        if let Some(comparer) = &comparer {
            mirror = mirror.comparing_by(Arc::clone(comparer));
        }
        World {
            segment,
            mirror: Box::leak(Box::new(mirror)),
            comparer,
            server: Box::leak(Box::new(server.resolve(ProxyDefaults::default()))),
            list: scope.list().unwrap(),
            scope,
            sampled_out,
            compared,
        }
    }

    pub fn begin(&self, content: Option<Option<u64>>) -> Journey {
        Journey::begin(self.mirror, self.server, content)
    }

    pub fn decide(&self, journey: &mut Journey, settings: ScopeSettings, method: &[u8]) -> bool {
        let scope = Scope { settings: &settings, known: Client };
        let fields = fields();
        let received = received(method, &fields, journey.wants_content());
        let requested = || Requested::received(received.method, received.target);
        let chosen = journey.choose(&settings, true, &(), requested);
        chosen.is_some_and(|chosen| journey.select(chosen, &scope, &received))
    }

    pub fn offer(&self, message: Message) {
        let (awaiting, fates) = (&mut Awaiting::None, &mut Fates::asked_for(false));
        let source = mirror::Source::now(self.server, awaiting, fates);
        self.mirror.offer(message, None, Chosen::all(self.list), source);
    }

    /// What the witness does with production's answer, and with who is to have it, if that is compared.
    pub fn witness(&self, journey: &mut Journey, answer: &[u8]) {
        let Some(production) = journey.production_sides() else { return };
        let Production { sides, limit } = *production;
        let mut keeping = Keeping::new(self.mirror.budget(), limit);
        answer.chunks(PART).for_each(|part| keeping.content(part));
        let lines = FIELDS.iter().flat_map(|(name, value)| [*name, b":", *value, b"\n"]);
        keeping.head(200, lines);
        let kept = Arc::new(keeping.finish(Duration::from_millis(3)));
        sides.into_iter().for_each(|side| side.arrive(Arc::clone(&kept)));
    }

    /// Waits until every copy has its outcome, and all answers are compared.
    pub fn come_to_rest(&self) {
        while self.segment.totals().iter().any(|totals| totals.pending() > 0) {
            thread::yield_now();
        }
        while self.comparer.as_ref().is_some_and(|comparer| comparer.open() > 0) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Who knows of a request what did not come with it.
struct Client;

impl<'a> Known<'a> for Client {
    fn client(&self) -> Forwarded<'a> {
        CLIENT
    }

    fn proxy_preserve_host(&self) -> bool {
        false
    }
}

impl<F> Edit<F> for Client {
    fn edited(&self, _: Edits, _: &F) -> Option<F> {
        None
    }
}

/// Copies between two waits for the forwarders: fewer than a queue holds.
pub const TOGETHER: u32 = 100;
/// What httpd passes of an answer at once.
pub const PART: usize = 8 << 10;
const CLIENT: Forwarded<'static> = Forwarded { client: b"192.0.2.7", proto: "https" };
pub const CONTENT: &[u8] = &[b'x'; 1024];
/// What an ordinary client sends.
pub const FIELDS: [(&[u8], &[u8]); 8] = [
    (b"Host", b"www.example.com"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"Accept", b"application/json, text/plain, */*"),
    (b"Accept-Language", b"en-US,en;q=0.5"),
    (b"Referer", b"https://www.example.com/orders/new"),
    (b"Cookie", b"session=0123456789abcdef0123456789abcdef; theme=dark"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"1024"),
];

pub fn fields() -> [Field<'static>; 8] {
    FIELDS.map(|(name, value)| Field::new(name, value))
}

fn received<'a>(
    method: &'a [u8],
    fields: &'a [Field<'a>],
    has_content: bool,
) -> Received<'a, impl HeaderSection<'a>> {
    let fields = fields.iter().copied();
    Received { method, target: b"/orders?id=42", fields, connection: b"", has_content }
}

pub fn head() -> Head {
    static BUDGET: OnceLock<Budget> = OnceLock::new();
    static MARK: OnceLock<LoopMark> = OnceLock::new();
    let additions = Additions {
        mark: MARK.get_or_init(|| LoopMark::new("5ec2e7")),
        forwarded: Some(CLIENT),
        preserve_host: false,
        trace: None,
    };
    let budget = BUDGET.get_or_init(|| Budget::new(1 << 30).prepared());
    Head::serialise(&received(b"GET", &fields(), false), &additions, budget).unwrap()
}

pub fn message() -> Message {
    head().with_content(None)
}

pub fn segment(children: usize) -> Segment {
    let rows: Vec<Row> = (0..children).map(|_| Row::new()).collect();
    let segment = Segment::new(Box::leak(Box::new(Header::new())), Vec::leak(rows));
    segment.initialise([1, 2, 3, 4], 0);
    segment
}

/// The URL of a server that answers each request of ours at once.
fn staging() -> String {
    const END: &[u8] = b"\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let (mut buffer, mut filled) = ([0; 4096], 0);
                while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
                    filled += read;
                    let bytes = &buffer[..filled];
                    let head = bytes.windows(END.len()).position(|bytes| bytes == END);
                    let content = if bytes.starts_with(b"POST") { CONTENT.len() } else { 0 };
                    if head.is_some_and(|head| filled >= head + END.len() + content) {
                        filled = 0;
                        stream
                            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                            .unwrap();
                    }
                }
            });
        }
    });
    url
}
