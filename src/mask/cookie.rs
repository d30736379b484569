//! Cookies: the pairs of a `Cookie` field (RFC 6265 section 4.2).

use super::hash::Key;
use super::percent::decode;
use super::rule::Action;
use super::rules::Rules;

/// Masks the pairs of a field's value; `None` where there is nothing to mask, empty where nothing is left.
pub(super) fn mask(value: &[u8], rules: &Rules, key: &Key) -> Option<Vec<u8>> {
    let mut masked = false;
    let mut out = Vec::with_capacity(value.len());
    let mut first = true;
    for pair in value.split(|&byte| byte == b';') {
        let equals = pair.iter().position(|&byte| byte == b'=');
        let (name, value) = pair.split_at(equals.map_or(pair.len(), |at| at + 1));
        let name = name.strip_suffix(b"=").unwrap_or(name).trim_ascii();
        // PHP's names are encoded as its values are.
        let action = rules.find(name).or_else(|| rules.find(&decode(name, false)));
        let action = action.filter(|action| equals.is_some() || **action == Action::Drop);
        masked |= action.is_some();
        if let Some(Action::Drop) = action {
            continue;
        }
        if !first {
            out.push(b';');
        }
        let pair_without_value = pair.get(..pair.len() - value.len()).unwrap_or_default();
        // A blank separates pairs; before the first there is none.
        out.extend_from_slice(if first {
            pair_without_value.trim_ascii_start()
        } else {
            pair_without_value
        });
        first = false;
        match action {
            Some(Action::Fixed(text)) => out.extend_from_slice(text.plain()),
            Some(_) => out.extend_from_slice(&key.hash(&decode(unquoted(value), false))),
            None => out.extend_from_slice(value),
        }
    }
    masked.then_some(out)
}

fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    inner.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Rule;

    fn masked(line: &str, value: &str) -> Option<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let rules = Rules::of(&Rule::parse(&words).unwrap());
        let out = mask(value.as_bytes(), &rules, &Key::of(b"key"))?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn pairs_are_replaced_by_name_and_the_rest_stays() {
        for (value, expected) in [
            ("sid=1", Some("sid=***")),
            ("a=1; SID=x=y;b=2;  sid=\"3\"; sids=4", Some("a=1; SID=***;b=2;  sid=***; sids=4")),
            ("a=1;%73id=2;", Some("a=1;%73id=***;")),
            ("a=sid=1; sid", None),
            ("", None),
        ] {
            assert_eq!(masked("cookie sid", value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_dropped_pair_takes_its_separator_with_it() {
        for (value, expected) in [
            ("sid=1", ""),
            ("sid=1; sid=2", ""),
            ("sid=1; a=2;b=3", "a=2;b=3"),
            ("a=1; sid=2; b=3", "a=1; b=3"),
            ("a=1; sid=2", "a=1"),
            ("a=1; sid", "a=1"),
        ] {
            assert_eq!(masked("cookie sid drop", value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn a_hash_is_of_the_value_that_is_meant() {
        let hash = masked("cookie sid hash", "sid=a b").unwrap();
        assert_eq!(hash.len(), "sid=".len() + crate::mask::HASH_DIGITS);
        assert_eq!(masked("cookie sid hash", "sid=\"a%20b\"").unwrap(), hash);
        assert_ne!(masked("cookie sid hash", "sid=a+b").unwrap(), hash);
    }
}
