//! The differences of JSON texts, held against those of a reader that knows no shortcuts.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Number, Value};

use super::super::difference::{Change, LISTED};
use super::super::rules::Rules;
use super::compare;

fn number() -> impl Strategy<Value = Number> {
    let decimal = |n: i32| Number::from_f64(f64::from(n) / 8.0).expect("it is finite");
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        (-50_i64..50).prop_map(Number::from),
        (-400..400).prop_map(decimal),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-c]{0,2}", "\\PC{0,4}", "[\"\\\\/\n\t\u{1}é😀x]{0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        text.prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let name = prop_oneof!["[a-d]", "[é\"\\\\a]{1,2}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a value in one of its many ways, which the draws choose.
struct Writer<'d> {
    draws: std::iter::Cycle<std::slice::Iter<'d, u8>>,
    text: String,
}

impl Writer<'_> {
    fn write(value: &Value, draws: &[u8]) -> String {
        let mut writer = Writer { draws: draws.iter().cycle(), text: String::new() };
        writer.value(value);
        writer.text
    }

    fn draw(&mut self, sides: u8) -> u8 {
        self.draws.next().expect("there are draws") % sides
    }

    fn blank(&mut self) {
        let blank = ["", "", "", " ", "\n  ", "\t\r\n"];
        let drawn = self.draw(blank.len() as u8);
        self.text.push_str(blank[usize::from(drawn)]);
    }

    fn value(&mut self, value: &Value) {
        self.blank();
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                match self.draw(3) {
                    0 => members.reverse(),
                    1 if !members.is_empty() => {
                        members.rotate_left(1);
                    }
                    _ => {}
                }
                self.list(('{', '}'), members, |writer, (name, value)| {
                    writer.string(name);
                    writer.blank();
                    writer.text.push(':');
                    writer.value(value);
                });
            }
            Value::Array(elements) => {
                self.list(('[', ']'), elements, |writer, element| writer.value(element));
            }
            Value::String(text) => self.string(text),
            Value::Number(number) => self.number(number),
            Value::Null | Value::Bool(_) => self.text.push_str(&value.to_string()),
        }
        self.blank();
    }

    fn list<T>(
        &mut self,
        (open, close): (char, char),
        parts: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.text.push(open);
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.blank();
            write(self, part);
        }
        self.blank();
        self.text.push(close);
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            let must = character < ' ' || matches!(character, '"' | '\\');
            if must || self.draw(4) == 0 {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let escape = match self.draw(2) {
                        0 => format!("\\u{unit:04x}"),
                        _ => format!("\\u{unit:04X}"),
                    };
                    self.text.push_str(&escape);
                }
            } else {
                self.text.push(character);
            }
        }
        self.text.push('"');
    }

    fn number(&mut self, number: &Number) {
        let plain = number.to_string();
        let point = if plain.contains('.') { "0" } else { ".0" };
        let written = match self.draw(5) {
            0 => format!("{plain}e0"),
            1 => format!("{plain}{point}"),
            2 => format!("{plain}{point}0E+00"),
            3 if !plain.contains('.') && plain != "0" => format!("{plain}00e-2"),
            _ => plain,
        };
        self.text.push_str(&written);
    }
}

fn same_number(one: &Number, other: &Number) -> bool {
    match (one.is_f64(), other.is_f64()) {
        (false, false) => one.as_i128() == other.as_i128(),
        // Those drawn are eighths below 50: exact.
        _ => one.as_f64() == other.as_f64(),
    }
}

/// Where two values differ, as a reader of both whole trees tells.
fn differences(one: &Value, other: &Value, path: &str, found: &mut BTreeSet<(String, Change)>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for name in names {
                let path = member(path, name);
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => differences(one, other, &path, found),
                    (Some(_), None) => drop(found.insert((path, Change::Missing))),
                    _ => drop(found.insert((path, Change::Extra))),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            let path = format!("{path}[*]");
            one.iter().zip(other).for_each(|(one, other)| differences(one, other, &path, found));
            match one.len().cmp(&other.len()) {
                std::cmp::Ordering::Greater => drop(found.insert((path, Change::Missing))),
                std::cmp::Ordering::Less => drop(found.insert((path, Change::Extra))),
                std::cmp::Ordering::Equal => {}
            }
        }
        (Value::Number(one), Value::Number(other)) if same_number(one, other) => {}
        _ if one == other => {}
        _ => {
            let same_type = std::mem::discriminant(one) == std::mem::discriminant(other);
            let change = if same_type { Change::Value } else { Change::Type };
            found.insert((path.to_owned(), change));
        }
    }
}

