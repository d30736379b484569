//! Any bytes as JSON under masks: refused where serde_json refuses them, else what it reads is the masked tree.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mod_copy::mask::{DEEPEST, Key, Masked, Masks, Rule, Unmaskable};
use serde::de::IgnoredAny;
use serde_json::Value;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\n\r\n";
/// More than any of these rules makes of what the fuzzer tries.
const LIMIT: usize = 1 << 24;

type Find = fn(&[Step<'_>]) -> bool;

/// One step into a document.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Rules, and which values they find by another reading of the documentation.
const RULES: [(&[&str], Find); 4] = [
    (&["json", "a", "bb"], |steps| matches!(steps, [.., last] if is(last, "a") || is(last, "bb"))),
    (&["json", "$.a.b"], |steps| matches!(steps, [a, b] if is(a, "a") && is(b, "b"))),
    (
        &["json", "$[*].a", "$.a[1]"],
        |steps| matches!(steps, [one, two] if is(two, "a") || (is(one, "a") && matches!(two, Step::Index(1)))),
    ),
    (&["json", "$.*[*][0]"], |steps| matches!(steps, [_, _, Step::Index(0)])),
];

static MASKS: LazyLock<Vec<[Masks; 3]>> = LazyLock::new(|| {
    let masks = |words: &[&str], action| {
        let rules = Rule::parse(&[words, &[action]].concat()).expect("a rule");
        Masks::of(&rules, Key::of(b"key"))
    };
    RULES
        .iter()
        .map(|(words, _)| ["fixed:X", "drop", "hash"].map(|action| masks(words, action)))
        .collect()
});

// The first byte chooses the rules.
fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let choice = usize::from(*choice) % RULES.len();
    let [fixed, dropped, hashed] = &MASKS[choice];
    let run = |masks: &Masks, text: &[u8]| masks.apply(&[HEAD], [text], LIMIT);

    let whole = run(fixed, text);
    let bare = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let valid =
        std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(bare).is_ok();
    match whole {
        // Whoever is too deep may be malformed further on.
        Err(Unmaskable::TooDeep) => return assert!(text.len() > DEEPEST),
        Err(other) => return assert!(other == Unmaskable::Json && !valid, "{other:?}"),
        Ok(_) => assert!(valid || text.is_empty(), "{}", text.escape_ascii()),
    }
    let masked = |masks| match run(masks, text) {
        Ok(Masked { content, .. }) => content.unwrap_or_else(|| text.to_vec()),
        Err(other) => panic!("{other:?} depends on the action"),
    };
    let (fixed_text, dropped_text, hashed_text) = (masked(fixed), masked(dropped), masked(hashed));
    for (masks, once) in [(fixed, &fixed_text), (dropped, &dropped_text)] {
        // Where an element is dropped by its index, another takes its place.
        if choice > 1 && std::ptr::eq(masks, dropped) {
            continue;
        }
        let twice = run(masks, once).expect("what comes out is JSON");
        assert_eq!(&twice.content.unwrap_or_else(|| once.clone()), once, "twice is once");
    }

    // What it cannot read: numbers beyond its range, lone surrogates, more than 128 levels.
    let read = |text: &[u8]| {
        serde_json::from_slice::<Value>(text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text))
            .ok()
    };
    let Some(tree) = read(text) else { return };
    let find = RULES[choice].1;
    let expected = rebuilt(&tree, find, &mut Vec::new(), false);
    assert_eq!(read(&fixed_text), expected);
    assert_eq!(read(&hashed_text).map(|_| ()), Some(()));
    let unique = keys(&tree) == text.iter().filter(|byte| **byte == b':').count();
    // Of keys that come twice, serde_json keeps the first one's place.
    if unique {
        assert_eq!(read(&dropped_text), rebuilt(&tree, find, &mut Vec::new(), true));
    }
});

fn is(step: &Step<'_>, name: &str) -> bool {
    matches!(step, Step::Key(key) if key.eq_ignore_ascii_case(name))
}

/// The tree with what is found in it replaced, or dropped.
fn rebuilt<'a>(
    value: &'a Value,
    find: Find,
    steps: &mut Vec<Step<'a>>,
    drop: bool,
) -> Option<Value> {
    if find(steps) {
        return (!drop).then(|| Value::from("X"));
    }
    let mut child = |step, value| {
        steps.push(step);
        let rebuilt = rebuilt(value, find, steps, drop);
        steps.pop();
        rebuilt
    };
    Some(match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| child(Step::Index(index), item))
            .collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter_map(|(key, member)| Some((key.clone(), child(Step::Key(key), member)?)))
                .collect(),
        ),
        other => other.clone(),
    })
}

/// How many members a tree has.
fn keys(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(keys).sum(),
        Value::Object(members) => members.values().map(|member| 1 + keys(member)).sum(),
        _ => 0,
    }
}
