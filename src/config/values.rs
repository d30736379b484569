//! The values that directives take: words, switches, numbers, times and sizes, as httpd writes them.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What is wrong with a directive's arguments. Whoever reports it names the directive, file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    key: Option<String>,
    expected: Cow<'static, str>,
    found: Option<String>,
}

impl Fault {
    /// A fault, told by what would have been right and what was written.
    pub fn new(expected: impl Into<Cow<'static, str>>, found: impl Into<String>) -> Fault {
        let found = without_password(&found.into()).into_owned();
        Fault { key: None, expected: expected.into(), found: Some(found) }
    }

    /// A fault in words of its own.
    pub fn said(what: impl Into<Cow<'static, str>>) -> Fault {
        Fault { key: None, expected: what.into(), found: None }
    }

    /// The fault of a value, told with the key it was given to.
    pub fn at_key(self, key: &str) -> Fault {
        Fault { key: Some(key.to_owned()), ..self }
    }
}

/// The text without what stands before the host of its URLs, and of its proxies: that may be a password.
pub fn without_password(text: &str) -> Cow<'_, str> {
    // A blank in quotes ends no word: it may be one of the password.
    let mut quote = None;
    let ends_word = |c: char| {
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        quote.is_none() && c.is_ascii_whitespace()
    };
    let shown: String = text.split_inclusive(ends_word).map(shown_word).collect();
    if shown == text { Cow::Borrowed(text) } else { Cow::Owned(shown) }
}

fn shown_word(word: &str) -> Cow<'_, str> {
    let proxy = word.split_once("proxy=");
    if let Some((quote, proxy)) = proxy.filter(|(quote, _)| matches!(*quote, "" | "\"" | "'")) {
        return Cow::Owned(format!("{quote}proxy={}", without_user(proxy)));
    }
    let url = word.split_once("://");
    match url.and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, host)) => Cow::Owned(format!("{scheme}://***@{host}")),
        None => Cow::Borrowed(word),
    }
}

/// A proxy without what stands before its host, whether or not its scheme was written.
pub fn without_user(proxy: &str) -> Cow<'_, str> {
    let Some((user, host)) = proxy.rsplit_once('@') else { return Cow::Borrowed(proxy) };
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let scheme = user.split_once("://").map(|(scheme, _)| scheme);
    Cow::Owned(match scheme.filter(|scheme| is_word(scheme.trim_start_matches(['"', '\'']))) {
        Some(scheme) => format!("{scheme}://***@{host}"),
        None => format!("***@{host}"),
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, "{key}=: ")?;
        }
        match self.found.as_deref() {
            None => f.write_str(&self.expected),
            Some("") => write!(f, "expected {}, found nothing", self.expected),
            Some(found) => write!(f, "expected {}, found '{found}'", self.expected),
        }
    }
}

/// Splits a directive's arguments as httpd does: by blanks, with `"…"` and `'…'` around words that
/// hold some, `\` before a quote inside them, and `\\` for a `\`.
pub fn words(arguments: &str) -> Vec<String> {
    split(arguments, |_| None)
}

/// As [`words`]; and the value of a `key="…"` may stand in quotes, if nothing but a blank follows them.
///
/// httpd would take these quotes for part of the value, and end it at the first blank.
pub fn keyed_words(arguments: &str) -> Vec<String> {
    split(arguments, quoted_value)
}

/// The words of a line; `special` may know better where one ends that does not begin with a quote.
fn split(
    arguments: &str,
    special: impl for<'a> Fn(Rest<'a>) -> Option<(String, Rest<'a>)>,
) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = arguments.chars().peekable();
    loop {
        while rest.next_if(is_blank).is_some() {}
        let quote = rest.next_if(|first| matches!(first, '"' | '\''));
        if quote.is_none() && rest.peek().is_none() {
            return words;
        }
        match quote.is_none().then(|| special(rest.clone())).flatten() {
            Some((word, after)) => {
                words.push(word);
                rest = after;
            }
            None => words.push(word(&mut rest, quote)),
        }
    }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The rest of a word that began with this quote, or with none.
