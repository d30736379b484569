//! Two texts compared line by line, or two HTML documents tag by tag.

use super::difference::{Change, Differences, digest};
use super::html;
use super::rules::Rules;

/// The most lines of a text; what comes behind is taken as one.
const LINES: usize = 1 << 16;
/// How many lines ahead one looks for such as the other text has too.
const AHEAD: usize = 64;
/// The most bytes of the name in `name: value`.
const NAME: usize = 32;

/// What a text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines, whether they end as Unix's do or as Windows'.
    Lines,
    /// Tags, comments, and what is between them, with runs of whitespace as one blank.
    Html,
}

/// A line, or a piece of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// The same for pieces that are the same under the rules.
    pub(super) digest: u64,
    pub(super) text: &'a [u8],
    /// The tag that the piece is, or that is before it.
    pub(super) tag: &'a [u8],
    /// In which line it begins.
    pub(super) line: usize,
}

/// Where two texts differ. Lines have the path `text:name` where they begin with a name and a `:` or `=`, else
/// `text`; pieces of documents `html:` and the tag with what names it.
pub fn compare(production: &[u8], staging: &[u8], form: Form, rules: &Rules) -> Differences {
    let mut found = Differences::default();
    if production == staging {
        return found;
    }
    let (a, b) = (pieces(production, form, rules), pieces(staging, form, rules));
    align(&a, &b, |a, b| {
        let Some(either) = a.or(b) else { return };
        let change = match (a, b) {
            (Some(_), Some(_)) => Change::Value,
            (Some(_), None) => Change::Missing,
            _ => Change::Extra,
        };
        let path = match form {
            Form::Lines => path_of_line(either.text),
            Form::Html => html::path(either.tag),
        };
        let values = (a.map_or(&b""[..], |a| a.text), b.map_or(&b""[..], |b| b.text));
        let place = digest(path.as_bytes());
        if let Some(new) = found.note(place, change, 1, values, || path) {
            new.line = Some(either.line);
        }
    });
    found
}

fn pieces<'a>(text: &'a [u8], form: Form, rules: &Rules) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut folded = Vec::new();
    let mut take = |text: &'a [u8], tag: &'a [u8], line: usize| {
        let digest = match form {
            Form::Lines => digest(&rules.blank(text)),
            Form::Html => {
                html::fold(text, &mut folded);
                if folded.is_empty() {
                    return;
                }
                digest(&rules.blank(&folded))
            }
        };
        pieces.push(Piece { digest, text, tag, line });
    };
    match form {
        Form::Lines => lines(text, &mut take),
        Form::Html => html::pieces(text, LINES, &mut take),
    }
    pieces
}

fn lines<'a>(text: &'a [u8], take: &mut impl FnMut(&'a [u8], &'a [u8], usize)) {
    // What follows the last line's end is no line.
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return;
    }
    for (index, line) in text.splitn(LINES, |byte| *byte == b'\n').enumerate() {
        take(line.strip_suffix(b"\r").unwrap_or(line), b"", index + 1);
    }
}

fn path_of_line(line: &[u8]) -> String {
    let line = line.trim_ascii_start();
    let end = line.iter().position(|byte| matches!(byte, b':' | b'='));
    let name = end.filter(|end| (1..=NAME).contains(end)).and_then(|end| line.get(..end));
    let plain = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.');
    match name.map(<[u8]>::trim_ascii_end).filter(|name| name.iter().all(plain)) {
        Some(name) => format!("text:{}", String::from_utf8_lossy(name)),
        None => "text".to_owned(),
    }
}

