//! What a comparison found, and its line as JSON: places that differ, and never what is there.

use std::io::Write;
use std::time::Duration;

use super::entry::Requested;
use super::line::{LONGEST_LINE, Shown, name, number, path, text, time};

/// The most bytes of the places that are told, each with what it takes beside its path.
const PLACES: usize = 2048;
const BESIDE: usize = 48;
/// What follows the places in a line.
const REST: usize = "],\"unlisted\":18446744073709551615}\n".len();

/// What came of comparing two answers.
#[derive(Debug)]
pub struct Found {
    pub(super) verdict: &'static str,
    /// Whether they differ in something that is no noise.
    pub(super) is_differing: bool,
    pub(super) route: Box<str>,
    pub(super) requested: Requested,
    /// Of staging's answer.
    pub(super) status: u16,
    /// How long staging took.
    pub(super) latency: Duration,
    pub(super) places: Vec<Differing>,
    pub(super) unlisted: u64,
}

/// A place in which they differ.
#[derive(Clone, Debug)]
pub struct Differing {
    /// Where.
    pub path: Box<str>,
    /// In what manner.
    pub change: &'static str,
    /// Whether it is noise.
    pub standing: &'static str,
    /// How many there are of it in this answer.
    pub count: u64,
}

impl Found {
    /// A verdict, by its name, and whether it says that something differs; of a route; nothing yet of where.
    pub fn new(verdict: (&'static str, bool), route: &str, requested: Requested) -> Found {
        let (verdict, is_differing) = verdict;
        Found {
            verdict,
            is_differing,
            route: route.into(),
            requested,
            status: 0,
            latency: Duration::ZERO,
            places: Vec::new(),
            unlisted: 0,
        }
    }

    /// What staging answered, and after how long.
    pub fn answered(self, status: u16, latency: Duration) -> Found {
        Found { status, latency, ..self }
    }

    /// Where they differ: as many places as a line has room for, and the number of those that are left out, `more` included.
    pub fn in_places(self, places: impl Iterator<Item = Differing>, more: u64) -> Found {
        let (mut kept, mut unlisted, mut room) = (Vec::new(), more, PLACES);
        for place in places {
            let size = place.path.len().saturating_add(BESIDE);
            match room.checked_sub(size) {
                Some(left) => {
                    room = left;
                    kept.push(place);
                }
                None => unlisted = unlisted.saturating_add(place.count),
            }
        }
        Found { places: kept, unlisted, ..self }
    }
}

/// Writes the line of a comparison.
pub(super) fn object(line: &mut Vec<u8>, shown: &Shown<'_>, found: &Found) {
    let production = shown.entry.production.as_ref();
    time(line, production);
    text(line, "target", Some(shown.target().as_bytes()));
    text(line, "method", Some(found.requested.method()));
    path(line, shown);
    text(line, "route", Some(found.route.as_bytes()));
    text(line, "verdict", Some(found.verdict.as_bytes()));
    number(line, "status", shown.status());
    number(line, "production_status", production.map(|known| known.status));
    number(line, "staging_us", Some(found.latency.as_micros()));
    number(line, "production_us", production.map(|known| known.took));
    let id = production.map(|known| known.id.bytes());
    text(line, "id", id.filter(|id| !id.is_empty()));
    number(line, "pid", Some(shown.pid));
    name(line, "differences");
    line.push(b'[');
    let unlisted = places(line, found);
    line.push(b']');
    number(line, "unlisted", Some(unlisted));
    line.push(b'}');
}

/// Writes as many places as there is room for; how many are left out.
fn places(line: &mut Vec<u8>, found: &Found) -> u64 {
    let (begun, mut unlisted) = (line.len(), found.unlisted);
    for Differing { path, change, standing, count } in &found.places {
        let before = line.len();
        line.extend_from_slice(if before > begun { b",{" } else { b"{" });
        // Writing to a Vec cannot fail.
        let _ = write!(line, "\"places\":{count}");
        text(line, "path", Some(path.as_bytes()));
        text(line, "change", Some(change.as_bytes()));
        text(line, "standing", Some(standing.as_bytes()));
        line.push(b'}');
        if line.len().saturating_add(REST) > LONGEST_LINE {
            line.truncate(before);
            unlisted = unlisted.saturating_add(*count);
        }
    }
    unlisted
}
