//! Who listens and accepts.

use std::io::{PipeReader, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use super::{Fault, LOOK, Shared};

/// Who listens and accepts.
pub(super) struct Door {
    /// Never listens, and so keeps the port while nobody does.
    _reserve: Socket,
    address: SocketAddr,
    woken: PipeReader,
    shared: Arc<Shared>,
    listener: Option<Socket>,
    /// Our own connections that fill the backlog.
    crowd: Vec<TcpStream>,
    /// When a flapping server turns.
    turns: Option<Instant>,
}

impl Door {
    pub(super) fn new(
        reserve: Socket,
        address: SocketAddr,
        woken: PipeReader,
        shared: Arc<Shared>,
    ) -> Door {
        let (listener, crowd, turns) = (None, Vec::new(), None);
        Door { _reserve: reserve, address, woken, shared, listener, crowd, turns }
    }

    pub(super) fn keep(mut self) {
        let mut obeyed = 0;
        loop {
            let state = self.shared.lock();
            let (stopped, wanted, asked, now) =
                (state.stopped, state.wanted, state.asked, state.fault);
            drop(state);
            if stopped {
                return;
            }
            let changed = asked > obeyed;
            let turned = !changed && self.turns.is_some_and(|turns| turns <= Instant::now());
            if changed || turned {
                let well = turned && now == Fault::Dead;
                self.turns = None;
                let fault = match wanted {
                    Fault::Flapping(period) => {
                        self.turns = Some(Instant::now() + period);
                        if well { Fault::None } else { Fault::Dead }
                    }
                    fault => fault,
                };
                obeyed = asked;
                self.put_in_force(fault, obeyed);
            }
            self.wait();
        }
    }

    fn put_in_force(&mut self, fault: Fault, obeyed: u64) {
        let shut = matches!(fault, Fault::Dead | Fault::SwallowSyn);
        if shut {
            self.welcome_the_last();
        }
        let mut state = self.shared.lock();
        (state.fault, state.changes) = (fault, state.changes + 1);
        if shut {
            state.hang_up(Shutdown::Write);
        }
        drop(state);
        if (shut || !self.crowd.is_empty())
            && let Some(listener) = self.listener.take()
        {
            // For all: a program that another test is just starting has it too, until it is another program.
            let _ = listener.shutdown(Shutdown::Both);
            drop(listener);
            self.shared.lock().shut += 1;
            self.crowd.clear();
        }
        if fault == Fault::SwallowSyn {
            self.fill();
        } else if !shut && self.listener.is_none() {
            self.listener = Some(listening(self.address, 128));
        }
        self.shared.lock().obeyed = obeyed;
        self.shared.changed.notify_all();
    }

    /// Accepts who is already connected, for the kernel resets those when nobody listens any more.
    fn welcome_the_last(&self) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.crowd.is_empty()) else {
            return;
        };
        listener.set_nonblocking(true).unwrap();
        while let Ok((socket, _)) = listener.accept() {
            socket.set_nonblocking(false).unwrap();
            self.shared.welcome(socket.into());
        }
    }

    /// Listens, and fills the backlog until the kernel answers nobody any more.
    fn fill(&mut self) {
        self.listener = Some(listening(self.address, 0));
        while let Ok(stream) = TcpStream::connect_timeout(&self.address, 2 * LOOK) {
            self.crowd.push(stream);
        }
    }

    /// Waits for a client, an order or a turn; serves the client.
    fn wait(&mut self) {
        let left = self.turns.map(|turns| turns.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec::try_from(left).unwrap());
        let mut ready = vec![PollFd::new(&self.woken, PollFlags::IN)];
        let listener = self.listener.as_ref().filter(|_| self.crowd.is_empty());
        ready.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
        let _ = poll(&mut ready, left.as_ref());
        let [ordered, knocked] =
            [0, 1].map(|at| ready.get(at).is_some_and(|fd| !fd.revents().is_empty()));
        if ordered {
            let _ = self.woken.read(&mut [0; 64]);
        } else if knocked && let Some(Ok((socket, _))) = listener.map(Socket::accept) {
            self.shared.welcome(socket.into());
        }
    }
}

pub(super) fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

const RECEIVE_BUFFER: usize = 256 << 10;

fn listening(address: SocketAddr, backlog: i32) -> Socket {
    let socket = bound(address);
    // What is not read soon fills it, also where the kernel would let it grow.
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    socket.listen(backlog).unwrap();
    socket
}
