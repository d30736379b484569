//! Answers that are made, and so known: the parser finds the very byte where each ends.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mod_copy::forward::fuzzing::Answer;
use mod_copy::outcome::StatusClass;

#[derive(Arbitrary, Debug)]
struct Made {
    interim: u8,
    status: u8,
    http10: bool,
    to_head: bool,
    close: Option<bool>,
    extra: Vec<u8>,
    content: Content,
    after: Vec<u8>,
    pieces: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Content {
    None,
    Length(Vec<u8>),
    /// Content, size of each chunk with its line's extension, and trailers.
    Chunked(Vec<(Vec<u8>, bool)>, u8),
    UntilClose(Vec<u8>),
}

const STATUSES: [(u16, StatusClass); 8] = [
    (200, StatusClass::Successful),
    (299, StatusClass::Successful),
    (204, StatusClass::Successful),
    (304, StatusClass::Redirection),
    (301, StatusClass::Redirection),
    (404, StatusClass::ClientError),
    (500, StatusClass::ServerError),
    (599, StatusClass::ServerError),
];

fuzz_target!(|made: Made| {
    let (status, class) = STATUSES[usize::from(made.status) % STATUSES.len()];
    let empty = made.to_head || matches!(status, 204 | 304);
    let mut bytes = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(usize::from(made.interim % 17));
    let version = if made.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    bytes.extend(format!("{version} {status} Whatever\r\n").bytes());
    match made.close {
        Some(true) => bytes.extend(b"connection: X-Hop , CLOSE\r\n"),
        Some(false) => bytes.extend(b"Connection:keep-alive\r\n"),
        None => {}
    }
    let value = made.extra.iter().filter(|byte| **byte > b' ' && **byte != 0x7f);
    bytes.extend(b"X-Extra: ".iter().chain(value).copied().chain(*b"\r\n"));
    let mut content = Vec::new();
    let (mut coded, mut at_close) = (false, false);
    match &made.content {
        Content::None => bytes.extend(b"Content-Length: 0\r\n"),
        Content::Length(some) => {
            bytes.extend(format!("Content-Length: {}\r\n", some.len()).bytes());
            content.extend(some);
        }
        Content::Chunked(chunks, trailers) => {
            coded = true;
            bytes.extend(b"Transfer-Encoding: chunked\r\n");
            for (chunk, extended) in chunks.iter().filter(|(chunk, _)| !chunk.is_empty()) {
                let extension = if *extended { ";name=\"value\"" } else { "" };
                content.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
                content.extend(chunk);
                content.extend(b"\r\n");
            }
            content.extend(b"00\r\n");
            content.extend(b"Trailer: x\r\n".repeat(usize::from(trailers % 4)));
            content.extend(b"\r\n");
        }
        Content::UntilClose(some) => {
            at_close = !empty;
            content.extend(some);
        }
    }
    bytes.extend(b"\r\n");
    if !empty {
        bytes.extend(content);
    }
    let length = bytes.len();
    bytes.extend(&made.after);

    let mut answer = Answer::to(if made.to_head { b"HEAD" } else { b"POST" });
    let (mut used, mut sizes) = (0, made.pieces.iter().cycle());
    while used < bytes.len() && !answer.is_complete() {
        let size = sizes.next().map_or(bytes.len(), |size| usize::from(*size) + 1);
        let piece = &bytes[used..bytes.len().min(used + size)];
        used += answer.feed(piece).expect("a well-formed answer");
    }
    assert_eq!(answer.class(), Some(class));
    assert_eq!((answer.is_complete(), answer.ends_at_close()), (!at_close, at_close));
    assert_eq!(used, if at_close { bytes.len() } else { length });
    let said = made.close == Some(true) || (made.http10 && made.close.is_none());
    assert_eq!(answer.is_persistent(), !said && !at_close && !(coded && made.http10));
});
