//! A socket to which all that a connection says in one turn goes by one write.
//!
//! The library writes each frame of content by itself. Where many copies set out at once, those writes would be most
//! of what a copy costs.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that wait for the socket.
const MOST: usize = 64 * 1024;

/// A socket in the hands of a connection, and of who gives the connection its turns.
pub(super) struct Gathered<T>(Rc<RefCell<Socket<T>>>);

impl<T> Clone for Gathered<T> {
    fn clone(&self) -> Gathered<T> {
        Gathered(Rc::clone(&self.0))
    }
}

struct Socket<T> {
    stream: T,
    /// What is to be written, and how much of that is.
    unsent: Vec<u8>,
    written: usize,
    /// It is not written before another turn.
    waits: bool,
    /// Nothing can be written any more, and why, until that is told.
    is_broken: bool,
    why: Option<io::Error>,
    /// Counts how often something came.
    heard: Rc<Cell<u64>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Gathered<T> {
    pub(super) fn new(stream: T, heard: Rc<Cell<u64>>) -> Gathered<T> {
        let unsent = Vec::new();
        let (written, waits, is_broken, why) = (0, false, false, None);
        let socket = Socket { stream, unsent, written, waits, is_broken, why, heard };
        Gathered(Rc::new(RefCell::new(socket)))
    }

    /// Gives the connection a turn, and writes what it says.
    ///
    /// A stream's content follows its head one turn later, when the stream has heard that it is open: what a turn adds
    /// waits for another, which comes when the streams have had theirs.
    pub(super) fn turn<R>(
        &self,
        context: &mut Context<'_>,
        mut turn: impl FnMut(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let before = self.0.borrow().unsent.len();
        let turned = turn(context);
        if turned.is_ready() || self.0.borrow_mut().settle(before, context).is_pending() {
            return turned;
        }
        // It hears of a failure where it reads, after all that staging has said before.
        if self.0.borrow().is_broken { turn(context) } else { turned }
    }
}

impl<T: AsyncWrite + Unpin> Socket<T> {
    /// Takes of these parts what there is room for; how many bytes.
    fn take(&mut self, parts: &[IoSlice<'_>]) -> usize {
        let before = self.unsent.len();
        for part in parts {
            let room = MOST.saturating_sub(self.unsent.len());
            self.unsent.extend_from_slice(part.get(..room).unwrap_or(part));
        }
        self.unsent.len().saturating_sub(before)
    }

    /// Lets what was said in this turn wait for another, or writes it.
    fn settle(&mut self, before: usize, context: &mut Context<'_>) -> Poll<()> {
        self.waits = !self.waits && self.unsent.len() > before;
        if self.waits {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.write_out(context)
    }

    /// Writes all that waits; where that cannot be, it is let go of.
    fn write_out(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let result = match self.is_broken {
            false => ready!(self.poll_write_out(context)),
            true => Ok(()),
        };
        if let Err(error) = result {
            (self.is_broken, self.why) = (true, Some(error));
        }
        self.unsent.clear();
        self.written = 0;
        Poll::Ready(())
    }

    fn poll_write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unsent.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => self.written = self.written.saturating_add(written),
            }
        }
        // TLS has what waits of its own.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn why(&mut self) -> io::Error {
        self.why.take().unwrap_or_else(|| ErrorKind::BrokenPipe.into())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = &mut *self.0.borrow_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut socket.stream).poll_read(context, buffer);
        if read.is_pending() && socket.is_broken {
            return Poll::Ready(Err(socket.why()));
        }
        if buffer.filled().len() > before {
            socket.heard.set(socket.heard.get().wrapping_add(1));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathered<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut *self.0.borrow_mut();
        if socket.unsent.len() >= MOST {
            ready!(socket.write_out(context));
        }
        Poll::Ready(Ok(socket.take(parts)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is said is written when the turn is over.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = &mut *self.0.borrow_mut();
        ready!(socket.write_out(context));
        match socket.is_broken {
            true => Poll::Ready(Err(socket.why())),
            false => Pin::new(&mut socket.stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// A stream that keeps what is written.
    #[derive(Default)]
    struct Kept {
        reads: VecDeque<&'static [u8]>,
        writes: Rc<RefCell<Vec<Vec<u8>>>>,
        is_closed: bool,
    }

    impl AsyncRead for Kept {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Some(bytes) = self.reads.pop_front() else { return Poll::Pending };
            buffer.put_slice(bytes);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Kept {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.is_closed {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            self.writes.borrow_mut().push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A turn in which all this is said.
    fn say(socket: &Gathered<Kept>, parts: &[&[u8]]) {
        let mut connection = socket.clone();
        let turned: Poll<()> = socket.turn(&mut Context::from_waker(Waker::noop()), |context| {
            for part in parts {
                let mut rest = *part;
                while !rest.is_empty() {
                    let said = Pin::new(&mut connection).poll_write(context, rest);
                    let Poll::Ready(Ok(said)) = said else { panic!("{said:?}") };
                    rest = &rest[said..];
                }
            }
            Poll::Pending
        });
        assert!(turned.is_pending());
    }

    #[test]
    fn what_is_said_in_two_turns_goes_by_one_write() {
        let stream = Kept::default();
        let writes = Rc::clone(&stream.writes);
        let socket = Gathered::new(stream, Rc::default());
        say(&socket, &[b"a head, ", b"another head, "]);
        assert!(writes.borrow().is_empty(), "{writes:?}");
        say(&socket, &[b"content, ", b"other content"]);
        say(&socket, &[]);
        let expected: [&[u8]; 1] = [b"a head, another head, content, other content"];
        assert_eq!(*writes.borrow(), expected);
        say(&socket, &[b"alone"]);
        say(&socket, &[]);
        assert_eq!(writes.borrow().len(), 2);
        assert_eq!(writes.borrow()[1], b"alone");
    }

    #[test]
    fn no_more_waits_than_the_most() {
        let stream = Kept::default();
        let writes = Rc::clone(&stream.writes);
        let socket = Gathered::new(stream, Rc::default());
        let much: Vec<u8> = (0..3 * MOST + 1).map(|at| (at % 251) as u8).collect();
        say(&socket, &[&much[..MOST - 1], &much[MOST - 1..]]);
        assert_eq!(writes.borrow().len(), 3);
        say(&socket, &[]);
        assert!(writes.borrow().iter().all(|written| written.len() <= MOST));
        assert!(writes.borrow().concat() == much);
    }

    #[test]
    fn a_write_that_fails_is_heard_of_after_what_was_to_be_read() {
        let reads = [&b"the last "[..], b"words"].into();
        let stream = Kept { reads, is_closed: true, ..Kept::default() };
        let heard = Rc::default();
        let socket = Gathered::new(stream, Rc::clone(&heard));
        say(&socket, &[b"a head"]);
        let (mut connection, mut read) = (socket.clone(), Vec::new());
        let turned = socket.turn(&mut Context::from_waker(Waker::noop()), |context| {
            let mut room = [0; 16];
            let mut buffer = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut connection).poll_read(context, &mut buffer))?;
            read.extend_from_slice(buffer.filled());
            Poll::<io::Result<()>>::Pending
        });
        // One turn more finds nothing to read but why.
        assert!(turned.is_pending());
        assert_eq!((&*read, heard.get()), (&b"the last words"[..], 2));
        let mut room = [0; 16];
        let mut context = Context::from_waker(Waker::noop());
        for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
            let mut buffer = ReadBuf::new(&mut room);
            let read = Pin::new(&mut connection).poll_read(&mut context, &mut buffer);
            let Poll::Ready(Err(error)) = read else { panic!("{read:?}") };
            assert_eq!(error.kind(), kind);
        }
    }
}
