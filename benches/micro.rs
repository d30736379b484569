//! What the parts of the core cost, without httpd: the request path, the hand-over, an exchange, the counters' page.
//!
//! Staging is a thread that answers at once. Copies are handed over in small numbers, and the forwarders are waited
//! for between them, so that the queue is never full.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a measurement that meets the unexpected has to stop"
)]

#[path = "system/subjects.rs"]
mod subjects;
#[path = "system/world.rs"]
mod world;

use std::hint::black_box;
use std::io::Read;
use std::iter;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box_drop};
use mod_copy::balancer::{Chooser, Clock, Request};
use mod_copy::breaker::{Pass, Rules, Sign};
use mod_copy::clock;
use mod_copy::config::ScopeSettings;
use mod_copy::journey::Part;
use mod_copy::mask::{Key, Masks, Rule};
use mod_copy::memory::Budget;
use mod_copy::outcome::{Failure, Outcome, StatusClass};
use mod_copy::queue::{Held, Job, bounded};
use mod_copy::stats::{Ledger, SPAN, SPANS, Segment, Traffic};
use mod_copy::status::{Format, Source, render};
use mod_copy::target::{Aim, Target, Url};
use subjects::{NEVER, Steady, items, orders};
use world::{CONTENT, FIELDS, TOGETHER, World, comparing_world, head, message, segment, world};

fn main() {
    divan::main();
}

/// What the breaker of a target that is well lets copies through under.
fn pass() -> Pass {
    let segment = segment(1);
    let ledger = Box::leak(Box::new(segment.join(1, |_| true).unwrap()));
    ledger.account(segment.slot("staging").unwrap()).breaker().admit(clock::now).unwrap()
}

/// Each sample is of [`TOGETHER`] requests, with the forwarders at rest before it.
fn after_rest(bencher: Bencher<'_, '_>, work: impl Fn(&World) + Sync) {
    after_rest_of(world(), bencher, work);
}

fn after_rest_of(world: &'static World, bencher: Bencher<'_, '_>, work: impl Fn(&World) + Sync) {
    bencher.counter(ItemsCount::new(TOGETHER)).with_inputs(|| world.come_to_rest()).bench_values(
        |()| {
            for _ in 0..TOGETHER {
                work(world);
            }
        },
    );
    world.come_to_rest();
}

/// The request path: figures are of 100 requests.
mod request_path {
    use super::*;

    #[divan::bench]
    fn out_of_scope(bencher: Bencher<'_, '_>) {
        after_rest(bencher, |world| {
            let mut journey = world.begin(None);
            black_box(world.decide(&mut journey, ScopeSettings::default(), b"GET"));
            journey.conclude();
        });
    }

    #[divan::bench]
    fn sampled_out(bencher: Bencher<'_, '_>) {
        after_rest(bencher, |world| {
            let mut journey = world.begin(None);
            black_box(world.decide(&mut journey, world.sampled_out, b"GET"));
            journey.conclude();
        });
    }

    #[divan::bench(sample_size = 1)]
    fn selected_get(bencher: Bencher<'_, '_>) {
        after_rest(bencher, |world| {
            let mut journey = world.begin(None);
            black_box(world.decide(&mut journey, world.scope, b"GET"));
            journey.conclude();
        });
    }

    #[divan::bench(sample_size = 1)]
    fn selected_post_of_1_kib(bencher: Bencher<'_, '_>) {
        after_rest(bencher, |world| {
            let mut journey = world.begin(Some(Some(CONTENT.len() as u64)));
            black_box(world.decide(&mut journey, world.scope, b"POST"));
            journey.content(Part::Bytes(CONTENT));
            journey.content(Part::End);
            journey.conclude();
        });
    }

    #[divan::bench(sample_size = 1)]
    fn offer(bencher: Bencher<'_, '_>) {
        let world = world();
        bencher
            .with_inputs(|| {
                world.come_to_rest();
                (0..TOGETHER).map(|_| message()).collect::<Vec<_>>()
            })
            .bench_values(|messages| {
                for message in messages {
                    world.offer(message);
                }
            });
        world.come_to_rest();
    }
}

/// The same requests where answers are compared: beside `selected_get`, they show what that adds.
mod request_path_comparing {
    use super::*;

