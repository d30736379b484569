//! A place in a JSON text, and the grammar: each step goes over one piece, or tells that the text is none.

use super::{DEPTH, Halt};

/// How far a JSON text (RFC 8259) has been read. Bytes of other than ASCII characters are not looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

/// The type of a value, told from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Type {
    fn of(first: u8) -> Option<Type> {
        Some(match first {
            b'{' => Type::Object,
            b'[' => Type::Array,
            b'"' => Type::String,
            b'-' | b'0'..=b'9' => Type::Number,
            b't' | b'f' => Type::Boolean,
            b'n' => Type::Null,
            _ => return None,
        })
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// What has not been read.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// What has been read since.
    #[inline]
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// The type of the value that begins here.
    #[inline]
    pub(super) fn kind(&self) -> Result<Type, Halt> {
        self.peek().and_then(Type::of).ok_or(Halt::Invalid)
    }

    #[inline]
    pub(super) fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Halt> {
        if self.peek() != Some(byte) {
            return Err(Halt::Invalid);
        }
        self.at += 1;
        Ok(())
    }

    /// To the colon and what it announces.
    #[inline]
    pub(super) fn colon(&mut self) -> Result<(), Halt> {
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok(())
    }

    /// To the next member or element, if there is one; else past the end of the object or array.
    #[inline]
    pub(super) fn more(&mut self, first: bool, close: u8) -> Result<bool, Halt> {
        self.blank();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
            self.blank();
        }
        Ok(true)
    }

    /// Past a string; what is between its quotes.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a [u8], Halt> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain(self.rest());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return Err(Halt::Invalid),
            }
        }
        let text = self.since(start);
        self.at += 1;
        Ok(text)
    }

    fn escape(&mut self) -> Result<(), Halt> {
        self.at += match self.rest() {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'\\', b'u', digits @ ..] if digits.iter().take(4).all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(Halt::Invalid),
        };
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Halt> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(Halt::Invalid) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Halt> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Halt> {
        if !self.rest().starts_with(word) {
            return Err(Halt::Invalid);
        }
        self.at += word.len();
        Ok(())
    }

    /// Past a value that is no object and no array.
    #[inline]
    pub(super) fn scalar(&mut self) -> Result<(), Halt> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// Past a whole value, all of whose grammar is checked.
    pub(super) fn skip(&mut self, room: usize) -> Result<(), Halt> {
        let close = match self.peek() {
            Some(b'{') => b'}',
            Some(b'[') => b']',
            _ => return self.scalar(),
        };
        let room = room.checked_sub(1).ok_or(Halt::Deep)?;
        self.at += 1;
        let mut first = true;
        while self.more(first, close)? {
            if close == b'}' {
                self.string()?;
                self.colon()?;
            }
            self.skip(room)?;
            first = false;
        }
        Ok(())
    }

    /// Past all that is left, which must be blank.
    pub(super) fn end(&mut self) -> Result<(), Halt> {
        self.blank();
        if self.rest().is_empty() { Ok(()) } else { Err(Halt::Invalid) }
    }

    /// Whether the bytes are one JSON text.
    pub(super) fn check(bytes: &'a [u8]) -> Result<(), Halt> {
        let mut cursor = Cursor::new(bytes);
        cursor.blank();
        cursor.skip(DEPTH)?;
        cursor.end()
    }
}

/// How many bytes come before the first that ends or breaks the run of a string's plain ones: a quote, a
/// backslash, a control character. Eight bytes a step.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // Marks bytes below `limit`, which is at most 128; above the lowest that it marks it may be wrong.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = below(word, 0x20) | quote | backslash;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    at + end.unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_told() {
        for text in [
            "",
            "{",
            "}",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "1e+",
            "tru",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "1 2",
            "[1 2]",
            "NaN",
            "'a'",
        ] {
            assert_eq!(Cursor::check(text.as_bytes()), Err(Halt::Invalid), "{text}");
        }
        for text in ["0", "-0.5e+3", " [ ] ", "{ \"a\" : [ 1 , { } ] }", "\"\\u00e9\\\"/\"", "true"]
        {
            assert_eq!(Cursor::check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_text_may_be_so_deep_and_no_deeper() {
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(Cursor::check(deep(DEPTH).as_bytes()), Ok(()));
        assert_eq!(Cursor::check(deep(DEPTH + 1).as_bytes()), Err(Halt::Deep));
    }

    #[test]
    fn the_run_of_plain_bytes_ends_at_the_first_that_is_not() {
        for stop in [b'"', b'\\', 0, 0x1f] {
            for at in 0..20 {
                let mut bytes = vec![b'x'; 24];
                bytes[at] = stop;
                bytes[at + 1] = b'"';
                assert_eq!(plain(&bytes), at, "{stop} at {at}");
            }
        }
        for plain_byte in [b' ', 0x7f, 0x80, 0x9f, 0xa2, 0xdc, 0xff, b'!', b'#', b'[', b']'] {
            assert_eq!(plain(&[plain_byte; 19]), 19, "{plain_byte}");
        }
    }
}
