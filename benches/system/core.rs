//! What the core does by itself: how fast a document is masked, how soon a balancer's member is chosen.

use std::hint::black_box;

use mod_copy::balancer::{Chooser, Clock, Request};
use mod_copy::breaker::{Rules, Sign};
use mod_copy::clock;
use mod_copy::mask::{Key, Masks, Rule};
use rustix::time::{ClockId, clock_gettime};

use crate::Plan;
use crate::subjects::{Steady, orders};
use crate::table::{Required, Table};

const SIZE: usize = 1 << 20;
const MEMBERS: usize = 4;

pub fn measure(plan: &Plan, table: &mut Table) {
    table.title("by itself, on one core".into());
    let document = orders(SIZE);
    let head = format!(
        "POST /orders HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        document.len()
    );
    for (name, words) in [
        ("JSON masked, few hits, MB/s", &["standard"][..]),
        ("JSON masked, many hits, MB/s", &["json", "email", "name", "sku", "note"][..]),
    ] {
        let masks = Masks::of(&Rule::parse(words).unwrap(), Key::of(b"key"));
        let mask = || {
            let masked = masks.apply(&[head.as_bytes()], [black_box(&document[..])], 16 * SIZE);
            black_box(masked.unwrap());
        };
        let speed = (0..plan.pairs).map(|_| document.len() as f64 / 1e6 / seconds(20, mask));
        table.row(name, speed.collect(), Required::AtLeast(300.0));
    }
    let mut chooser = Chooser::new("staging", Rules::default(), Box::new(|_| Ok(())));
    let (roster, request) = (Steady::with(MEMBERS, false), Request { target: b"/", fields: b"" });
    let clock = Clock { now: &clock::now, unix: &|| 0 };
    let mut choose = || {
        let choice = chooser.choose(&roster, request, clock).unwrap();
        chooser.end(&choice, Sign::Alive, 1_000, clock::now);
    };
    let times = (0..plan.pairs).map(|_| 1e9 * seconds(200_000, &mut choose));
    let name = "a balancer's member chosen, of 4, ns";
    table.row(name, times.collect(), Required::AtMost(300.0));
}

/// The CPU time that each of so many takes.
pub fn seconds(count: u32, mut work: impl FnMut()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let begun = now();
    (0..count).for_each(|_| work());
    (now() - begun) / f64::from(count)
}
