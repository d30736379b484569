//! Pairs `name=value` as the query has them, and forms that are URL-encoded.

use std::ops::Range;

use super::Unmaskable;
use super::hash::Key;
use super::patch::Patch;
use super::percent::decode;
use super::rule::Action;
use super::rules::Rules;

/// Masks the pairs; `None` where there is nothing to mask.
///
/// `&` ends a pair. So does `;` for some servers, and the end of a line in a form sent as plain text: where a pair
/// `name=` follows, they end a value, else they are part of it, so that no rest of a masked value is left.
/// A name without `=` has no value to replace.
pub(super) fn mask(
    pairs: &[u8],
    rules: &Rules,
    key: &Key,
    limit: usize,
) -> Result<Option<Vec<u8>>, Unmaskable> {
    let mut patch = Patch::of(pairs, limit);
    // Whether a pair before this one is kept, and so the separator between them.
    let mut kept = false;
    for Range { start, end } in Ranges::of(pairs) {
        let pair = pairs.get(start..end).unwrap_or_default();
        let equals = memchr::memchr(b'=', pair);
        let name = pair.get(..equals.unwrap_or(pair.len())).unwrap_or_default();
        match (find(rules, &decode(name, true)), equals) {
            (Some(Action::Drop), _) if kept => patch.cut(start.saturating_sub(1), end)?,
            (Some(Action::Drop), _) => patch.cut(start, pairs.len().min(end + 1))?,
            (Some(action), Some(equals)) => {
                kept = true;
                let value = pair.get(equals + 1..).unwrap_or_default();
                let value = value.get(..value.len() - line_end(value)).unwrap_or_default();
                let at = start + equals + 1;
                patch.cut(at, at + value.len())?;
                match action {
                    Action::Fixed(text) => patch.put(text.encoded())?,
                    _ => patch.put(&key.hash(&decode(value, true)))?,
                }
            }
            _ => kept = true,
        }
    }
    patch.finish()
}

/// How many bytes at its end end a line.
fn line_end(value: &[u8]) -> usize {
    value.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// Where each pair lies, in one pass.
struct Ranges<'a> {
    pairs: &'a [u8],
    /// Where the next begins; after the last, beyond the end.
    start: usize,
    /// The next `&`, or the end.
    chunk_end: usize,
}

impl<'a> Ranges<'a> {
    fn of(pairs: &'a [u8]) -> Ranges<'a> {
        Ranges { pairs, start: 0, chunk_end: chunk_end(pairs, 0) }
    }

    /// Where the next ends.
    fn end(&self) -> usize {
        let chunk = self.pairs.get(self.start..self.chunk_end).unwrap_or_default();
        let mut weak = memchr::memchr3_iter(b';', b'\n', b'\r', chunk).peekable();
        while let Some(at) = weak.next() {
            let next = weak.peek().copied().unwrap_or(chunk.len());
            let follows = chunk.get(at..next).unwrap_or_default();
            if memchr::memchr(b'=', follows).is_some() {
                return self.start + at;
            }
        }
        self.chunk_end
    }
}

fn chunk_end(pairs: &[u8], start: usize) -> usize {
    let rest = pairs.get(start..).unwrap_or_default();
    start + memchr::memchr(b'&', rest).unwrap_or(rest.len())
}

impl Iterator for Ranges<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.start > self.pairs.len() {
            return None;
        }
        let range = self.start..self.end();
        self.start = range.end + 1;
        if range.end == self.chunk_end && self.start <= self.pairs.len() {
            self.chunk_end = chunk_end(self.pairs, self.start);
        }
        Some(range)
    }
}

