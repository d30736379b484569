//! TLS over a socket: the connector and the transport that follow the socket's in ureq's chain.
//!
//! ureq's own knows no server name but the URL's, and writes all or nothing, which takes a thread for
//! each copy under way.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, Transport, time,
};

use crate::tls::Tls;

use super::exchange::AT_ONCE;
use super::room::Room;
use super::tcp::TcpTransport;

/// The most reads of what staging sends over an idle connection.
const WORDS: usize = 16;

/// Makes TLS connections of TCP connections.
#[derive(Debug)]
pub(super) struct TlsConnector(Tls);

impl TlsConnector {
    pub(super) fn new(tls: Tls) -> TlsConnector {
        TlsConnector(tls)
    }
}

impl Connector<TcpTransport> for TlsConnector {
    type Out = TlsTransport;

    /// Greets staging, within what is left of the time to connect.
    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<TcpTransport>,
    ) -> Result<Option<TlsTransport>, Error> {
        let Some(tcp) = chained else { return Ok(None) };
        let Tls { config, name } = &self.0;
        let tls = ClientConnection::new(Arc::clone(config), name.clone());
        let tls = tls.map_err(|error| broken(&error))?;
        let mut transport = TlsTransport { tls, tcp, room: Room::default() };
        match transport.greet(details) {
            Ok(()) => Ok(Some(transport)),
            Err(error) => Err(transport.ungreeted(error)),
        }
    }
}

/// What is left of the time to connect, which the socket has had its part of.
fn left(details: &ConnectionDetails<'_>) -> Result<NextTimeout, Error> {
    let timeout = details.timeout;
    let spent = match details.now {
        time::Instant::Exact(begun) => begun.elapsed(),
        _ => Duration::ZERO,
    };
    match timeout.after.checked_sub(spent).filter(|left| *left > AT_ONCE) {
        Some(left) => Ok(NextTimeout { after: left.into(), ..timeout }),
        None => Err(Error::Timeout(timeout.reason)),
    }
}

/// What is left of a time to wait that began then: a wait after another has no more than that, and at last none.
fn rest(timeout: NextTimeout, begun: Instant) -> NextTimeout {
    let left = timeout.after.saturating_sub(begun.elapsed());
    NextTimeout { after: left.max(AT_ONCE).into(), ..timeout }
}

/// A TLS connection. A timeout of [`AT_ONCE`] asks it not to wait.
///
/// **What its socket shows is what it has**: all that was received is decrypted and moved to the input at
/// once, so nothing readable is left that a poll of the socket would not tell of; and what is encrypted
/// and not yet sent is what [`transmit_output`](Transport::transmit_output) asks to be called again for.
pub(super) struct TlsTransport {
    tls: ClientConnection,
    tcp: TcpTransport,
    room: Room,
}

impl TlsTransport {
    fn greet(&mut self, details: &ConnectionDetails<'_>) -> Result<(), Error> {
        while self.tls.is_handshaking() {
            self.flush(left(details)?)?;
            if self.tls.is_handshaking() && !self.receive(left(details)?)? {
                return Err(Error::Io(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "closed by staging",
                )));
            }
        }
        self.flush(left(details)?)
    }

    /// An error of the handshake, told as one of the connection is: with staging's address. What TLS itself
    /// complains of is left as it is.
    fn ungreeted(&self, error: Error) -> Error {
        let (kind, what) = match error {
            Error::Timeout(_) => (ErrorKind::TimedOut, "not done in time".to_owned()),
            Error::Io(error)
                if error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()) =>
            {
                (error.kind(), error.to_string())
            }
            error => return error,
        };
        let address = self.tcp.peer();
        Error::Io(io::Error::new(kind, format!("{address}: the handshake of TLS: {what}")))
    }

    /// Sends what is encrypted, in as many parts as staging takes it in.
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let begun = Instant::now();
        while self.tls.wants_write() {
            let rest = rest(timeout, begun);
            self.tls.write_tls(&mut Via(&mut self.tcp, rest)).map_err(unwrapped)?;
        }
        Ok(())
    }

    /// Waits for something from staging, be it for the layer of TLS alone; `false` where there is none
    /// to come.
    fn receive(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let received = self.tls.read_tls(&mut Via(&mut self.tcp, timeout)).map_err(unwrapped)?;
        if let Err(error) = self.tls.process_new_packets() {
            // Staging may be told why, if that takes no wait.
            let _ = self.flush(NextTimeout { after: AT_ONCE.into(), ..timeout });
            return Err(broken(&error));
        }
        Ok(received > 0)
    }

    /// Moves what is decrypted to the input; whether there was any, or the end was reached.
    fn take_decrypted(&mut self) -> Result<Option<bool>, Error> {
        let mut taken = None;
        loop {
            match self.tls.reader().read(self.room.input_append_buf()) {
                Ok(0) => return Ok(taken.or(Some(false))),
                // Many close without a word of TLS: what was sent tells whether it is whole.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(taken.or(Some(false)));
                }
                Ok(read) => {
                    self.room.input_appended(read);
                    taken = Some(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(taken),
                Err(_) if taken.is_some() => return Ok(taken),
                Err(error) => return Err(Error::Io(error)),
            }
        }
    }

    /// Takes what staging has sent of its own accord; whether that was of TLS alone.
    fn is_quiet(&mut self) -> Result<bool, Error> {
        let timeout = NextTimeout {
            after: AT_ONCE.into(),
            reason: ureq::Timeout::Global,
            ..NextTimeout::default()
        };
        // Who has so much to say for TLS alone is not waited for.
        for _ in 0..WORDS {
            match self.receive(timeout) {
                Err(Error::Timeout(_)) => return self.flush(timeout).map(|()| true),
                Ok(true) if self.take_decrypted()?.is_none() => {}
                Ok(_) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.room
    }

    /// Where it may not wait, it takes the output in any case, and an error of [`Error::Timeout`] asks
    /// to be called again, with nothing more, until the socket has taken it.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.tls.writer().write_all(self.room.output_at(0..amount))?;
        self.flush(timeout)
    }

    /// Waits once: what comes may be a part of a record, or TLS's own, and then there is no input yet.
    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if let Some(open) = self.take_decrypted()? {
            return Ok(open);
        }
        // What TLS itself has to answer, as a change of keys.
        let begun = Instant::now();
        self.flush(timeout)?;
        self.receive(rest(timeout, begun))?;
        Ok(self.take_decrypted()?.unwrap_or(true))
    }

    /// Whether staging has kept the connection open, and sent nothing that nobody asked for, but what
    /// TLS has to say for itself, as tickets.
    fn is_open(&mut self) -> bool {
        self.is_quiet().unwrap_or(false)
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

/// The socket, as rustls uses one.
struct Via<'a>(&'a mut TcpTransport, NextTimeout);

impl Read for Via<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_into(buffer, self.1).map_err(wrapped)
    }
}

impl Write for Via<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.send(parts, self.1).map_err(wrapped)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wrapped(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

fn unwrapped(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Io(error),
    }
}

fn broken(error: &rustls::Error) -> Error {
    Error::Io(io::Error::new(ErrorKind::InvalidData, error.clone()))
}

#[cfg(test)]
mod tests;
