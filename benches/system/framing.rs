//! One end of a connection that never waits, for HTTP/1.1 messages with a Content-Length, or without content.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::{RecvFlags, recv};

/// The most of a message's content that is thrown away at once.
const SKIP: usize = 1 << 20;

/// What a look at the connection found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No end of a message.
    Nothing,
    /// The end of a message, which is taken.
    Message,
    /// The peer has closed.
    End,
}

/// Content is never looked at: the kernel throws it away, so that who serves large ones has little to do.
pub struct Connection {
    stream: TcpStream,
    /// The message at hand, as far as it is there and fits: its head at least.
    buffer: Vec<u8>,
    filled: usize,
    /// How much of its content is still to come.
    rest: Option<usize>,
    /// What is being sent, and how much of it is gone.
    sending: Option<(Arc<[u8]>, usize)>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Connection {
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        Connection { stream, buffer: vec![0; 4096], filled: 0, rest: None, sending: None }
    }

    /// Begins to send a message, the one before it being gone; `false` where the peer has closed.
    pub fn send(&mut self, message: &Arc<[u8]>) -> bool {
        assert!(self.sending.is_none(), "one message at a time");
        self.sending = Some((Arc::clone(message), 0));
        self.go_on()
    }

    /// Sends what the system has room for; `false` where the peer has closed.
    pub fn go_on(&mut self) -> bool {
        while let Some((message, gone)) = &mut self.sending {
            match self.stream.write(&message[*gone..]) {
                Ok(written) => *gone += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
            if *gone == message.len() {
                self.sending = None;
            }
        }
        true
    }

    /// Takes what has arrived, up to the end of a message.
    pub fn look(&mut self) -> Found {
        loop {
            let (asked, read) = match self.rest {
                None => {
                    let room = &mut self.buffer[self.filled..];
                    (room.len(), self.stream.read(room).map_err(|error| error.kind()))
                }
                Some(rest) => {
                    let asked = rest.min(SKIP);
                    (asked, skip(&self.stream, asked))
                }
            };
            let read = match read {
                Err(ErrorKind::WouldBlock) => return Found::Nothing,
                Ok(0) | Err(_) => return Found::End,
                Ok(read) => read,
            };
            if self.take(read) {
                return Found::Message;
            } else if read < asked {
                return Found::Nothing;
            }
        }
    }

    /// So many bytes more have arrived; whether they end the message.
    fn take(&mut self, read: usize) -> bool {
        let rest = match self.rest {
            Some(rest) => rest - read,
            None => {
                self.filled += read;
                let Some(length) = length(&self.buffer[..self.filled]) else {
                    assert!(self.filled < self.buffer.len(), "a head of 4 KiB");
                    return false;
                };
                assert!(self.filled <= length, "more than one message at a time");
                length - self.filled
            }
        };
        self.rest = (rest > 0).then_some(rest);
        if rest == 0 {
            self.filled = 0;
        }
        rest == 0
    }

    /// The beginning of the message that was taken last.
    pub fn last(&self) -> &[u8] {
        &self.buffer
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Throws away so many bytes at most, where so many have arrived.
fn skip(stream: &TcpStream, most: usize) -> Result<usize, ErrorKind> {
    // With this flag the kernel asks for the size of the place alone: no memory is touched.
    let mut place = Vec::with_capacity(most);
    let skipped = recv(stream, rustix::buffer::spare_capacity(&mut place), RecvFlags::TRUNC);
    skipped.map(|(_, skipped)| skipped).map_err(|error| error.kind())
}

/// The length of the message that `bytes` begin with, once its head is whole.
pub fn length(bytes: &[u8]) -> Option<usize> {
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
