//! A connection that HTTP/1.1 upgraded to HTTP/2, frame by frame: the `h2` crate cannot take one over.

use crate::client::Client;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PRIORITY: u8 = 0x20;

/// The connection, from the 101 on.
struct Upgraded {
    client: Client,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: usize,
    payload: Vec<u8>,
}

/// Sends a request that asks for `h2c`, which must be granted, and GETs of these paths; the responses'
/// contents.
///
/// All at once, for httpd 2.4.71 ends an upgraded connection as soon as it has nothing to do.
pub fn upgrade(mut client: Client, request: &str, paths: &[&str]) -> Vec<String> {
    let mut bytes = [request.as_bytes(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].concat();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for (path, stream) in paths.iter().zip((3..).step_by(2)) {
        let pseudo = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "www.example.com"),
            (":path", path),
        ];
        // Before the first stream, whose weight is 16: no dependency, weight 256.
        let mut block = vec![0, 0, 0, 0, 255];
        block.extend(pseudo.iter().flat_map(|(name, value)| literal(name, value)));
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS | PRIORITY, stream, &block));
    }
    client.send(bytes);
    let response = client.any_response();
    assert_eq!(response.status, 101, "{}", response.comparable());
    Upgraded { client }.responses(1 + paths.len())
}

impl Upgraded {
    /// The contents of the responses on the first streams.
    fn responses(&mut self, count: usize) -> Vec<String> {
        let mut contents = vec![Vec::new(); count];
        let mut open = count;
        while open > 0 {
            let received = self.frame();
            if received.kind == SETTINGS && received.flags & ACK == 0 {
                self.client.send(frame(SETTINGS, ACK, 0, &[]));
            }
            if matches!(received.kind, DATA | HEADERS) {
                open -= usize::from(received.flags & END_STREAM);
            }
            if received.kind == DATA {
                contents[received.stream / 2].extend_from_slice(&received.payload);
            }
        }
        contents.into_iter().map(|content| String::from_utf8(content).unwrap()).collect()
    }

    fn frame(&mut self) -> Frame {
        let head = self.client.bytes(9);
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = usize::from(head[7]) << 8 | usize::from(head[8]);
        Frame { kind: head[3], flags: head[4], stream, payload: self.client.bytes(length) }
    }
}

/// RFC 9113 section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that neither side keeps in its table (RFC 7541 section 6.2.2), of less than 127 bytes each part.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let [name_length, value_length] = [name, value].map(|text| u8::try_from(text.len()).unwrap());
    assert!(name_length < 127 && value_length < 127);
    [&[0, name_length], name.as_bytes(), &[value_length], value.as_bytes()].concat()
}
