//! The line of an entry: JSON, or by a pattern.

use std::io::Write;
use std::time::Duration;

use super::entry::{Copied, Ended, Entry, Production, Requested};
use super::escape::{CUT, json};
use super::format::Format;
use super::found::{self, Found};
use super::moment::rfc_3339;
use super::pattern;
use crate::config::Policy;
use crate::mask::Masks;
use crate::outcome::Outcome;

/// The longest line, its end included: what a pipe takes at once (`PIPE_BUF`).
pub(super) const LONGEST_LINE: usize = 4096;

/// An entry with what its line needs beside it.
pub(super) struct Shown<'a> {
    pub(super) entry: &'a Entry,
    pub(super) policy: &'a Policy,
    pub(super) pid: u32,
}

impl Shown<'_> {
    pub(super) fn target(&self) -> &str {
        let known = self.policy.targets().get(self.entry.target);
        known.map_or("", |known| known.target.name.as_str())
    }

    pub(super) fn masks(&self) -> Option<&Masks> {
        self.policy.targets().get(self.entry.target)?.masks.as_deref()
    }

    /// The copy, where the line is one's.
    pub(super) fn copy(&self) -> Option<&Copied> {
        match &self.entry.ended {
            Ended::Copy(copy) => Some(copy),
            Ended::Comparison(_) => None,
        }
    }

    /// What a comparison found, where the line is one's.
    pub(super) fn found(&self) -> Option<&Found> {
        match &self.entry.ended {
            Ended::Copy(_) => None,
            Ended::Comparison(found) => Some(found),
        }
    }

    pub(super) fn requested(&self) -> Option<&Requested> {
        match &self.entry.ended {
            Ended::Copy(copy) => copy.requested.as_ref(),
            Ended::Comparison(found) => Some(&found.requested),
        }
    }

    /// How long staging took, where it was asked.
    pub(super) fn exchange(&self) -> Option<Duration> {
        match &self.entry.ended {
            Ended::Copy(copy) => copy.is_sent.then_some(copy.traffic.latency),
            Ended::Comparison(found) => Some(found.latency),
        }
    }

    /// How long making a connection took, where one was made.
    pub(super) fn connect(&self) -> Option<Duration> {
        self.copy().map(|copy| copy.traffic.connecting).filter(|took| !took.is_zero())
    }

    /// The status of staging's answer.
    pub(super) fn status(&self) -> Option<u16> {
        let status = match &self.entry.ended {
            Ended::Copy(copy) => copy.traffic.status,
            Ended::Comparison(found) => found.status,
        };
        Some(status).filter(|status| *status > 0)
    }

    /// The copy's outcome and its reason, as the other formats spell them.
    pub(super) fn outcome(&self) -> Option<(&'static str, Option<String>)> {
        let reason = |name: &str| Some(name.replace(' ', "_"));
        Some(match self.copy()?.outcome {
            Outcome::Delivered(_) => ("delivered", None),
            Outcome::Failed(failure) => ("failed", reason(failure.name())),
            Outcome::Dropped(loss) => ("dropped", reason(loss.name())),
        })
    }
}

/// Writes the entry's line, with its end.
pub(super) fn write(line: &mut Vec<u8>, format: &Format, shown: &Shown<'_>) {
    match format {
        Format::Json => match &shown.entry.ended {
            Ended::Copy(copy) => object(line, shown, copy),
            Ended::Comparison(found) => found::object(line, shown, found),
        },
        Format::Pattern(parts) => {
            pattern::write(line, parts, shown);
            if line.len() >= LONGEST_LINE {
                line.truncate(LONGEST_LINE.saturating_sub(CUT.len()).saturating_sub(1));
                line.extend_from_slice(CUT);
            }
        }
    }
    line.push(b'\n');
}

fn object(line: &mut Vec<u8>, shown: &Shown<'_>, copy: &Copied) {
    let production = shown.entry.production.as_ref();
    time(line, production);
    text(line, "target", Some(shown.target().as_bytes()));
    text(line, "method", copy.requested.as_ref().map(Requested::method));
    path(line, shown);
    let (outcome, reason) = shown.outcome().unwrap_or_default();
    text(line, "outcome", Some(outcome.as_bytes()));
    text(line, "reason", reason.as_deref().map(str::as_bytes));
    number(line, "status", shown.status());
    number(line, "production_status", production.map(|known| known.status));
    number(line, "wait_us", copy.waited.map(|time| time.as_micros()));
    number(line, "connect_us", shown.connect().map(|time| time.as_micros()));
    number(line, "exchange_us", shown.exchange().map(|time| time.as_micros()));
    number(line, "production_us", production.map(|known| known.took));
    number(line, "bytes_sent", Some(copy.traffic.sent));
    number(line, "bytes_received", Some(copy.traffic.received));
    let id = production.map(|known| known.id.bytes());
    text(line, "id", id.filter(|id| !id.is_empty()));
    number(line, "pid", Some(shown.pid));
    line.push(b'}');
}

/// Begins an object with when production received the request.
pub(super) fn time(line: &mut Vec<u8>, production: Option<&Production>) {
    line.extend_from_slice(b"{\"time\":");
    match production {
        None => line.extend_from_slice(b"null"),
        Some(production) => {
            line.push(b'"');
            rfc_3339(line, production.begun);
            line.push(b'"');
        }
    }
}

pub(super) fn path(line: &mut Vec<u8>, shown: &Shown<'_>) {
    let Some(requested) = shown.requested() else { return text(line, "path", None) };
    let (path, query) = requested.target(shown.masks());
    let whole = match query {
        None => path,
        Some(query) => [&path, &b"?"[..], &query].concat().into(),
    };
    text(line, "path", Some(&whole));
    let is_cut = requested.is_cut() && !line.ends_with(b"...\"");
    if is_cut && line.pop().is_some() {
        line.extend_from_slice(CUT);
        line.push(b'"');
    }
}

pub(super) fn name(line: &mut Vec<u8>, name: &str) {
    // Writing to a Vec cannot fail.
    let _ = write!(line, ",\"{name}\":");
}

pub(super) fn text(line: &mut Vec<u8>, member: &str, value: Option<&[u8]>) {
    name(line, member);
    match value {
        None => line.extend_from_slice(b"null"),
        Some(value) => {
            line.push(b'"');
            json(line, value);
            line.push(b'"');
        }
    }
}

pub(super) fn number(line: &mut Vec<u8>, member: &str, value: Option<impl std::fmt::Display>) {
    name(line, member);
    // As above.
    let _ = match value {
        None => write!(line, "null"),
        Some(value) => write!(line, "{value}"),
    };
}
