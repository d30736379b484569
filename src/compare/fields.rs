//! The fields of two answers compared, by name, whatever their order and spelling.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::answer::Field;
use super::difference::{Change, Differences};
use super::fold;
use super::rules::Rules;

/// Fields that are never compared: they tell of the moment, the server, the connection and the way, and,
/// since bodies are compared without their codings, of how the body was coded and how long that is.
pub const IGNORED: [&str; 13] = [
    "age",
    "alt-svc",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "server",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Fields that list words whose case and order say nothing.
const SETS: [&str; 6] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "allow",
    "cache-control",
    "content-type",
    "vary",
];

/// What some servers append to an entity tag when they code the content.
const CODED_TAGS: [&str; 3] = ["-gzip", "-br", "-zstd"];

/// The longest name of a field or cookie in a path.
const NAME: usize = 64;

/// The values of a name, of production and of staging.
type Values<'a> = [Vec<&'a [u8]>; 2];

/// Compares the fields of two answers. The paths are `header:name`, and for cookies `header:set-cookie:NAME`,
/// with `;attributes` where not the cookie differs but how it is kept.
pub(super) fn compare(
    production: &[Field<'_>],
    staging: &[Field<'_>],
    rules: &Rules,
    found: &mut Differences,
) {
    let mut fields = Fields::default();
    for (side, list) in [production, staging].into_iter().enumerate() {
        for (name, value) in list {
            fields.add(side, name, value.trim_ascii(), rules);
        }
    }
    for (name, [production, staging]) in &fields.0 {
        let joined = |values: &[&[u8]]| values.join(&b", "[..]);
        let (a, b) = (joined(production), joined(staging));
        let change = match (production.is_empty(), staging.is_empty()) {
            (false, true) => Change::Missing,
            (true, false) => Change::Extra,
            _ => Change::Value,
        };
        let same = || normal(name, &a) == normal(name, &b) || rules.same_when_blanked(&a, &b);
        if change != Change::Value || !same() {
            found.note_at(&format!("header:{name}"), change, (&a, &b));
        }
    }
}

/// By the name, as it stands in the path.
#[derive(Default)]
struct Fields<'a>(BTreeMap<String, Values<'a>>);

impl<'a> Fields<'a> {
    fn add(&mut self, side: usize, name: &[u8], value: &'a [u8], rules: &Rules) {
        let name = field_in_paths(name);
        if IGNORED.contains(&name.as_str()) || rules.ignores_field(&name) {
            return;
        }
        if name != "set-cookie" {
            return self.push(side, name, value);
        }
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        let (pair, attributes) = value.split_at(end);
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = format!("set-cookie:{}", cookie_in_paths(name.trim_ascii()));
        self.push(side, format!("{name};attributes"), attributes.trim_ascii());
        self.push(side, name, pair);
    }

    fn push(&mut self, side: usize, name: String, value: &'a [u8]) {
        if let Some(values) = self.0.entry(name).or_default().get_mut(side) {
            values.push(value);
        }
    }
}

/// The name of a field as paths have it.
pub fn field_in_paths(name: &[u8]) -> String {
    shown(name).to_ascii_lowercase()
}

/// The name of a cookie as paths have it.
pub fn cookie_in_paths(name: &[u8]) -> String {
    fold::name(&shown(name)).into_owned()
}

/// A name that fits into a line.
fn shown(name: &[u8]) -> String {
    let graphic = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '_' };
    name.iter().take(NAME).map(graphic).collect()
}

/// A value as it is compared.
fn normal<'a>(name: &str, value: &'a [u8]) -> Cow<'a, [u8]> {
    if name == "etag" {
        return Cow::Owned(strong(value));
    }
    if SETS.contains(&name) {
        return Cow::Owned(set(value, |byte| byte == b',' || byte == b';'));
    }
    if name.ends_with(";attributes") {
        return Cow::Owned(set(value, |byte| byte == b';'));
    }
    Cow::Borrowed(value)
}

