//! Tokens of JSON (RFC 8259), checked and stepped over: nothing is built from them.

use std::borrow::Cow;

/// What is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where in a text of valid UTF-8 the scan is.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

/// A string's place, without its quotes.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn of(text: &'a [u8]) -> Scan<'a> {
        Scan { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over the byte that was looked at.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Steps over blanks, and looks at what follows.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<u8> {
        loop {
            let byte = self.peek()?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Steps over a string, whose opening quote comes next.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Quoted<'a>, Malformed> {
        let start = self.at + 1;
        self.at = start;
        let mut escaped = false;
        loop {
            self.at += plain(self.text.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    let raw = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Quoted { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Malformed),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.at += match self.text.get(self.at + 1..).unwrap_or_default() {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', a, b, c, d, ..]
                if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                6
            }
            _ => return Err(Malformed),
        };
        Ok(())
    }

    /// Steps over a number, `true`, `false` or `null`, whose first byte comes next.
    #[inline]
    pub(super) fn scalar(&mut self, first: u8) -> Result<(), Malformed> {
        match first {
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Malformed),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        let follows = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += word.len();
        if follows { Ok(()) } else { Err(Malformed) }
    }

    #[inline]
    fn number(&mut self) -> Result<(), Malformed> {
        self.step_over(b"-");
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.step_over(b".") {
            self.digits()?;
        }
        if self.step_over(b"eE") {
            self.step_over(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn step_over(&mut self, one_of: &[u8]) -> bool {
        let is = self.peek().is_some_and(|byte| one_of.contains(&byte));
        self.at += usize::from(is);
        is
    }

    /// At least one digit.
    #[inline(always)]
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }
}

/// How many bytes come before the first that is a quote, a backslash or a control character.
///
/// Eight at a time, by arithmetic: subtracting borrows into a byte's highest bit where
/// the byte is smaller. A borrow may also mark bytes above the first that is marked, never below.
#[inline]
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = text.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let found = (control | quote | backslash) & HIGH;
        if found != 0 {
            return at * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let is_plain = |byte: &&u8| **byte >= b' ' && !matches!(**byte, b'"' | b'\\');
    words.len() * 8 + rest.iter().take_while(is_plain).count()
}

impl<'a> Quoted<'a> {
    /// What the string means. A surrogate without its other half, which is no character, gets three bytes of its
    /// own, so that strings that differ stay different.
    #[inline]
    pub(super) fn meant(&self) -> Cow<'a, [u8]> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut meant = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        meant.extend_from_slice(before);
        rest = match escape {
            [_, b'u', after @ ..] => unit(after, &mut meant),
            [_, letter, after @ ..] => {
                meant.push(match letter {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    itself => *itself,
                });
                after
            }
            _ => &[],
        };
    }
    meant.extend_from_slice(rest);
    meant
}

/// Adds the character whose hexadecimal digits come next, and tells what follows it.
fn unit<'a>(text: &'a [u8], meant: &mut Vec<u8>) -> &'a [u8] {
    let (first, rest) = hexadecimal(text);
    let (code, rest) = match (first, rest) {
        (0xD800..=0xDBFF, [b'\\', b'u', low @ ..]) => match hexadecimal(low) {
            (low @ 0xDC00..=0xDFFF, after) => {
                (0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00), after)
            }
            _ => (first, rest),
        },
        _ => (first, rest),
    };
    match char::from_u32(code) {
        Some(character) => meant.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => {
            let six = |shift: u32| (code >> shift & 0x3F) as u8;
            meant.extend_from_slice(&[0xE0 | six(12), 0x80 | six(6), 0x80 | six(0)]);
        }
    }
    rest
}

fn hexadecimal(text: &[u8]) -> (u32, &[u8]) {
    let (digits, rest) = text.split_at_checked(4).unwrap_or((text, &[]));
    let digit = |code, digit: &u8| code << 4 | char::from(*digit).to_digit(16).unwrap_or(0);
    (digits.iter().fold(0, digit), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Option<Vec<u8>> {
        let mut scan = Scan::of(text.as_bytes());
        let meant = scan.string().ok()?.meant().into_owned();
        (scan.at() == text.len()).then_some(meant)
    }

    #[test]
    fn a_string_means_what_its_escapes_say() {
        for text in [
            r#""""#,
            r#""plain, and long enough for several words: schön""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u0070assword \u00e9\u20AC \ud83D\ude00""#,
        ] {
            let expected: String = serde_json::from_str(text).unwrap();
            assert_eq!(string(text).unwrap(), expected.as_bytes(), "{text}");
        }
        assert_eq!(string(r#""\ud83d""#).unwrap(), [0xED, 0xA0, 0xBD]);
        assert_eq!(string(r#""\ud83d\u0041\ude00""#).unwrap(), b"\xED\xA0\xBDA\xED\xB8\x80");
    }

    #[test]
    fn what_is_no_string_is_malformed() {
        for text in [
            "\"",
            "\"a",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u123",
            "\"\n\"",
            "\"12345678\u{1f}\"",
        ] {
            assert_eq!(string(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_special_byte_is_found_wherever_it_is() {
        for special in (0..=0x1f).chain([b'"', b'\\']) {
            for at in 0..40 {
                for filler in [b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff] {
                    let mut text = vec![filler; 40];
                    text[at] = special;
                    assert_eq!(plain(&text), at);
                    text[at] = filler;
                    assert_eq!(plain(&text), 40);
                }
            }
        }
    }
}