/// Goes over two sequences, and reports what only one has, and what stands in the place of another piece.
pub(super) fn align<'s, 'a>(
    a: &'s [Piece<'a>],
    b: &'s [Piece<'a>],
    mut report: impl FnMut(Option<&'s Piece<'a>>, Option<&'s Piece<'a>>),
) {
    let same = |(one, other): &(&Piece<'_>, &Piece<'_>)| one.digest == other.digest;
    let before = a.iter().zip(b).take_while(same).count();
    let (mut a, mut b) = (from(a, before), from(b, before));
    let behind = a.iter().rev().zip(b.iter().rev()).take_while(same).count();
    (a, b) = (a.get(..a.len() - behind).unwrap_or(a), b.get(..b.len() - behind).unwrap_or(b));
    let (places_a, places_b) = (Places::of(a), Places::of(b));
    let (shared_a, shared_b) = (places_a.shared(&places_b), places_b.shared(&places_a));
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let (left_a, left_b) = (from(a, i), from(b, j));
        let one = Left { at: i, pieces: left_a, shared: &shared_a, places: &places_a };
        let other = Left { at: j, pieces: left_b, shared: &shared_b, places: &places_b };
        let (skip_a, skip_b) = nearest(&one, &other);
        let skipped = |left: &'s [Piece<'a>], skip| left.get(..skip).unwrap_or(left).iter();
        let (mut only_a, mut only_b) = (skipped(left_a, skip_a), skipped(left_b, skip_b));
        loop {
            match (only_a.next(), only_b.next()) {
                (None, None) => break,
                (one, other) => report(one, other),
            }
        }
        (i, j) = (i + skip_a, j + skip_b);
        let equal = from(a, i).iter().zip(from(b, j)).take_while(same).count();
        (i, j) = (i + equal, j + equal);
    }
}

fn from<'s, 'a>(pieces: &'s [Piece<'a>], at: usize) -> &'s [Piece<'a>] {
    pieces.get(at..).unwrap_or_default()
}

/// What is left of a sequence.
struct Left<'s, 'a> {
    /// How much is gone.
    at: usize,
    pieces: &'s [Piece<'a>],
    /// Of each piece of all, whether the other sequence has it too.
    shared: &'s [bool],
    places: &'s Places,
}

impl Left<'_, '_> {
    /// How far away in `other` the piece is that is so far ahead here.
    fn away(&self, ahead: usize, other: &Left<'_, '_>) -> Option<usize> {
        let shared = self.shared.get(self.at + ahead)?;
        let piece = self.pieces.get(ahead).filter(|_| *shared)?;
        other.places.next(piece.digest, other.at).map(|at| at - other.at)
    }
}

/// How many pieces to leave out of each to come to the nearest that both have; one of each where none is near.
fn nearest(a: &Left<'_, '_>, b: &Left<'_, '_>) -> (usize, usize) {
    if a.pieces.is_empty() || b.pieces.is_empty() {
        return (a.pieces.len(), b.pieces.len());
    }
    let mut best: Option<(usize, usize)> = None;
    for ahead in 0..AHEAD {
        if best.is_some_and(|(one, other)| one + other <= ahead) {
            break;
        }
        let in_b = a.away(ahead, b).map(|away| (ahead, away));
        let in_a = b.away(ahead, a).map(|away| (away, ahead));
        let all = best.into_iter().chain(in_b).chain(in_a);
        best = all.min_by_key(|(one, other)| one + other);
    }
    best.unwrap_or((1, 1))
}

/// Where in a sequence the pieces of each digest are.
struct Places(Vec<(u64, usize)>);

