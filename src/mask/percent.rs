//! Percent-encoding, as the query, forms and some cookies have it.

use std::borrow::Cow;

/// The bytes that are meant; what is no valid escape stays as it is. `plus`: whether `+` means a blank.
pub(super) fn decode(text: &[u8], plus: bool) -> Cow<'_, [u8]> {
    if !text.iter().any(|&byte| byte == b'%' || (plus && byte == b'+')) {
        return Cow::Borrowed(text);
    }
    let mut meant = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [b'%', high, low, after @ ..] if hexadecimal(*high, *low).is_some() => {
                meant.extend(hexadecimal(*high, *low));
                after
            }
            [b'+', after @ ..] if plus => {
                meant.push(b' ');
                after
            }
            [byte, after @ ..] => {
                meant.push(*byte);
                after
            }
            [] => return Cow::Owned(meant),
        }
    }
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let value =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(value(high)? << 4 | value(low)?)
}

/// Text as it stands in a query or a form.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            // What the URL standard's serialiser leaves as it is.
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'*' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_the_rest_stays() {
        for (text, meant) in [
            ("a", "a"),
            ("%61%2Bb+c", "a+b c"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%%61", "%a"),
        ] {
            assert_eq!(decode(text.as_bytes(), true), meant.as_bytes(), "{text}");
        }
        assert_eq!(decode(b"a+b%20c", false), &b"a+b c"[..]);
    }

    #[test]
    fn encoded_text_is_decoded_to_itself() {
        for text in ["***", "a b&c=d;e%+#", "schön"] {
            assert_eq!(decode(encode(text).as_bytes(), true), text.as_bytes());
        }
        assert_eq!(encode("***"), "***");
    }
}
