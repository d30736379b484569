//! A difference between two answers, and the bounded list of those that one comparison found.

use std::time::Duration;

use twox_hash::XxHash64;

use super::fold;

/// The most differences that one comparison lists; more are counted.
pub const LISTED: usize = 32;
/// The longest path, in bytes; a longer one is cut and ends in `…`.
pub const PATH_BYTES: usize = 160;
/// The most bytes of a value that an example shows; a longer one is cut and ends in `…`.
pub const EXAMPLE_BYTES: usize = 96;

/// The path of the status.
pub(super) const STATUS: &str = "status";

/// In what manner a place differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// Both have a value of the same type, and not the same value.
    Value,
    /// The values are of different types; of `status`: of different classes.
    Type,
    /// Production has something here, staging nothing.
    Missing,
    /// Staging has something here, production nothing.
    Extra,
}

impl Change {
    /// Every manner, in the order of the encoded form.
    pub const ALL: [Change; 4] = [Change::Value, Change::Type, Change::Missing, Change::Extra];

    /// The manner as pages spell it.
    pub fn name(self) -> &'static str {
        match self {
            Change::Value => "value",
            Change::Type => "type",
            Change::Missing => "missing",
            Change::Extra => "extra",
        }
    }
}

/// What the two answers had in a place that differs, cut to [`EXAMPLE_BYTES`] each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Production's value; empty where it has none.
    pub production: String,
    /// Staging's value; empty where it has none.
    pub staging: String,
}

/// A place in which two answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, with array indices and names that are ids folded.
    pub path: String,
    /// In what manner.
    pub change: Change,
    /// How many times in this answer: an array's elements share one path.
    pub count: u64,
    /// A digest of production's value in the first of these places.
    pub value: u64,
    /// Whether both values look like what a machine makes anew for each answer: the first place's.
    pub generated: bool,
    /// The first place's line, where it is one of a text: production's, or, where it has none, staging's.
    pub line: Option<usize>,
    /// The first place's values; whoever masks takes them away or changes them.
    pub example: Option<Example>,
}

/// The differences that one comparison found.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    list: Vec<Difference>,
    /// Each one's place and manner, to find it again without its path's text.
    keys: Vec<(u64, Change)>,
    unlisted: u64,
}

impl Differences {
    /// The differences listed: at most [`LISTED`], each path and change once.
    pub fn list(&self) -> &[Difference] {
        &self.list
    }

    /// The same, for whoever masks the examples.
    pub fn list_mut(&mut self) -> &mut [Difference] {
        &mut self.list
    }

    /// How many differing places there were beyond the list.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.unlisted == 0
    }

    /// Adds what was found elsewhere in the answers, with paths that are none of these.
    pub(super) fn extend(&mut self, others: Differences) {
        self.unlisted = self.unlisted.saturating_add(others.unlisted);
        for (key, difference) in others.keys.into_iter().zip(others.list) {
            if self.list.len() < LISTED {
                self.keys.push(key);
                self.list.push(difference);
            } else {
                self.unlisted = self.unlisted.saturating_add(difference.count);
            }
        }
    }

    /// Notes that a place differs, `count` times. `place` stands for the path, which is only written where
    /// it is new; then the new difference is given.
    pub(super) fn note(
        &mut self,
        place: u64,
        change: Change,
        count: u64,
        (production, staging): (&[u8], &[u8]),
        path: impl FnOnce() -> String,
    ) -> Option<&mut Difference> {
        let key = (place, change);
        let known = self.keys.iter().position(|known| *known == key);
        if let Some(known) = known.and_then(|at| self.list.get_mut(at)) {
            known.count = known.count.saturating_add(count);
        } else if self.list.len() == LISTED {
            self.unlisted = self.unlisted.saturating_add(count);
        } else {
            self.keys.push(key);
            self.list.push(Difference {
                path: cut(path(), PATH_BYTES),
                change,
                count,
                value: digest(production),
                generated: fold::generated(production) && fold::generated(staging),
                line: None,
                example: Some(Example {
                    production: excerpt(production),
                    staging: excerpt(staging),
                }),
            });
            return self.list.last_mut();
        }
        None
    }

    /// Notes that a place with a plain path differs.
    pub(super) fn note_at(&mut self, path: &str, change: Change, values: (&[u8], &[u8])) {
        let _ = self.note(digest(path.as_bytes()), change, 1, values, || path.to_owned());
    }
}

