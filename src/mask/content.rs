//! Content: decoded, masked as what it is, and encoded again.

use super::cleartext::Cleartext;
use super::head::Head;
use super::json::Values;
use super::media::Media;
use super::{Masks, Unmaskable, coding, json, multipart, pairs};

impl Masks {
    /// Masks the content of the message with this head; `None` where there is nothing to mask.
    pub(super) fn content<'a>(
        &self,
        head: &Head<'_>,
        pieces: impl Iterator<Item = &'a [u8]>,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Unmaskable> {
        let pieces: Vec<&[u8]> = pieces.filter(|piece| !piece.is_empty()).collect();
        if (self.form.is_empty() && self.json.is_empty()) || pieces.is_empty() {
            return Ok(None);
        }
        let media = self.media(head)?;
        if !self.looks_into(&media) {
            return Ok(None);
        }
        let joined;
        let content = match pieces.as_slice() {
            [piece] => *piece,
            pieces => {
                joined = Cleartext::joined(pieces);
                &joined
            }
        };
        match coding::decode(content, head.values("content-encoding"), limit)? {
            None => self.decoded(content, &media, limit),
            Some((decoded, codings)) => {
                let masked = self.decoded(&decoded, &media, limit)?;
                masked.map(|masked| codings.encode(masked)).transpose()
            }
        }
    }

    fn media(&self, head: &Head<'_>) -> Result<Media, Unmaskable> {
        let mut types = head.values("content-type");
        match (types.next(), types.next()) {
            (_, Some(_)) => Err(Unmaskable::ContentType),
            (one, None) => Media::of(one),
        }
    }

    /// Whether any rule may find something in it.
    fn looks_into(&self, media: &Media) -> bool {
        match media {
            Media::Json(_) => !self.json.is_empty(),
            Media::Multipart { .. } | Media::Text => true,
            Media::Other => false,
        }
    }

    fn decoded(
        &self,
        content: &[u8],
        media: &Media,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Unmaskable> {
        match media {
            _ if content.is_empty() => Ok(None),
            Media::Json(values) => json::mask(content, &self.json, &self.key, *values, limit),
            Media::Multipart { boundary, is_form } => {
                multipart::mask(content, boundary, *is_form, self, limit)
            }
            Media::Text if !self.json.is_empty() && json::looks_alike(content) => {
                json::mask(content, &self.json, &self.key, Values::One, limit)
            }
            Media::Text if !self.form.is_empty() => {
                pairs::mask(content, &self.form, &self.key, limit)
            }
            Media::Text | Media::Other => Ok(None),
        }
    }
}
