//! One connection: made of a socket, told when it has ended, and let go when nobody uses it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::super::answer::PORTION;

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
    heard: Cell<u64>,
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
        let (sender, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(u32::try_from(PORTION).unwrap_or(u32::from(u16::MAX)))
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(HEAD_LIMIT)
            .max_concurrent_reset_streams(RESETS)
            .max_send_buffer_size(UNSENT)
            .handshake(Heard { stream, life: Rc::clone(&life) })
            .await?;
        let lived = Rc::clone(&life);
        spawn_local(async move {
            let farewell = async {
                lived.left.notified().await;
                sleep(FAREWELL).await;
            };
            // How it ends each of its streams is told.
            either(connection, farewell).await;
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

/// Waits for the first of two.
async fn either(one: impl Future, other: impl Future) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    std::future::poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => other.as_mut().poll(context).map(drop),
    })
    .await;
}

/// A stream of bytes that counts how often something came.
struct Heard<T> {
    stream: T,
    life: Rc<Life>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            self.life.heard.set(self.life.heard.get().wrapping_add(1));
        }
        Poll::Ready(read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