/// How long the two took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From the request to the beginning of production's answer.
    pub production: Duration,
    /// From the request to the beginning of staging's answer, or until none was waited for any more.
    pub staging: Duration,
}

impl Latency {
    /// How many times as long staging took; `None` where production took no time that can be told.
    pub fn ratio(&self) -> Option<f64> {
        let production = self.production.as_secs_f64();
        (production > 0.0).then(|| self.staging.as_secs_f64() / production)
    }

    /// By how many microseconds staging was slower; negative where it was faster.
    pub fn difference(&self) -> i64 {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        micros(self.staging).saturating_sub(micros(self.production))
    }
}

/// What came of comparing two answers.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Where they differ.
    pub differences: Differences,
    /// How long they took.
    pub latency: Latency,
}

impl Comparison {
    /// Whether the answers are the same, in what was compared and is not ignored.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    /// Whether the statuses are of different classes, so that nothing else was compared.
    pub fn ends_at_status(&self) -> bool {
        self.differences.list().iter().any(|found| is_of_class(&found.path, found.change))
    }

    /// Whether staging took the request, and did not answer it.
    pub fn lacks_an_answer(&self) -> bool {
        let is_missing =
            |found: &Difference| found.path == STATUS && found.change == Change::Missing;
        self.differences.list().iter().any(is_missing)
    }
}

/// Whether this is where answers differ whose statuses are of different classes, or of which one is missing.
pub(super) fn is_of_class(path: &str, change: Change) -> bool {
    path == STATUS && matches!(change, Change::Type | Change::Missing)
}

/// A digest that is the same in all processes of this module.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

/// A value's beginning, as text.
fn excerpt(value: &[u8]) -> String {
    let shown = value.get(..EXAMPLE_BYTES + 1).unwrap_or(value);
    cut(String::from_utf8_lossy(shown).into_owned(), EXAMPLE_BYTES)
}

/// At most so many bytes of a text; where some are lost it ends in `…`.
pub(super) fn cut(mut text: String, most: usize) -> String {
    const MARK: char = '…';
    if text.len() > most {
        let kept = most.saturating_sub(MARK.len_utf8());
        let boundary = (0..=kept).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(boundary.unwrap_or_default());
        text.push(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_listed_once_and_counted_as_often_as_it_differs() {
        let mut differences = Differences::default();
        for value in ["a", "b"] {
            differences.note_at("$.x", Change::Value, (value.as_bytes(), b"c"));
        }
        differences.note_at("$.x", Change::Type, (b"a", b"1"));
        let [value, r#type] = differences.list() else { panic!("{differences:?}") };
        assert_eq!((value.count, r#type.count), (2, 1));
        assert_eq!(value.example.as_ref().map(|pair| pair.production.as_str()), Some("a"));
    }

    #[test]
    fn what_does_not_fit_into_the_list_is_counted() {
        let mut differences = Differences::default();
        for index in 0..LISTED + 5 {
            differences.note_at(&format!("$.x{index}"), Change::Value, (b"", b""));
        }
        assert_eq!((differences.list().len(), differences.unlisted()), (LISTED, 5));
    }

    #[test]
    fn paths_and_values_are_cut_at_a_character() {
        let long = "ä".repeat(PATH_BYTES);
        let mut differences = Differences::default();
        differences.note_at(&long, Change::Value, (long.as_bytes(), b"short"));
        let difference = &differences.list()[0];
        assert!(difference.path.len() <= PATH_BYTES && difference.path.ends_with("ä…"));
        let example = difference.example.as_ref().unwrap();
        assert!(example.production.len() <= EXAMPLE_BYTES && example.production.ends_with('…'));
        assert_eq!(example.staging, "short");
    }

    #[test]
    fn latency_is_told_as_ratio_and_difference() {
        let latency = |production, staging| Latency {
            production: Duration::from_millis(production),
            staging: Duration::from_millis(staging),
        };
        assert_eq!(latency(10, 15).ratio(), Some(1.5));
        assert_eq!(latency(10, 4).difference(), -6000);
        assert_eq!(latency(0, 4).ratio(), None);
    }
}
