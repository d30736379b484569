//! Names that stand for one of many: ids, numbers, dates, and what a machine makes anew for each answer.

use std::borrow::Cow;

/// The fewest characters of a hexadecimal number with letters and digits, and of one with letters alone.
const HEX: (usize, usize) = (8, 16);
/// The fewest characters of letters and digits in disorder, as tokens have.
const OPAQUE: usize = 16;
/// The fewest digits of a number that counts seconds since 1970, or is drawn at random.
const LARGE: usize = 10;

/// A name with what stands for one of many folded: `{n}`, `{uuid}`, `{hex}`, `{date}`, `{email}`, `{id}`.
/// Whole where it is one such thing, else part by part: `order-42.html` is `order-{n}.html`.
pub fn name(text: &str) -> Cow<'_, str> {
    if let Some(whole) = whole(text) {
        return Cow::Borrowed(whole);
    }
    if !text.bytes().any(|byte| byte.is_ascii_digit()) && text.len() < OPAQUE {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    for piece in text.split_inclusive(is_separator) {
        let part = piece.trim_end_matches(is_separator);
        folded.push_str(part_of_name(part).unwrap_or(part));
        folded.push_str(piece.get(part.len()..).unwrap_or_default());
    }
    if folded == text { Cow::Borrowed(text) } else { Cow::Owned(folded) }
}

/// Whether a value looks like what a machine makes anew for each answer: a moment, a random id, a token. A
/// number, a date or a word need not be one.
pub(super) fn generated(value: &[u8]) -> bool {
    let text = value.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(value);
    let Ok(text) = std::str::from_utf8(text) else { return false };
    if text.len() > 4096 {
        return false;
    }
    let number = text.strip_prefix('-').unwrap_or(text);
    let whole = number.split('.').next().unwrap_or_default();
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_uuid(text)
        || (is_number && whole.len() >= LARGE)
        || is_moment(text)
        || text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_opaque)
}

fn is_separator(character: char) -> bool {
    character.is_ascii_punctuation()
}

fn whole(text: &str) -> Option<&'static str> {
    if text.contains('@') {
        return Some("{email}");
    }
    if is_uuid(text) {
        return Some("{uuid}");
    }
    is_date(text.as_bytes()).then_some("{date}")
}

fn part_of_name(part: &str) -> Option<&'static str> {
    if part.is_empty() {
        None
    } else if part.bytes().all(|byte| byte.is_ascii_digit()) {
        Some("{n}")
    } else if is_hex(part) {
        Some("{hex}")
    } else {
        is_opaque(part).then_some("{id}")
    }
}

fn is_hex(part: &str) -> bool {
    let digits = part.bytes().any(|byte| byte.is_ascii_digit());
    let fewest = if digits { HEX.0 } else { HEX.1 };
    part.len() >= fewest && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Letters and digits in disorder: long, and changing between the two more often than a word with a number.
fn is_opaque(part: &str) -> bool {
    let bytes = part.as_bytes();
    let changes = bytes.windows(2).filter(|pair| match pair {
        [one, other] => one.is_ascii_digit() != other.is_ascii_digit(),
        _ => false,
    });
    bytes.len() >= OPAQUE
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && (changes.count() >= 3 || is_hex(part))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2026-05-20`, whatever time of day follows.
fn is_date(text: &[u8]) -> bool {
    starts_like(text, b"0000-00-00") && !text.get(10).is_some_and(u8::is_ascii_digit)
}

/// A date with a time of day, as RFC 3339 or HTTP has it.
fn is_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    starts_like(bytes, b"0000-00-00T00:00")
        || starts_like(bytes, b"0000-00-00 00:00")
        || (text.ends_with(" GMT") && starts_like(bytes.get(3..).unwrap_or_default(), b", 00 "))
}

/// Whether a text begins as the form does, whose `0` stands for any digit.
fn starts_like(text: &[u8], form: &[u8]) -> bool {
    text.len() >= form.len()
        && text.iter().zip(form).all(|(byte, like)| match like {
            b'0' => byte.is_ascii_digit(),
            like => byte == like,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stand_for_one_of_many_are_folded() {
        for (text, folded) in [
            ("42", "{n}"),
            ("8f14e45f", "{hex}"),
            ("d41d8cd98f00b204e9800998ecf8427e", "{hex}"),
            ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", "{uuid}"),
            ("2026-05-20", "{date}"),
            ("2026-05-20T10:00:00Z", "{date}"),
            ("order-42.html", "order-{n}.html"),
            ("jo@example.com", "{email}"),
            ("cus_9s6XKzkNRiz8i3Tg", "cus_{id}"),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{id}"),
        ] {
            assert_eq!(name(text), folded, "{text}");
        }
    }

    #[test]
    fn words_stay_what_they_are() {
        for text in
            ["", "users", "v1", "facade", "oauth2", "utf-8x", "internationalization", "größe"]
        {
            assert_eq!(name(text).replace("{n}", "8"), text);
        }
        assert_eq!(name("deadbeef"), "deadbeef", "a word, for all one knows");
    }

    #[test]
    fn moments_ids_and_tokens_look_generated_and_plain_values_do_not() {
        for value in [
            r#""2026-05-20T10:00:00Z""#,
            "2026-05-20 10:00:00.5",
            "Tue, 15 Nov 1994 08:12:31 GMT",
            "1747735200",
            "1747735200.123",
            r#""1b4e28ba-2fa1-11d2-883f-0016d3cca427""#,
            "session=0123456789abcdef0123; Path=/",
        ] {
            assert!(generated(value.as_bytes()), "{value}");
        }
        for value in ["", "\"", "42", "9.99", "\"Smith\"", "\"1990-01-01\"", "true", "{}", "\u{fc}"]
        {
            assert!(!generated(value.as_bytes()), "{value}");
        }
        assert!(!generated(b"\xff0123456789abcdef0123"));
    }
}
