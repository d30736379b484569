//! Copies over HTTP/2 to staging servers on loopback: real ones, and some that speak it a frame at a time.

mod faults;
mod raw;
mod server;

use std::future::poll_fn;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::bell::Bell;
use crate::clock;
use crate::mask::{Key, Masks, Rule};
use crate::memory::Budget;
use crate::message::{Additions, Field, Head, LoopMark, Message, Received};
use crate::queue::{self, Job};
use crate::route::Route;
use crate::stats::{Cell, Totals};
use crate::target::{Aim, Limits, Pool, Target, Url};

use super::super::connecting::Over;
use super::super::testing::{Counters, LIMITS, budget, job, message};
use super::super::{Forwarders, Makings, Shared, names};
use super::carrier::Carrier;
use server::{Staging, answer, content};

/// A target, and where its copies are counted.
struct Mirror {
    counters: Counters,
    forwarders: Forwarders,
}

impl Mirror {
    fn to(address: impl ToString, pool: Pool) -> Mirror {
        let url = Url::parse(&format!("h2c://{}/", address.to_string())).unwrap();
        let target = Target { name: "staging".to_owned(), pool, ..Target::at(url.clone()) };
        let (counters, route) = (Counters::new(), Route::Direct { url, tls: None });
        let forwarders = Forwarders::start(target.into(), &route, counters.account).unwrap();
        Mirror { counters, forwarders }
    }

    fn offer(&self, message: Message) {
        self.offer_within(message, LIMITS);
    }

    fn offer_within(&self, message: Message, limits: Limits) {
        self.counters.account.select();
        self.forwarders.offer(job(message, limits)).unwrap();
    }

    /// Waits until every copy has its outcome, and reads again: what came before the outcomes may have been
    /// read before them.
    fn settled(&self) -> Totals {
        self.counters.until(|totals| totals.pending() == 0);
        self.counters.until(|_| true)
    }
}

const MANY: Pool = Pool { min: 1, max: 100, ttl: Duration::from_secs(60), queue: 1000 };

#[test]
fn a_copy_arrives_as_it_was_sent() {
    let staging = Staging::start(|_, request, respond| async move {
        content(request.into_body()).await;
        answer(respond, b"ok").await;
    });
    let fields = [
        ("hOST", "www.example.com"),
        ("User-agent", "test/1 (a; b)"),
        ("TE", "trailers, deflate"),
        ("X-Bytes", "a\u{e9}\tb"),
        ("accept", ""),
        ("Connection", "x-hop"),
        ("X-Hop", "1"),
        ("Cookie", "a=b; c=\"d\""),
    ];
    let received = Received {
        method: b"FROBnicate",
        target: b"/a/b%20c//d;x?x=1&y=%41?&z=\xc3\xa9",
        fields: fields.iter().map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())),
        connection: b"x-hop",
        has_content: true,
    };
    let additions = Additions {
        mark: &LoopMark::new("5ec2e7"),
        forwarded: None,
        preserve_host: true,
        trace: None,
    };
    let mut segments = budget().segments();
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(segments.append(&bytes));
    let head = Head::serialise(&received, &additions, budget()).unwrap();
    let trailers =
        [("X-Sum", "1"), ("Host", "b"), ("X-Last", ""), ("TE", "x"), ("Content-Length", "1")];
    let trailers = trailers.map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()));
    let trailers = crate::message::trailers(trailers.into_iter(), budget()).unwrap();
    let mirror = Mirror::to(staging.address, MANY);
    mirror.offer(head.with_content(Some(segments)).with_trailers(trailers));
    let totals = mirror.settled();
    let arrived = staging.next();
    assert_eq!(arrived.method, "FROBnicate");
    assert_eq!(arrived.uri, "http://www.example.com/a/b%20c//d;x?x=1&y=%41?&z=\u{e9}");
    let expected = [
        ("user-agent", "test/1 (a; b)"),
        ("x-bytes", "a\u{e9}\tb"),
        ("accept", ""),
        ("cookie", "a=b; c=\"d\""),
        ("x-mod-copy", "5ec2e7"),
        ("te", "trailers"),
    ];
    assert_eq!(arrived.fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(arrived.content == bytes, "{} bytes", arrived.content.len());
    let trailers = [("x-sum", "1"), ("x-last", "")];
    let trailers = trailers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(arrived.trailers, trailers);
    assert_eq!((totals.count(Cell::Delivered2xx), totals.count(Cell::Unanswered)), (1, 0));
    assert!(totals.count(Cell::BytesSent) > 200_000, "{totals:?}");
    assert_eq!(totals.count(Cell::BytesReceived), 2);
}