    fn selected(bencher: Bencher<'_, '_>, scope: usize, content: usize) {
        let answer = vec![b'x'; content];
        after_rest_of(comparing_world(), bencher, |world| {
            let mut journey = world.begin(None);
            black_box(world.decide(&mut journey, world.compared[scope], b"GET"));
            world.witness(&mut journey, &answer);
            journey.conclude();
        });
    }

    #[divan::bench(sample_size = 1)]
    fn off(bencher: Bencher<'_, '_>) {
        selected(bencher, 0, 0);
    }

    #[divan::bench(sample_size = 1)]
    fn not_drawn(bencher: Bencher<'_, '_>) {
        selected(bencher, 1, 0);
    }

    /// With an answer of so many bytes.
    #[divan::bench(sample_size = 1, args = [0, 1024, 65536])]
    fn drawn(bencher: Bencher<'_, '_>, content: usize) {
        selected(bencher, 2, content);
    }
}

mod message_of_8_fields {
    use super::*;

    #[divan::bench]
    fn serialise(bencher: Bencher<'_, '_>) {
        bencher.bench(head);
    }

    #[divan::bench]
    fn parts(bencher: Bencher<'_, '_>) {
        let message = message();
        let aim = Aim::at(Url::parse("http://staging.example.com/").unwrap());
        bencher.bench_local(|| {
            black_box(message.head_parts(black_box(&aim)));
        });
    }
}

mod exchange {
    use super::*;

    /// One copy, from the hand-over to its outcome: a thread woken, a request, an answer.
    #[divan::bench(sample_size = 1)]
    fn over_loopback_one(bencher: Bencher<'_, '_>) {
        let world = world();
        bencher.with_inputs(message).bench_local_values(|message| {
            world.offer(message);
            world.come_to_rest();
        });
    }

    /// A hundred that come at once.
    #[divan::bench(sample_size = 1)]
    fn over_loopback_100(bencher: Bencher<'_, '_>) {
        let world = world();
        let messages = || (0..TOGETHER).map(|_| message()).collect::<Vec<_>>();
        bencher.with_inputs(messages).bench_local_values(|messages| {
            for message in messages {
                world.offer(message);
            }
            world.come_to_rest();
        });
    }
}

mod contention {
    use super::*;

    /// Producers offer; whoever finds the queue full drains it.
    #[divan::bench(threads = [1, 2, 4])]
    fn queue(bencher: Bencher<'_, '_>) {
        let world = world();
        let limits = *world.server.limits();
        let pass = pass();
        let (offers, jobs) = bounded(1024);
        bencher
            .with_inputs(|| {
                let message = Held::Alone(message());
                Job {
                    message,
                    limits,
                    offered: Instant::now(),
                    pass,
                    masks: None,
                    compare: None,
                    told: None,
                }
            })
            .bench_values(|job| {
                if offers.reserve().and_then(|place| place.fill(job)).is_err() {
                    iter::from_fn(|| jobs.try_recv().ok()).for_each(black_box_drop);
                }
            });
    }

    #[divan::bench(threads = [1, 2, 4])]
    fn budget(bencher: Bencher<'_, '_>) {
        static BUDGET: OnceLock<Budget> = OnceLock::new();
        let budget = BUDGET.get_or_init(|| Budget::new(1 << 30).prepared());
        bencher.bench(|| budget.buffer(CONTENT.len()));
    }
}

mod status {
    use super::*;

    /// So many targets, counted by so many children, with every span of the last 15 minutes another.
    fn busy(targets: u32, children: u32) -> (Segment, Vec<Arc<Target>>) {
        let segment = segment(children as usize);
        let url = Url::parse("http://staging.example.com/").unwrap();
        let name = |number| format!("staging-{number}");
        let configured: Vec<Arc<Target>> = (0..targets)
            .map(|number| Arc::new(Target { name: name(number), ..Target::at(url.clone()) }))
            .collect();
        let slots: Vec<_> =
            configured.iter().map(|target| segment.slot(&target.name).unwrap()).collect();
        let ledgers: Vec<&'static Ledger> = (1..=children)
            .map(|child| &*Box::leak(Box::new(segment.join(child, |_| true).unwrap())))
            .collect();
        let now = clock::now();
        for span in 0..=SPANS as u64 {
            for ledger in &ledgers {
                for (slot, copies) in slots.iter().zip((0..5).cycle()) {
                    let account = ledger.account(*slot);
                    for copy in 0..copies + span % 7 {
                        let latency = Duration::from_micros(100 << (copy % 12));
                        account.select();
                        account.taken();
                        let outcome = match copy % 5 {
                            4 => Outcome::Failed(Failure::Timeout),
                            _ => Outcome::Delivered(StatusClass::Successful),
                        };
                        account.settle(outcome, Traffic { latency, ..Traffic::default() });
                    }
                }
            }
            segment.record(now.saturating_sub((SPANS as u64 - span) * SPAN));
        }
        (segment, configured)
    }

