//! One end of a connection that never waits, for HTTP/1.1 messages with a Content-Length, or without content.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// What a look at the connection found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// A whole message, which is taken.
    Message,
    /// The peer has closed.
    End,
}

pub struct Connection {
    stream: TcpStream,
    buffer: [u8; 8192],
    filled: usize,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Connection {
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        Connection { stream, buffer: [0; 8192], filled: 0 }
    }

    /// Sends a message that the system has room for.
    pub fn send(&mut self, message: &[u8]) -> bool {
        self.stream.write_all(message).is_ok()
    }

    /// Takes what has arrived, and a message if that completes one.
    pub fn look(&mut self) -> Found {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Found::Nothing,
            Ok(0) | Err(_) => return Found::End,
            Ok(read) => self.filled += read,
        }
        match length(&self.buffer[..self.filled]) {
            Some(length) if length <= self.filled => {
                self.buffer.copy_within(length..self.filled, 0);
                self.filled -= length;
                Found::Message
            }
            _ => Found::Nothing,
        }
    }

    /// What arrived last, where it was no more than one message.
    pub fn last(&self) -> &[u8] {
        &self.buffer
    }
}

/// The length of the message that `bytes` begin with, once its head is whole.
fn length(bytes: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut content = 0;
    let mut at = 0;
    loop {
        let end = at + bytes[at..].iter().position(|byte| *byte == b'\n')?;
        let line = bytes[at..end].trim_ascii_end();
        at = end + 1;
        if line.is_empty() {
            return Some(at + content);
        }
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            let digits = str::from_utf8(&line[NAME.len()..]).unwrap();
            content = digits.trim().parse().unwrap();
        }
    }
}
