//! The line of an entry by `LogFormat`'s letters.

use std::fmt::Display;
use std::io::Write;

use super::entry::{Production, Requested};
use super::escape::{CUT, item};
use super::format::{Item, Part};
use super::found::Found;
use super::line::Shown;
use super::moment::{clf, rfc_3339};

pub(super) fn write(line: &mut Vec<u8>, parts: &[Part], shown: &Shown<'_>) {
    for part in parts {
        match part {
            Part::Text(text) => line.extend_from_slice(text),
            Part::Item(item) => value(line, *item, shown),
        }
    }
}

fn value(line: &mut Vec<u8>, what: Item, shown: &Shown<'_>) {
    let production = shown.entry.production.as_ref();
    let parties = production.and_then(|known| known.parties.as_deref());
    let (copy, found) = (shown.copy(), shown.found());
    let traffic = copy.map(|copy| &copy.traffic);
    let received = traffic.map(|traffic| traffic.received);
    match what {
        Item::Client => text(line, parties.map(|parties| &*parties.client)),
        Item::Server => text(line, parties.map(|parties| &*parties.server)),
        Item::ClfTime => moment(line, production, clf),
        Item::Time => moment(line, production, rfc_3339),
        Item::Method => text(line, shown.requested().map(Requested::method)),
        Item::Path | Item::Query | Item::RequestLine => of_request(line, what, shown),
        Item::Status => number(line, shown.status()),
        Item::ProductionStatus => number(line, production.map(|known| known.status)),
        Item::Exchange => number(line, shown.exchange().map(|time| time.as_micros())),
        Item::ExchangeSeconds => number(line, shown.exchange().map(|time| time.as_secs())),
        Item::Wait => number(line, copy.and_then(|copy| copy.waited).map(|time| time.as_micros())),
        Item::Connect => number(line, shown.connect().map(|time| time.as_micros())),
        Item::ProductionTime => number(line, production.map(|known| known.took)),
        Item::Sent => number(line, traffic.map(|traffic| traffic.sent)),
        Item::Received => number(line, received),
        Item::ReceivedClf => number(line, received.filter(|bytes| *bytes > 0)),
        Item::Target => text(line, Some(shown.target().as_bytes())),
        Item::Outcome => text(line, shown.outcome().map(|(outcome, _)| outcome.as_bytes())),
        Item::Reason => {
            let reason = shown.outcome().and_then(|(_, reason)| reason);
            text(line, reason.as_deref().map(str::as_bytes));
        }
        Item::Id => text(line, production.map(|known| known.id.bytes())),
        Item::Pid => number(line, Some(shown.pid)),
        Item::Verdict => text(line, found.map(|found| found.verdict.as_bytes())),
        Item::Route => text(line, found.map(|found| found.route.as_bytes())),
        Item::Differences => text(line, found.map(paths).as_deref()),
    }
}

/// The paths that differ, joined by commas.
fn paths(found: &Found) -> Vec<u8> {
    let paths: Vec<&[u8]> = found.places.iter().map(|place| place.path.as_bytes()).collect();
    paths.join(&b","[..])
}

fn of_request(line: &mut Vec<u8>, what: Item, shown: &Shown<'_>) {
    let Some(requested) = shown.requested() else { return text(line, None) };
    let (path, query) = requested.target(shown.masks());
    if what == Item::RequestLine {
        item(line, requested.method());
        line.push(b' ');
    }
    if what != Item::Query {
        item(line, &path);
    }
    if what != Item::Path {
        if let Some(query) = query {
            line.push(b'?');
            item(line, &query);
        }
        if requested.is_cut() {
            line.extend_from_slice(CUT);
        }
    }
    if what == Item::RequestLine {
        line.extend_from_slice(b" HTTP/1.1");
    }
}

fn text(line: &mut Vec<u8>, value: Option<&[u8]>) {
    match value.filter(|value| !value.is_empty()) {
        None => line.push(b'-'),
        Some(value) => item(line, value),
    }
}

fn number(line: &mut Vec<u8>, value: Option<impl Display>) {
    // Writing to a Vec cannot fail.
    let _ = match value {
        None => write!(line, "-"),
        Some(value) => write!(line, "{value}"),
    };
}

fn moment(line: &mut Vec<u8>, production: Option<&Production>, by: fn(&mut Vec<u8>, i64)) {
    match production {
        None => line.push(b'-'),
        Some(production) => by(line, production.begun),
    }
}