    /// Of so many children, one target.
    #[divan::bench(args = [1, 16, 256])]
    fn json(bencher: Bencher<'_, '_>, children: u32) {
        let (segment, targets) = busy(1, children);
        let source = Source { segment, targets, rates: Vec::new(), compare: None };
        bencher.bench(|| render(&source, Format::Json, ""));
    }

    /// Of 16 children, so many targets.
    #[divan::bench(args = [1, 50])]
    fn html(bencher: Bencher<'_, '_>, targets: u32) {
        let (segment, targets) = busy(targets, 16);
        let source = Source { segment, targets, rates: Vec::new(), compare: None };
        let bencher = bencher.counter(BytesCount::new(render(&source, Format::Html, "").len()));
        bencher.bench(|| render(&source, Format::Html, ""));
    }

    /// Of 16 children, so many targets.
    #[divan::bench(args = [1, 50])]
    fn metrics(bencher: Bencher<'_, '_>, targets: u32) {
        let (segment, targets) = busy(targets, 16);
        let source = Source { segment, targets, rates: Vec::new(), compare: None };
        bencher.bench(|| render(&source, Format::Prometheus, ""));
    }

    /// What the pulse of one child does every 5 seconds, with 16 children and so many targets.
    #[divan::bench(args = [1, 50])]
    fn record(bencher: Bencher<'_, '_>, targets: u32) {
        let (segment, _) = busy(targets, 16);
        let mut now = clock::now();
        bencher.bench_local(|| {
            now += SPAN;
            segment.record(now);
        });
    }
}

/// Of a document or form of 1 MiB, on one core.
mod mask {
    use super::*;

    const SIZE: usize = 1 << 20;

    fn head(fields: &str) -> String {
        format!("POST /orders?id=42 HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n{fields}\r\n")
    }

    fn masked(bencher: Bencher<'_, '_>, rule: &str, fields: &str, content: &[u8]) {
        let rule = Rule::parse(&rule.split(' ').collect::<Vec<_>>()).unwrap();
        let (masks, head) = (Masks::of(&rule, Key::of(b"key")), head(fields));
        bencher.counter(BytesCount::new(content.len())).bench_local(|| {
            masks.apply(&[head.as_bytes()], [black_box(content)], 16 * SIZE).unwrap()
        });
    }

    const JSON: &str = "Content-Type: application/json\r\n";

    #[divan::bench]
    fn json_with_few_hits(bencher: Bencher<'_, '_>) {
        masked(bencher, "standard", JSON, &orders(SIZE));
    }

    #[divan::bench]
    fn json_with_many_hits(bencher: Bencher<'_, '_>) {
        masked(bencher, "json email name sku note", JSON, &orders(SIZE));
    }

    #[divan::bench]
    fn json_by_path(bencher: Bencher<'_, '_>) {
        masked(
            bencher,
            "json $.orders[*].customer.email $.orders[*].items[*].sku",
            JSON,
            &orders(SIZE),
        );
    }

    #[divan::bench]
    fn json_dropped(bencher: Bencher<'_, '_>) {
        masked(bencher, "json email sku drop", JSON, &orders(SIZE));
    }

    #[divan::bench]
    fn json_hashed(bencher: Bencher<'_, '_>) {
        masked(bencher, "json email hash", JSON, &orders(SIZE));
    }

    #[divan::bench]
    fn json_in_other_scripts(bencher: Bencher<'_, '_>) {
        let document =
            format!("[{}\"\"]", "{\"имя\":\"Пример\",\"名前\":\"例えば長い文\"},".repeat(15_000));
        masked(bencher, "standard", JSON, document.as_bytes());
    }