/// The action for a name: its own, or that of a part of it, as of `user[password]`, `password[]` or `user.password`.
pub(super) fn find<'a>(rules: &'a Rules, name: &[u8]) -> Option<&'a Action> {
    let name = name.trim_ascii();
    let parts = name.split(|byte| matches!(byte, b'[' | b']' | b'.'));
    let found = parts.filter_map(|part| rules.names.find(part)).max();
    rules.action(found.max(rules.names.find(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Rule;

    fn masked(line: &str, pairs: &str) -> String {
        masked_within(line, pairs, 1000)
    }

    fn masked_within(line: &str, pairs: &str, limit: usize) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let rules = Rules::of(&Rule::parse(&words).unwrap());
        let out = mask(pairs.as_bytes(), &rules, &Key::of(b"key"), limit).unwrap();
        String::from_utf8(out.unwrap_or_else(|| pairs.into())).unwrap()
    }

    #[test]
    fn every_occurrence_is_replaced_and_the_rest_stays() {
        for (pairs, expected) in [
            ("token=a&x=1&token=b", "token=***&x=1&token=***"),
            ("x=%20+&&=&token=", "x=%20+&&=&token=***"),
            ("tok%65n=a&TOKEN=b&+token=c", "tok%65n=***&TOKEN=***&+token=***"),
            ("tokens=a&xtoken=b&token", "tokens=a&xtoken=b&token"),
            ("token=a=b==&x=token=c", "token=***&x=token=c"),
            ("", ""),
        ] {
            assert_eq!(masked("query token", pairs), expected, "{pairs}");
        }
    }

    #[test]
    fn a_name_is_found_in_the_parts_of_another() {
        for (pairs, expected) in [
            (
                "user[pw]=a&pw[]=b&pw[x][0]=c&user.pw=d",
                "user[pw]=***&pw[]=***&pw[x][0]=***&user.pw=***",
            ),
            ("user%5Bpw%5D=a&pwd=b&user[pwd]=c", "user%5Bpw%5D=***&pwd=b&user[pwd]=c"),
        ] {
            assert_eq!(masked("form pw", pairs), expected, "{pairs}");
        }
        assert_eq!(masked("form user[pw]", "user[pw]=a&x[pw]=b"), "user[pw]=***&x[pw]=b");
    }

    #[test]
    fn a_semicolon_or_a_line_ends_a_value_where_a_pair_follows() {
        for (pairs, expected) in [
            ("a=1;token=b;c=2", "a=1;token=***;c=2"),
            ("token=b;rest&c=2", "token=***&c=2"),
            ("token=b;rest;c=2", "token=***;c=2"),
            ("token=b;", "token=***"),
            ("a=1\r\ntoken=b\r\nc=2\r\n", "a=1\r\ntoken=***\r\nc=2\r\n"),
            ("a=1\r\ntoken=b\r\n", "a=1\r\ntoken=***\r\n"),
        ] {
            assert_eq!(masked("query token", pairs), expected, "{pairs}");
        }
    }

    #[test]
    fn a_dropped_pair_takes_one_separator_with_it() {
        for (pairs, expected) in [
            ("t=1", ""),
            ("t=1&t=2", ""),
            ("t=1&a=2", "a=2"),
            ("a=1&t=2", "a=1"),
            ("a=1&t=2;b=3&t&c=4", "a=1;b=3&c=4"),
            ("&t=1&", "&"),
        ] {
            assert_eq!(masked("query t drop", pairs), expected, "{pairs}");
        }
    }

    #[test]
    fn many_pairs_take_one_pass() {
        let pairs = "a=1;".repeat(1 << 18) + "t=1";
        let begun = std::time::Instant::now();
        assert!(masked_within("query t", &pairs, 2 << 20).ends_with(";t=***"));
        // A pass for each pair would take minutes here.
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    }

    #[test]
    fn a_text_is_encoded_and_a_hash_is_of_what_is_meant() {
        assert_eq!(masked("query t fixed:a&b", "t=1&u=2"), "t=a%26b&u=2");
        assert_eq!(masked("query t hash", "t=a+b"), masked("query t hash", "t=%61%20b"));
        assert_ne!(masked("query t hash", "t=a"), masked("query t hash", "t=b"));
    }
}
