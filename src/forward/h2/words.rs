//! A copy in HTTP/2's words (RFC 9113 section 8.3).
//!
//! Names are in small letters, and in their order. The request target is as received, but for bytes that no
//! URI has (RFC 3986) and that the library refuses: they are sent as `%XX`, as any other client would.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::message::Message;
use crate::target::Aim;

/// What cannot be said in HTTP/2.
pub(super) type Unsayable = &'static str;

/// The copy's head; and how many bytes it has before it is packed.
pub(super) fn request(message: &Message, aim: &Aim) -> Result<(Request<()>, u64), Unsayable> {
    let (path, authority) = (message.path(aim).concat(), message.authority(aim));
    let mut text = Vec::with_capacity(message.fields().len());
    let mut count: usize = 1;
    for (_, value) in message.own_fields() {
        text.extend_from_slice(value);
        count = count.saturating_add(1);
    }
    let text = Bytes::from(text);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(message.method()).map_err(|_| "its method")?;
    let fields = request.headers_mut();
    fields.try_reserve(count).map_err(|_| "so many fields")?;
    let mut begin: usize = 0;
    for (name, value) in message.own_fields() {
        let end = begin.saturating_add(value.len());
        append(fields, name, text.slice(begin..end))?;
        begin = end;
    }
    if message.takes_trailers() {
        fields.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    let size = size_of(fields)
        .saturating_add(path.len() as u64)
        .saturating_add(authority.len() as u64)
        .saturating_add(message.method().len() as u64);
    let path = path_and_query(path)?;
    match Authority::try_from(authority) {
        Ok(authority) => {
            let scheme = if aim.url.scheme().is_secure() { Scheme::HTTPS } else { Scheme::HTTP };
            let mut parts = Parts::default();
            (parts.scheme, parts.authority) = (Some(scheme), Some(authority));
            parts.path_and_query = Some(path);
            *request.uri_mut() = Uri::from_parts(parts).map_err(|_| "its target")?;
        }
        // Whoever has none to name says what the client said.
        Err(_) => {
            let host = HeaderValue::from_bytes(authority).map_err(|_| "its Host")?;
            request.headers_mut().insert(HOST, host);
            *request.uri_mut() = Uri::from(path);
            *request.version_mut() = Version::HTTP_11;
        }
    }
    Ok((request, size))
}

/// A field as a line of HTTP/1.1, in parts.
pub(super) fn line<'a>(name: &'a HeaderName, value: &'a HeaderValue) -> [&'a [u8]; 4] {
    [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]
}

/// How long an answer's content is to be, where it says so.
pub(super) fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Fields that follow the content; those that cannot be said are left out.
pub(super) fn trailers<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for (name, value) in fields {
        let _ = append(&mut trailers, name, Bytes::copy_from_slice(value));
    }
    trailers
}

/// How many bytes fields have.
pub(super) fn size_of(fields: &HeaderMap) -> u64 {
    let size = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().len() as u64).saturating_add(value.len() as u64)
    };
    fields.iter().map(size).sum()
}

fn append(fields: &mut HeaderMap, name: &[u8], value: Bytes) -> Result<(), Unsayable> {
    let name = HeaderName::from_bytes(name).map_err(|_| "the name of a field")?;
    let value = HeaderValue::from_maybe_shared(value).map_err(|_| "the value of a field")?;
    fields.try_append(name, value).map(drop).map_err(|_| "so many fields")
}

fn path_and_query(path: Vec<u8>) -> Result<PathAndQuery, Unsayable> {
    // What follows a `#` would be left out.
    let escaped = || PathAndQuery::from_maybe_shared(Bytes::from(escape(&path)));
    let parsed = match path.contains(&b'#') {
        true => escaped(),
        false => PathAndQuery::try_from(path.as_slice()).or_else(|_| escaped()),
    };
    parsed.map_err(|_| "its target")
}

/// Bytes that no URI has, as `%XX`.
fn escape(path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {}
            0x21..=0x7e => {
                escaped.push(byte);
                continue;
            }
            _ => {}
        }
        escaped.extend_from_slice(format!("%{byte:02X}").as_bytes());
    }
    escaped
}