    #[divan::bench]
    fn json_in_gzip(bencher: Bencher<'_, '_>) {
        let mut coded = Vec::new();
        let json = orders(SIZE);
        flate2::read::GzEncoder::new(&json[..], flate2::Compression::default())
            .read_to_end(&mut coded)
            .unwrap();
        let fields = format!("{JSON}Content-Encoding: gzip\r\n");
        let rule = Rule::parse(&["standard"]).unwrap();
        let (masks, head) = (Masks::of(&rule, Key::of(b"key")), head(&fields));
        bencher.counter(BytesCount::new(json.len())).bench_local(|| {
            masks.apply(&[head.as_bytes()], [black_box(&coded[..])], 16 * SIZE).unwrap()
        });
    }

    #[divan::bench]
    fn urlencoded_form(bencher: Bencher<'_, '_>) {
        let form = "name=Zo%C3%AB+Example&email=zoe%40example.com&password=x&".repeat(SIZE / 57);
        masked(bencher, "form password", "", form.as_bytes());
    }

    #[divan::bench]
    fn multipart_form(bencher: Bencher<'_, '_>) {
        let file = format!(
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nx\r\n--b\r\nContent-Disposition: \
             form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n{}\r\n--b--\r\n",
            "\u{7f}PNG-\r\n".repeat(SIZE / 7),
        );
        let fields = "Content-Type: multipart/form-data; boundary=b\r\n";
        masked(bencher, "form password", fields, file.as_bytes());
    }

    /// A head without content, as most are.
    #[divan::bench]
    fn head_alone(bencher: Bencher<'_, '_>) {
        let message = message();
        let aim = Aim::at(Url::parse("http://staging.example.com/").unwrap());
        let masks = Masks::of(&Rule::parse(&["standard"]).unwrap(), Key::of(b"key"));
        bencher.bench_local(|| {
            let head = message.head_parts(&aim);
            masks.apply(&head, message.content_pieces(), SIZE).unwrap()
        });
    }
}

mod balancer {
    use super::*;

    /// The member for a copy, and its end.
    #[divan::bench(args = [2, 4, 16])]
    fn choose(bencher: Bencher<'_, '_>, members: usize) {
        chosen(bencher, members, false);
    }

    /// The same, by the session that a cookie among others names.
    #[divan::bench(args = [2, 4, 16])]
    fn choose_by_session(bencher: Bencher<'_, '_>, members: usize) {
        chosen(bencher, members, true);
    }

    fn chosen(bencher: Bencher<'_, '_>, members: usize, sticky: bool) {
        let roster = Steady::with(members, sticky);
        let mut chooser = Chooser::new("staging", Rules::default(), Box::new(|_| Ok(())));
        let cookie = format!("theme=dark; _ga=GA1.1.1890; ROUTEID=s3.node{}; lang=en", members - 1);
        let text = |bytes| String::from_utf8_lossy(bytes);
        let mut fields: String = FIELDS
            .iter()
            .map(|(name, value)| format!("{}: {}\r\n", text(name), text(value)))
            .collect();
        fields += &format!("Cookie: {cookie}\r\n");
        let request = Request { target: b"/orders/42?page=2&sort=date", fields: fields.as_bytes() };
        let clock = Clock { now: &clock::now, unix: &|| 0 };
        bencher.bench_local(|| {
            let choice = chooser.choose(&roster, request, clock).unwrap();
            chooser.end(&choice, Sign::Alive, 1_000, clock::now);
        });
    }
}

/// Two answers of 1 MiB each; bytes are those of one.
mod comparison {
    use super::*;
    use mod_copy::compare::text::{self, Form};
    use mod_copy::compare::{Answer, Body, Report, Route, Rules, compare, json, report};

    fn json_differing(bencher: Bencher<'_, '_>, staging: String, rule: Option<&str>) {
        let production = items(NEVER, NEVER);
        let mut rules = Rules::default();
        rule.iter().for_each(|rule| rules.ignore(rule).unwrap());
        bencher.counter(BytesCount::new(production.len())).bench_local(|| {
            json::compare(black_box(production.as_bytes()), black_box(staging.as_bytes()), &rules)
        });
    }

    #[divan::bench]
    fn json_equal(bencher: Bencher<'_, '_>) {
        json_differing(bencher, items(NEVER, NEVER), None);
    }

    /// The last member, so that all before it is read.
    #[divan::bench]
    fn json_one_difference_at_the_end(bencher: Bencher<'_, '_>) {
        let staging = items(NEVER, NEVER);
        let end = staging.rfind(".jpg").unwrap();
        json_differing(bencher, format!("{}.png{}", &staging[..end], &staging[end + 4..]), None);
    }