fn word(rest: &mut Rest<'_>, quote: Option<char>) -> String {
    let mut word = String::new();
    while let Some(character) = rest.next_if(|next| quote.is_some() || !is_blank(next)) {
        match character {
            _ if Some(character) == quote => break,
            '\\' => {
                let meant = rest.next_if(|next| *next == '\\' || Some(*next) == quote);
                word.push(meant.unwrap_or('\\'));
            }
            _ => word.push(character),
        }
    }
    word
}

/// A word `key="…"` without its quotes, and what comes after it; `None` where the next word is none.
fn quoted_value(mut rest: Rest<'_>) -> Option<(String, Rest<'_>)> {
    let mut key = String::new();
    while let Some(letter) = rest.next_if(char::is_ascii_alphabetic) {
        key.push(letter);
    }
    rest.next_if_eq(&'=')?;
    let quote = rest.next_if(|next| matches!(next, '"' | '\''))?;
    let mut is_closed = false;
    let mut seen = rest.clone();
    while let Some(character) = seen.next() {
        if character == '\\' {
            seen.next_if(|next| *next == '\\' || *next == quote);
        } else if character == quote {
            is_closed = seen.peek().is_none_or(is_blank);
            break;
        }
    }
    is_closed.then(|| (format!("{key}={}", word(&mut rest, Some(quote))), rest))
}

/// What separates words: C's blanks, not Unicode's.
fn is_blank(character: &char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// The only word of a directive that takes one.
pub fn single(arguments: &str, expected: &'static str) -> Result<String, Fault> {
    let mut words = words(arguments).into_iter();
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(word),
        (None, _) => Err(Fault::new(expected, "")),
        (Some(_), Some(_)) => Err(Fault::new(expected, arguments.trim())),
    }
}

/// `On` or `Off`.
pub fn switch(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("on") => Some(true),
        _ if text.eq_ignore_ascii_case("off") => Some(false),
        _ => None,
    }
}

/// Digits and nothing else: what `parse` takes beyond them, a sign, is no part of a size or a number.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A number within its range.
pub fn number(text: &str, range: RangeInclusive<usize>) -> Result<usize, Fault> {
    digits(text).filter(|number| range.contains(number)).ok_or_else(|| {
        Fault::new(format!("a number from {} to {}", range.start(), range.end()), text)
    })
}

/// The longest time that any limit may be.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A time as httpd writes it: seconds, or with a unit `ms`, `s`, `min` or `h`; from 1ms to 24h.
pub fn time(text: &str) -> Result<Duration, Fault> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let milliseconds: Option<u64> = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "min" | "mi" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    amount
        .parse::<u64>()
        .ok()
        .zip(milliseconds)
        .and_then(|(amount, unit)| amount.checked_mul(unit))
        .map(Duration::from_millis)
        .filter(|time| !time.is_zero() && *time <= DAY)
        .ok_or_else(|| Fault::new("a time from 1ms to 24h, as 5, 500ms, 2s or 1min", text))
}

/// A size in bytes, or with the unit `K`, `M` or `G` of 1024.
pub fn size(text: &str, range: RangeInclusive<usize>) -> Result<usize, Fault> {
    let (amount, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1 << 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 1 << 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 1 << 30),
        _ => (Some(text), 1),
    };
    amount
        .and_then(digits::<usize>)
        .and_then(|amount| amount.checked_mul(unit))
        .filter(|size| range.contains(size))
        .ok_or_else(|| {
            let (least, most) = (human(*range.start()), human(*range.end()));
            Fault::new(format!("a size from {least} to {most}, as 65536, 64K or 1M"), text)
        })
}

