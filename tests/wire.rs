//! HTTP/1.1 on a raw socket, byte for byte: reading heads and framed contents.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use socket2::SockRef;

/// A connection, with what was read of it and not used yet.
pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    /// Lets no more than so many bytes wait to be sent.
    pub fn narrow(&self, bytes: usize) {
        SockRef::from(&self.stream).set_send_buffer_size(bytes).unwrap();
    }

    pub fn new(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).unwrap();
        Wire { stream, unread: Vec::new() }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Waits for bytes; whether any came before the peer closed.
    pub fn has_more(&mut self) -> io::Result<bool> {
        Ok(!self.unread.is_empty() || self.fill()? > 0)
    }

    /// The next head, its empty line included; `None` where the peer closed before the first byte.
    pub fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                return Ok(Some(self.unread.drain(..end + 4).collect()));
            }
            match (self.fill()?, self.unread.is_empty()) {
                (0, true) => return Ok(None),
                (0, false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    /// The content that follows a head with these fields; `to_end` where no framing means until close.
    pub fn content(&mut self, head: &[u8], to_end: bool) -> io::Result<Vec<u8>> {
        if field(head, "Transfer-Encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            self.chunked()
        } else if let Some(length) = field(head, "Content-Length") {
            self.exactly(length.parse().map_err(io::Error::other)?)
        } else if to_end {
            while self.fill()? > 0 {}
            Ok(std::mem::take(&mut self.unread))
        } else {
            Ok(Vec::new())
        }
    }

    /// The next bytes, so many of them.
    pub fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        // At once: byte by byte 100 MB take tests that are not optimised many seconds on a busy machine.
        let rest = self.unread.split_off(length);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    fn chunked(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            match usize::from_str_radix(size, 16).map_err(io::Error::other)? {
                0 => break,
                size => content.extend(self.exactly(size)?),
            }
            self.line()?;
        }
        while !self.line()?.is_empty() {}
        Ok(content)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end + 2);
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 65536];
        let read = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// Where `needle` begins in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The value of the first field of this name, letter case aside.
pub fn field(head: &[u8], name: &str) -> Option<String> {
    String::from_utf8_lossy(head).split("\r\n").skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
