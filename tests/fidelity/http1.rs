//! HTTP/1 as clients write it: a row's request as bytes, and bytes read back as the requests in them.

use super::row::{Request, Version};

/// The request's bytes; content without a length goes in chunks of odd sizes.
pub fn bytes(request: &Request, version: Version) -> Vec<u8> {
    let version: &[u8] = match version {
        Version::Http10 => b" HTTP/1.0\r\n",
        Version::Http11 => b" HTTP/1.1\r\n",
    };
    let mut bytes = [&request.method, &b" "[..], &request.target, version].concat();
    for (name, value) in &request.fields {
        bytes.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
    }
    let content = request.content.as_deref().unwrap_or_default();
    if request.content.is_none() || request.field("Content-Length").is_some() {
        bytes.extend([b"\r\n", content].concat());
    } else {
        bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        bytes.extend(chunked(content));
    }
    bytes
}

/// Content in chunks of 1, 2, 4, 8 … bytes less one after the first, so that none ends where a buffer does.
pub fn chunked(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut rest, mut size) = (content, 1);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend([chunk, b"\r\n"].concat());
        (rest, size) = (after, size * 2 + 1);
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Every request in these bytes, as a reader of RFC 9112 finds them: whitespace around values is no part of
/// them, folded lines are one, the transfer coding is taken off.
pub fn parse_all(mut bytes: &[u8]) -> Vec<Request> {
    let mut requests = Vec::new();
    while !bytes.is_empty() {
        let (request, rest) = parse(bytes);
        requests.push(request);
        bytes = rest;
    }
    requests
}

fn parse(bytes: &[u8]) -> (Request, &[u8]) {
    let (line, mut rest) = line(bytes);
    let method_end = line.iter().position(|&byte| byte == b' ').expect("a method");
    let target_end = line.iter().rposition(|&byte| byte == b' ').expect("a version");
    let mut request = Request {
        method: line[..method_end].to_vec(),
        target: line[method_end + 1..target_end].to_vec(),
        fields: Vec::new(),
        content: None,
    };
    loop {
        let (line, after) = self::line(rest);
        rest = after;
        match line {
            [] => break,
            [b' ' | b'\t', ..] => {
                let (_, value) = request.fields.last_mut().expect("a line to go on with");
                *value = [value.as_slice(), b" ", line.trim_ascii()].concat();
            }
            _ => {
                let colon = line.iter().position(|&byte| byte == b':').expect("a field's name");
                let value = line[colon + 1..].trim_ascii().to_vec();
                request.fields.push((line[..colon].to_vec(), value));
            }
        }
    }
    if request.field("Transfer-Encoding").is_some() {
        let (content, after) = dechunked(rest);
        (request.content, rest) = (Some(content), after);
    } else if let Some(length) = request.field("Content-Length") {
        let length = String::from_utf8_lossy(length).parse().expect("a length");
        let (content, after) = rest.split_at(length);
        (request.content, rest) = (Some(content.to_vec()), after);
    }
    (request, rest)
}

fn dechunked(mut bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut content = Vec::new();
    loop {
        let (size, rest) = line(bytes);
        let digits = size.split(|&byte| byte == b';').next().unwrap_or_default();
        let size =
            usize::from_str_radix(String::from_utf8_lossy(digits).trim(), 16).expect("a size");
        if size == 0 {
            bytes = rest;
            break;
        }
        content.extend_from_slice(&rest[..size]);
        bytes = &rest[size + 2..];
    }
    loop {
        let (trailer, rest) = line(bytes);
        bytes = rest;
        if trailer.is_empty() {
            return (content, bytes);
        }
    }
}

fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("the end of a line");
    (&bytes[..end], &bytes[end + 2..])
}
