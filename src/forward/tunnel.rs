//! The way through a proxy to staging, opened before anything else goes over a connection.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, Timeout};

use crate::outcome::Failure;
use crate::target::{Proxy, ProxyKind, Scheme, Url, User};

use super::tcp::TcpTransport;

/// The most bytes of a proxy's answer to `CONNECT`.
const HEAD_LIMIT: usize = 8 * 1024;

/// The way through a proxy to one server.
#[derive(Clone, Debug)]
pub(super) struct Tunnel {
    proxy: Arc<Proxy>,
    opening: Opening,
    host: String,
    port: u16,
    /// The host and port, as `CONNECT` names them.
    authority: String,
}

/// What is to be said to a proxy before it passes anything on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// Nothing: each request tells it where it goes.
    None,
    Connect,
    Socks5,
}

impl Tunnel {
    pub(super) fn through(proxy: Arc<Proxy>, url: &Url) -> Tunnel {
        let opening = match (proxy.kind(), url.scheme()) {
            (ProxyKind::Socks5, _) => Opening::Socks5,
            (ProxyKind::Http, Scheme::Http) => Opening::None,
            (ProxyKind::Http, _) => Opening::Connect,
        };
        let (host, port) = (url.host().to_owned(), url.port());
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Tunnel { proxy, opening, host, port, authority }
    }

    /// Has the proxy connect to staging, within `patience`.
    pub(super) fn open(&self, socket: &mut TcpTransport, patience: Duration) -> Result<(), Error> {
        let talk = &mut Talk { socket, since: Instant::now(), patience };
        let opened = match self.opening {
            Opening::None => Ok(()),
            Opening::Connect => self.connect(talk),
            Opening::Socks5 => self.socks5(talk),
        };
        opened.map_err(|error| self.fault(error))
    }

    /// The error as one of the proxy's, unless the proxy told of staging.
    pub(super) fn fault(&self, error: impl Into<Error>) -> Error {
        let (kind, refused) = match error.into() {
            Error::Io(error) => match error.downcast::<Refused>() {
                Ok(refused) => (ErrorKind::Other, refused),
                Err(error) => (error.kind(), Refused(Failure::Proxy, error.to_string())),
            },
            Error::Timeout(_) => {
                (ErrorKind::TimedOut, Refused(Failure::Proxy, "not done in time".to_owned()))
            }
            error => (ErrorKind::Other, Refused(Failure::Proxy, error.to_string())),
        };
        let Refused(failure, what) = refused;
        let what = format!("the proxy {}: {what}", self.proxy);
        Error::Io(io::Error::new(kind, Refused(failure, what)))
    }

    /// `CONNECT` (RFC 9110 section 9.3.6).
    fn connect(&self, talk: &mut Talk<'_>) -> io::Result<()> {
        let (authority, authorization) = (&self.authority, self.proxy.authorization());
        let request =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n");
        talk.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        // What follows the head is staging's, who may be the first to speak.
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            talk.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
            if head.len() > HEAD_LIMIT {
                return Err(said("its answer is too long"));
            }
        }
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut fields);
        let _ = answer.parse(&head);
        match answer.code {
            Some(200..=299) => Ok(()),
            Some(status @ 502..=504) => Err(refused(
                Failure::Connect,
                format!("it answered {status}: it does not reach staging"),
            )),
            Some(status) => Err(said(format!("it answered {status}"))),
            None => Err(said("what it answered is not HTTP/1.1")),
        }
    }

    /// RFC 1928, and RFC 1929 where there is a user. A name is the proxy's to resolve.
    fn socks5(&self, talk: &mut Talk<'_>) -> io::Result<()> {
        const NO_AUTHENTICATION: u8 = 0;
        const PASSWORD: u8 = 2;
        let offered: &[u8] = match self.proxy.user() {
            None => &[5, 1, NO_AUTHENTICATION],
            Some(_) => &[5, 2, NO_AUTHENTICATION, PASSWORD],
        };
        talk.write_all(offered)?;
        match (talk.reply()?, self.proxy.user()) {
            ([5, NO_AUTHENTICATION], _) => {}
            ([5, PASSWORD], Some(user)) => authenticate(talk, user)?,
            ([5, 0xff], _) => return Err(said("it asks for another authentication")),
            _ => return Err(said(NOT_SOCKS5)),
        }
        talk.write_all(&[&[5, 1, 0][..], &self.address()?, &self.port.to_be_bytes()].concat())?;
        let [version, reply] = talk.reply()?;
        if version != 5 {
            return Err(said(NOT_SOCKS5));
        }
        if let Some((failure, why)) = denied(reply) {
            return Err(refused(failure, why));
        }
        // Where it connects from, which nobody needs.
        let [_, kind] = talk.reply()?;
        let length = match kind {
            1 => 4,
            4 => 16,
            3 => {
                let mut length = [0];
                talk.read_exact(&mut length)?;
                let [length] = length;
                usize::from(length)
            }
            _ => return Err(said(NOT_SOCKS5)),
        };
        let mut rest = vec![0; length.saturating_add(2)];
        talk.read_exact(&mut rest)
    }

    /// Staging's address, as SOCKS writes it.
    fn address(&self) -> io::Result<Vec<u8>> {
        Ok(match self.host.parse() {
            Ok(IpAddr::V4(address)) => [&[1][..], &address.octets()].concat(),
            Ok(IpAddr::V6(address)) => [&[4][..], &address.octets()].concat(),
            Err(_) => {
                let length = u8::try_from(self.host.len());
                let length = length.map_err(|_| said("staging's name is too long for it"))?;
                [&[3, length][..], self.host.as_bytes()].concat()
            }
        })
    }
}

