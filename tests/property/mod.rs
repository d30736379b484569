//! Random valid requests over real connections: what staging receives is what the model makes of the bytes sent.

mod requests;

use std::cell::Cell;
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use crate::fidelity::http1;
use crate::fidelity::model::{staged_head, without_secret};
use crate::fidelity::row::PLAIN;
use crate::mirrored::Mirrored;
use crate::mpm::{Mpm, on_each_mpm};
use crate::status::Status;
use crate::wait::poll;

use requests::{Batch, Fate, batches};

on_each_mpm!(random_requests_are_copied_to_the_bit);

/// Connections of a run; each carries some four requests.
const CONNECTIONS: u32 = 600;

/// How long a copy may take on its way; each failure costs this once for each attempt to make it smaller.
const PATIENCE: Duration = Duration::from_secs(5);

fn random_requests_are_copied_to_the_bit(mpm: Mpm) {
    let seed = seed();
    let begun = Instant::now();
    let world = World {
        mirrored: Mirrored::to(mpm, "/ max=1", |builder| builder),
        failed: Cell::new(false),
        requests: Cell::new(0),
        copies: Cell::new(0),
        not_copyable: Cell::new(0),
    };
    let config = Config {
        cases: CONNECTIONS,
        failure_persistence: None,
        max_shrink_time: 60_000,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&batches(), |batch| world.play(&batch));
    if let Err(failure) = result {
        panic!("MOD_COPY_SEED={seed} makes this again: {failure}");
    }
    world.check_totals();
    let (requests, copies) = (world.requests.get(), world.copies.get());
    println!("{mpm:?}: {requests} requests, {copies} copies, {:?}, seed {seed}", begun.elapsed());
    assert!(
        copies * 10 > requests * 8 && requests > u64::from(CONNECTIONS) * 3,
        "a weak generator"
    );
}

/// `MOD_COPY_SEED`, else another one each time.
fn seed() -> u64 {
    match env::var("MOD_COPY_SEED") {
        Ok(seed) => seed.parse().expect("MOD_COPY_SEED is a number"),
        Err(_) => RandomState::new().hash_one("seed"),
    }
}

struct World {
    mirrored: Mirrored,
    /// The last batch did not hold.
    failed: Cell<bool>,
    requests: Cell<u64>,
    copies: Cell<u64>,
    not_copyable: Cell<u64>,
}

impl World {
    /// Sends a batch over a connection of its own, and holds its copies to the model.
    fn play(&self, batch: &Batch) -> Result<(), TestCaseError> {
        let staging = &self.mirrored.staging;
        if self.failed.replace(true) {
            // What a failed attempt left on its way must not be taken for this one's.
            self.mirrored.server.status_when("an outcome for each copy", Status::is_drained);
        }
        let before = staging.count();
        let mut client = self.mirrored.server.client();
        if batch.pipelined {
            batch.pieces().for_each(|piece| client.send(piece));
        }
        let mut served = 0;
        for sent in &batch.requests {
            served += 1;
            if !batch.pipelined {
                client.send(&sent.bytes);
            }
            let response = client.response_to(&sent.bytes);
            let refused = response.status == 400;
            let expected = sent.fate == Fate::Refused;
            let shown = response.comparable();
            fail_unless(refused == expected, || format!("answered with {shown}"))?;
            // httpd takes an option like "c" for the beginning of "close".
            if response.field("Connection").as_deref() == Some("close") {
                break;
            }
        }
        let served = &batch.requests[..served];
        let fates = |fate: Fate| served.iter().filter(move |sent| sent.fate == fate);
        let copied = fates(Fate::Copied).count();
        let done = poll(PATIENCE, || (staging.count() >= before + copied).then_some(()));
        let copies = staging.received_after(before);
        let lines = || copies.iter().map(|copy| copy.request_line()).collect::<Vec<_>>();
        fail_unless(done.is_some() && copies.len() == copied, || {
            format!("{copied} copies expected: {:?}", lines())
        })?;
        for (sent, copy) in fates(Fate::Copied).zip(&copies) {
            let request = http1::parse_all(&sent.bytes).remove(0);
            let head = staged_head(&request, &PLAIN, &staging.authority());
            let (received, _) = without_secret(&copy.head);
            fail_unless(received == head, || {
                format!("staged {}\nexpected {}", received.escape_ascii(), head.escape_ascii())
            })?;
            let content = request.content.unwrap_or_default();
            fail_unless(copy.content == content, || {
                format!(
                    "content {}\nexpected {}",
                    copy.content.escape_ascii(),
                    content.escape_ascii()
                )
            })?;
        }
        let add = |cell: &Cell<u64>, more: usize| cell.set(cell.get() + more as u64);
        self.failed.set(false);
        add(&self.requests, served.len());
        add(&self.copies, copied);
        add(&self.not_copyable, fates(Fate::NotCopyable).count());
        Ok(())
    }

    /// What was refused or not copyable brought no copy, and what was refused no count either.
    fn check_totals(&self) {
        let status = self.mirrored.server.settled(self.copies.get());
        assert_eq!(self.mirrored.staging.count() as u64, self.copies.get(), "copies at staging");
        assert_eq!(status.sum("not_copied.not_copyable"), self.not_copyable.get(), "{status}");
        assert_eq!(status.sum("not_copied"), self.not_copyable.get(), "{status}");
        assert_eq!(status.sum("delivered.2xx"), self.copies.get(), "{status}");
    }
}

fn fail_unless(holds: bool, what: impl FnOnce() -> String) -> Result<(), TestCaseError> {
    if holds { Ok(()) } else { Err(TestCaseError::fail(what())) }
}
