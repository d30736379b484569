//! What no line may have in it, made harmless: control characters, raw bytes, the ends of what they stand in.
//!
//! A log is read by terminals and by programs that trust its lines. What clients choose is written in ASCII alone,
//! and cut where it would make its line longer than a pipe takes at once.

use std::io::Write;

/// The most bytes that one value has in a line, escaped.
pub(super) const LONGEST: usize = 2048;
/// Stands where a value was cut.
pub(super) const CUT: &[u8] = b"...";

/// As in a JSON string. What is no UTF-8 becomes U+FFFD.
pub(super) fn json(line: &mut Vec<u8>, value: &[u8]) {
    let begun = line.len();
    for chunk in value.utf8_chunks() {
        let broken = (!chunk.invalid().is_empty()).then_some('\u{fffd}');
        for character in chunk.valid().chars().chain(broken) {
            if line.len().saturating_sub(begun) > LONGEST {
                return line.extend_from_slice(CUT);
            }
            json_character(line, character);
        }
    }
}

fn json_character(line: &mut Vec<u8>, character: char) {
    match character {
        '"' => line.extend_from_slice(b"\\\""),
        '\\' => line.extend_from_slice(b"\\\\"),
        ' '..='~' => line.push(character as u8),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a Vec cannot fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    }
}

/// As httpd's own logs do: `\"`, `\\`, C's escapes, and else `\xhh`.
pub(super) fn item(line: &mut Vec<u8>, value: &[u8]) {
    let begun = line.len();
    for byte in value {
        if line.len().saturating_sub(begun) > LONGEST {
            return line.extend_from_slice(CUT);
        }
        match *byte {
            b'"' => line.extend_from_slice(b"\\\""),
            b'\\' => line.extend_from_slice(b"\\\\"),
            b' '..=b'~' => line.push(*byte),
            0x08 => line.extend_from_slice(b"\\b"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x0b => line.extend_from_slice(b"\\v"),
            // As above.
            byte => drop(write!(line, "\\x{byte:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(by: fn(&mut Vec<u8>, &[u8]), value: &[u8]) -> String {
        let mut line = Vec::new();
        by(&mut line, value);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn what_clients_choose_is_written_in_plain_ascii() {
        let hostile = "/a\"b\\c\n\r\t\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{202e}é😀".as_bytes();
        assert_eq!(
            escaped(json, hostile),
            "/a\\\"b\\\\c\\u000a\\u000d\\u0009\\u001b[31m\\u007f\\u009b\\u2028\\u202e\\u00e9\\ud83d\\ude00"
        );
        assert_eq!(escaped(json, b"/\xff\xfe."), "/\\ufffd\\ufffd.");
        assert_eq!(
            escaped(item, b"/a\"b\\c\x08\n\r\t\x0b\0\x1b[31m\x7f\xc3\xa9"),
            "/a\\\"b\\\\c\\b\\n\\r\\t\\v\\x00\\x1b[31m\\x7f\\xc3\\xa9"
        );
    }

    #[test]
    fn long_values_are_cut() {
        let long = vec![b'a'; 3 * LONGEST];
        for by in [json as fn(&mut Vec<u8>, &[u8]), item] {
            let cut = escaped(by, &long);
            assert!(cut.ends_with("a...") && cut.len() <= LONGEST + 4, "{}", cut.len());
            assert_eq!(escaped(by, &long[..LONGEST]).len(), LONGEST, "as long as it may be");
        }
        assert!(escaped(json, "\u{1f600}".repeat(LONGEST).as_bytes()).len() < LONGEST + 20);
    }

    proptest! {
        #[test]
        fn whatever_it_is_no_line_breaks(value in prop::collection::vec(any::<u8>(), 0..300)) {
            let json = escaped(json, &value);
            let read: String = serde_json::from_str(&format!("\"{json}\"")).unwrap();
            prop_assert_eq!(&read, &String::from_utf8_lossy(&value));
            for text in [json, escaped(item, &value)] {
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }
    }
}