const NOT_SOCKS5: &str = "what it answered is not SOCKS 5";

fn authenticate(talk: &mut Talk<'_>, User { name, password }: &User) -> io::Result<()> {
    // Both were checked to be that short.
    let length = |word: &[u8]| u8::try_from(word.len()).unwrap_or(u8::MAX);
    let (first, second) = ([1, length(name)], [length(password)]);
    talk.write_all(&[&first[..], name, &second, password].concat())?;
    match talk.reply()? {
        [_, 0] => Ok(()),
        _ => Err(said("it refused the user or the password")),
    }
}

/// Why a proxy did not connect, by its reply.
fn denied(reply: u8) -> Option<(Failure, &'static str)> {
    Some(match reply {
        0 => return None,
        2 => (Failure::Proxy, "its rules do not allow it"),
        3 => (Failure::Connect, "it does not reach staging's network"),
        4 => (Failure::Connect, "it does not reach staging's host"),
        5 => (Failure::Refused, "staging refused its connection"),
        6 => (Failure::Connect, "staging is too far away from it"),
        _ => (Failure::Proxy, "it failed"),
    })
}

/// Why a proxy brings nobody to staging: what is counted, and what is told.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Failure, pub(super) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl StdError for Refused {}

fn refused(failure: Failure, what: impl Into<String>) -> io::Error {
    io::Error::other(Refused(failure, what.into()))
}

fn said(what: impl Into<String>) -> io::Error {
    refused(Failure::Proxy, what)
}

/// Words with a proxy, which have to come to an end in time.
struct Talk<'a> {
    socket: &'a mut TcpTransport,
    since: Instant,
    patience: Duration,
}

impl Talk<'_> {
    fn reply(&mut self) -> io::Result<[u8; 2]> {
        let mut reply = [0; 2];
        self.read_exact(&mut reply).map(|()| reply)
    }

    fn timeout(&self) -> io::Result<NextTimeout> {
        let left = self.patience.checked_sub(self.since.elapsed()).filter(|left| !left.is_zero());
        let left = left.ok_or_else(not_in_time)?;
        Ok(NextTimeout { after: left.into(), reason: Timeout::Connect, ..NextTimeout::default() })
    }
}

impl Read for Talk<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.timeout()?;
        let read = self.socket.read_into(buffer, timeout).map_err(plain)?;
        match read {
            0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
            read => Ok(read),
        }
    }
}

impl Write for Talk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let timeout = self.timeout()?;
        self.socket.send(&[IoSlice::new(bytes)], timeout).map_err(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn plain(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Timeout(_) => not_in_time(),
        error => io::Error::other(error),
    }
}

fn not_in_time() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "not done in time")
}

#[cfg(test)]
mod tests;
