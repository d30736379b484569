//! Plays rows: each on a target and a staging server of its own, several at once on one httpd.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use super::row::{COPIES, RETRY, Row};
use super::staging::{Fault, FaultyStaging};
use crate::client::Client;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;
use crate::status::Status;
use crate::wait::{PATIENCE, poll};

/// Copies that have to arrive once staging is well again.
const AGAIN: u64 = 3;

/// How a row's requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Each when the copy of the one before has its outcome, all over one connection to staging.
    OneByOne,
    /// All at once, over as many connections as there are.
    Together,
}

/// How many copies had which outcome; see copy-status.
type Outcomes = BTreeMap<String, u64>;

/// One row in play.
struct Play<'a> {
    row: &'a Row,
    manner: Manner,
    staging: FaultyStaging,
    with: &'a Server,
    without: &'a Server,
}

/// Plays the rows; every row that fails is told.
pub fn run(mpm: Mpm, manner: Manner, rows: &[Row]) {
    let origin = Staging::start();
    let stagings: Vec<_> = rows.iter().map(|_| FaultyStaging::start(Fault::None)).collect();
    // As many clients as threads: they wait for each other, and httpd says so.
    let busy = "AH00484:";
    let without = Server::on(mpm).without_copy().proxy(&origin).expect(busy).start();
    let mut with = Server::on(mpm)
        .proxy(&origin)
        .global("CopyMemory 1G")
        .vhost("CopyBodyLimit 5M")
        .expect("CPY01")
        .expect(busy);
    if mpm != Mpm::Prefork {
        // Who uses a connection again must be the one who made it.
        with = with.one_child();
    }
    for (row, staging) in rows.iter().zip(&stagings) {
        let Row { name, keys, .. } = row;
        let max = if manner == Manner::OneByOne { 1 } else { COPIES };
        let keys =
            format!("name={name} max={max} failures={COPIES} retry={}ms {keys}", RETRY.as_millis());
        let target = format!("http://{}/ {keys}", staging.address());
        with = with.vhost(format!("<Location \"/{name}\">\nCopyTarget {target}\n</Location>"));
    }
    let with = with.start();
    let mut plays = Vec::new();
    for (row, staging) in rows.iter().zip(stagings) {
        plays.push(Play { row, manner, staging, with: &with, without: &without });
    }
    // Under all but event, a kept connection holds one of eight threads or children.
    let at_once = if mpm == Mpm::Event { rows.len() } else { 5 };
    let failed: Vec<String> = plays
        .chunks(at_once)
        .flat_map(|plays| {
            thread::scope(|scope| {
                let threads: Vec<_> =
                    plays.iter().map(|play| scope.spawn(|| play.outcome())).collect();
                threads
                    .into_iter()
                    .filter_map(|thread| thread.join().unwrap().err())
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let count = failed.len();
    assert!(
        failed.is_empty(),
        "{count} of {} under {mpm:?}\n\n{}",
        rows.len(),
        failed.join("\n\n")
    );
    with.status().assert_promise_3();
}

impl Play<'_> {
    fn outcome(&self) -> Result<(), String> {
        let played = catch_unwind(AssertUnwindSafe(|| self.play()));
        let why = played.unwrap_or_else(|panic| {
            Err(panic.downcast::<String>().map_or("panicked".to_owned(), |told| *told))
        });
        why.map_err(|why| format!("{}: {why}", self.row.name))
    }

    fn play(&self) -> Result<(), String> {
        let mut expected = self.counted(&self.with.status()).0;
        let mut expect = |outcomes: &[(&str, u64)]| {
            for (counter, more) in outcomes {
                *expected.get_mut(*counter).unwrap() += more;
            }
            expected.clone()
        };
        let first = if self.manner == Manner::OneByOne { 1 } else { COPIES };
        self.send(first, &expect(&[("delivered.2xx", first)]))?;
        self.staging.set(self.row.fault);
        self.send(COPIES, &expect(self.row.outcomes))?;
        self.staging.set(Fault::None);
        if self.row.opens_breaker() {
            self.check_breaker()?;
        }
        // The first may be the breaker's probe, beside which none passes.
        self.send(1, &expect(&[("delivered.2xx", 1)]))?;
        self.send(AGAIN, &expect(&[("delivered.2xx", AGAIN)]))?;
        self.check_log()
    }

    /// The breaker is open, and will let copies through from `retry=` after now on at the latest.
    fn check_breaker(&self) -> Result<(), String> {
        let returned = Instant::now();
        let status = self.with.status();
        let target = status.target(self.row.name);
        let state = target.text("breaker.state");
        if state != "open" {
            return Err(format!("the breaker is {state} after {COPIES} failures"));
        }
        // It is the time itself that is waited for.
        thread::sleep((RETRY + Duration::from_millis(10)).saturating_sub(returned.elapsed()));
        Ok(())
    }

    /// Sends so many requests, and waits for the outcome of each copy.
    fn send(&self, count: u64, expected: &Outcomes) -> Result<(), String> {
        let request = self.row.request();
        let before = self.selected(&self.with.status());
        match self.manner {
            Manner::OneByOne => {
                let mut clients = [self.with, self.without].map(Server::client);
                for sent in 1..=count {
                    self.ask(&mut clients, &request, before + sent)?;
                }
            }
            Manner::Together => thread::scope(|scope| {
                let ask = || {
                    let mut clients = [self.with, self.without].map(Server::client);
                    self.ask(&mut clients, &request, before + count)
                };
                let threads: Vec<_> = (0..count).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().try_for_each(|thread| thread.join().unwrap())
            })?,
        }
        let found = self.counted(&self.with.status()).0;
        if found == *expected {
            return Ok(());
        }
        let moved = |(counter, count): (&String, &u64)| {
            (expected[counter] != *count).then(|| format!("{counter} {count}"))
        };
        let found: Vec<String> = found.iter().filter_map(moved).collect();
        Err(format!("in {:?} counted {found:?}\n{}", self.staging_does(), self.log().join("\n")))
    }

    /// Asks both productions, and waits until so many copies in all have their outcome.
    fn ask(
        &self,
        [with, without]: &mut [Client; 2],
        request: &[u8],
        copies: u64,
    ) -> Result<(), String> {
        let answers = [(with, self.with), (without, self.without)]
            .map(|(client, server)| ask(client, server, request));
        if answers[0] != answers[1] {
            let [answer, other] = answers;
            return Err(format!("production answers\n{answer}\nand without the module\n{other}"));
        }
        self.with.status_when("the copies' outcomes", |status| {
            self.selected(status) >= copies && self.counted(status).1
        });
        Ok(())
    }

    fn staging_does(&self) -> (Fault, u64, u64) {
        (self.row.fault, self.staging.received_whole(), self.staging.answered())
    }

    fn selected(&self, status: &Status) -> u64 {
        status.target(self.row.name).count("selected")
    }

    /// All outcomes of copies to the row's target, and whether every copy has its outcome.
    fn counted(&self, status: &Status) -> (Outcomes, bool) {
        let target = status.target(self.row.name);
        let outcomes = target.outcomes();
        let all = outcomes.values().sum::<u64>() == target.count("selected");
        (outcomes, all)
    }

    /// The log is told of the first failure and the second, not of the third, and of the breaker; of nothing else.
    fn check_log(&self) -> Result<(), String> {
        let expected = self.told();
        // It is told after the outcome shows.
        let same = poll(PATIENCE, || {
            let found = self.log();
            let same = |line: &String| expected.iter().any(|part| line.contains(part));
            (found.len() == expected.len() && found.iter().all(same)).then_some(())
        });
        same.ok_or_else(|| {
            format!("the log is told\n{}\nnot\n{}", self.log().join("\n"), expected.join("\n"))
        })
    }

    fn told(&self) -> Vec<String> {
        let Row { name, told, outcomes, .. } = self.row;
        let failures: u64 = outcomes
            .iter()
            .filter(|(counter, _)| counter.starts_with("failed."))
            .map(|(_, count)| count)
            .sum();
        if failures == 0 {
            return Vec::new();
        }
        let told = told.replace("ADDRESS", &self.staging.address().to_string());
        let (number, what) = told.split_once(": ").unwrap();
        let counts = (1..=failures).filter(|count| count.is_power_of_two());
        let mut lines: Vec<String> = counts
            .map(|count| format!("{number}: copying to {name} failed: {what} ({count} so far)"))
            .collect();
        if self.row.opens_breaker() {
            let last = format!("{COPIES} failures in a row, the last {what} (1 so far)");
            lines.push(format!("CPY0113: copying to {name} pauses for {RETRY:?}: {last}"));
            lines.push(format!("CPY0114: copying to {name} goes on after "));
        }
        lines
    }

    fn log(&self) -> Vec<String> {
        let part = format!(" {} ", self.row.name);
        let log = self.with.error_log();
        log.lines().filter(|line| line.contains(&part)).map(str::to_owned).collect()
    }
}

/// The answer to a request over a connection that production may have closed.
fn ask(client: &mut Client, server: &Server, request: &[u8]) -> String {
    let kept = client.exchange_if_kept(request);
    kept.unwrap_or_else(|| {
        *client = server.client();
        client.exchange(request)
    })
    .comparable()
}
