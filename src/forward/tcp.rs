//! Sockets: the connector and the transport at the head of ureq's chain.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::pace::{OnSlow, Patience, SLOW};

/// What a read or a write of the socket takes at once.
const BUFFER: usize = 16 * 1024;
/// The least time for one address: none at all is an error to the system.
const SHORTEST: Duration = Duration::from_millis(1);

/// Makes TCP connections, for one forwarder.
#[derive(Debug)]
pub(super) struct TcpConnector {
    on_slow: OnSlow,
    /// Whether the last connection took long to make.
    slow: AtomicBool,
}

impl TcpConnector {
    pub(super) fn new(on_slow: OnSlow) -> TcpConnector {
        TcpConnector { on_slow, slow: AtomicBool::new(false) }
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
        Ok(TcpTransport {
            stream,
            buffers: LazyBuffers::new(BUFFER, BUFFER),
            read_timeout: None,
            write_timeout: None,
            on_slow: self.on_slow.clone(),
        })
    }
}

/// A TCP connection, for one forwarder.
#[derive(Debug)]
pub(super) struct TcpTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// The timeouts as the socket has them.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    on_slow: OnSlow,
}

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let mut patience = Patience::new(*timeout.after, &self.on_slow);
        let mut rest = self.buffers.output().get(..amount).unwrap_or_default();
        while !rest.is_empty() {
            let wait = patience.next().ok_or(Error::Timeout(timeout.reason))?;
            if self.write_timeout != Some(wait) {
                self.stream.set_write_timeout(Some(wait))?;
                self.write_timeout = Some(wait);
            }
            match (&self.stream).write(rest) {
                Ok(0) => return Err(Error::Io(ErrorKind::WriteZero.into())),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if elapsed(&error) => {}
                Err(error) => return Err(Error::Io(error)),
            }
            if !rest.is_empty() {
                patience.stalled();
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let mut patience = Patience::new(*timeout.after, &self.on_slow);
        loop {
            let wait = patience.next().ok_or(Error::Timeout(timeout.reason))?;
            if self.read_timeout != Some(wait) {
                self.stream.set_read_timeout(Some(wait))?;
                self.read_timeout = Some(wait);
            }
            match (&self.stream).read(self.buffers.input_append_buf()) {
                Ok(read) => {
                    self.buffers.input_appended(read);
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
        let mut byte = [MaybeUninit::uninit()];
        SockRef::from(&self.stream)
            .recv_with_flags(&mut byte, MSG_PEEK | MSG_DONTWAIT)
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

// From the system's headers: the core does without the crate `libc`.
const MSG_PEEK: i32 = 0x2;
const MSG_DONTWAIT: i32 =
    if cfg!(any(target_os = "linux", target_os = "android")) { 0x40 } else { 0x80 };

/// Whether a wait ended, rather than the connection, whose own timeout is `TimedOut`.
fn elapsed(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
