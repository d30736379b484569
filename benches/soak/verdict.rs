//! What must agree in the end: clients, production, its counters, and every staging server.

use std::fmt::Write as _;
use std::time::Duration;

use crate::ledger::{AGAIN, ANSWERED, End, Ledger, RECEIVED};
use crate::stagings::{Staging, Stagings};
use crate::status::{Counters, Status};

/// What agreed, and what did not.
#[derive(Default)]
pub struct Verdict {
    said: Vec<String>,
    wrong: Vec<String>,
}

/// What production took, by its clients' account.
#[derive(Default)]
struct Taken {
    requests: u64,
    /// Those whose copies are complete and not too large.
    copied: u64,
    too_large: u64,
    aborted: u64,
    /// Those among them that would have been too large.
    aborted_too_large: u64,
    untaken: u64,
}

/// What a staging server saw.
#[derive(Default)]
struct Seen {
    received: u64,
    again: u64,
    answered: u64,
}

impl Verdict {
    pub fn say(&mut self, what: String) {
        self.said.push(what);
    }

    /// Notes what is wrong, unless it holds.
    pub fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }

    /// Holds everyone's account of every request against the others'.
    pub fn compare(&mut self, ledger: &Ledger, status: &Status, stagings: &Stagings) {
        self.wrong.extend(ledger.wrongs());
        let taken = self.taken(ledger);
        self.say(format!(
            "production took {} requests: {} to be copied, {} too large, {} broken off; {} met a closed connection",
            taken.requests, taken.copied, taken.too_large, taken.aborted, taken.untaken
        ));
        for (at, staging) in stagings.all().iter().enumerate() {
            let seen = self.seen(ledger, at, staging.name);
            self.settle(&taken, &seen, &status.target(staging.name), staging);
        }
    }

    fn taken(&mut self, ledger: &Ledger) -> Taken {
        let mut taken = Taken::default();
        for id in 0..ledger.issued() {
            let request = ledger.traffic.request(id);
            match ledger.ended(id) {
                End::Unknown => continue,
                End::Untaken => {
                    taken.untaken += 1;
                    self.check(!ledger.was_served(id), || {
                        format!("request {id} met a closed connection, and was served")
                    });
                    continue;
                }
                End::Aborted => {
                    taken.aborted += 1;
                    taken.aborted_too_large += u64::from(request.is_too_large());
                }
                End::Answered | End::Left if request.is_copied() => taken.copied += 1,
                End::Answered | End::Left => taken.too_large += 1,
            }
            taken.requests += 1;
        }
        taken
    }

    fn seen(&mut self, ledger: &Ledger, at: usize, name: &str) -> Seen {
        let mut seen = Seen::default();
        for id in 0..ledger.issued() {
            let marks = ledger.copies[at].of(id);
            seen.received += u64::from(marks & RECEIVED != 0);
            seen.again += u64::from(marks & AGAIN != 0);
            seen.answered += u64::from(marks & ANSWERED != 0);
            if marks & RECEIVED != 0 {
                let (request, end) = (ledger.traffic.request(id), ledger.ended(id));
                let copied = matches!(end, End::Answered | End::Left) && request.is_copied();
                self.check(copied, || {
                    format!(
                        "{name} received {id}, a {} of {} bytes that was to end as {:?} and ended as {end:?}",
                        request.method, request.content.len(), request.conduct
                    )
                });
            }
        }
        seen
    }

    /// Both sides of one target's account.
    fn settle(&mut self, taken: &Taken, seen: &Seen, counters: &Counters<'_>, staging: &Staging) {
        let count = |path: &str| counters.count(path);
        let name = staging.name;
        let [selected, not_copied] = ["selected", "not_copied"].map(count);
        let [delivered, failed, dropped] = ["delivered", "failed", "dropped"].map(count);
        let [unanswered, too_large, incomplete] =
            ["unanswered", "not_copied.too_large", "not_copied.incomplete"].map(count);
        let lost = seen.received.saturating_sub(delivered);
        let dark = staging.in_the_dark();
        self.say(format!(
            "{name}: {selected} selected = {delivered} delivered + {failed} failed + {dropped} dropped\n  staging \
             received {} whole = {delivered} delivered + {lost} whose answer was lost; {unanswered} unanswered, {dark} in \
             the dark; {} answered, {} received twice",
            seen.received, seen.answered, seen.again
        ));
        self.check(selected == delivered + failed + dropped, || {
            format!("{name}: the outcomes are not as many as the selected copies")
        });
        self.check(selected + not_copied == taken.requests, || {
            format!(
                "{name}: {selected} selected + {not_copied} not copied of {} requests",
                taken.requests
            )
        });
        self.check(not_copied == too_large + incomplete, || {
            format!("{name}: requests were not copied for other reasons than their content")
        });
        // Memory may run out on content before it is too large, or broken off; and what is broken off may have
        // announced to be too large.
        let most_too_large = taken.too_large + taken.aborted_too_large;
        self.check(too_large <= most_too_large && incomplete <= taken.aborted, || {
            format!("{name}: {too_large} too large, {incomplete} incomplete")
        });
        self.check(not_copied <= taken.too_large + taken.aborted, || {
            format!("{name}: {not_copied} not copied, more than were too large or broken off")
        });
        self.check(seen.received >= delivered, || {
            format!("{name}: {delivered} delivered, and {} received whole", seen.received)
        });
        self.check(lost <= unanswered && unanswered <= lost + dark, || {
            format!("{name}: {lost} answers were lost, and {unanswered} counted as unanswered")
        });
    }

    /// All that was found, for people.
    pub fn report(&self, ledger: &Ledger, took: Duration) -> String {
        let rate = ledger.issued() as f64 / took.as_secs_f64();
        let mut report = format!("{} requests, {rate:.0} a second\n", ledger.issued());
        self.said.iter().for_each(|line| writeln!(report, "{line}").unwrap());
        report + &self.end().err().unwrap_or_else(|| "all accounts agree".to_owned())
    }

    /// What was wrong, if anything was.
    pub fn end(&self) -> Result<(), String> {
        const MOST: usize = 30;
        if self.wrong.is_empty() {
            return Ok(());
        }
        let mut wrong = format!("WRONG, {} in all:\n", self.wrong.len());
        self.wrong.iter().take(MOST).for_each(|line| writeln!(wrong, "- {line}").unwrap());
        Err(wrong)
    }
}
