//! JSON: members and elements masked in one pass, all other bytes as they were.

mod scan;

use super::Unmaskable;
use super::hash::Key;
use super::patch::Patch;
use super::path::{Paths, Place, Taken};
use super::rule::Action;
use super::rules::Rules;
use scan::{Malformed, Scan};

/// How deep objects and arrays may lie in one another.
pub const DEEPEST: usize = 512;

/// How many values a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    One,
    /// One after another: on lines of their own, or with the record separators of RFC 7464.
    Many,
}

/// Whether content of no known type begins as a JSON object or array does, and as text: else, of all files that
/// are sent as `application/octet-stream`, every hundredth would be taken for malformed JSON.
pub(super) fn looks_alike(content: &[u8]) -> bool {
    let text = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content).trim_ascii_start();
    let is_text = |byte: &u8| *byte >= b' ' || byte.is_ascii_whitespace();
    matches!(text.first(), Some(b'{' | b'[')) && text.iter().take(64).all(is_text)
}

/// Which some clients put first, and some servers step over.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const RECORD_SEPARATOR: u8 = 0x1e;

/// Masks JSON; `None` where there is nothing to mask.
///
/// What is not valid JSON, to its last byte, is unmaskable: another reader might find a member where this one
/// finds none. Two things are let through that some readers refuse: numbers beyond every range, and
/// surrogates alone in escapes.
pub(super) fn mask(
    text: &[u8],
    rules: &Rules,
    key: &Key,
    values: Values,
    limit: usize,
) -> Result<Option<Vec<u8>>, Unmaskable> {
    if std::str::from_utf8(text).is_err() {
        return Err(Unmaskable::Json);
    }
    let mut scan = Scan::of(text);
    if text.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.iter().for_each(|_| scan.step());
    }
    let walk = Walk {
        text,
        scan,
        patch: Patch::of(text, limit),
        rules,
        key,
        open: Vec::with_capacity(16),
        places: Vec::new(),
        masked: None,
        eat_comma: false,
    };
    walk.run(values)
}

/// An object or array that is open.
struct Open {
    is_object: bool,
    /// Whether a member or element of it was kept.
    kept: bool,
    /// The index of the present element, where paths ask for it.
    index: usize,
    /// Where its places begin: they end where the list ends, when one of its children begins.
    places: usize,
}

/// A value that a rule has found, and that is not yet at its end.
#[derive(Clone, Copy)]
struct Masked<'a> {
    action: &'a Action,
    /// How many objects and arrays are open around it.
    depth: usize,
    /// Where its member begins; as an element, where it does.
    member: usize,
    value: usize,
    /// The comma before it, if anything before it is kept.
    comma: Option<usize>,
}

struct Walk<'a> {
    text: &'a [u8],
    scan: Scan<'a>,
    patch: Patch<'a>,
    rules: &'a Rules,
    key: &'a Key,
    open: Vec<Open>,
    /// The places in the rules' paths that the open values are at, outermost first.
    places: Vec<Place>,
    masked: Option<Masked<'a>>,
    /// The next comma goes with the member before it, which was dropped.
    eat_comma: bool,
}

impl From<Malformed> for Unmaskable {
    fn from(_: Malformed) -> Unmaskable {
        Unmaskable::Json
    }
}

impl<'a> Walk<'a> {
    fn run(mut self, values: Values) -> Result<Option<Vec<u8>>, Unmaskable> {
        self.between(values);
        if values == Values::Many && self.scan.peek().is_none() {
            return Ok(None);
        }
        loop {
            self.places.clear();
            if !self.rules.paths.is_empty() {
                self.places.push(Paths::DOCUMENT);
            }
            self.value()?;
            self.between(values);
            if self.scan.peek().is_none() {
                return self.patch.finish();
            }
            if values == Values::One {
                return Err(Unmaskable::Json);
            }
        }
    }

    /// Steps over what is around whole values.
    fn between(&mut self, values: Values) {
        while self.scan.next() == Some(RECORD_SEPARATOR) && values == Values::Many {
            self.scan.step();
        }
    }

    /// One value with all that is in it.
    fn value(&mut self) -> Result<(), Unmaskable> {
        // Where the places of the value that begins next begin.
        let mut places = 0;
        loop {
            let opened = match self.scan.next().ok_or(Unmaskable::Json)? {
                b'"' => {
                    self.scan.string()?;
                    false
                }
                b'{' => self.opened(true, places)?,
                b'[' => self.opened(false, places)?,
                first => {
                    self.scan.scalar(first)?;
                    false
                }
            };
            if !opened {
                self.ended(places)?;
                if !self.follows()? {
                    return Ok(());
                }
            }
            places = self.child()?;
        }
    }

