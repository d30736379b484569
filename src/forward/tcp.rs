//! Sockets: the connector and the transport at the head of ureq's chain.

use std::io::{self, ErrorKind, IoSlice};
use std::iter;
use std::net::SocketAddr;
use std::ops::{ControlFlow, Range};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use socket2::Socket;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::connecting::Connecting;
use super::dial::{Dial, Peer};
use super::exchange::AT_ONCE;
use super::pace::{OnSlow, Patience, SLOW};
use super::room::Room;
use super::tunnel::Tunnel;
use super::wire::Wire;

/// The least time for one address: none at all is an error to the system.
const SHORTEST: Duration = Duration::from_millis(1);

/// The socket under a chain's last connection, whatever layers are over it: it is what can be polled.
#[derive(Clone, Debug, Default)]
pub(super) struct Base(Arc<Mutex<Underneath>>);

#[derive(Debug, Default)]
struct Underneath {
    socket: Option<Arc<Socket>>,
    /// Whom it was connected to, where that is an address.
    peer: Option<SocketAddr>,
    /// That of the next one, in bytes; 0 for the system's.
    receive_buffer: u32,
}

impl Base {
    /// How the next socket is made.
    pub(super) fn prepare(&self, receive_buffer: u32) {
        self.underneath().receive_buffer = receive_buffer;
    }

    /// The socket, once for each connection.
    pub(super) fn take(&self) -> Option<Arc<Socket>> {
        self.underneath().socket.take()
    }

    /// The address that the last socket was connected to: as it was looked up, which the system may tell otherwise.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.underneath().peer
    }

    fn underneath(&self) -> MutexGuard<'_, Underneath> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes connections to staging, over TCP or by a path.
#[derive(Debug)]
pub(super) struct TcpConnector {
    on_slow: OnSlow,
    base: Base,
    /// What the target's connectors share.
    connecting: Arc<Connecting>,
    dial: Dial,
    /// What is behind a proxy.
    tunnel: Option<Tunnel>,
}

impl TcpConnector {
    pub(super) fn new(on_slow: OnSlow, base: Base, connecting: Arc<Connecting>) -> TcpConnector {
        TcpConnector { on_slow, base, connecting, dial: Dial::default(), tunnel: None }
    }

    /// The same, with sockets that are made so.
    pub(super) fn by(self, dial: Dial) -> TcpConnector {
        TcpConnector { dial, ..self }
    }

    /// The same, to a proxy, which is to connect to staging.
    pub(super) fn through(self, tunnel: Option<Tunnel>) -> TcpConnector {
        TcpConnector { tunnel, ..self }
    }

    /// Connects within `patience`, and tells when that takes long; at once where connections are known to
    /// be slow.
    pub(super) fn reach(&self, peer: &Peer, patience: Duration) -> io::Result<TcpTransport> {
        if self.connecting.is_slow() {
            self.on_slow.tell();
        }
        let started = Instant::now();
        let receive_buffer = self.base.underneath().receive_buffer;
        let patience = Patience::new(patience, &self.on_slow);
        let made = self.dial.connect(peer, receive_buffer, patience);
        self.connecting.note_slow(started.elapsed() >= SLOW);
        made.map(|socket| self.transport(socket, peer))
    }

    fn transport(&self, socket: Socket, peer: &Peer) -> TcpTransport {
        let stream = Arc::new(socket);
        let mut underneath = self.base.underneath();
        underneath.socket = Some(Arc::clone(&stream));
        underneath.peer = peer.address();
        drop(underneath);
        TcpTransport {
            stream,
            room: Room::default(),
            joined: Vec::new(),
            unsent: 0..0,
            read_timeout: None,
            on_slow: self.on_slow.clone(),
        }
    }
}

impl Connector for TcpConnector {
    type Out = TcpTransport;

    /// Connects to staging, or has a proxy do it.
    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<TcpTransport>, Error> {
        let (started, whole) = (Instant::now(), *details.timeout.after);
        let Some(tunnel) = &self.tunnel else {
            return self.reach_one(details, started, whole).map(Some);
        };
        let socket = self.reach_one(details, started, whole);
        let mut socket = socket.map_err(|error| tunnel.fault(error))?;
        let left = whole.saturating_sub(started.elapsed()).max(SHORTEST);
        tunnel.open(&mut socket, left).map(|()| Some(socket))
    }
}

