//! What staging may not see: names in a copy's query, content, cookies and fields, dropped, replaced or hashed.
//!
//! A mask that cannot be applied never lets the copy through: see [`Unmaskable`]. All that is not masked stays as it
//! was, byte for byte, but for `Content-Length`, and for [`DIGESTS`] of content that has changed.
//!
//! What is not looked into: content that is neither JSON nor a form, nor of no known type; JSON, or a URL, inside
//! of a string or a form's value; the path of a request target.

mod cleartext;
mod coding;
mod content;
mod cookie;
mod hash;
mod head;
mod json;
mod media;
mod multipart;
mod names;
mod pairs;
mod patch;
mod path;
mod percent;
mod rule;
mod rules;
mod shown;
pub mod standard;

pub use hash::{HASH_DIGITS, Key};
pub use head::DIGESTS;
pub use json::DEEPEST;
pub use rule::{DEFAULT_TEXT, Rule, Unclear};

use std::fmt;

use cleartext::Cleartext;
use head::Head;
use rule::Place;
use rules::Rules;

/// All rules of a target, compiled. Where several look for the same, the last that was written holds.
#[derive(Clone, Debug)]
pub struct Masks {
    query: Rules,
    form: Rules,
    json: Rules,
    cookie: Rules,
    header: Rules,
    key: Key,
    /// How many rules were written.
    rules: usize,
}

/// A message as staging may see it.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked {
    /// The head, from its method to its empty line, with the length of the content as it is now.
    pub head: Vec<u8>,
    /// The content; `None` where there was nothing to mask in it, and it is as it was.
    pub content: Option<Vec<u8>>,
}

/// Why a copy cannot be masked, and so is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unmaskable {
    /// Its head is none.
    Head,
    /// Its `Content-Type` is read in several ways.
    ContentType,
    /// Its content is encoded in a way that is not known here.
    Coding,
    /// Its content cannot be decoded.
    Encoded,
    /// Decoded or masked, it takes more memory than it may.
    TooLarge,
    /// What says it is JSON, or begins so, is none.
    Json,
    /// Its JSON is nested deeper than [`DEEPEST`].
    TooDeep,
    /// Its multipart content is malformed, or is read in several ways.
    Multipart,
}

impl Unmaskable {
    /// The reason as the error log tells it.
    pub fn reason(self) -> &'static str {
        match self {
            Unmaskable::Head => "its head is malformed",
            Unmaskable::ContentType => "its Content-Type is ambiguous",
            Unmaskable::Coding => "its Content-Encoding is not one of gzip and deflate",
            Unmaskable::Encoded => "its content cannot be decoded",
            Unmaskable::TooLarge => "its content is too large when decoded or masked",
            Unmaskable::Json => "its JSON is malformed",
            Unmaskable::TooDeep => "its JSON is nested too deep",
            Unmaskable::Multipart => "its multipart content is malformed or ambiguous",
        }
    }
}

impl Masks {
    /// Compiles rules, in the order in which they were written, with the key of `hash`.
    pub fn of(rules: &[Rule], key: Key) -> Masks {
        let of = |place| Rules::of(rules.iter().filter(move |rule| rule.place == place));
        Masks {
            query: of(Place::Query),
            form: of(Place::Form),
            json: of(Place::Json),
            cookie: of(Place::Cookie),
            header: of(Place::Header),
            key,
            rules: rules.len(),
        }
    }

    /// How many rules it was made of.
    pub fn len(&self) -> usize {
        self.rules
    }

    /// Whether there is nothing that could be masked.
    pub fn is_empty(&self) -> bool {
        let places = [&self.query, &self.form, &self.json, &self.cookie, &self.header];
        places.iter().all(|rules| rules.is_empty())
    }

    /// A request target with its query masked, as [`apply`](Masks::apply) masks it; `None` where there is nothing to
    /// mask.
    pub fn target(&self, target: &[u8]) -> Result<Option<Vec<u8>>, Unmaskable> {
        head::masked_url(target, self)
    }

    /// Masks a message, of which head and content may lie in pieces.
    ///
    /// The head is as it is sent: from the method to the empty line, each line ended by CR LF. Content that is
    /// decoded, or masked, takes at most `limit` bytes at each step; several pieces of it are joined first.
    pub fn apply<'a>(
        &self,
        head: &[&[u8]],
        content: impl IntoIterator<Item = &'a [u8]>,
        limit: usize,
    ) -> Result<Masked, Unmaskable> {
        let head = Cleartext::joined(head);
        let head = Head::read(&head)?;
        let content = self.content(&head, content.into_iter(), limit)?;
        let head = head.mask(self, content.as_ref().map(Vec::len))?;
        Ok(Masked { head, content })
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content.as_ref().map(Vec::len);
        write!(f, "Masked {{ head: {} bytes, content: {content:?} bytes }}", self.head.len())
    }
}

#[cfg(test)]
mod tests;
