//! What the error log is told of copies and threads: the 1st, 2nd, 4th, 8th … of each kind.

use std::io;
use std::time::Duration;

use crate::balancer::Rested;
use crate::breaker::{Change, Rules};
use crate::outcome::{Failure, Loss};
use crate::stats::{Account, Trouble};
use crate::target::{Target, Url};

use super::fault::Fault;
use super::pool::Pool;
use super::scrub::Unsent;

/// A copy failed, or changed the state of its target's breaker, or both.
pub(super) fn ended(account: Account, target: &str, fault: Option<&Fault>, change: Option<Change>) {
    if let Some(fault) = fault {
        let count = account.trouble(Trouble::Failed(fault.failure));
        if count.is_power_of_two() {
            log::warn!("{}", failed(fault, target, count));
        }
    }
    match (change, fault) {
        (Some(Change::Opened { times, rules }), Some(fault)) if times.is_power_of_two() => {
            log::warn!("{}", opened(fault, rules, target, times));
        }
        (Some(Change::Closed { times, after }), _) if times.is_power_of_two() => {
            log::warn!("{}", closed(after, target, times));
        }
        _ => {}
    }
}

/// A copy was dropped, for all members of its target's balancer are out.
pub(super) fn no_member(account: Account, target: &str) {
    let count = account.trouble(Trouble::Dropped(Loss::NoMember));
    if count.is_power_of_two() {
        let reason = Loss::NoMember.name();
        log::warn!("CPY0116: a copy to {target} was dropped: {reason} ({count} so far)");
    }
}

/// A member of a target's balancer is left out for a while.
pub(super) fn rested(target: &str, member: &Url, Rested { times, rules }: Rested) {
    if times.is_power_of_two() {
        let (Rules { failures, retry }, authority) = (rules, member.authority());
        let s = if failures == 1 { "" } else { "s" };
        log::warn!(
            "CPY0118: copying to {target} leaves {authority} out for {retry:?}: {failures} failure{s} in a \
             row ({times} so far)"
        );
    }
}

/// The name of a target cannot be looked up as a child starts.
pub(super) fn unresolved(account: Account, target: &Target, why: &str) {
    let count = account.trouble(Trouble::Unresolved);
    if count.is_power_of_two() {
        let name = &target.name;
        log::warn!(
            "CPY0121: the host of {name} does not resolve as a child starts: {why}: it is looked up again for the \
             copies to come ({count} so far)"
        );
    }
}

/// Copies wait, for too many connections were made.
pub(super) fn too_many_connections(account: Account, target: &str) {
    let count = account.trouble(Trouble::Connections);
    if count.is_power_of_two() {
        log::warn!("{}", crowded(target, count));
    }
}

/// A copy was dropped for what masking it came to.
pub(super) fn unsent(account: Account, target: &str, unsent: Unsent) {
    let loss = unsent.loss();
    let count = account.trouble(Trouble::Dropped(loss));
    if count.is_power_of_two() {
        let number = if loss == Loss::Memory { "CPY0112" } else { "CPY0119" };
        let (reason, why) = (loss.name(), unsent.reason());
        log::warn!("{number}: a copy to {target} was dropped: {reason}: {why} ({count} so far)");
    }
}

/// No thread could be started.
pub(super) fn not_started(pool: &Pool, error: &io::Error) {
    let count = pool.count_unstarted();
    if count.is_power_of_two() {
        let name = pool.name();
        log::warn!("CPY0108: starting a forwarder to {name} failed: {error} ({count} so far)");
    }
}

fn failed(fault: &Fault, target: &str, count: u64) -> String {
    let Fault { failure, what } = fault;
    let (number, reason) = (number(*failure), failure.name());
    format!("{number}: copying to {target} failed: {reason}: {what} ({count} so far)")
}

fn crowded(target: &str, count: u64) -> String {
    format!(
        "CPY0122: copies to {target} wait: connections to it do not last, and for each core no more than 1000 are \
         made in a second, 250 over TLS ({count} so far)"
    )
}

fn opened(last: &Fault, rules: Rules, target: &str, count: u64) -> String {
    let (Rules { failures, retry }, Fault { failure, what }) = (rules, last);
    let (reason, s) = (failure.name(), if failures == 1 { "" } else { "s" });
    format!(
        "CPY0113: copying to {target} pauses for {retry:?}: {failures} failure{s} in a row, the last \
         {reason}: {what} ({count} so far)"
    )
}

fn closed(after: Duration, target: &str, count: u64) -> String {
    format!("CPY0114: copying to {target} goes on after {after:?}: it answers ({count} so far)")
}

/// The number of a failure in the error log.
fn number(failure: Failure) -> &'static str {
    match failure {
        Failure::Connect => "CPY0101",
        Failure::Refused => "CPY0102",
        Failure::Timeout => "CPY0103",
        Failure::Reset => "CPY0104",
        Failure::Protocol => "CPY0105",
        Failure::Dns => "CPY0106",
        Failure::Internal => "CPY0107",
        Failure::Tls => "CPY0109",
        Failure::Proxy => "CPY0110",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Fault {
        let what = "connect to 127.0.0.1:1: Connection refused (os error 111)";
        Fault::new(Failure::Refused, what)
    }

    #[test]
    fn a_failure_is_logged_with_its_number_and_reason() {
        assert_eq!(
            failed(&refused(), "beta", 4),
            "CPY0102: copying to beta failed: refused: connect to 127.0.0.1:1: \
             Connection refused (os error 111) (4 so far)"
        );
        let numbers: Vec<_> = Failure::ALL.into_iter().map(number).collect();
        assert_eq!(numbers.first(), Some(&"CPY0101"));
        assert!(numbers.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn a_breaker_that_opens_says_why_and_for_how_long_and_one_that_closes_after_what_time() {
        assert_eq!(
            opened(&refused(), Rules::default(), "beta", 2),
            "CPY0113: copying to beta pauses for 10s: 5 failures in a row, the last refused: \
             connect to 127.0.0.1:1: Connection refused (os error 111) (2 so far)"
        );
        assert_eq!(
            closed(Duration::from_millis(12_345), "beta", 2),
            "CPY0114: copying to beta goes on after 12.345s: it answers (2 so far)"
        );
    }
}