/// An entity tag without its weakness and without what tells of a coding.
fn strong(tag: &[u8]) -> Vec<u8> {
    let tag = String::from_utf8_lossy(tag);
    let tag = tag.strip_prefix("W/").unwrap_or(&tag).trim_matches('"');
    let coded = CODED_TAGS.into_iter().find_map(|coded| tag.strip_suffix(coded));
    coded.unwrap_or(tag).as_bytes().to_vec()
}

/// The words of a list in lower case and in order. Moments are left out: they are those of the answer.
fn set(value: &[u8], separates: impl Fn(u8) -> bool) -> Vec<u8> {
    let words = value.split(|byte| separates(*byte));
    let mut words: Vec<_> = words.map(|word| word.trim_ascii().to_ascii_lowercase()).collect();
    words.retain(|word| !word.is_empty() && !word.starts_with(b"expires="));
    words.sort_unstable();
    words.join(&b","[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(one: &[(&str, &str)], other: &[(&str, &str)], rules: &Rules) -> Vec<(String, Change)> {
        fn fields<'a>(list: &'a [(&str, &str)]) -> Vec<Field<'a>> {
            list.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
        }
        let mut found = Differences::default();
        compare(&fields(one), &fields(other), rules, &mut found);
        found.list().iter().map(|found| (found.path.clone(), found.change)).collect()
    }

    #[test]
    fn fields_are_compared_by_name_whatever_their_order_and_spelling() {
        let (one, other) = ([("A", "1"), ("B", "2")], [("b", " 2"), ("a", "1")]);
        assert_eq!(found(&one, &other, &Rules::default()), []);
        assert_eq!(
            found(
                &[("X-A", "1"), ("X-B", "2"), ("X-C", "3")],
                &[("X-A", "9"), ("X-D", "4"), ("x-b", "2")],
                &Rules::default()
            ),
            [
                ("header:x-a", Change::Value),
                ("header:x-c", Change::Missing),
                ("header:x-d", Change::Extra)
            ]
            .map(|(path, change)| (path.to_owned(), change))
        );
    }

    #[test]
    fn what_tells_of_moment_server_and_way_is_not_compared() {
        for name in IGNORED {
            assert_eq!(found(&[(name, "1")], &[(name, "2")], &Rules::default()), [], "{name}");
            assert_eq!(name, name.to_ascii_lowercase());
        }
        let mut rules = Rules::default();
        rules.ignore("header:X-Request-ID").unwrap();
        assert_eq!(found(&[("x-request-id", "1")], &[], &rules), []);
    }

    #[test]
    fn values_that_mean_the_same_are_the_same() {
        for (name, one, other) in [
            ("ETag", "W/\"5f-abc\"", "\"5f-abc\""),
            ("ETag", "\"5f-abc-gzip\"", "\"5f-abc\""),
            ("Vary", "Accept, Origin", "origin,accept"),
            ("Content-Type", "text/html; charset=UTF-8", "text/html;charset=utf-8"),
            ("Cache-Control", "no-store, max-age=0", "max-age=0, no-store"),
        ] {
            assert_eq!(found(&[(name, one)], &[(name, other)], &Rules::default()), [], "{name}");
        }
        assert_eq!(found(&[("ETag", "\"a\"")], &[("ETag", "\"b\"")], &Rules::default()).len(), 1);
        let split = found(&[("Link", "a"), ("Link", "b")], &[("Link", "a, b")], &Rules::default());
        assert_eq!(split, []);
    }

    #[test]
    fn cookies_are_compared_one_by_one_and_their_attributes_apart() {
        let one = [("Set-Cookie", "sid=1; Path=/; Secure"), ("Set-Cookie", "theme=dark")];
        let other = [("Set-Cookie", "theme=dark"), ("Set-Cookie", "sid=2; path=/; secure")];
        let is = |path: &str| [(path.to_owned(), Change::Value)];
        assert_eq!(found(&one, &other, &Rules::default()), is("header:set-cookie:sid"));
        let open = [("Set-Cookie", "sid=1; Path=/"), ("Set-Cookie", "theme=dark")];
        assert_eq!(found(&one, &open, &Rules::default()), is("header:set-cookie:sid;attributes"));
    }
}
