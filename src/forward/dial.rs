//! How a target's sockets are made and connected: over TCP, perhaps from a certain address, or by a path.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::pace::Patience;
use crate::target::Url;

/// How sockets towards a target are made.
#[derive(Clone, Debug, Default)]
pub(super) struct Dial {
    /// The Unix socket that stands for all addresses.
    path: Option<PathBuf>,
    /// The address of this machine that connections leave from.
    from: Option<IpAddr>,
}

/// Who a socket is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    At(SocketAddr),
    Behind(PathBuf),
}

impl Dial {
    /// Towards this URL, from this address if from one.
    pub(super) fn to(url: &Url, from: Option<IpAddr>) -> Dial {
        Dial { path: url.socket().map(PathBuf::from), from }
    }

    /// Whom to try in turn, where staging's name has these addresses.
    pub(super) fn peers(&self, addresses: &[SocketAddr]) -> io::Result<Vec<Peer>> {
        if let Some(path) = &self.path {
            return Ok(vec![Peer::Behind(path.clone())]);
        }
        let Some(from) = self.from else {
            return Ok(addresses.iter().copied().map(Peer::At).collect());
        };
        let alike = |address: &&SocketAddr| address.is_ipv4() == from.is_ipv4();
        let peers: Vec<Peer> = addresses.iter().filter(alike).copied().map(Peer::At).collect();
        match peers.is_empty() && !addresses.is_empty() {
            true => {
                let what = format!("none of its addresses can be reached from {from}");
                Err(io::Error::new(ErrorKind::AddrNotAvailable, what))
            }
            false => Ok(peers),
        }
    }

    /// Connects to `peer` within `patience`, and tells when that takes long. The socket has a receive buffer
    /// of so many bytes, which the first packet tells staging of; 0 leaves that to the system.
    pub(super) fn connect(
        &self,
        peer: &Peer,
        receive_buffer: u32,
        patience: Patience<'_>,
    ) -> io::Result<Socket> {
        let address = match peer {
            Peer::At(address) => SockAddr::from(*address),
            Peer::Behind(path) => SockAddr::unix(path)?,
        };
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        if receive_buffer > 0 {
            socket.set_recv_buffer_size(receive_buffer as usize)?;
        }
        if address.domain() == Domain::UNIX {
            return connect_by_path(&socket, &address, patience).map(|()| socket);
        }
        if let Some(from) = self.from {
            let bound = socket.bind(&SocketAddr::new(from, 0).into());
            bound.map_err(|error| io::Error::new(error.kind(), format!("from {from}: {error}")))?;
        }
        socket.set_tcp_nodelay(true)?;
        connect(&socket, &address, patience).map(|()| socket)
    }
}

/// Connects while nobody is blocked by it, so that a wait that has become long can go on.
fn connect(socket: &Socket, address: &SockAddr, mut patience: Patience<'_>) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let begun = socket.connect(address);
    socket.set_nonblocking(false)?;
    match begun {
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        ended => return ended,
    }
    loop {
        let wait = patience.next().ok_or_else(timed_out)?;
        let mut connected = [PollFd::new(socket, PollFlags::OUT)];
        match poll(&mut connected, Timespec::try_from(wait).ok().as_ref()) {
            Ok(0) => patience.stalled(),
            Ok(_) => return socket.take_error()?.map_or(Ok(()), Err),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Nothing tells when a path that too many wait at has room again: one has to wait there too.
fn connect_by_path(
    socket: &Socket,
    address: &SockAddr,
    mut patience: Patience<'_>,
) -> io::Result<()> {
    loop {
        socket.set_write_timeout(Some(patience.next().ok_or_else(timed_out)?))?;
        match socket.connect(address) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => patience.stalled(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            ended => return ended,
        }
    }
}

fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "connection timed out")
}

/// Whether connections can leave this machine from that address.
pub(super) fn is_local(address: IpAddr) -> bool {
    let bound = UdpSocket::bind((address, 0));
    !bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

impl Peer {
    /// Its address, if it has one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Peer::At(address) => Some(*address),
            Peer::Behind(_) => None,
        }
    }

    /// Whom a socket is connected to.
    pub(super) fn of(socket: &Socket) -> io::Result<Peer> {
        let address = socket.peer_addr()?;
        let path = || address.as_pathname().map(|path| Peer::Behind(path.to_owned()));
        let peer = address.as_socket().map(Peer::At).or_else(path);
        peer.ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::At(address) => address.fmt(f),
            Peer::Behind(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
