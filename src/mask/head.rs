//! The head of a message: its query, its cookies and its fields, masked; its length, set right.

use super::cookie;
use super::pairs;
use super::patch::Patch;
use super::rule::Action;
use super::{Masks, Unmaskable};

/// Room for what masks add to a head.
const ROOM: usize = 64 << 10;

/// Fields that hold a digest or a signature of the content: where content has changed they no longer hold, and
/// would tell whether a guess at what was masked is right. Small letters.
pub const DIGESTS: [&str; 6] =
    ["content-digest", "content-md5", "digest", "repr-digest", "signature", "signature-input"];

/// A message's head, from its method to its empty line.
pub(super) struct Head<'a> {
    bytes: &'a [u8],
    /// Where the request target lies.
    target: (usize, usize),
    fields: Vec<Field<'a>>,
}

/// A field line, and where it lies.
struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    start: usize,
    /// Where its value begins and ends, without blanks around it.
    value_at: (usize, usize),
    /// After its line end.
    end: usize,
}

impl<'a> Head<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Head<'a>, Unmaskable> {
        let mut at = line(bytes, 0).ok_or(Unmaskable::Head)?;
        let request_line = bytes.get(..at - 2).unwrap_or_default();
        let first = memchr::memchr(b' ', request_line).ok_or(Unmaskable::Head)?;
        let last = memchr::memrchr(b' ', request_line).ok_or(Unmaskable::Head)?;
        let mut fields = Vec::new();
        loop {
            let end = line(bytes, at).ok_or(Unmaskable::Head)?;
            if end == at + 2 {
                break;
            }
            fields.push(Field::read(bytes, at, end).ok_or(Unmaskable::Head)?);
            at = end;
        }
        if first == last || at + 2 != bytes.len() {
            return Err(Unmaskable::Head);
        }
        Ok(Head { bytes, target: (first + 1, last), fields })
    }

    /// The values of the fields of this name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.fields.iter().filter(move |field| field.is(name));
        named.map(|field| field.value)
    }

    /// Masks the head of a message whose content has now this length, where it has changed.
    pub(super) fn mask(&self, masks: &Masks, length: Option<usize>) -> Result<Vec<u8>, Unmaskable> {
        let limit = self.bytes.len().saturating_add(ROOM);
        let mut patch = Patch::of(self.bytes, limit);
        let (start, end) = self.target;
        let target = self.bytes.get(start..end).unwrap_or_default();
        if let Some(masked) = masked_url(target, masks)? {
            patch.cut(start, end)?;
            patch.put(&masked)?;
        }
        for field in &self.fields {
            match field.fate(masks, length)? {
                Fate::Stays => {}
                Fate::Goes => patch.cut(field.start, field.end)?,
                Fate::Becomes(value) => {
                    patch.cut(field.value_at.0, field.value_at.1)?;
                    patch.put(&value)?;
                }
            }
        }
        if let Some(length) = length.filter(|_| self.values("content-length").next().is_none()) {
            let end = self.bytes.len() - 2;
            patch.cut(end, end)?;
            patch.put(format!("Content-Length: {length}\r\n").as_bytes())?;
        }
        Ok(patch.finish()?.unwrap_or_else(|| self.bytes.to_vec()))
    }
}

/// After the line that begins at `start`, and its end.
fn line(bytes: &[u8], start: usize) -> Option<usize> {
    memchr::memmem::find(bytes.get(start..)?, b"\r\n").map(|length| start + length + 2)
}

impl<'a> Field<'a> {
    fn read(bytes: &'a [u8], start: usize, end: usize) -> Option<Field<'a>> {
        let line = bytes.get(start..end - 2)?;
        let (name, value) = line.split_at(memchr::memchr(b':', line)?);
        let value = value.get(1..)?.trim_ascii_end();
        let value_end = start + name.len() + 1 + value.len();
        let value = value.trim_ascii_start();
        Some(Field { name, value, start, value_at: (value_end - value.len(), value_end), end })
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    fn fate(&self, masks: &Masks, length: Option<usize>) -> Result<Fate, Unmaskable> {
        let becomes = |value: Option<Vec<u8>>| value.map_or(Fate::Stays, Fate::Becomes);
        match masks.header.find(self.name) {
            Some(Action::Drop) => return Ok(Fate::Goes),
            Some(Action::Fixed(text)) => return Ok(Fate::Becomes(text.plain().to_vec())),
            Some(Action::Hash) => return Ok(Fate::Becomes(masks.key.hash(self.value).to_vec())),
            None => {}
        }
        if self.is("cookie") {
            return Ok(match cookie::mask(self.value, &masks.cookie, &masks.key) {
                Some(pairs) if pairs.is_empty() => Fate::Goes,
                pairs => becomes(pairs),
            });
        }
        if self.is("referer") {
            return masked_url(self.value, masks).map(becomes);
        }
        Ok(match length {
            Some(length) if self.is("content-length") => {
                Fate::Becomes(length.to_string().into_bytes())
            }
            Some(_) if DIGESTS.iter().any(|name| self.is(name)) => Fate::Goes,
            _ => Fate::Stays,
        })
    }
}

/// What becomes of a field.
enum Fate {
    Stays,
    Goes,
    /// It gets another value.
    Becomes(Vec<u8>),
}

/// A URL with its query masked; a `?` whose query is dropped to its end goes too. `None` where there is nothing to
/// mask.
pub(super) fn masked_url(url: &[u8], masks: &Masks) -> Result<Option<Vec<u8>>, Unmaskable> {
    let mark = memchr::memchr(b'?', url).filter(|_| !masks.query.is_empty());
    let Some((path, query)) = mark.and_then(|mark| url.split_at_checked(mark + 1)) else {
        return Ok(None);
    };
    let masked = pairs::mask(query, &masks.query, &masks.key, query.len().saturating_add(ROOM))?;
    Ok(masked.map(|masked| match path {
        [path @ .., _] if masked.is_empty() => path.to_vec(),
        path => [path, &masked].concat(),
    }))
}