impl TcpConnector {
    /// Tries the addresses in turn; each gets an equal part of the time that is left. The error is
    /// the last one's, and begins with its address.
    fn reach_one(
        &self,
        details: &ConnectionDetails<'_>,
        started: Instant,
        whole: Duration,
    ) -> Result<TcpTransport, Error> {
        let peers = self.dial.peers(&details.addrs)?;
        let mut last = Error::HostNotFound;
        for (tried, peer) in peers.iter().enumerate() {
            let left = whole.saturating_sub(started.elapsed());
            let untried = peers.len().saturating_sub(tried);
            let part = left / u32::try_from(untried).unwrap_or(u32::MAX).max(1);
            match self.reach(peer, part.max(SHORTEST)) {
                Ok(transport) => return Ok(transport),
                Err(error) => {
                    last = Error::Io(io::Error::new(error.kind(), format!("{peer}: {error}")));
                }
            }
        }
        Err(last)
    }
}

/// A connection over TCP, or by a path. A timeout of [`AT_ONCE`] asks it not to wait.
///
/// That, and to poll its socket, holds for the bare socket: a layer of TLS above it keeps bytes of its own,
/// read and unsent, and has to answer for them itself.
#[derive(Debug)]
pub(super) struct TcpTransport {
    stream: Arc<Socket>,
    room: Room,
    /// Small parts of what is written.
    joined: Vec<u8>,
    /// What of the output the socket has not yet taken.
    unsent: Range<usize>,
    /// The timeout as the socket has it.
    read_timeout: Option<Duration>,
    on_slow: OnSlow,
}

/// Small parts at the beginning of what is written, up to this length in all, are joined: ten of them cost
/// the kernel more than it does to copy them.
const JOINED: usize = 2 * 1024;
/// The most parts that are written at once: of a head those that are joined and a few more, and content as long as
/// `CopyBodyLimit` allows by default.
const PARTS: usize = 72;
/// What is thrown away at once.
const DISCARD: usize = 64 * 1024;