    /// One in each tenth item.
    #[divan::bench]
    fn json_many_differences(bencher: Bencher<'_, '_>) {
        json_differing(bencher, items(10, NEVER), None);
    }

    /// One in each item.
    #[divan::bench]
    fn json_differences_everywhere(bencher: Bencher<'_, '_>) {
        let staging = items(NEVER, NEVER).replace(r#""currency":"EUR""#, r#""currency":"USD""#);
        json_differing(bencher, staging, None);
    }

    #[divan::bench]
    fn json_in_another_order(bencher: Bencher<'_, '_>) {
        json_differing(bencher, items(NEVER, 2), None);
    }

    /// The worst for taking apart: each level is read again for each one above it.
    #[divan::bench]
    fn json_in_another_order_at_every_depth(bencher: Bencher<'_, '_>) {
        let rest = "x".repeat(1 << 13);
        let (mut production, mut staging) = ("0".to_owned(), "1".to_owned());
        for _ in 0..json::DEPTH - 1 {
            production = format!(r#"{{"a":"{rest}","b":{production}}}"#);
            staging = format!(r#"{{"b":{staging},"a":"{rest}"}}"#);
        }
        let rules = Rules::default();
        bencher.counter(BytesCount::new(production.len())).bench_local(|| {
            json::compare(black_box(production.as_bytes()), black_box(staging.as_bytes()), &rules)
        });
    }

    /// The worst for finding what both have: short lines, of which both have half, far apart.
    #[divan::bench]
    fn lines_all_over_the_place(bencher: Bencher<'_, '_>) {
        let text = |first: usize, step: usize| -> String {
            (0..65_000).map(|index| format!("{}\n", (first + index * step) % 65_003)).collect()
        };
        let (production, staging, rules) = (text(1, 7919), text(30_000, 104_729), Rules::default());
        bencher.counter(BytesCount::new(production.len())).bench_local(|| {
            text::compare(production.as_bytes(), staging.as_bytes(), Form::Lines, &rules)
        });
    }

    /// Equal by value, and not one blank where the other has it.
    #[divan::bench]
    fn json_written_otherwise(bencher: Bencher<'_, '_>) {
        let staging: serde_json::Value = serde_json::from_str(&items(NEVER, NEVER)).unwrap();
        json_differing(bencher, serde_json::to_string_pretty(&staging).unwrap(), None);
    }

    #[divan::bench]
    fn json_elements_in_any_order(bencher: Bencher<'_, '_>) {
        json_differing(bencher, items(10, NEVER), Some("order:*"));
    }

    /// One line more after each tenth.
    #[divan::bench(args = ["lines", "html"])]
    fn text(bencher: Bencher<'_, '_>, form: &str) {
        let form = if form == "html" { Form::Html } else { Form::Lines };
        let page = |every: usize| -> String {
            let line = |index: usize| {
                let more = if index % every == 1 { "\n<b>more</b>" } else { "" };
                format!(
                    "<tr class=\"row\"><td>{index}</td>  <td>Some text of a page</td></tr>{more}\n"
                )
            };
            (0..16_000).map(line).collect()
        };
        let (production, staging, rules) = (page(NEVER), page(10), Rules::default());
        bencher.counter(BytesCount::new(production.len())).bench_local(|| {
            text::compare(
                black_box(production.as_bytes()),
                black_box(staging.as_bytes()),
                form,
                &rules,
            )
        });
    }

    /// A whole comparison of two small answers that differ, and its place in the report.
    #[divan::bench]
    fn small_answers(bencher: Bencher<'_, '_>) {
        let bodies =
            [r#"{"id":7,"at":"2026-05-20T10:00:00Z"}"#, r#"{"id":7,"at":"2026-05-20T10:00:01Z"}"#];
        let answer = |body: &'static str| Answer {
            status: 200,
            fields: &FIELDS,
            body: Body::Whole(body.as_bytes()),
            latency: Duration::from_millis(3),
        };
        let (rules, mut counted) = (Rules::default(), Report::default());
        let mut request = 0;
        bencher.bench_local(|| {
            request += 1;
            let staging = compare(&answer(bodies[0]), &answer(bodies[1]), &rules);
            let route = Route::of(b"GET", b"/users/42/orders/8f14e45f?page=2");
            counted.record(&report::Observation {
                at: request,
                route: &route,
                request,
                staging: &staging,
                control: None,
            });
        });
    }
}