/// A size with the largest unit that keeps it whole.
fn human(size: usize) -> String {
    match size {
        0 => "0".to_owned(),
        _ if size.is_multiple_of(1 << 30) => format!("{}G", size >> 30),
        _ if size.is_multiple_of(1 << 20) => format!("{}M", size >> 20),
        _ if size.is_multiple_of(1 << 10) => format!("{}K", size >> 10),
        _ => size.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_httpd_splits_them() {
        for (arguments, expected) in [
            ("", vec![]),
            ("  a  b\tc ", vec!["a", "b", "c"]),
            (r#""http://staging/" name=x"#, vec!["http://staging/", "name=x"]),
            (r#"'one word' "two \" words""#, vec!["one word", "two \" words"]),
            (r#""unclosed end"#, vec!["unclosed end"]),
            (r#""" x"#, vec!["", "x"]),
            (r#""a"b"#, vec!["a", "b"]),
            (r#""a\\" b\\\c '\"'"#, vec![r"a\", r"b\\c", r#"\""#]),
            ("a\u{a0}b\u{85}c\x0bd", vec!["a\u{a0}b\u{85}c", "d"]),
        ] {
            assert_eq!(words(arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn a_value_may_stand_in_quotes_if_a_blank_follows_them() {
        for (arguments, expected) in [
            (r#"a samplekey="%{HTTP:X User}" b"#, vec!["a", "samplekey=%{HTTP:X User}", "b"]),
            (r#"expr="a"=="a""#, vec![r#"expr="a"=="a""#]),
            (r#"expr='a b' c"#, vec!["expr=a b", "c"]),
            (r#"expr="a \" b""#, vec![r#"expr=a " b"#]),
            (r#"expr="a b"#, vec![r#"expr="a"#, "b"]),
            (r#""expr=a =~ m#b#" x="#, vec!["expr=a =~ m#b#", "x="]),
            (r#"http://a/b="c d""#, vec![r#"http://a/b="c"#, r#"d""#]),
        ] {
            assert_eq!(keyed_words(arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for (text, shown) in [
            ("http://a/ name=b", "http://a/ name=b"),
            ("http://a/b?c@d", "http://***@d"),
            ("x proxy=http://u:p@h:1 y=z", "x proxy=http://***@h:1 y=z"),
            ("proxy=\"http://u:p@/@h:1\"", "proxy=\"http://***@h:1\""),
            ("a@b", "a@b"),
            ("x proxy=u:p@h:1 y=a@b", "x proxy=***@h:1 y=a@b"),
            ("\"proxy=u:p://q@h:1\" y", "\"proxy=***@h:1\" y"),
            ("proxy=\"http://u:p q@h:1\" y=a@b", "proxy=\"http://***@h:1\" y=a@b"),
        ] {
            assert_eq!(without_password(text), shown);
            let fault = Fault::new("nothing", text).to_string();
            assert_eq!(fault, format!("expected nothing, found '{shown}'"));
        }
    }

    #[test]
    fn times_have_httpds_units() {
        for (text, milliseconds) in
            [("5", 5000), ("500ms", 500), ("2s", 2000), ("1min", 60_000), ("1h", 3_600_000)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "0", "ms", "5d", "-1", "1.5", "25h", "99999999999999999999"] {
            let fault = time(text).unwrap_err().to_string();
            assert!(fault.starts_with("expected a time from 1ms to 24h"), "{fault}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        let range = 0..=1 << 30;
        for (text, bytes) in [("0", 0), ("1000", 1000), ("64K", 65536), ("1m", 1 << 20)] {
            assert_eq!(size(text, range.clone()), Ok(bytes), "{text}");
        }
        assert_eq!(
            size("2G", range).unwrap_err().to_string(),
            "expected a size from 0 to 1G, as 65536, 64K or 1M, found '2G'"
        );
    }

    #[test]
    fn numbers_stay_in_their_range() {
        assert_eq!(number("20", 1..=100), Ok(20));
        for text in ["0", "101", "", "x", "-1", "+5", "1e3"] {
            assert!(number(text, 1..=100).is_err(), "{text}");
        }
        let missing = number("", 1..=100).unwrap_err().to_string();
        assert_eq!(missing, "expected a number from 1 to 100, found nothing");
    }
}
