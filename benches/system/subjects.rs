//! What is measured by itself and against a requirement: a document to be masked, answers to be compared, a balancer's
//! members.

use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use mod_copy::balancer::{Member, Method, Roster, Sticky, status as standing};
use mod_copy::target::Url;

/// A document of some size: orders as a shop's front end sends them, short strings, numbers, some text.
pub fn orders(size: usize) -> Vec<u8> {
    let mut document = b"{\"orders\":[".to_vec();
    for id in 0.. {
        if document.len() >= size {
            break;
        }
        let order = format!(
            "{{\"id\":{id},\"created_at\":\"2026-05-20T09:{:02}:00Z\",\"status\":\"open\",\"total\":{}.{:02},\
             \"customer\":{{\"name\":\"Zoë Example\",\"email\":\"zoe{id}@example.com\",\"vip\":false}},\
             \"items\":[{{\"sku\":\"A-{id}\",\"quantity\":2,\"price\":9.99}},{{\"sku\":\"B-{id}\",\
             \"quantity\":1,\"price\":129}}],\"note\":\"Please leave it with the neighbour if nobody \
             opens, \\\"Example\\\" is on the door.\\nThanks!\",\"coupon\":null}},",
            id % 60,
            id * 7 % 1000,
            id % 100,
        );
        document.extend_from_slice(order.as_bytes());
    }
    document.extend_from_slice(b"{\"password\":\"x\"}]}");
    document
}

/// So many that none is meant.
pub const NEVER: usize = 1 << 30;

/// Items of an ordinary API, each some 180 bytes long, of which every so-and-so-many has another price, or
/// its members in another order.
pub fn items(another_price: usize, another_order: usize) -> String {
    let mut items = Vec::new();
    let mut length = 0;
    for index in 0.. {
        let price = if index % another_price == 1 { 1 } else { 0 };
        let name = format!(r#""name":"Item number {index}, blue""#);
        let id = format!(r#""id":{index}"#);
        let first = if index % another_order == 1 { [name, id] } else { [id, name] }.join(",");
        items.push(format!(
            r#"{{{first},"price":{{"amount":"{index}.9{price}","currency":"EUR"}},"tags":["new","sale"],"available":true,"rating":4.{},"description":null,"image":"/images/items/{index}.jpg"}}"#,
            index % 10,
        ));
        length += items[index].len() + 1;
        if length > 1 << 20 {
            break;
        }
    }
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}

/// Members that are always there, in memory that others may write at any moment.
#[derive(Debug)]
pub struct Steady {
    members: Vec<Record>,
    sticky: bool,
}

#[derive(Debug)]
struct Record {
    words: [AtomicU32; 4],
    longs: [AtomicU64; 3],
    route: Vec<AtomicU8>,
}

impl Steady {
    /// So many, and whether sessions stick to them.
    pub fn with(members: usize, sticky: bool) -> Steady {
        let member = |number: usize| Record {
            words: [1, standing::INITIALIZED, 100, 0].map(AtomicU32::new),
            longs: [1 + number as u64, 0, 0].map(AtomicU64::new),
            route: format!("{:\0<16}", format!("node{number}"))
                .bytes()
                .map(AtomicU8::new)
                .collect(),
        };
        Steady { members: (0..members).map(member).collect(), sticky }
    }
}

impl Roster for Steady {
    fn attach(&self) {}

    fn members(&self, see: &mut dyn FnMut(Member)) {
        for (slot, Record { words, longs, .. }) in self.members.iter().enumerate() {
            let [_, status, weight, set] = words.each_ref().map(|word| word.load(Relaxed));
            let [id, failed_at, retry] = longs.each_ref().map(|long| long.load(Relaxed));
            let (weight, set) = (weight.cast_signed(), set.cast_signed());
            let (failed_at, retry) = (failed_at.cast_signed(), retry.cast_signed());
            see(black_box(Member { slot, id, status, weight, set, failed_at, retry }));
        }
    }

    fn method(&self) -> Method {
        Method::ByRequests
    }

    fn read_sticky(&self, sticky: &mut Sticky) -> bool {
        for name in [&mut sticky.cookie, &mut sticky.parameter] {
            name.clear();
            name.extend_from_slice(black_box(b"ROUTEID"));
        }
        sticky.separator = b'.';
        self.sticky
    }

    fn has_route(&self, slot: usize, route: &[u8]) -> bool {
        let own = &self.members[slot].route;
        let is_same = |(own, byte): (&AtomicU8, &u8)| own.load(Relaxed) == *byte;
        own[route.len()].load(Relaxed) == 0
            && own[..route.len()].iter().zip(route).rev().all(is_same)
    }

    fn url(&self, _: usize) -> Result<Url, String> {
        Url::parse("http://member/").map_err(str::to_owned)
    }
}