#[test]
fn what_no_uri_has_and_who_names_no_host_are_sent_as_any_client_would() {
    let staging = Staging::start(|_, _, respond| answer(respond, b""));
    let mirror = Mirror::to(staging.address, MANY);
    let url = format!("http://{}", staging.address);
    for (target, host, uri) in [
        (&b"/a\"<b>`{c}?d=<e>"[..], None, format!("{url}/a%22%3Cb%3E%60%7Bc%7D?d=%3Ce%3E")),
        (b"/a#b", None, format!("{url}/a%23b")),
        (b"/\xff", None, format!("{url}/%FF")),
        (b"*", None, format!("{url}*")),
        (b"/x", Some("a b"), "/x host=a b".to_owned()),
    ] {
        let fields = host.map(|host: &str| Field::new(b"Host", host.as_bytes()));
        let received = Received {
            method: b"OPTIONS",
            target,
            fields: fields.into_iter(),
            connection: b"",
            has_content: false,
        };
        let additions = Additions {
            mark: &LoopMark::new("5ec2e7"),
            forwarded: None,
            preserve_host: true,
            trace: None,
        };
        mirror.offer(Head::serialise(&received, &additions, budget()).unwrap().with_content(None));
        let arrived = staging.next();
        let host = arrived.field("host").map(|host| format!(" host={host}")).unwrap_or_default();
        let came = format!("{}{host}", arrived.uri);
        assert_eq!(came, uri);
    }
    assert_eq!(mirror.settled().count(Cell::Delivered2xx), 5);
}

#[test]
fn many_are_in_flight_on_one_connection_and_no_more_than_max() {
    let staging = Staging::gated();
    let mirror = Mirror::to(staging.address, MANY);
    (0..130).for_each(|_| mirror.offer(message("POST", Some(b"hello"))));
    let full = mirror.counters.until(|totals| totals.count(Cell::Unanswered) == 100);
    assert_eq!((full.in_flight(), full.queued()), (100, 30), "{full:?}");
    assert_eq!(full.count(Cell::Forwarders), 1);
    staging.open_gate();
    let totals = mirror.settled();
    assert_eq!((totals.count(Cell::Delivered2xx), totals.count(Cell::Unanswered)), (130, 0));
    assert_eq!(staging.connections(), 1);
}

/// A carrier of copies that lie in its queue.
fn carrier(counters: &Counters, jobs: Vec<Job>) -> (Carrier, UnixStream) {
    let url = Url::parse("h2c://127.0.0.1:1/").unwrap();
    let target = Arc::new(Target { pool: MANY, ..Target::at(url.clone()) });
    let shared = Shared::of(&target, Over::Plain, counters.account);
    let names = shared.names(&url, Box::new(names::system));
    let makings = Makings::of(Aim::of(&target, url), names, shared).unwrap();
    let (offers, queue) = queue::bounded(10);
    for job in jobs {
        counters.account.select();
        offers.offer(job).unwrap();
    }
    counters.account.forwarder(true);
    let (bell, ear) = Bell::new().unwrap();
    (Carrier::new(target, counters.account, (queue, Arc::new(bell)), (makings, None)), ear)
}

/// Looks, so many times, how many copies a carrier has taken, each time that it lets others on.
fn taken(counters: &Counters, (carrier, ear): (Carrier, UnixStream), times: usize) -> Vec<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let ear = tokio::net::UnixStream::from_std(ear).unwrap();
        let mut serve = pin!(Rc::new(carrier).serve(&ear));
        let mut taken = Vec::new();
        for _ in 0..times {
            let is_pending =
                poll_fn(|context| Poll::Ready(serve.as_mut().poll(context).is_pending())).await;
            assert!(is_pending);
            taken.push(counters.totals().count(Cell::Taken));
        }
        taken
    })
}