impl TcpTransport {
    /// Writes what is taken at once; waits where nothing is. A single part costs the kernel less than a list of parts.
    pub(super) fn send(&self, parts: &[IoSlice<'_>], timeout: NextTimeout) -> Result<usize, Error> {
        let timeout = timeout.for_write();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut patience = Patience::new(*timeout.after, &self.on_slow);
        loop {
            let sent = match parts {
                [part] => send(&self.stream, part, flags),
                parts => sendmsg(&self.stream, parts, &mut SendAncillaryBuffer::default(), flags),
            };
            match sent {
                Ok(0) => return Err(Error::Io(ErrorKind::WriteZero.into())),
                Ok(written) => return Ok(written),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(Error::Io(error.into())),
            }
            if *timeout.after <= AT_ONCE {
                return Err(Error::Timeout(timeout.reason));
            }
            let wait = patience.next().ok_or(Error::Timeout(timeout.reason))?;
            if !self.has_room(wait)? {
                patience.stalled();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&*self.stream)
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> String {
        Peer::of(&self.stream).map_or_else(|error| error.to_string(), |peer| peer.to_string())
    }

    /// Waits for bytes, and moves them to the buffer: how many.
    pub(super) fn read_into(
        &mut self,
        buffer: &mut [u8],
        timeout: NextTimeout,
    ) -> Result<usize, Error> {
        self.receive(timeout, |stream, _, flags| Ok(recv(stream, &mut *buffer, flags)?.0))
    }

    /// Waits until the socket takes more; whether it does.
    fn has_room(&self, wait: Duration) -> io::Result<bool> {
        let mut socket = [PollFd::new(&*self.stream, PollFlags::OUT)];
        match poll(&mut socket, Timespec::try_from(wait).ok().as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for what `take` takes from the socket: how many bytes.
    fn receive(
        &mut self,
        timeout: NextTimeout,
        mut take: impl FnMut(&Socket, &mut Room, RecvFlags) -> io::Result<usize>,
    ) -> Result<usize, Error> {
        let timeout = timeout.for_read();
        let at_once = *timeout.after <= AT_ONCE;
        let mut patience = Patience::new(*timeout.after, &self.on_slow);
        loop {
            let flags = if at_once {
                RecvFlags::DONTWAIT
            } else {
                let wait = patience.next().ok_or(Error::Timeout(timeout.reason))?;
                if self.read_timeout != Some(wait) {
                    self.stream.set_read_timeout(Some(wait))?;
                    self.read_timeout = Some(wait);
                }
                RecvFlags::empty()
            };
            match take(&self.stream, &mut self.room, flags) {
                Ok(taken) => return Ok(taken),
                Err(error) if !elapsed(&error) => return Err(Error::Io(error)),
                Err(_) if at_once => return Err(Error::Timeout(timeout.reason)),
                Err(_) => patience.stalled(),
            }
        }
    }
}

impl Wire for TcpTransport {
    fn write<'a>(
        &mut self,
        mut parts: impl Iterator<Item = &'a [u8]>,
        timeout: NextTimeout,
    ) -> Result<usize, Error> {
        let joined = &mut self.joined;
        joined.clear();
        joined.reserve(JOINED);
        let beyond = parts.try_for_each(|part| {
            if joined.len() + part.len() > JOINED {
                return ControlFlow::Break(part);
            }
            joined.extend_from_slice(part);
            ControlFlow::Continue(())
        });
        let ControlFlow::Break(beyond) = beyond else {
            return self.send(&[IoSlice::new(&self.joined)], timeout);
        };
        // Its first element is there in any case, and may be empty.
        let mut slices = [IoSlice::new(&self.joined); PARTS];
        let mut count: usize = 1;
        for (slice, part) in slices.iter_mut().skip(1).zip(iter::once(beyond).chain(parts)) {
            *slice = IoSlice::new(part);
            count = count.saturating_add(1);
        }
        self.send(slices.get(..count).unwrap_or_default(), timeout)
    }

    fn read(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.await_input(timeout)
    }

    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.room
    }

    const DISCARDS: bool = cfg!(target_os = "linux");

    /// Linux drops what it has received without a copy, where it is asked to truncate.
    fn discard(&mut self, most: usize, timeout: NextTimeout) -> Result<usize, Error> {
        // Nothing is written to it: it takes no memory.
        let mut nowhere = Vec::with_capacity(most.min(DISCARD));
        self.receive(timeout, |stream, _, flags| {
            let flags = flags | TRUNCATE;
            stream.recv_with_flags(nowhere.spare_capacity_mut(), flags.bits().cast_signed())
        })
    }
}

/// What makes Linux drop what it has received.
#[cfg(target_os = "linux")]
const TRUNCATE: RecvFlags = RecvFlags::TRUNC;
#[cfg(not(target_os = "linux"))]
const TRUNCATE: RecvFlags = RecvFlags::empty();

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.room
    }

    /// Where it may not wait, it takes the output in any case, and an error of [`Error::Timeout`] asks
    /// to be called again, with nothing more, until the socket has taken it.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if amount > 0 {
            self.unsent = 0..amount;
        }
        while !self.unsent.is_empty() {
            let rest = IoSlice::new(self.room.output_at(self.unsent.clone()));
            let written = self.send(&[rest], timeout)?;
            self.unsent.start = self.unsent.start.saturating_add(written);
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let read = self.receive(timeout, |stream, room, flags| {
            Ok(recv(stream, room.input_append_buf(), flags)?.0)
        })?;
        self.room.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        are_open([self.stream.as_fd()].into_iter()) == [true]
    }
}

/// Which of the sockets staging has kept open, and sent nothing over that nobody asked for.
///
/// One look at all of them, which waits for nothing and takes nothing.
pub(super) fn are_open<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>) -> Vec<bool> {
    let mut sockets: Vec<PollFd<'_>> =
        sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)).collect();
    let looked = poll(&mut sockets, Some(&Timespec::default())).is_ok();
    sockets.iter().map(|socket| looked && socket.revents().is_empty()).collect()
}

/// Whether a wait ended, rather than the connection, whose own timeout is `TimedOut`.
fn elapsed(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{budget, message_of};
    use super::*;
    use crate::config::BODY_LIMIT;

    #[test]
    fn content_of_the_default_limit_is_written_in_one_call() {
        let message = message_of("POST", Some(&vec![b'x'; BODY_LIMIT]), budget());
        // Before it a head, whose parts are joined, and what content lies behind that.
        let parts = 2 + message.content_pieces().count();
        assert!(parts <= PARTS, "{parts}");
    }
}
