//! The content of an answer with its codings and its charset resolved, and the kind of thing that it is.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The most codings that are resolved, one over the other.
const CODINGS: usize = 2;

/// How a body is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Html,
    Text,
    Opaque,
}

impl Kind {
    /// The kind that a media type tells; where there is none, JSON may be told from the content.
    pub(super) fn of(media_type: Option<&[u8]>, content: &[u8]) -> Kind {
        let Some(media_type) = media_type else {
            let begins = content.trim_ascii_start().first();
            let is_json = matches!(begins, Some(b'{' | b'[')) && super::json::is_json(content);
            return if is_json { Kind::Json } else { Kind::Opaque };
        };
        let name = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
        match name.as_str() {
            "application/json" | "text/json" => Kind::Json,
            name if name.ends_with("+json") => Kind::Json,
            "text/html" | "application/xhtml+xml" => Kind::Html,
            "application/xml" | "application/javascript" | "application/x-ndjson" => Kind::Text,
            name if name.starts_with("text/") || name.ends_with("+xml") => Kind::Text,
            _ => Kind::Opaque,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Json => "JSON",
            Kind::Html => "HTML",
            Kind::Text => "text",
            Kind::Opaque => "other content",
        }
    }
}

/// The codings of `Content-Encoding`, in the order they were applied, without `identity`.
pub(super) fn codings(field: Option<&[u8]>) -> Vec<String> {
    let words = field.unwrap_or_default().split(|byte| *byte == b',');
    let names = words.map(|word| String::from_utf8_lossy(word.trim_ascii()).to_ascii_lowercase());
    names.filter(|name| !name.is_empty() && name != "identity").collect()
}

/// The content without its codings; `None` where one is not known, it is not what it says, or the content is
/// larger than `limit`.
pub(super) fn decoded<'a>(
    content: &'a [u8],
    codings: &[String],
    limit: usize,
) -> Option<Cow<'a, [u8]>> {
    if codings.len() > CODINGS {
        return None;
    }
    // A body without content, as the answer to HEAD has, is not coded either.
    let coded = codings.iter().rev().filter(|_| !content.is_empty());
    coded.map(String::as_str).try_fold(Cow::Borrowed(content), |content, coding| {
        let read = match coding {
            "gzip" | "x-gzip" => inflated(MultiGzDecoder::new(&*content), limit),
            // RFC 9110 means zlib's format; some servers leave it out.
            "deflate" => inflated(ZlibDecoder::new(&*content), limit)
                .or_else(|| inflated(DeflateDecoder::new(&*content), limit)),
            _ => None,
        };
        read.map(Cow::Owned)
    })
}

fn inflated(decoder: impl Read, limit: usize) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let most = limit as u64;
    decoder.take(most.saturating_add(1)).read_to_end(&mut content).ok()?;
    (content.len() <= limit).then_some(content)
}

/// The content in UTF-8, where the charset is ISO 8859-1; without a byte order mark. Others stay as they are.
pub(super) fn transcoded<'a>(content: Cow<'a, [u8]>, media_type: Option<&[u8]>) -> Cow<'a, [u8]> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    match charset(media_type.unwrap_or_default()).as_deref() {
        Some("iso-8859-1" | "latin1" | "iso_8859-1") if !content.is_ascii() => {
            let text: String = content.iter().map(|byte| char::from(*byte)).collect();
            Cow::Owned(text.into_bytes())
        }
        _ if content.starts_with(MARK) => match content {
            Cow::Borrowed(content) => Cow::Borrowed(content.get(MARK.len()..).unwrap_or_default()),
            Cow::Owned(mut content) => Cow::Owned(content.split_off(MARK.len())),
        },
        _ => content,
    }
}

fn charset(media_type: &[u8]) -> Option<String> {
    let mut parameters = media_type.split(|byte| *byte == b';').skip(1);
    parameters.find_map(|parameter| {
        let parameter = String::from_utf8_lossy(parameter.trim_ascii()).to_ascii_lowercase();
        let (name, value) = parameter.split_once('=')?;
        (name.trim_end() == "charset").then(|| value.trim_matches([' ', '"']).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn all(mut read: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        all(GzEncoder::new(bytes, Compression::fast()))
    }

    #[test]
    fn codings_are_resolved_in_their_order() {
        let text = b"hello hello hello";
        let fast = Compression::fast();
        for (content, field) in [
            (text.to_vec(), "identity"),
            (gzip(text), "GZIP"),
            (gzip(text), " x-gzip , identity"),
            (all(ZlibEncoder::new(&text[..], fast)), "deflate"),
            (all(DeflateEncoder::new(&text[..], fast)), "deflate"),
            (gzip(&all(ZlibEncoder::new(&text[..], fast))), "deflate, gzip"),
        ] {
            let codings = codings(Some(field.as_bytes()));
            assert_eq!(decoded(&content, &codings, 100).as_deref(), Some(&text[..]), "{field}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_or_is_too_large_is_none() {
        let coded = gzip(&[b'x'; 1000]);
        let codings = |field: &str| codings(Some(field.as_bytes()));
        assert!(decoded(&coded, &codings("gzip"), 1000).is_some());
        assert_eq!(decoded(&coded, &codings("gzip"), 999), None);
        assert_eq!(decoded(&coded, &codings("br"), 1000), None);
        assert_eq!(decoded(&coded, &codings("gzip,gzip,gzip"), 1000), None);
        assert_eq!(decoded(&coded[..coded.len() - 1], &codings("gzip"), 1000), None);
        assert_eq!(decoded(b"plain", &codings("gzip"), 1000), None);
        assert_eq!(decoded(b"", &codings("gzip"), 1000).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn charsets_become_utf_8_where_they_are_simple() {
        let to_utf_8 = |content: &'static [u8], media_type: &str| {
            transcoded(Cow::Borrowed(content), Some(media_type.as_bytes())).into_owned()
        };
        assert_eq!(
            to_utf_8(b"gr\xfc\xdf", "text/plain; Charset=\"ISO-8859-1\""),
            "grüß".as_bytes()
        );
        assert_eq!(to_utf_8(b"gr\xfc\xdf", "text/plain; charset=koi8-r"), b"gr\xfc\xdf");
        assert_eq!(to_utf_8(b"\xef\xbb\xbfx", "text/plain; charset=utf-8"), b"x");
    }

    #[test]
    fn the_kind_is_the_media_types_and_json_tells_itself() {
        for (media_type, kind) in [
            ("application/json; charset=utf-8", Kind::Json),
            ("application/problem+json", Kind::Json),
            ("TEXT/HTML", Kind::Html),
            ("text/csv", Kind::Text),
            ("image/svg+xml", Kind::Text),
            ("image/png", Kind::Opaque),
            ("", Kind::Opaque),
        ] {
            assert_eq!(Kind::of(Some(media_type.as_bytes()), b"{}"), kind, "{media_type}");
        }
        assert_eq!(Kind::of(None, b" {\"a\":1}"), Kind::Json);
        assert_eq!(Kind::of(None, b"{a}"), Kind::Opaque);
    }
}
