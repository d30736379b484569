//! Media types and their parameters: what a `Content-Type` says of the content.

use super::Unmaskable;
use super::json::Values;

/// What content is, as far as masks are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json(Values),
    /// Parts between lines with this boundary; `is_form` where each has to have a name.
    Multipart {
        boundary: Vec<u8>,
        is_form: bool,
    },
    /// A URL-encoded form, or text of no known kind: clients that name none, or a wrong one, are many, and
    /// servers that do not mind too.
    Text,
    /// What masks do not look into.
    Other,
}

impl Media {
    /// What the value of a `Content-Type` says, or its absence.
    pub(super) fn of(content_type: Option<&[u8]>) -> Result<Media, Unmaskable> {
        let Some(content_type) = content_type else { return Ok(Media::Text) };
        // Several values in one: whose reader takes which?
        if [true, false].iter().any(|escapes| split(content_type, b',', *escapes).count() > 1) {
            return Err(Unmaskable::ContentType);
        }
        let essence = split(content_type, b';', true).next().unwrap_or_default();
        let essence = essence.trim_ascii().to_ascii_lowercase();
        if let Some(subtype) = essence.strip_prefix(b"multipart/") {
            let boundary = boundary(content_type)?;
            return Ok(Media::Multipart { boundary, is_form: subtype == b"form-data" });
        }
        let media = Media::named(&essence);
        if media != Media::Other && !reads_ascii(content_type) {
            return Err(Unmaskable::ContentType);
        }
        Ok(media)
    }

    /// By its name alone, in small letters.
    fn named(essence: &[u8]) -> Media {
        const MANY: [&[u8]; 6] =
            [b"ndjson", b"jsonl", b"json-lines", b"json-seq", b"x-json-stream", b"stream+json"];
        const TEXT: [&[u8]; 6] = [
            b"application/x-www-form-urlencoded",
            b"application/octet-stream",
            b"application/javascript",
            b"text/javascript",
            b"text/plain",
            b"*/*",
        ];
        match essence {
            _ if MANY.iter().any(|part| has(essence, part)) => Media::Json(Values::Many),
            _ if has(essence, b"json") => Media::Json(Values::One),
            b"application/csp-report" => Media::Json(Values::One),
            _ if TEXT.contains(&essence) || !essence.contains(&b'/') => Media::Text,
            _ => Media::Other,
        }
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// Whether its `charset` is one in which ASCII is ASCII.
fn reads_ascii(content_type: &[u8]) -> bool {
    const CHARSETS: [&str; 8] =
        ["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-", "iso8859", "latin", "windows-125"];
    values(content_type, b"charset").iter().all(|charset| {
        let charset = charset.to_ascii_lowercase();
        CHARSETS.iter().any(|known| charset.starts_with(known.as_bytes()))
    })
}

/// The one boundary that every reader finds.
fn boundary(content_type: &[u8]) -> Result<Vec<u8>, Unmaskable> {
    let mut boundaries = values(content_type, b"boundary");
    boundaries.dedup();
    let elsewhere = !values(content_type, b"boundary*").is_empty();
    match boundaries.pop() {
        Some(boundary) if boundaries.is_empty() && !boundary.is_empty() && !elsewhere => {
            Ok(boundary)
        }
        _ => Err(Unmaskable::ContentType),
    }
}

/// The values of the parameter of this name (RFC 9110 section 5.6.6), in each way that readers take them.
///
/// In quotes a backslash takes the next byte's meaning away; for some clients and readers it does not, as in
/// `filename="C:\"`.
pub(super) fn values(field: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for escapes in [true, false] {
        for parameter in split(field, b';', escapes).skip(1) {
            let Some(equals) = parameter.iter().position(|&byte| byte == b'=') else { continue };
            let (key, value) = parameter.split_at(equals);
            if key.trim_ascii().eq_ignore_ascii_case(name) {
                let value = value.get(1..).unwrap_or_default().trim_ascii();
                values.push(unquote(value, escapes));
            }
        }
    }
    values
}

fn unquote(value: &[u8], escapes: bool) -> Vec<u8> {
    let Some(quoted) = value.strip_prefix(b"\"") else { return value.to_vec() };
    let mut bytes = quoted.iter().copied();
    let mut meant = Vec::with_capacity(quoted.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' if escapes => meant.extend(bytes.next()),
            _ => meant.push(byte),
        }
    }
    meant
}

/// Splits at separators that stand outside of quotes.
fn split(field: &[u8], separator: u8, escapes: bool) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    field.split(move |&byte| {
        let separates = byte == separator && !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = escapes && quoted,
            b'"' => quoted = !quoted,
            _ => {}
        }
        separates
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_says_what_content_is() {
        let multipart = |boundary: &str, is_form| Media::Multipart {
            boundary: boundary.as_bytes().to_vec(),
            is_form,
        };
        for (content_type, media) in [
            ("application/json", Media::Json(Values::One)),
            ("Application/JSON ; charset=\"UTF-8\"", Media::Json(Values::One)),
            ("application/vnd.api+json", Media::Json(Values::One)),
            ("text/json; charset", Media::Json(Values::One)),
            ("application/json-patch+json", Media::Json(Values::One)),
            ("application/x-ndjson", Media::Json(Values::Many)),
            ("application/jsonl", Media::Json(Values::Many)),
            ("application/json-seq", Media::Json(Values::Many)),
            ("application/x-www-form-urlencoded", Media::Text),
            ("text/plain;charset=iso-8859-1", Media::Text),
            ("", Media::Text),
            ("nonsense", Media::Text),
            ("image/png", Media::Other),
            ("text/html; charset=utf-16", Media::Other),
            ("multipart/form-data; boundary=a-b", multipart("a-b", true)),
            (
                "multipart/form-data; x=\"; boundary=c\"; Boundary=\"a b,c\"",
                multipart("a b,c", true),
            ),
            ("multipart/related;boundary=x", multipart("x", false)),
        ] {
            assert_eq!(Media::of(Some(content_type.as_bytes())), Ok(media), "{content_type}");
        }
        assert_eq!(Media::of(None), Ok(Media::Text));
    }

    #[test]
    fn what_is_read_in_several_ways_is_unmaskable() {
        for content_type in [
            "application/json, text/plain",
            "application/json; charset=utf-16",
            "text/plain; charset=utf-7",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=a; boundary*=utf-8''b",
            r#"multipart/form-data; boundary="a\"b""#,
            r#"multipart/form-data; x="\"; boundary=a; y="; boundary=b"#,
        ] {
            let found = Media::of(Some(content_type.as_bytes()));
            assert_eq!(found, Err(Unmaskable::ContentType), "{content_type}");
        }
    }
}
