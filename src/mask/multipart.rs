//! Multipart content (RFC 2046 section 5.1), of forms (RFC 7578) above all: its parts, masked by name.

mod part;

use memchr::memmem;

use super::media::Media;
use super::pairs;
use super::patch::Patch;
use super::rule::Action;
use super::{Masks, Unmaskable, json};
use part::Part;

/// Masks the parts; `None` where there is nothing to mask.
///
/// A part keeps its header, and so its name and file name; its content is replaced. A part that no rule names and
/// that says it is JSON is masked as JSON. What some reader might take for other parts than those found here is
/// unmaskable.
pub(super) fn mask(
    content: &[u8],
    boundary: &[u8],
    is_form: bool,
    masks: &Masks,
    limit: usize,
) -> Result<Option<Vec<u8>>, Unmaskable> {
    let delimiters = delimiters(content, boundary)?;
    let mut patch = Patch::of(content, limit);
    for (before, after) in delimiters.iter().zip(delimiters.get(1..).unwrap_or_default()) {
        let part = Part::read(content.get(before.end..after.start).ok_or(Unmaskable::Multipart)?)?;
        if is_form && part.names.is_empty() {
            return Err(Unmaskable::Multipart);
        }
        let rule = part.names.iter().find_map(|name| pairs::find(&masks.form, name));
        if let Some(Action::Drop) = rule {
            patch.cut(before.dashes, after.dashes)?;
            continue;
        }
        if let Some(replaced) = replaced(&part, rule, masks, limit)? {
            // After the empty line, it would be one of the delimiters.
            if replaced.strip_prefix(b"--").is_some_and(|rest| rest.starts_with(boundary)) {
                return Err(Unmaskable::Multipart);
            }
            patch.cut(after.start - part.content.len(), after.start)?;
            patch.put(&replaced)?;
        }
    }
    patch.finish()
}

/// What takes the place of a part's content.
fn replaced(
    part: &Part<'_>,
    rule: Option<&Action>,
    masks: &Masks,
    limit: usize,
) -> Result<Option<Vec<u8>>, Unmaskable> {
    match rule {
        Some(Action::Fixed(text)) => Ok(Some(text.plain().to_vec())),
        Some(Action::Hash) if part.is_encoded => Err(Unmaskable::Multipart),
        Some(_) => Ok(Some(masks.key.hash(part.content).to_vec())),
        None if masks.json.is_empty() || part.content_type.is_none() => Ok(None),
        None => match Media::of(part.content_type)? {
            Media::Json(_) if part.is_encoded => Err(Unmaskable::Multipart),
            Media::Json(values) => json::mask(part.content, &masks.json, &masks.key, values, limit),
            _ => Ok(None),
        },
    }
}

/// A line between parts, or the one after the last.
struct Delimiter {
    /// Where the line end before it begins, which belongs to it.
    start: usize,
    /// Where its dashes begin.
    dashes: usize,
    end: usize,
}

/// The delimiters in order, the closing one last.
fn delimiters(content: &[u8], boundary: &[u8]) -> Result<Vec<Delimiter>, Unmaskable> {
    let line = [b"--", boundary].concat();
    let mut delimiters = Vec::new();
    let mut closed = false;
    for dashes in memmem::find_iter(content, &line) {
        let (before, after) = content.split_at_checked(dashes).unwrap_or_default();
        let start = match before {
            [] => dashes,
            [.., b'\r', b'\n'] => dashes - 2,
            // Some take a single byte for a line's end too.
            [.., b'\r' | b'\n'] => return Err(Unmaskable::Multipart),
            _ => continue,
        };
        let after = after.get(line.len()..).unwrap_or_default();
        let (closes, after) = match after.strip_prefix(b"--") {
            Some(after) => (true, after),
            None => (false, after),
        };
        let blanks = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line_end = match after.get(blanks..).unwrap_or_default() {
            [b'\r', b'\n', ..] => 2,
            [] if closes => 0,
            _ => return Err(Unmaskable::Multipart),
        };
        if closed {
            return Err(Unmaskable::Multipart);
        }
        closed = closes;
        let end = content.len() - after.len() + blanks + line_end;
        delimiters.push(Delimiter { start, dashes, end });
    }
    if closed { Ok(delimiters) } else { Err(Unmaskable::Multipart) }
}

#[cfg(test)]
mod tests;
