//! Sockets: the connector and the transport at the head of ureq's chain.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::exchange::AT_ONCE;
use super::pace::{OnSlow, Patience, SLOW};
use super::room::Room;

/// The least time for one address: none at all is an error to the system.
const SHORTEST: Duration = Duration::from_millis(1);

/// The socket under a chain's last connection, whatever layers are over it: it is what can be polled.
#[derive(Clone, Debug, Default)]
pub(super) struct Base(Arc<Mutex<Option<Arc<TcpStream>>>>);

impl Base {
    fn set(&self, socket: Arc<TcpStream>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    /// The socket, once for each connection.
    pub(super) fn take(&self) -> Option<Arc<TcpStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Makes TCP connections.
#[derive(Debug)]
pub(super) struct TcpConnector {
    on_slow: OnSlow,
    base: Base,
    /// Whether the target's last connection took long to make.
    slow: Arc<AtomicBool>,
}

impl TcpConnector {
    /// `slow` is what the target's connectors share.
    pub(super) fn new(on_slow: OnSlow, base: Base, slow: Arc<AtomicBool>) -> TcpConnector {
        TcpConnector { on_slow, base, slow }
    }

    /// Connects within `patience`, and tells when that takes long.
    ///
    /// There is no safe way to go on waiting for a connection once a wait has ended, so the first
    /// that turns out slow is begun twice; where connections are known to be slow, it is told before.
    fn dial(&self, address: &SocketAddr, patience: Duration) -> io::Result<TcpStream> {
        if !self.slow.load(Ordering::Relaxed) {
            match TcpStream::connect_timeout(address, SLOW.min(patience)) {
                Err(error) if error.kind() == ErrorKind::TimedOut && patience > SLOW => {}
                made => return made,
            }
            self.slow.store(true, Ordering::Relaxed);
        }
        self.on_slow.tell();
        let started = Instant::now();
        let made = TcpStream::connect_timeout(address, patience);
        self.slow.store(started.elapsed() >= SLOW, Ordering::Relaxed);
        made
    }
}

impl Connector for TcpConnector {
    type Out = TcpTransport;

    /// Tries the addresses in turn; each gets an equal part of the time that is left. The error is
    /// the last one's, and begins with its address.
    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<TcpTransport>, Error> {
        let started = Instant::now();
        let whole = *details.timeout.after;
        let mut last = Error::HostNotFound;
        for (tried, address) in details.addrs.iter().enumerate() {
            let left = whole.saturating_sub(started.elapsed());
            let untried = details.addrs.len().saturating_sub(tried);
            let part = left / u32::try_from(untried).unwrap_or(u32::MAX).max(1);
            match self.dial(address, part.max(SHORTEST)).and_then(|stream| self.transport(stream)) {
                Ok(transport) => return Ok(Some(transport)),
                Err(error) => {
                    last = Error::Io(io::Error::new(error.kind(), format!("{address}: {error}")));
                }
            }
        }
        Err(last)
    }
}

impl TcpConnector {
    fn transport(&self, stream: TcpStream) -> io::Result<TcpTransport> {
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        self.base.set(Arc::clone(&stream));
        Ok(TcpTransport {
            stream,
            room: Room::default(),
            unsent: 0..0,
            read_timeout: None,
            write_timeout: None,
            on_slow: self.on_slow.clone(),
        })
    }
}

/// A TCP connection. A timeout of [`AT_ONCE`] asks it not to wait.
///
/// That, and to poll its socket, holds for the bare socket: a layer of TLS above it keeps bytes of its own,
/// read and unsent, and has to answer for them itself.
#[derive(Debug)]
pub(super) struct TcpTransport {
    stream: Arc<TcpStream>,
    room: Room,
    /// What of the output the socket has not yet taken.
    unsent: Range<usize>,
    /// The timeouts as the socket has them.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    on_slow: OnSlow,
}

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.room
    }

    /// Where it may not wait, it takes the output in any case, and an error of [`Error::Timeout`] asks
    /// to be called again, with nothing more, until the socket has taken it.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        if amount > 0 {
            self.unsent = 0..amount;
        }
        let at_once = *timeout.after <= AT_ONCE;
        let mut patience = Patience::new(*timeout.after, &self.on_slow);
        while !self.unsent.is_empty() {
            let rest = self.room.output_at(self.unsent.clone());
            let written = if at_once {
                match send(&self.stream, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                    Err(rustix::io::Errno::AGAIN) => return Err(Error::Timeout(timeout.reason)),
                    written => written.map_err(io::Error::from),
                }
            } else {
                let wait = patience.next().ok_or(Error::Timeout(timeout.reason))?;
                if self.write_timeout != Some(wait) {
                    self.stream.set_write_timeout(Some(wait))?;
                    self.write_timeout = Some(wait);
                }
                (&*self.stream).write(rest)
            };
            match written {
                Ok(0) => return Err(Error::Io(ErrorKind::WriteZero.into())),
                Ok(written) => self.unsent.start = self.unsent.start.saturating_add(written),
                Err(error) if elapsed(&error) => {}
                Err(error) => return Err(Error::Io(error)),
            }
            if !at_once && !self.unsent.is_empty() {
                patience.stalled();
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let at_once = *timeout.after <= AT_ONCE;
        let mut patience = Patience::new(*timeout.after, &self.on_slow);
        loop {
            let read = if at_once {
                match recv(&self.stream, self.room.input_append_buf(), RecvFlags::DONTWAIT) {
                    Err(rustix::io::Errno::AGAIN) => return Err(Error::Timeout(timeout.reason)),
                    read => read.map(|(read, _)| read).map_err(io::Error::from),
                }
            } else {
                let wait = patience.next().ok_or(Error::Timeout(timeout.reason))?;
                if self.read_timeout != Some(wait) {
                    self.stream.set_read_timeout(Some(wait))?;
                    self.read_timeout = Some(wait);
                }
                (&*self.stream).read(self.room.input_append_buf())
            };
            match read {
                Ok(read) => {
                    self.room.input_appended(read);
                    return Ok(read > 0);
                }
                Err(error) if elapsed(&error) => patience.stalled(),
                Err(error) => return Err(Error::Io(error)),
            }
        }
    }

    /// Whether staging has kept the connection open, and sent nothing that nobody asked for.
    ///
    /// One system call, which waits for nothing and takes nothing.
    fn is_open(&mut self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&self.stream, &mut [0], flags), Err(rustix::io::Errno::AGAIN))
    }
}

/// Whether a wait ended, rather than the connection, whose own timeout is `TimedOut`.
fn elapsed(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
