//! Where in a JSON text something is, and the patterns of paths that rules name.

use std::borrow::Cow;
use std::hash::Hasher;

use twox_hash::XxHash64;

use super::super::fold;
use super::string::{resolved, unescaped};

/// One step from a value to one inside it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Step<'a> {
    /// To the member with this name, as it stands between its quotes.
    Member(&'a [u8]),
    /// To an element.
    Element,
}

impl<'a> Step<'a> {
    /// A member's name as paths have it: its value, folded where it is an id.
    fn name(&self) -> Option<Cow<'a, str>> {
        let Step::Member(name) = self else { return None };
        Some(match resolved(name) {
            Cow::Borrowed(name) => match String::from_utf8_lossy(name) {
                Cow::Borrowed(name) => fold::name(name),
                Cow::Owned(name) => fold::name(&name).into_owned().into(),
            },
            Cow::Owned(name) => fold::name(&String::from_utf8_lossy(&name)).into_owned().into(),
        })
    }
}

/// A path's digest: two places have the same where they have the same path.
pub(super) fn place(path: &[Step<'_>]) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    for step in path {
        if let Some(name) = step.name() {
            hasher.write(name.as_bytes());
        }
        // No byte of UTF-8.
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

/// A path as people read it, `$.items[*].price`.
pub(super) fn written(path: &[Step<'_>]) -> String {
    let mut written = String::from("$");
    for step in path {
        match step.name() {
            None => written.push_str("[*]"),
            Some(name) if is_plain(&name) => {
                written.push('.');
                written.push_str(&name);
            }
            Some(name) => {
                written.push_str("['");
                written.push_str(&name);
                written.push_str("']");
            }
        }
    }
    written
}

/// Whether a name can stand behind a dot.
fn is_plain(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'{' | b'}');
    !name.is_empty() && name.bytes().all(plain)
}

/// The most steps of a pattern: its places are bits of a word.
const STEPS: usize = 31;

/// A path that a rule names: `$.items[*].price`, `$..etag`, `$.*['a b']`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Pattern(Vec<Wanted>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    /// Whether other steps may come before.
    anywhere: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Named(String),
    AnyMember,
    Element,
}

impl Wanted {
    fn is(&self, step: &Step<'_>, name: Option<&str>) -> bool {
        match (&self.what, step) {
            (What::Element, Step::Element) | (What::AnyMember, Step::Member(_)) => true,
            (What::Named(wanted), Step::Member(text)) => {
                name == Some(wanted) || unescaped(text).eq(wanted.bytes())
            }
            _ => false,
        }
    }
}

impl Pattern {
    /// Reads a pattern; the error is what would have been right.
    pub(in super::super) fn parse(text: &str) -> Result<Pattern, &'static str> {
        let mut rest =
            text.strip_prefix('$').ok_or("a path that begins with $, as $.items[*].price")?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = wanted(rest)?;
            steps.push(step);
            rest = behind;
        }
        if steps.len() > STEPS {
            return Err("a path of at most 31 steps");
        }
        Ok(Pattern(steps))
    }

    /// Whether the path is one that the pattern names.
    pub(in super::super) fn is(&self, path: &[Step<'_>]) -> bool {
        self.follow(path, false)
    }

    /// Whether the path is one that the pattern names, or one below.
    pub(in super::super) fn covers(&self, path: &[Step<'_>]) -> bool {
        self.follow(path, true)
    }

    /// Takes the path's steps in all ways at once: bit `n` is set where the pattern's first `n` steps are taken.
    fn follow(&self, path: &[Step<'_>], below: bool) -> bool {
        let whole = 1_u32 << self.0.len();
        let mut taken = 1_u32;
        for step in path {
            if below && taken & whole != 0 {
                return true;
            }
            let (name, mut next) = (step.name(), 0);
            for (at, wanted) in self.0.iter().enumerate().filter(|(at, _)| taken & 1 << at != 0) {
                next |= if wanted.anywhere { 1 << at } else { 0 };
                next |= if wanted.is(step, name.as_deref()) { 2 << at } else { 0 };
            }
            taken = next;
        }
        taken & whole != 0
    }
}

/// The first step of a pattern's rest, and what is behind it.
fn wanted(text: &str) -> Result<(Wanted, &str), &'static str> {
    if let Some(rest) = text.strip_prefix("..") {
        if rest.starts_with('[') {
            let (step, rest) = bracket(rest)?;
            return Ok((Wanted { anywhere: true, ..step }, rest));
        }
        return named(rest, true);
    }
    match text.strip_prefix('.') {
        Some(rest) => named(rest, false),
        None => bracket(text),
    }
}

fn named(text: &str, anywhere: bool) -> Result<(Wanted, &str), &'static str> {
    if let Some(rest) = text.strip_prefix('*') {
        return Ok((Wanted { anywhere, what: What::AnyMember }, rest));
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '{' | '}');
    let end = text.find(|c| !plain(c)).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err("a name after the dot, as $.items[*].price"),
        (name, rest) => Ok((Wanted { anywhere, what: What::Named(name.to_owned()) }, rest)),
    }
}

