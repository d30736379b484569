//! Two texts as JSON: what a reader of whole trees finds equal is equal, what it finds different is different.
//!
//! That reader keeps numbers as they are written, and names that come twice.
#![no_main]

use std::collections::BTreeMap;
use std::fmt;

use libfuzzer_sys::fuzz_target;
use mod_copy::compare::{Change, Differences, LISTED, Rules, json};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    // A byte that chooses, and two texts with a byte between them that is in none of UTF-8.
    let Some((&choice, texts)) = bytes.split_first() else { return };
    let mut parts = texts.splitn(2, |byte| *byte == 0xff);
    let (one, other) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut rules = Rules::default();
    let any_order = choice & 1 != 0;
    if any_order {
        rules.ignore("order:*").expect("it is a rule");
    }
    let found = json::compare(one, other, &rules);
    let back = json::compare(other, one, &rules);
    assert_eq!(found.is_ok(), back.is_ok());
    if let (Ok(found), Ok(back)) = (&found, &back) {
        bounded(found);
        assert_eq!(found.is_empty(), back.is_empty(), "equal one way only");
        if found.unlisted() + back.unlisted() == 0 {
            assert_eq!(
                counts(found, [Change::Missing, Change::Extra]),
                counts(back, [Change::Extra, Change::Missing])
            );
        }
    }
    let (Some(one_tree), Some(other_tree)) = (read(one), read(other)) else { return };
    let (found, same) = (found.expect("both are JSON"), equal(&one_tree, &other_tree));
    assert!(
        if any_order { !same || found.is_empty() } else { same == found.is_empty() },
        "{found:?}"
    );
    rules.ignore("json:$").expect("it is a rule");
    assert!(json::compare(one, other, &rules).expect("both are JSON").is_empty());
});

fn bounded(found: &Differences) {
    assert!(found.list().len() <= LISTED);
    for difference in found.list() {
        assert!(
            difference.path.starts_with('$')
                && difference.path.len() <= 160
                && difference.count > 0
        );
        assert!(difference.example.as_ref().is_some_and(|pair| pair.production.len() <= 96));
    }
}

fn counts(found: &Differences, changes: [Change; 2]) -> [u64; 2] {
    changes.map(|change| {
        found.list().iter().filter(|found| found.change == change).map(|found| found.count).sum()
    })
}

/// A whole tree, whose numbers are the text they were read from.
enum Tree {
    Object(BTreeMap<String, Vec<Tree>>),
    Array(Vec<Tree>),
    String(String),
    Number(String),
    Word(String),
}

fn read(text: &[u8]) -> Option<Tree> {
    tree(serde_json::from_slice(text).ok()?, json::DEPTH)
}

fn tree(raw: &RawValue, room: usize) -> Option<Tree> {
    let text = raw.get();
    Some(match text.as_bytes().first()? {
        b'{' => {
            let Members(members) = serde_json::from_str(text).ok()?;
            let mut object = BTreeMap::<String, Vec<Tree>>::new();
            for (name, value) in members {
                object.entry(name).or_default().push(tree(value, room.checked_sub(1)?)?);
            }
            Tree::Object(object)
        }
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Tree::Array(
                elements
                    .into_iter()
                    .map(|raw| tree(raw, room.checked_sub(1)?))
                    .collect::<Option<_>>()?,
            )
        }
        b'"' => Tree::String(serde_json::from_str(text).ok()?),
        b'-' | b'0'..=b'9' => Tree::Number(text.to_owned()),
        _ => Tree::Word(text.to_owned()),
    })
}

/// Members in their order, with names that come twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

fn equal(one: &Tree, other: &Tree) -> bool {
    let all = |one: &[Tree], other: &[Tree]| {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
    };
    match (one, other) {
        (Tree::Number(one), Tree::Number(other)) => one == other || decimal(one) == decimal(other),
        (Tree::Array(one), Tree::Array(other)) => all(one, other),
        (Tree::Object(one), Tree::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| other.get(name).is_some_and(|other| all(one, other)))
        }
        (Tree::String(one), Tree::String(other)) | (Tree::Word(one), Tree::Word(other)) => {
            one == other
        }
        _ => false,
    }
}

/// Sign, digits and power of ten; a power beyond all bounds is the text itself.
fn decimal(text: &str) -> (String, String) {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return ("0".into(), String::new());
    }
    match power.parse::<i64>() {
        Ok(power) => {
            let power =
                i128::from(power) - fraction.len() as i128 + (digits.len() - kept.len()) as i128;
            (format!("{sign}{kept}"), power.to_string())
        }
        Err(_) => (sign.into(), text.into()),
    }
}
