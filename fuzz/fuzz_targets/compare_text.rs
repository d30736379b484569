//! Two texts by line and as HTML: what folds to the same is equal, and what is missing and extra makes up for
//! what one has more than the other. Then as whole answers, with codings that may be none.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mod_copy::compare::text::{self, Form};
use mod_copy::compare::{Answer, Body, Change, Differences, Route, Rules, compare};

const TYPES: [&[u8]; 6] = [
    b"text/plain",
    b"text/html",
    b"application/json",
    b"text/html; charset=iso-8859-1",
    b"image/png",
    b"",
];
const CODINGS: [&[u8]; 4] = [b"", b"gzip", b"deflate", b"gzip, deflate"];

fuzz_target!(|bytes: &[u8]| {
    // A byte that chooses, and two texts with a byte between them that is in none of UTF-8.
    let Some((&choice, texts)) = bytes.split_first() else { return };
    let mut parts = texts.splitn(2, |byte| *byte == 0xff);
    let (one, other) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let rules = Rules::default();
    for form in [Form::Lines, Form::Html] {
        let found = text::compare(one, other, form, &rules);
        assert!(text::compare(one, one, form, &rules).is_empty());
        if form == Form::Lines {
            let lines = (lines(one), lines(other));
            assert_eq!(found.is_empty(), lines.0 == lines.1, "{found:?}");
            if found.unlisted() == 0 {
                let more = lines.0.len() as i64 - lines.1.len() as i64;
                assert_eq!(count(&found, Change::Missing) - count(&found, Change::Extra), more);
            }
        } else if words(one) != words(other) {
            // Whitespace aside, each byte is in some piece.
            assert!(!found.is_empty());
        }
    }
    answers(one, other, choice, &rules);
    let route = Route::of(b"GET", other);
    assert!(route.as_str().len() <= 128 && !route.as_str().contains(['?', '\n']));
});

fn answers(one: &[u8], other: &[u8], choice: u8, rules: &Rules) {
    let choose = |shift: u32, of: &[&'static [u8]]| of[usize::from(choice >> shift) % of.len()];
    let fields = [
        (&b"Content-Type"[..], choose(0, &TYPES)),
        (&b"Content-Encoding"[..], choose(4, &CODINGS)),
    ];
    let answer = |body| Answer {
        status: 200,
        fields: &fields,
        body: Body::Whole(body),
        latency: Duration::from_millis(1),
    };
    assert!(compare(&answer(one), &answer(one), rules).is_equal());
    let (there, back) = (
        compare(&answer(one), &answer(other), rules),
        compare(&answer(other), &answer(one), rules),
    );
    assert_eq!(there.is_equal(), back.is_equal());
}

fn count(found: &Differences, change: Change) -> i64 {
    found.list().iter().filter(|found| found.change == change).map(|found| found.count as i64).sum()
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    // A text that is one end of a line has no line at all.
    if lines == [&b""[..]] {
        lines.pop();
    }
    lines.iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect()
}

fn words(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}
