//! One connection: made of a socket, told when it has ended, and let go when nobody uses it.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::super::answer::PORTION;
use super::gathered::Gathered;

/// What may come over the connection and not be read yet, for all streams.
const WINDOW: u32 = 1024 * 1024;
/// What of a stream's content may wait for the socket.
const UNSENT: usize = 32 * 1024;
/// The most bytes of an answer's fields.
const HEAD_LIMIT: u32 = 64 * 1024;
/// How many streams that were reset are remembered for a while, for staging may still speak of them: whenever it speaks
/// of one that is forgotten the library counts an error, and after 1024 in all it ends the connection
/// (`ENHANCE_YOUR_CALM`). So many are cut in that while only where answers are cut by the thousand.
const RESETS: usize = 4096;
/// How long a connection that nobody uses any more has to say so.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection to staging. When it is dropped, and the last stream has ended, it closes.
pub(super) struct Link {
    sender: SendRequest<Bytes>,
    life: Rc<Life>,
    /// The address that it is to, if it has one.
    peer: Option<SocketAddr>,
    /// Not to be used for another copy.
    retired: Cell<bool>,
    /// Whether a copy was answered over it.
    proven: Cell<bool>,
}

/// What the connection's task tells of it.
#[derive(Default)]
struct Life {
    /// How often something came.
    heard: Rc<Cell<u64>>,
    ended: Cell<bool>,
    /// Nobody uses it any more.
    left: Notify,
}

impl Link {
    /// Begins to speak HTTP/2; what staging says to that is heard later.
    pub(super) async fn over<T>(stream: T, peer: Option<SocketAddr>) -> Result<Link, h2::Error>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let life = Rc::new(Life::default());
        let socket = Gathered::new(stream, Rc::clone(&life.heard));
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(u32::try_from(PORTION).unwrap_or(u32::from(u16::MAX)))
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(HEAD_LIMIT)
            .max_concurrent_reset_streams(RESETS)
            .max_send_buffer_size(UNSENT)
            .handshake(socket.clone())
            .await?;
        let lived = Rc::clone(&life);
        spawn_local(async move {
            let mut farewell = pin!(async {
                lived.left.notified().await;
                sleep(FAREWELL).await;
            });
            poll_fn(|context| {
                // How it ends each of its streams is told.
                if socket
                    .turn(context, |context| Pin::new(&mut connection).poll(context))
                    .is_ready()
                {
                    return Poll::Ready(());
                }
                farewell.as_mut().poll(context)
            })
            .await;
            lived.ended.set(true);
        });
        Ok(Link { sender, life, peer, retired: Cell::new(false), proven: Cell::new(false) })
    }

    /// The address that it is to, if it has one.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// What opens a stream.
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.sender.clone()
    }

    /// How many streams staging lets be open.
    pub(super) fn streams(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Whether another copy may go over it.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired.get() && !self.life.ended.get()
    }

    /// No other copy goes over it.
    pub(super) fn retire(&self) {
        self.retired.set(true);
    }

    /// Counts what is heard: as long as it stays the same, nothing was.
    pub(super) fn heard(&self) -> u64 {
        self.life.heard.get()
    }

    /// A copy was answered over it.
    pub(super) fn prove(&self) {
        self.proven.set(true);
    }

    /// Whether a copy was answered over it.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.get()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.life.left.notify_one();
    }
}
