//! Two productions of one configuration, one of them with the module: what they say must be the same.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::client::{Heard, play};
use super::model;
use super::production::{Doors, Site};
use super::row::{Request, Row, Staged, Version};
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::{Received, Staging};
use crate::status::Status;
use crate::wait::{PATIENCE, poll};

/// Fields of responses that differ from one second to the next.
const OF_THE_MOMENT: [&str; 2] = ["Date:", "Age:"];

pub struct Pair {
    site: Site,
    staging: Staging,
    without: (Server, Doors),
    with: (Server, Doors),
    /// The counters after the last row.
    tally: Tally,
    secret: Option<Vec<u8>>,
    /// How long counters may take; less once a row has failed, for many may follow.
    patience: Duration,
}

/// Every counter that may move, summed over all targets.
type Tally = BTreeMap<&'static str, u64>;

const COUNTERS: [&str; 14] = [
    "selected",
    "delivered",
    "failed",
    "dropped",
    "not_copied.refused",
    "not_copied.incomplete",
    "not_copied.too_large",
    "not_copied.not_copyable",
    "not_copied.loop",
    "not_copied.off",
    "not_copied.method",
    "not_copied.body",
    "not_copied.sampled",
    "not_copied.condition",
];

fn tally(status: &Status) -> Tally {
    COUNTERS.iter().map(|&counter| (counter, status.sum(counter))).collect()
}

impl Pair {
    pub fn start(mpm: Mpm) -> Pair {
        let (site, staging) = (Site::new(), Staging::start());
        let without = site.production(mpm, None);
        let with = site.production(mpm, Some(&staging));
        let tally = tally(&with.0.status());
        Pair { site, staging, without, with, tally, secret: None, patience: PATIENCE }
    }

    /// Plays a row on both; says what does not hold.
    pub fn check(&mut self, row: &Row, version: Version) -> Result<(), String> {
        let (first, before) = (self.site.backends.origin.count(), self.staging.count());
        let without = play(row, version, &self.without.1, &self.site.backends);
        let second = self.site.backends.origin.count();
        let with = play(row, version, &self.with.1, &self.site.backends);
        if with.statuses != row.answers {
            let others = (&without.statuses, &row.answers);
            let told = format!("answered {:?}, without the module {others:?}", with.statuses);
            return Err(format!("{told}\n{}", text(&with.bytes)));
        }
        if row.compared {
            same_heard(&without, &with)?;
            let origins = self.site.backends.origin.received_after(first);
            let (without, with) = origins.split_at(second - first);
            same_at_origin(without, with)?;
        }
        self.count(row)?;
        let copies = self.staging.received_after(before);
        self.compare(row, &copies)
    }

    /// Waits for what the row and its fence have to count, and holds every counter to it.
    fn count(&mut self, row: &Row) -> Result<(), String> {
        let mut expected = self.tally.clone();
        let mut add = |counter: &'static str, by| *expected.get_mut(counter).unwrap() += by;
        let requests = row.requests.len() as u64;
        add("selected", 1);
        add("delivered", 1);
        match row.staged {
            Staged::Copied | Staged::CopiedIfKept => {
                add("selected", requests);
                add("delivered", requests);
            }
            Staged::NotCopied(reason) => {
                let counter = COUNTERS.iter().find(|counter| counter.ends_with(reason));
                add(counter.expect("a counter of not_copied"), requests);
            }
            Staged::Unseen => {}
            Staged::CameBack => {
                add("selected", requests);
                add("delivered", requests);
                add("not_copied.loop", requests);
            }
        }
        let counted = || Some(tally(&self.with.0.status())).filter(|found| *found == expected);
        let found = poll(self.patience, counted);
        let found = found.unwrap_or_else(|| tally(&self.with.0.status()));
        let moved = |from: &Tally, to: &Tally| {
            let moved = to.iter().filter(|(counter, count)| from[**counter] != **count);
            moved
                .map(|(counter, count)| format!("{counter} +{}", count - from[counter]))
                .collect::<Vec<_>>()
        };
        let before = std::mem::replace(&mut self.tally, found.clone());
        if found == expected {
            return Ok(());
        }
        Err(format!("counted {:?}, not {:?}", moved(&before, &found), moved(&before, &expected)))
    }

    fn compare(&mut self, row: &Row, copies: &[Received]) -> Result<(), String> {
        let is_fence = |copy: &&Received| copy.request_line() == "GET /fence HTTP/1.1";
        let copies: Vec<&Received> = copies.iter().filter(|copy| !is_fence(copy)).collect();
        let expected: &[Request] = match row.staged {
            Staged::Copied | Staged::CopiedIfKept => &row.requests,
            _ => &[],
        };
        if copies.len() != expected.len() {
            return Err(format!("{} copies, not {}: {copies:#?}", copies.len(), expected.len()));
        }
        for (request, copy) in expected.iter().zip(copies) {
            self.compare_one(row, request, copy)?;
        }
        Ok(())
    }

