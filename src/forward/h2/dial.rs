//! Sockets, as HTTP/1.1 has them made: in a thread that ends when there is one, for to look a name up and to
//! connect may wait.

use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::boundary::Boundary;
use crate::outcome::Failure;
use crate::target::Limits;

use super::super::Makings;
use super::super::fault::Fault;
use super::super::pace::OnSlow;
use super::super::pool::STACK;

/// A socket with a connection to staging.
#[derive(Debug)]
pub(super) struct Dialled {
    /// It may be another than TCP's, and is read and written alike.
    pub(super) socket: TcpStream,
    /// The address that it is to, if it has one.
    pub(super) peer: Option<SocketAddr>,
}

/// A socket within these limits, made in a thread of its own.
pub(super) async fn dial(makings: &Arc<Makings>, limits: Limits) -> Result<Dialled, Fault> {
    let (done, dialled) = oneshot::channel();
    let makings = Arc::clone(makings);
    let work = move || {
        let made = catch_unwind(AssertUnwindSafe(|| {
            Boundary::Dial.enter();
            // Nobody else waits for this thread.
            makings.plain(OnSlow::new(|| {})).dial(&limits)
        }));
        let made = made.unwrap_or_else(|_| Err(panicked()));
        // Should nobody wait any more, it is closed.
        let _ = done.send(made.map(|(socket, peer)| Dialled { socket: socket.into(), peer }));
    };
    let builder = thread::Builder::new().name("copy-dial".to_owned()).stack_size(STACK);
    if let Err(error) = builder.spawn(work) {
        return Err(Fault::new(Failure::Connect, format!("start a thread to connect: {error}")));
    }
    dialled.await.unwrap_or_else(|_| Err(panicked()))
}

/// Whether the target's name still means that address.
pub(super) fn is_to(makings: &Makings, peer: Option<SocketAddr>) -> bool {
    peer.is_none_or(|peer| makings.names.has(&peer, Instant::now()))
}

fn panicked() -> Fault {
    Fault::new(Failure::Internal, "connect: a panic")
}
