//! A server that speaks HTTP/2 a frame at a time, and so can say what no library would.

use std::io::{Read, Write};
use std::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;

pub(super) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame that came.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// Greets who has connected, with settings of its own.
pub(super) fn greet(stream: &mut TcpStream, settings: &[u8]) -> Option<()> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).ok()?;
    assert_eq!(preface, PREFACE);
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).ok()
}

/// The next frame; settings are agreed to.
pub(super) fn next(stream: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let [a, b, c, kind, flags, id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).ok()?;
    if kind == SETTINGS && flags & ACK == 0 {
        stream.write_all(&frame(SETTINGS, ACK, 0, b"")).ok()?;
    }
    Some(Frame { kind, flags, stream: u32::from_be_bytes(id), payload })
}

/// The stream of the next request that begins.
pub(super) fn request(stream: &mut TcpStream) -> Option<u32> {
    loop {
        let frame = next(stream)?;
        if frame.kind == HEADERS {
            return Some(frame.stream);
        }
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:status: 200`, and no content.
pub(super) fn ok(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x88])
}

/// `:status: 200`, with content to follow.
pub(super) fn begun(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[0x88])
}

/// `:status: 103`, an interim answer.
pub(super) fn early_hints(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[0x08, 3, b'1', b'0', b'3'])
}

pub(super) fn reset(stream: u32, reason: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &reason.to_be_bytes())
}

pub(super) fn go_away(last: u32, reason: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat())
}