    fn compare_one(&mut self, row: &Row, request: &Request, copy: &Received) -> Result<(), String> {
        let expected = model::staged_head(request, &row.place, &self.staging.authority());
        let (head, secret) = model::without_secret(&copy.head);
        if head != expected {
            return Err(format!("staging received\n{}\nnot\n{}", text(&head), text(&expected)));
        }
        let earlier = self.secret.get_or_insert(secret.clone().unwrap_or_default());
        if Some(&*earlier) != secret.as_ref() {
            return Err("another mark than that of the copies before".to_owned());
        }
        let content = request.content.as_deref().unwrap_or_default();
        if copy.content != content {
            let lengths = (copy.content.len(), content.len());
            return Err(format!("content differs: {} bytes, not {}", lengths.0, lengths.1));
        }
        Ok(())
    }

    /// Both productions have counted the same bytes, in and out, and the same requests per connection.
    fn check_accounts(&self) -> Result<(), String> {
        let accounts = || (account(&self.without.0), account(&self.with.0));
        let same = || {
            let (without, with) = accounts();
            (without == with).then_some(())
        };
        poll(self.patience, same).ok_or_else(|| {
            let (without, with) = accounts();
            let lacking = |some: &[String], others: &[String]| {
                some.iter().filter(|line| !others.contains(line)).cloned().collect::<Vec<_>>()
            };
            format!(
                "accounts differ: {} and {} lines; without the module {:#?}, with it {:#?}",
                without.len(),
                with.len(),
                lacking(&without, &with),
                lacking(&with, &without)
            )
        })
    }

    /// Takes the counters as they are, once nothing is under way.
    fn come_to_rest(&mut self) {
        self.patience = PATIENCE / 10;
        self.tally = tally(&self.with.0.status_when("rest", Status::is_drained));
    }

    /// No counter has moved after the last row.
    pub fn check_rest(&self) -> Result<(), String> {
        let found = tally(&self.with.0.status());
        if found == self.tally { Ok(()) } else { Err(format!("counted late: {found:?}")) }
    }
}

/// What an access log tells of every request, in no order: host, request line, status, bytes in and out,
/// requests before it on its connection. httpd counts a byte or two of what comes before to the fences,
/// now and then, so theirs are left out; and what a row's client cut off has no fixed length.
fn account(server: &Server) -> Vec<String> {
    let log = fs::read(server.root().join("access.log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log).into_owned();
    let lines = log.lines().filter(|line| !line.contains("uncounted"));
    let mut lines: Vec<String> = lines
        .map(|line| match line.split_once(" in ") {
            Some((fence, _)) if fence.contains("GET /fence ") => fence.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    lines.sort();
    lines
}

fn same_heard(without: &Heard, with: &Heard) -> Result<(), String> {
    let (without, with) = (timeless(&without.bytes), timeless(&with.bytes));
    if without == with {
        return Ok(());
    }
    Err(format!("the client heard\n{}\nand without the module\n{}", text(&with), text(&without)))
}

fn same_at_origin(without: &[Received], with: &[Received]) -> Result<(), String> {
    let plain = |all: &[Received]| -> Vec<(Vec<u8>, Vec<u8>)> {
        all.iter().map(|one| (one.head.clone(), one.content.clone())).collect()
    };
    if plain(without) == plain(with) {
        return Ok(());
    }
    Err(format!("the origin received {with:#?}\nand without the module {without:#?}"))
}

/// Responses less the fields of the moment, the methods of `Allow` in alphabetical order: httpd keeps them in
/// a table whose order each process draws anew.
fn timeless(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if !OF_THE_MOMENT.iter().any(|name| line.starts_with(name.as_bytes())) {
            match line.strip_prefix(b"Allow: ") {
                None => kept.extend_from_slice(line),
                Some(methods) => {
                    let mut methods: Vec<&[u8]> =
                        methods.trim_ascii().split(|&byte| byte == b',').collect();
                    methods.sort_unstable();
                    kept.extend([b"Allow: ", methods.join(&b","[..]).as_slice(), b"\r\n"].concat());
                }
            }
        }
    }
    kept
}

/// Bytes for a report, cut where they are many.
fn text(bytes: &[u8]) -> String {
    const MOST: usize = 3000;
    let end = bytes.len().min(MOST);
    let more = if end < bytes.len() { format!("… {} bytes", bytes.len()) } else { String::new() };
    format!("{}{more}", bytes[..end].escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n"))
}

/// Plays the rows on one pair; every row that fails is told.
pub fn run(mpm: Mpm, rows: &[Row]) {
    let mut pair = Pair::start(mpm);
    let mut failed = Vec::new();
    let mut played = 0;
    for row in rows.iter().filter(|row| row.mpms.contains(&mpm)) {
        for &version in row.versions {
            played += 1;
            let mut outcome = Err("panicked".to_owned());
            let check = std::panic::AssertUnwindSafe(|| outcome = pair.check(row, version));
            let panicked = std::panic::catch_unwind(check).err();
            if let Err(why) = outcome {
                pair.come_to_rest();
                let told = panicked.and_then(|told| told.downcast::<String>().ok());
                let why = told.map_or(why, |told| *told);
                failed.push(format!("{} / {} ({version:?}): {why}", row.group, row.name));
            }
        }
    }
    failed.extend(pair.check_accounts().err());
    failed.extend(pair.check_rest().err());
    let count = failed.len();
    assert!(failed.is_empty(), "{count} of {played} under {mpm:?}\n\n{}", failed.join("\n\n"));
}
