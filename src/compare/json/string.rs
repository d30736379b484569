//! Strings by value: `"é"` and `"\u00e9"` are one string.

use std::borrow::Cow;

/// What stands between a string's quotes, escapes resolved, as UTF-8. A surrogate that stands alone, which
/// is no character, is three bytes of its own.
#[derive(Clone, Debug)]
pub(super) struct Unescaped<'a> {
    text: &'a [u8],
    pending: [u8; 4],
    left: usize,
}

/// The string's value, byte by byte; `text` is of JSON's grammar.
pub(super) fn unescaped(text: &[u8]) -> Unescaped<'_> {
    Unescaped { text, pending: [0; 4], left: 0 }
}

/// Whether two strings have the same value.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    one == other || ((has_escape(one) || has_escape(other)) && unescaped(one).eq(unescaped(other)))
}

/// The value of what stands between a string's quotes.
pub(super) fn resolved(text: &[u8]) -> Cow<'_, [u8]> {
    match has_escape(text) {
        true => Cow::Owned(unescaped(text).collect()),
        false => Cow::Borrowed(text),
    }
}

/// What a scalar says: of a string the value, without quotes; of others the text.
pub(super) fn value(scalar: &[u8]) -> Cow<'_, [u8]> {
    match scalar {
        [b'"', text @ .., b'"'] => resolved(text),
        _ => Cow::Borrowed(scalar),
    }
}

fn has_escape(text: &[u8]) -> bool {
    text.contains(&b'\\')
}

impl Unescaped<'_> {
    fn escape(&mut self, escape: u8) -> u8 {
        match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => self.unicode(),
            itself => itself,
        }
    }

    fn unicode(&mut self) -> u8 {
        let mut code = self.digits();
        if (0xd800..0xdc00).contains(&code)
            && let [b'\\', b'u', low @ ..] = self.text
            && let low @ 0xdc00..0xe000 = hexadecimal(low)
        {
            self.text = self.text.get(6..).unwrap_or_default();
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        self.encode(code)
    }

    fn digits(&mut self) -> u32 {
        let code = hexadecimal(self.text);
        self.text = self.text.get(4..).unwrap_or_default();
        code
    }

    /// UTF-8, surrogates like any other: the first byte, and the others to come.
    fn encode(&mut self, code: u32) -> u8 {
        let tail = |shift: u32| 0x80 | (code >> shift & 0x3f) as u8;
        let (first, pending, left) = match code {
            0..0x80 => (code as u8, [0; 4], 0),
            0x80..0x800 => (0xc0 | (code >> 6) as u8, [0, 0, 0, tail(0)], 1),
            0x800..0x1_0000 => (0xe0 | (code >> 12) as u8, [0, 0, tail(6), tail(0)], 2),
            _ => (0xf0 | (code >> 18) as u8, [0, tail(12), tail(6), tail(0)], 3),
        };
        (self.pending, self.left) = (pending, left);
        first
    }
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.left > 0 {
            let next = self.pending.get(4 - self.left).copied();
            self.left -= 1;
            return next;
        }
        match self.text {
            [b'\\', escape, rest @ ..] => {
                self.text = rest;
                Some(self.escape(*escape))
            }
            [byte, rest @ ..] => {
                self.text = rest;
                Some(*byte)
            }
            [] => None,
        }
    }
}

fn hexadecimal(digits: &[u8]) -> u32 {
    let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or_default();
    digits.iter().take(4).fold(0, |code, digit| code << 4 | value(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_compared_by_value() {
        for (one, other) in [
            ("é", r"\u00e9"),
            ("/", r"\/"),
            ("A", r"\u0041"),
            (r"\n\t\b\f\r", r"\u000a\u0009\u0008\u000C\u000d"),
            ("😀", r"\ud83d\ude00"),
            (r#"\""#, r"\u0022"),
            (r"\\u0041", r"\u005cu0041"),
            ("", ""),
        ] {
            assert!(equal(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
        for (one, other) in [
            ("a", "b"),
            (r"\ud83d", r"\ude00"),
            (r"\ud83dx", r"\ud83d\ude00"),
            ("a", r"a\u0000"),
            (r"\\", r"\/"),
        ] {
            assert!(!equal(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn a_value_is_what_another_reader_makes_of_it() {
        let text = r#"a\"\\\/\b\f\n\r\t\u00e9\u20ac\ud83d\ude00é"#;
        let read: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        assert_eq!(unescaped(text.as_bytes()).collect::<Vec<u8>>(), read.into_bytes());
    }
}
