//! What comparing answers costs by itself: on the request path, and in the background.
//!
//! Blocks of requests of each kind follow each other, in CPU time of their thread; before each, there is one of requests
//! that are not compared, and then all copies have their outcomes and all answers are compared. What else goes on only
//! adds to a block: a kind's figure in a round is the least of a few blocks, what it adds is the difference within the
//! round, and rounds are told by their median.
//!
//! httpd's own part is not in it: the core is given requests as the hooks give them, and answers as the witness does.

use std::array;
use std::hint::black_box;

use mod_copy::compare::{Rules, json};
use mod_copy::config::ScopeSettings;

use crate::Plan;
use crate::core::seconds;
use crate::subjects::{NEVER, items};
use crate::table::{Required, Table};
use crate::world::{PART, TOGETHER, World, comparing_world};

/// Rounds for each pair of runs that other parts have, and blocks of each kind in one.
const ROUNDS: usize = 3;
const BLOCKS: usize = 5;
const KIB: usize = 1 << 10;
/// Two parts go into one piece of memory, as they do where answers are kept.
const PIECE: usize = 2 * PART;

pub fn measure(plan: &Plan, table: &mut Table) {
    request_path(plan, table);
    background(plan, table);
}

fn request_path(plan: &Plan, table: &mut Table) {
    let world = comparing_world();
    let [off, not_drawn, drawn] = world.compared;
    let [none, small, large] = [0, KIB, 64 * KIB].map(|length| vec![b'x'; length]);
    let mut memory = Memory::of(TOGETHER as usize * large.len());
    let mut round = || {
        let mut least = [f64::INFINITY; 6];
        for _ in 0..BLOCKS {
            let blocks = [
                requests(world, off, &none),
                requests(world, not_drawn, &none),
                requests(world, drawn, &none),
                requests(world, drawn, &small),
                requests(world, drawn, &large),
                memory.copies(world, &large),
            ];
            least = array::from_fn(|kind| least[kind].min(blocks[kind]));
        }
        least
    };
    let rounds: Vec<[f64; 6]> = (0..ROUNDS * plan.pairs).map(|_| round()).collect();
    let row = |figure: fn(&[f64; 6]) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let most = || Required::AtMost(3.0);
    table.title("comparing: what it adds to a selected GET, by itself".into());
    table.row("a GET where nothing is compared, µs", row(|us| us[0]), Required::Nothing);
    table.row("not drawn, µs", row(|us| us[1] - us[0]), Required::AtMost(0.3));
    table.row("drawn, no content, µs", row(|us| us[2] - us[0]), most());
    table.row("drawn, 1 KiB, µs", row(|us| us[3] - us[0]), most());
    table.row("drawn, 64 KiB, µs", row(|us| us[4] - us[0]), Required::Nothing);
    table.row("one memcpy of 64 KiB, µs", row(|us| us[5]), Required::Nothing);
    table.row("drawn, 64 KiB, beyond that, µs", row(|us| us[4] - us[0] - us[5]), most());
}

/// What each request of a block takes, in microseconds.
fn requests(world: &World, settings: ScopeSettings, answer: &[u8]) -> f64 {
    block(world, || request(world, settings, answer))
}

fn request(world: &World, settings: ScopeSettings, answer: &[u8]) {
    let mut journey = world.begin(None);
    black_box(world.decide(&mut journey, settings, b"GET"));
    world.witness(&mut journey, answer);
    journey.conclude();
}

/// What each in a block takes, in microseconds: after others that are not compared, whatever was measured before.
fn block(world: &World, work: impl FnMut()) -> f64 {
    let [off, ..] = world.compared;
    world.come_to_rest();
    (0..TOGETHER).for_each(|_| request(world, off, &[]));
    world.come_to_rest();
    1e6 * seconds(TOGETHER, work)
}

/// Memory that was used before, for the answers of a block.
struct Memory(Vec<Vec<u8>>);

impl Memory {
    fn of(size: usize) -> Memory {
        Memory((0..size / PIECE).map(|_| vec![b'y'; PIECE]).collect())
    }

    /// What copying an answer takes where nothing else is done, in microseconds.
    fn copies(&mut self, world: &World, answer: &[u8]) -> f64 {
        let Memory(pieces) = self;
        pieces.iter_mut().for_each(Vec::clear);
        let mut pieces = pieces.iter_mut();
        block(world, || {
            for bytes in black_box(answer).chunks(PIECE) {
                let piece = pieces.next().unwrap();
                bytes.chunks(PART).for_each(|part| piece.extend_from_slice(part));
                black_box(piece);
            }
        })
    }
}

/// The comparison itself, of documents of 1 MiB.
fn background(plan: &Plan, table: &mut Table) {
    let (production, rules) = (items(NEVER, NEVER), Rules::default());
    table.title("comparing: JSON on one core, in the background".into());
    for (name, staging) in
        [("equal, MB/s", items(NEVER, NEVER)), ("many differences, MB/s", items(10, NEVER))]
    {
        let compare = || {
            let (production, staging) = (black_box(&production), black_box(&staging));
            let found = json::compare(production.as_bytes(), staging.as_bytes(), &rules);
            black_box(found.unwrap());
        };
        let size = production.len() as f64 / 1e6;
        let speed = (0..plan.pairs).map(|_| size / seconds(20, compare));
        table.row(name, speed.collect(), Required::AtLeast(150.0));
    }
}