    /// Opens an object or array; `false` where it is empty, and closed again.
    #[inline]
    fn opened(&mut self, is_object: bool, places: usize) -> Result<bool, Unmaskable> {
        self.scan.step();
        if self.open.len() >= DEEPEST {
            return Err(Unmaskable::TooDeep);
        }
        if self.scan.next() == Some(if is_object { b'}' } else { b']' }) {
            self.scan.step();
            return Ok(false);
        }
        self.open.push(Open { is_object, kept: false, index: 0, places });
        Ok(true)
    }

    /// After a value: closes what ends here, steps over a comma. `false` at the end of the outermost value.
    #[inline]
    fn follows(&mut self) -> Result<bool, Unmaskable> {
        loop {
            let Some(open) = self.open.last_mut() else { return Ok(false) };
            let close = if open.is_object { b'}' } else { b']' };
            let next = self.scan.next();
            if next == Some(b',') {
                open.index += 1;
                if self.eat_comma {
                    let at = self.scan.at();
                    self.patch.cut(at, at + 1)?;
                    self.eat_comma = false;
                }
                self.scan.step();
                return Ok(true);
            }
            if next != Some(close) {
                return Err(Unmaskable::Json);
            }
            self.scan.step();
            self.eat_comma = false;
            let places = open.places;
            self.open.pop();
            self.ended(places)?;
        }
    }

    /// Before the value of a member, or an element: looks for rules. Tells where its places begin.
    #[inline]
    fn child(&mut self) -> Result<usize, Unmaskable> {
        let comma = self.scan.at().saturating_sub(1);
        let Some(open) = self.open.last() else { return Err(Unmaskable::Json) };
        let (is_object, index) = (open.is_object, open.index);
        let (kept, around) = (open.kept, open.places..self.places.len());
        let first = self.scan.next().ok_or(Unmaskable::Json)?;
        let member = self.scan.at();
        let mut rule = None;
        if is_object {
            if first != b'"' {
                return Err(Unmaskable::Json);
            }
            let key = self.scan.string()?;
            if self.scan.next() != Some(b':') {
                return Err(Unmaskable::Json);
            }
            self.scan.step();
            if self.masked.is_none() {
                let key = key.meant();
                rule =
                    self.rules.names.find(&key).max(self.go(around.clone(), Taken::Member(&key)));
            }
        } else if self.masked.is_none() && !around.is_empty() {
            rule = self.go(around.clone(), Taken::Element(index));
        }
        if let Some(action) = self.rules.action(rule) {
            self.scan.next();
            let (depth, value) = (self.open.len(), self.scan.at());
            let comma = kept.then_some(comma);
            self.masked = Some(Masked { action, depth, member, value, comma });
        }
        Ok(around.end)
    }

    /// Goes one step from the places around, and tells the rule whose path ends there.
    #[inline]
    fn go(&mut self, around: std::ops::Range<usize>, taken: Taken<'_>) -> Option<usize> {
        let mut rule = None;
        for at in around {
            let Some(place) = self.places.get(at).copied() else { break };
            for (to, ends) in self.rules.paths.from(place, taken) {
                self.places.push(to);
                rule = rule.max(ends);
            }
        }
        rule
    }

    /// At the end of a value: masks it, if a rule has found it.
    #[inline]
    fn ended(&mut self, places: usize) -> Result<(), Unmaskable> {
        self.places.truncate(places);
        match self.masked {
            Some(masked) if masked.depth == self.open.len() => {
                self.masked = None;
                if let Action::Drop = masked.action {
                    return self.drop_member(masked);
                }
                self.replace(masked)?;
            }
            _ => {}
        }
        if let Some(open) = self.open.last_mut() {
            open.kept = true;
        }
        Ok(())
    }

    fn replace(&mut self, masked: Masked<'a>) -> Result<(), Unmaskable> {
        let end = self.scan.at();
        self.patch.cut(masked.value, end)?;
        if let Action::Fixed(text) = masked.action {
            return self.patch.put(text.json());
        }
        let value = self.text.get(masked.value..end).unwrap_or_default();
        let hash = match value.first() {
            Some(b'"') => self.key.hash(&Scan::of(value).string()?.meant()),
            _ => self.key.hash(value),
        };
        self.patch.put(b"\"")?;
        self.patch.put(&hash)?;
        self.patch.put(b"\"")
    }

    /// Leaves a member or element out, with the comma before it where one is kept, else with that after it.
    fn drop_member(&mut self, masked: Masked<'a>) -> Result<(), Unmaskable> {
        self.eat_comma = masked.comma.is_none();
        self.patch.cut(masked.comma.unwrap_or(masked.member), self.scan.at())
    }
}

#[cfg(test)]
mod tests;