fn member(path: &str, name: &str) -> String {
    match !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => format!("{path}.{name}"),
        false => format!("{path}['{name}']"),
    }
}

fn found(one: &str, other: &str, rules: &Rules) -> BTreeSet<(String, Change)> {
    let found = compare(one.as_bytes(), other.as_bytes(), rules).expect("both are JSON");
    assert!(found.list().len() <= LISTED && found.unlisted() == 0, "{found:?}");
    found.list().iter().map(|found| (found.path.clone(), found.change)).collect()
}

/// Puts something new in one of the value's places; the place's path.
fn plant(value: &mut Value, mut place: &[u8], path: String) -> String {
    let mut next = |sides: usize| {
        let (first, rest) = place.split_first()?;
        place = rest;
        Some(usize::from(*first) % sides)
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            if let Some(index) = next(members.len()) {
                let (name, inner) = members.iter_mut().nth(index).expect("it is one of them");
                let path = member(&path, name);
                return plant(inner, place, path);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            if let Some(index) = next(elements.len()) {
                return plant(&mut elements[index], place, format!("{path}[*]"));
            }
        }
        _ => {}
    }
    *value = match value {
        Value::String(text) => Value::String(format!("{text} and more")),
        Value::Number(_) => Value::String("planted".to_owned()),
        Value::Object(_) => Value::Number(7.into()),
        _ => Value::Object(Map::from_iter([("planted".to_owned(), Value::Null)])),
    };
    path
}

fn draws() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn all_ways_to_write_a_value_are_equal(value in value(), one in draws(), other in draws()) {
        let (one, other) = (Writer::write(&value, &one), Writer::write(&value, &other));
        prop_assert_eq!(found(&one, &other, &Rules::default()), BTreeSet::new());
        let mut any_order = Rules::default();
        any_order.ignore("order:*").unwrap();
        prop_assert_eq!(found(&one, &other, &any_order), BTreeSet::new());
    }

    #[test]
    fn differences_are_those_that_a_reader_of_both_trees_tells(
        one in value(), other in value(), ways in (draws(), draws()),
    ) {
        let mut expected = BTreeSet::new();
        differences(&one, &other, "$", &mut expected);
        let (one, other) = (Writer::write(&one, &ways.0), Writer::write(&other, &ways.1));
        prop_assert_eq!(found(&one, &other, &Rules::default()), expected);
    }

    #[test]
    fn a_planted_change_is_told_at_its_path_alone_and_may_be_ignored(
        value in value(), place in prop::collection::vec(any::<u8>(), 0..6), ways in (draws(), draws()),
    ) {
        let mut other = value.clone();
        let path = plant(&mut other, &place, "$".to_owned());
        let (one, other) = (Writer::write(&value, &ways.0), Writer::write(&other, &ways.1));
        let told: Vec<_> = found(&one, &other, &Rules::default()).into_iter().map(|(path, _)| path).collect();
        prop_assert_eq!(&told, std::slice::from_ref(&path));
        let mut rules = Rules::default();
        rules.ignore(&format!("json:{path}")).unwrap();
        prop_assert_eq!(found(&one, &other, &rules), BTreeSet::new());
    }

    #[test]
    fn elements_shuffled_are_equal_in_any_order(
        elements in prop::collection::vec(value(), 0..8), turn in 0_usize..8, ways in (draws(), draws()),
    ) {
        let mut turned = elements.clone();
        turned.rotate_left(turn.min(elements.len()));
        let one = Writer::write(&Value::Array(elements), &ways.0);
        let other = Writer::write(&Value::Array(turned), &ways.1);
        let mut rules = Rules::default();
        rules.ignore("order:$").unwrap();
        prop_assert_eq!(found(&one, &other, &rules), BTreeSet::new());
    }
}