#[test]
fn each_masked_copy_sets_out_before_the_next_is_masked() {
    let counters = Counters::new();
    let masks = Masks::of(&Rule::parse(&["json", "password"]).unwrap(), Key::of(b"a key"));
    let masks = Arc::new(masks);
    let masked = |_| {
        let message = message("POST", Some(br#"{"password":"secret"}"#));
        Job { masks: Some(Arc::clone(&masks)), ..job(message, LIMITS) }
    };
    let carrier = carrier(&counters, (0..3).map(masked).collect());
    assert_eq!(taken(&counters, carrier, 3), [1, 2, 3]);
}

#[test]
fn no_copy_is_taken_while_too_many_connections_were_made() {
    let counters = Counters::new();
    let jobs = || vec![job(message("GET", None), LIMITS)];
    let (waits, ear) = carrier(&counters, jobs());
    (0..1_000_000).for_each(|_| waits.connecting().count(Over::Plain, clock::nanos()));
    assert_eq!(taken(&counters, (waits, ear), 2), [0, 0]);
    assert_eq!(taken(&counters, carrier(&counters, jobs()), 1), [1]);
}

#[test]
fn no_more_are_taken_than_staging_lets_streams_be_open() {
    let staging = Staging::gated_with(|builder| {
        builder.max_concurrent_streams(3);
    });
    let mirror = Mirror::to(staging.address, MANY);
    // What staging allows is known when it has answered.
    mirror.offer(message("GET", None));
    staging.open_gate();
    mirror.settled();
    staging.close_gate();
    (0..10).for_each(|_| mirror.offer(message("POST", Some(b"hello"))));
    let full = mirror.counters.until(|totals| totals.count(Cell::Unanswered) == 3);
    assert_eq!((full.in_flight(), full.queued()), (3, 7), "{full:?}");
    staging.open_gate();
    assert_eq!(mirror.settled().count(Cell::Delivered2xx), 11);
    assert_eq!(staging.connections(), 1);
}

#[test]
fn memory_is_given_back_with_the_outcome() {
    let staging = Staging::start(|_, request, respond| async move {
        content(request.into_body()).await;
        answer(respond, b"ok").await;
    });
    let budget: &'static Budget = Box::leak(Box::new(Budget::new(1 << 20)));
    let mirror = Mirror::to(staging.address, MANY);
    for _ in 0..5 {
        mirror.offer(super::super::testing::message_of("POST", Some(&[b'x'; 40_000]), budget));
        mirror.settled();
        assert_eq!(budget.used(), 0);
    }
}

#[test]
fn a_connection_is_used_until_it_is_idle_for_the_ttl() {
    let staging = Staging::start(|_, _, respond| answer(respond, b"ok"));
    let mirror = Mirror::to(staging.address, Pool { ttl: Duration::from_millis(300), ..MANY });
    for _ in 0..3 {
        mirror.offer(message("GET", None));
        mirror.settled();
    }
    staging.await_end();
    mirror.offer(message("GET", None));
    assert_eq!(mirror.settled().count(Cell::Delivered2xx), 4);
    assert!((2..=4).contains(&staging.connections()));
}

#[test]
fn every_status_has_its_class_and_head_has_no_content() {
    let staging = Staging::start(|number, _, mut respond| async move {
        let status = [200, 204, 302, 404, 503][number % 5];
        let response = http::Response::builder().status(status).header("content-length", "5");
        let response = response.body(()).unwrap();
        let _ = respond.send_response(response, true);
    });
    let mirror = Mirror::to(staging.address, MANY);
    (0..5).for_each(|_| mirror.offer(message("HEAD", None)));
    let totals = mirror.settled();
    let cells = [Cell::Delivered2xx, Cell::Delivered3xx, Cell::Delivered4xx, Cell::Delivered5xx];
    assert_eq!(cells.map(|cell| totals.count(cell)), [2, 1, 1, 1]);
}
