//! The model: the bytes of a true copy, written from the documentation and not from the module's source.

use super::row::{Place, Request};

/// The bytes of the head that staging has to receive, the mark's secret written as `<mark>`.
pub fn staged_head(sent: &Request, place: &Place, staging: &str) -> Vec<u8> {
    let known = as_httpd_knows_it(sent);
    let fields = staged_fields(&known, place, staging);
    let mut head = known.method.clone();
    head.push(b' ');
    head.extend(staged_target(&known.target, place));
    head.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in fields {
        head.extend([name.as_slice(), b": ", &value, b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The request as any module finds it: what httpd itself makes different from what was sent.
pub fn as_httpd_knows_it(sent: &Request) -> Request {
    let mut known = Request { fields: Vec::new(), ..sent.clone() };
    for (name, value) in &sent.fields {
        let earlier = known.fields.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name));
        match earlier {
            // Fields of one name are one field, in the first one's place and spelling.
            Some((_, joined)) => *joined = [joined.as_slice(), b", ", value].concat(),
            None => known.fields.push((name.clone(), value.clone())),
        }
    }
    if known.field("Transfer-Encoding").is_some() {
        known.fields.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
    }
    if let Some(authority) = authority(&sent.target) {
        for (name, value) in &mut known.fields {
            if name.eq_ignore_ascii_case(b"host") {
                *value = authority.to_vec();
            }
        }
    }
    known
}

/// The authority of an absolute-form.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let rest = target.strip_prefix(b"http://").or_else(|| target.strip_prefix(b"https://"))?;
    Some(rest.split(|&byte| byte == b'/' || byte == b'?').next().unwrap_or_default())
}

fn staged_target(target: &[u8], place: &Place) -> Vec<u8> {
    if target == b"*" {
        return target.to_vec();
    }
    let origin_form = match authority(target) {
        None => target.to_vec(),
        Some(authority) => {
            let rest = &target[target.windows(3).position(|w| w == b"://").unwrap() + 3..];
            let rest = &rest[authority.len()..];
            let root = if rest.starts_with(b"/") { "" } else { "/" };
            [root.as_bytes(), rest].concat()
        }
    };
    if place.replace {
        let query = origin_form.iter().position(|&byte| byte == b'?');
        let query = query.map_or(&b""[..], |at| &origin_form[at..]);
        return [place.path.as_bytes(), query].concat();
    }
    [place.path.trim_end_matches('/').as_bytes(), &origin_form].concat()
}

/// Fields that belong to the client's connection, or to how the content was framed on it.
const OF_THE_CONNECTION: [&str; 10] = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "HTTP2-Settings",
    "Expect",
    "Content-Length",
];

fn staged_fields(known: &Request, place: &Place, staging: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let options: Vec<&[u8]> = known
        .field("Connection")
        .map(|value| value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).collect())
        .unwrap_or_default();
    let mut additions: Vec<(&str, Vec<u8>)> = Vec::new();
    if place.add_headers {
        additions.push(("X-Forwarded-For", b"127.0.0.1".to_vec()));
        if let Some(host) = known.field("Host") {
            additions.push(("X-Forwarded-Host", host.to_vec()));
        }
        additions.push(("X-Forwarded-Proto", place.scheme.into()));
    }
    additions.push(("X-Mod-Copy", b"<mark>".to_vec()));

    let mut staged: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    if known.field("Host").is_none() {
        staged.push((b"Host".to_vec(), staging.into()));
    }
    let length = known.content.as_ref().map(|content| content.len().to_string().into_bytes());
    let mut length_stands = false;
    for (name, value) in &known.fields {
        let is_named = options.iter().any(|option| option.eq_ignore_ascii_case(name));
        if is(name, "Content-Length") {
            staged.push((name.clone(), length.clone().unwrap_or_else(|| b"0".to_vec())));
            length_stands = true;
        } else if OF_THE_CONNECTION.iter().any(|other| is(name, other)) {
            // Stays behind.
        } else if is_named && !is(name, "Host") && !is(name, "X-Mod-Copy") {
            // Meant for production alone, as the client says. A mark cannot be hidden that way.
        } else if let Some(at) = additions.iter().position(|(other, _)| is(name, other)) {
            let (_, addition) = additions.remove(at);
            let separator: &[u8] = if value.is_empty() { b"" } else { b", " };
            staged.push((name.clone(), [value, separator, &addition].concat()));
        } else if is(name, "Host") && !place.preserve_host {
            staged.push((name.clone(), staging.into()));
        } else {
            staged.push((name.clone(), value.clone()));
        }
    }
    staged.extend(additions.into_iter().map(|(name, value)| (name.into(), value)));
    if let Some(length) = length.filter(|_| !length_stands) {
        staged.push((b"Content-Length".to_vec(), length));
    }
    staged
}

/// A received head with its mark's secret replaced by `<mark>`; the secret is given too.
pub fn without_secret(head: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    const SECRET: usize = 32;
    let mut rest = Vec::new();
    let mut secret = None;
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let named = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let value = line.strip_suffix(b"\r\n").unwrap_or(line);
        let found = value.len().checked_sub(SECRET).map(|at| value.split_at(at));
        match found {
            Some((before, mark))
                if named.eq_ignore_ascii_case(b"x-mod-copy")
                    && mark.iter().all(u8::is_ascii_hexdigit) =>
            {
                secret = Some(mark.to_vec());
                rest.extend([before, b"<mark>\r\n"].concat());
            }
            _ => rest.extend_from_slice(line),
        }
    }
    (rest, secret)
}