impl Places {
    fn of(pieces: &[Piece<'_>]) -> Places {
        let mut places: Vec<_> =
            pieces.iter().enumerate().map(|(at, piece)| (piece.digest, at)).collect();
        places.sort_unstable();
        Places(places)
    }

    /// Of each piece, whether the other sequence has it too.
    fn shared(&self, other: &Places) -> Vec<bool> {
        let mut shared = vec![false; self.0.len()];
        let mut others = other.0.iter().map(|(digest, _)| *digest).peekable();
        for (digest, at) in &self.0 {
            while others.next_if(|other| other < digest).is_some() {}
            if let Some(shared) = shared.get_mut(*at) {
                *shared = others.peek() == Some(digest);
            }
        }
        shared
    }

    /// The next place from `at` on.
    fn next(&self, digest: u64, at: usize) -> Option<usize> {
        let next = self.0.partition_point(|place| *place < (digest, at));
        self.0.get(next).filter(|(found, _)| *found == digest).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(one: &str, other: &str, form: Form) -> Vec<(String, Change, u64)> {
        let rules = Rules::default();
        let found = compare(one.as_bytes(), other.as_bytes(), form, &rules);
        found.list().iter().map(|found| (found.path.clone(), found.change, found.count)).collect()
    }

    fn is(path: &str, change: Change, count: u64) -> (String, Change, u64) {
        (path.to_owned(), change, count)
    }

    #[test]
    fn lines_that_differ_are_told_from_lines_that_are_missing_or_extra() {
        for (one, other, differences) in [
            ("a\nb\nc\n", "a\nb\nc\n", vec![]),
            ("a\nb\n", "a\r\nb", vec![]),
            ("a\nb\nc", "a\nx\nc", vec![is("text", Change::Value, 1)]),
            ("a\nb\nc", "a\nc", vec![is("text", Change::Missing, 1)]),
            ("a\nc", "a\nb\nb\nc", vec![is("text", Change::Extra, 2)]),
            ("", "a", vec![is("text", Change::Extra, 1)]),
            ("a\nb\nc\nd", "a\nnew\nb\nc\nnew\nd", vec![is("text", Change::Extra, 2)]),
            ("a\nnew\nb\nc\nnew\nd", "a\nb\nc\nd", vec![is("text", Change::Missing, 2)]),
            (
                "up: 1\nok=2\nz",
                "up: 2\nok=3\nz",
                vec![is("text:up", Change::Value, 1), is("text:ok", Change::Value, 1)],
            ),
            ("Jo Do: 1", "Jo Do: 2", vec![is("text", Change::Value, 1)]),
        ] {
            assert_eq!(found(one, other, Form::Lines), differences, "{one:?} {other:?}");
        }
    }

    #[test]
    fn the_first_line_that_differs_is_told() {
        let found = compare(b"a\nb\nc", b"a\nB\nC", Form::Lines, &Rules::default());
        assert_eq!((found.list()[0].line, found.list()[0].count), (Some(2), 2));
        assert_eq!(found.list()[0].example.as_ref().unwrap().staging, "B");
    }

    #[test]
    fn documents_are_compared_tag_by_tag_with_whitespace_folded() {
        let page = "<p class=\"price big\">1.00</p>\n  <b>x</b>";
        assert_eq!(found(page, "<p  class=\"price big\">\n1.00 </p><b> x</b>", Form::Html), []);
        let other = page.replace("1.00", "1.01");
        assert_eq!(found(page, &other, Form::Html), [is("html:p.price", Change::Value, 1)]);
        let other = page.replace("<b>x</b>", "");
        assert_eq!(found(page, &other, Form::Html)[0].1, Change::Missing);
    }

    #[test]
    fn what_an_expression_matches_in_a_line_does_not_differ() {
        let mut rules = Rules::default();
        rules.ignore(r"regex:\d+ ms").unwrap();
        assert!(compare(b"took 3 ms", b"took 12 ms", Form::Lines, &rules).is_empty());
        assert!(!compare(b"took 3 ms", b"took 3 s", Form::Lines, &rules).is_empty());
    }

    #[test]
    fn a_text_of_too_many_lines_ends_in_one() {
        let text = "\n".repeat(LINES + 10);
        let lines = pieces(text.as_bytes(), Form::Lines, &Rules::default());
        assert_eq!(lines.len(), LINES);
        let differ = found(&text, &format!("{text}x"), Form::Lines);
        assert_eq!(differ, [is("text", Change::Value, 1)]);
    }

    proptest! {
        #[test]
        fn what_is_not_reported_is_the_same_in_both_and_in_order(
            one in prop::collection::vec(0_u64..6, 0..40),
            other in prop::collection::vec(0_u64..6, 0..40),
        ) {
            let pieces = |digests: &[u64]| -> Vec<Piece<'static>> {
                let piece = |(line, digest): (usize, &u64)| {
                    Piece { digest: *digest, text: b"", tag: b"", line }
                };
                digests.iter().enumerate().map(piece).collect()
            };
            let (a, b) = (pieces(&one), pieces(&other));
            let (mut only_a, mut only_b) = (Vec::new(), Vec::new());
            align(&a, &b, |a, b| {
                assert!(a.is_some() || b.is_some());
                only_a.extend(a.map(|a| a.line));
                only_b.extend(b.map(|b| b.line));
            });
            let rest = |pieces: &[Piece<'_>], only: &[usize]| -> Vec<u64> {
                let left = pieces.iter().filter(|piece| !only.contains(&piece.line));
                left.map(|piece| piece.digest).collect()
            };
            prop_assert_eq!(rest(&a, &only_a), rest(&b, &only_b));
            prop_assert!(only_a.is_sorted() && only_b.is_sorted());
            prop_assert_eq!(only_a.is_empty() && only_b.is_empty(), one == other);
        }
    }
}
