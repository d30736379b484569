//! A HTTP/2 request as mod_http2 presents it to every other module: in the form of HTTP/1.1.

use crate::fidelity::row;
use crate::h2::Request;

/// What httpd knows of the request.
///
/// Pseudo-fields become the request line and, after the other fields, `Host` (one that was received
/// beside them stays where it was). The names, which HTTP/2 sends in small letters, are spelt with
/// capitals. `Cookie` fields are joined by "; ", those of other names by ", ". Where the length of
/// the content is not told, mod_http2 makes up a `Transfer-Encoding`; where there is a type and no
/// content, a length.
pub fn presented(request: &Request) -> row::Request {
    let mut known = row::Request {
        method: request.method.clone().into(),
        target: request.target.clone().into(),
        fields: Vec::new(),
        content: request.content.clone(),
    };
    for (name, value) in &request.fields {
        let name = capitalised(name);
        let separator: &[u8] = if name == b"Cookie" { b"; " } else { b", " };
        match known.fields.iter_mut().find(|(other, _)| *other == name) {
            Some((_, joined)) => *joined = [joined.as_slice(), separator, value].concat(),
            None => known.fields.push((name, value.clone())),
        }
    }
    if known.field("Host").is_none() {
        known = known.with("Host", "www.example.com");
    }
    let is_sized = known.field("Content-Length").is_some();
    if request.content.is_none() && !is_sized && known.field("Content-Type").is_some() {
        known = known.with("Content-Length", "0");
    }
    known
}

/// `x-one` as `X-One`: a capital at the start, and after a hyphen that no hyphen precedes.
fn capitalised(name: &str) -> Vec<u8> {
    let mut at_start = true;
    let capitalise = |byte: u8| {
        let capital = if at_start { byte.to_ascii_uppercase() } else { byte };
        at_start = !at_start && byte == b'-';
        capital
    };
    name.bytes().map(capitalise).collect()
}
