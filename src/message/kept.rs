//! What a request's received fields settle, whatever a target's block makes of them.

use super::LoopMark;
use super::field::{Field, HeaderSection, Role, small};
use super::writer::refusal;
use crate::outcome::GivenUp;

/// What was received of the content's length and of the host's name.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    length: Option<Field<'a>>,
    host: Option<&'a [u8]>,
}

impl<'a> Kept<'a> {
    /// That of these fields; why they are not copied, if they ask for another protocol, or are a copy's with this
    /// mark.
    pub fn of(fields: impl HeaderSection<'a>, mark: &LoopMark) -> Result<Kept<'a>, GivenUp> {
        const CO: u16 = small(*b"co");
        const HO: u16 = small(*b"ho");
        const UP: u16 = small(*b"up");
        const X_: u16 = small(*b"x-");
        let mut kept = Kept { length: None, host: None };
        for field in fields.beginning(|begin| matches!(small(begin), CO | HO | UP | X_)) {
            if let Some(reason) = refusal(&field, mark) {
                return Err(GivenUp::NotCopied(reason));
            }
            match field.role {
                Role::ContentLength => kept.length = Some(field),
                Role::Host => kept.host = kept.host.or(Some(field.value)),
                _ => {}
            }
        }
        Ok(kept)
    }

    /// The value of `Host`, if received.
    pub fn host(&self) -> Option<&'a [u8]> {
        self.host
    }

    /// The fields that were made of them. Their content is the same: what says how long it is is nobody's to change.
    pub fn among<F: Iterator<Item = Field<'a>> + Clone>(self, edited: F) -> Among<'a, F> {
        Among { edited, length: self.length }
    }
}

/// Edited fields, with the received `Content-Length` in the place of what was made of it.
#[derive(Clone, Debug)]
pub struct Among<'a, F> {
    edited: F,
    /// Until it is come to.
    length: Option<Field<'a>>,
}

impl<'a, F: Iterator<Item = Field<'a>>> Iterator for Among<'a, F> {
    type Item = Field<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            match self.edited.next() {
                Some(field) if field.role != Role::ContentLength => return Some(field),
                Some(_) if self.length.is_none() => {}
                Some(_) | None => return self.length.take(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::NotCopied;

    const MARK: &str = "secret";

    fn fields<'a>(lines: &[(&'a str, &'a str)]) -> Vec<Field<'a>> {
        let field =
            |(name, value): &(&'a str, &'a str)| Field::new(name.as_bytes(), value.as_bytes());
        lines.iter().map(field).collect()
    }

    fn kept<'a>(fields: &'a [Field<'a>]) -> Result<Kept<'a>, GivenUp> {
        Kept::of(fields.iter().copied(), &LoopMark::new(MARK))
    }

    /// What staging sees of edited fields.
    fn among(received: &[(&str, &str)], edited: &[(&str, &str)]) -> Vec<String> {
        let (received, edited) = (fields(received), fields(edited));
        let line = |field: Field<'_>| {
            format!("{}: {}", field.name.escape_ascii(), field.value.escape_ascii())
        };
        kept(&received).unwrap().among(edited.iter().copied()).map(line).collect()
    }

    #[test]
    fn the_length_of_the_content_is_the_received_one_and_stays_in_its_place() {
        let received = [("A", "1"), ("content-length", "5"), ("B", "2")];
        let whole = ["A: 1", "content-length: 5", "B: 2"];
        assert_eq!(among(&received, &received), whole);
        let changed = [("A", "1"), ("Content-Length", "3"), ("B", "2"), ("Content-Length", "4")];
        assert_eq!(among(&received, &changed), whole);
        let [first, _, third] = received;
        assert_eq!(among(&received, &[first, third]), ["A: 1", "B: 2", "content-length: 5"]);
        assert_eq!(among(&[first], &changed), ["A: 1", "B: 2"]);
    }

    #[test]
    fn another_protocol_and_our_own_mark_are_no_matter_of_what_is_made_of_them() {
        let refused = |name, value| kept(&fields(&[("A", "1"), (name, value)])).err();
        for (name, value, expected) in [
            ("Upgrade", "websocket", Some(NotCopied::NotCopyable)),
            ("Upgrade", "h2c", None),
            ("x-mod-copy", "other, secret", Some(NotCopied::Loop)),
            ("X-Mod-Copy", "other", None),
        ] {
            assert_eq!(refused(name, value), expected.map(GivenUp::NotCopied), "{name}: {value}");
        }
    }

    #[test]
    fn the_first_host_counts() {
        let twice = [("A", "1"), ("HOST", "a"), ("Host", "b")];
        assert_eq!(kept(&fields(&twice)).unwrap().host(), Some(&b"a"[..]));
        assert_eq!(kept(&fields(&[("A", "1")])).unwrap().host(), None);
    }
}