fn bracket(text: &str) -> Result<(Wanted, &str), &'static str> {
    const FORM: &str = "[*] or ['name'], for elements have no index of their own";
    let inside =
        text.strip_prefix('[').ok_or("a dot or a bracket after each name, as $.items[*].price")?;
    let (what, rest) = match inside.strip_prefix("*]") {
        Some(rest) => (What::Element, rest),
        None => {
            let (quote, close) = match inside.strip_prefix('\'') {
                Some(inside) => (inside, "']"),
                None => (inside.strip_prefix('"').ok_or(FORM)?, "\"]"),
            };
            let (name, rest) = quote.split_once(close).ok_or(FORM)?;
            (What::Named(name.to_owned()), rest)
        }
    };
    Ok((Wanted { anywhere: false, what }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM_PRICE: [Step<'_>; 3] =
        [Step::Member(b"items"), Step::Element, Step::Member(b"price")];

    #[test]
    fn a_path_is_written_with_indices_and_ids_folded() {
        assert_eq!(written(&ITEM_PRICE), "$.items[*].price");
        assert_eq!(
            written(&[Step::Member(b"8f14e45f"), Step::Member(br"a\u0020b")]),
            "$.{hex}['a b']"
        );
        assert_eq!(written(&[]), "$");
        let (one, other) = ([Step::Member(b"17")], [Step::Member(b"42")]);
        assert_eq!(place(&one), place(&other));
        assert_ne!(place(&one), place(&[Step::Member(b"x")]));
        assert_ne!(place(&[Step::Member(b"a"), Step::Member(b"b")]), place(&[Step::Member(b"ab")]));
    }

    #[test]
    fn a_pattern_covers_what_it_names_and_what_is_below() {
        for (pattern, covers, is) in [
            ("$", true, false),
            ("$.items", true, false),
            ("$.items[*]", true, false),
            ("$.items[*].price", true, true),
            ("$['items'][*][\"price\"]", true, true),
            ("$..price", true, true),
            ("$..items", true, false),
            ("$..[*].price", true, true),
            ("$.*[*].*", true, true),
            ("$.items.price", false, false),
            ("$.price", false, false),
            ("$.items[*].price.cents", false, false),
            ("$..items..items", false, false),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.covers(&ITEM_PRICE), covers, "{pattern}");
            assert_eq!(parsed.is(&ITEM_PRICE), is, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_names_a_member_by_its_value_or_by_what_it_folds_to() {
        let path = [Step::Member(br"us\u0065rs"), Step::Member(b"42")];
        for pattern in ["$.users['42']", "$.users.{n}", "$.users.42"] {
            assert!(Pattern::parse(pattern).unwrap().is(&path), "{pattern}");
        }
    }
}
