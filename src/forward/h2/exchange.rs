//! One copy over one stream: its head and content sent, its answer read, both at once.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::Response;

use crate::comparing::{Keeping, LONGEST};
use crate::message::Message;
use crate::outcome::{Failure, StatusClass};
use crate::stats::{Account, Traffic};
use crate::target::Aim;

use super::super::allowance::Allowance;
use super::super::answer::{DISCARD_LIMIT, INTERIM_LIMIT, PORTION};
use super::super::courier::Keep;
use super::super::fault::Fault;
use super::link::Link;
use super::words;
use super::wrong::{Broken, Left};

pub(super) const WRITING: &str = "write the request";
const HEAD: &str = "read the answer's head";
const CONTENT: &str = "read the answer's content";

/// What an exchange is made with.
pub(super) struct Exchange<'a> {
    pub(super) message: &'a Message,
    /// Where the answer is kept, if it is compared.
    pub(super) keep: Option<&'a Keep>,
    pub(super) aim: &'a Aim,
    pub(super) account: Account,
    pub(super) allowance: &'a Allowance,
    /// What is being done, for when the time is over.
    pub(super) doing: &'a Cell<&'static str>,
}

impl Exchange<'_> {
    /// Sends the copy over a stream of its own, and reads what comes back.
    pub(super) async fn over(
        &self,
        link: &Link,
        traffic: &mut Traffic,
    ) -> Result<StatusClass, Broken> {
        self.doing.set(WRITING);
        let (request, size) = words::request(self.message, self.aim).map_err(unsayable)?;
        let mut sender = link.sender();
        let ready = poll_fn(|context| sender.poll_ready(context)).await;
        ready.map_err(|error| Broken::unready(&error))?;
        let is_empty = self.message.content_pieces().next().is_none();
        let ends = is_empty && self.message.trailers().is_none();
        let begun = sender.send_request(request, ends);
        let (response, stream) = begun.map_err(|error| Broken::unsent(&error))?;
        drop(sender);
        let Traffic { sent, received, whole, status, .. } = traffic;
        *sent = sent.saturating_add(size);
        let mut sending = pin!(async {
            if ends || self.send(stream, sent).await.is_some() {
                self.sent(whole);
            }
        });
        let mut reading = pin!(self.read(response, (received, status)));
        let mut is_sent = false;
        poll_fn(|context| {
            is_sent = is_sent || sending.as_mut().poll(context).is_ready();
            // Staging may answer without reading all of the request, and whatever became of the stream shows here.
            reading.as_mut().poll(context)
        })
        .await
    }

    /// The whole request is with the connection.
    fn sent(&self, whole: &mut bool) {
        if !*whole {
            *whole = true;
            self.account.written();
        }
        self.doing.set(HEAD);
    }

    /// Sends the content as staging's windows let it; `None` where staging wants no more.
    async fn send(&self, mut stream: SendStream<Bytes>, sent: &mut u64) -> Option<()> {
        let trailers = self.message.trailers();
        let mut pieces = self.message.content_pieces().peekable();
        while let Some(mut piece) = pieces.next() {
            while !piece.is_empty() {
                let room = room(&mut stream, piece.len()).await?;
                let (now, later) = piece.split_at_checked(room).unwrap_or((piece, b""));
                let ends = later.is_empty() && pieces.peek().is_none() && trailers.is_none();
                stream.send_data(Bytes::copy_from_slice(now), ends).ok()?;
                *sent = sent.saturating_add(now.len() as u64);
                piece = later;
            }
        }
        if let Some(trailers) = trailers {
            let trailers = words::trailers(trailers);
            *sent = sent.saturating_add(words::size_of(&trailers));
            stream.send_trailers(trailers).ok()?;
        }
        Some(())
    }

    /// Reads the answer: its status is what counts.
    async fn read(
        &self,
        response: ResponseFuture,
        (received, status): (&mut u64, &mut u16),
    ) -> Result<StatusClass, Broken> {
        let answer = head(response).await?;
        self.doing.set(CONTENT);
        *received = received.saturating_add(words::size_of(answer.headers()));
        let answered = answer.status().as_u16();
        let class = StatusClass::of(answered).ok_or_else(|| {
            let what = "read the answer: a status code beyond 599";
            Broken { fault: Fault::new(Failure::Protocol, what), left: Left::Processed }
        })?;
        let mut keeping = self.keep.map(|keep| keep.keeping(self.message));
        if let Some(keeping) = &mut keeping {
            let lines = answer.headers().iter();
            let lines = lines.flat_map(|(name, value)| words::line(name, value));
            keeping.begins();
            keeping.head(answered, lines);
            if let Some(length) = words::length(answer.headers()) {
                keeping.expect(length);
            }
        }
        self.content(answer.into_body(), received, keeping.as_deref_mut()).await?;
        if let (Some(keep), Some(keeping)) = (self.keep, keeping) {
            keep.put(keeping);
        }
        *status = answered;
        Ok(class)
    }

    /// Reads the content, as far as any is read; the rest is told to be unwanted.
    async fn content(
        &self,
        mut content: RecvStream,
        received: &mut u64,
        mut keeping: Option<&mut Keeping>,
    ) -> Result<(), Broken> {
        let (mut read, mut allowed) = (0_u64, PORTION);
        while let Some(piece) = content.data().await {
            let piece = piece.map_err(|error| Broken::amid(CONTENT, &error))?;
            let length = piece.len();
            read = read.saturating_add(length as u64);
            *received = received.saturating_add(length as u64);
            let is_kept = keeping.as_ref().is_some_and(|keeping| keeping.wants_content());
            let most = if is_kept { LONGEST as u64 } else { DISCARD_LIMIT };
            while read > allowed {
                if read > most || !self.allowance.take(PORTION, Instant::now()) {
                    if let Some(keeping) = keeping {
                        keeping.lose();
                    }
                    return Ok(());
                }
                allowed = allowed.saturating_add(PORTION);
            }
            if let Some(keeping) = &mut keeping {
                keeping.content(&piece);
            }
            // It fails only where nobody waits for room any more.
            let _ = content.flow_control().release_capacity(length);
        }
        Ok(())
    }
}

/// The answer's head, after few interim ones.
async fn head(mut response: ResponseFuture) -> Result<Response<RecvStream>, Broken> {
    let mut interim: u32 = 0;
    while let Some(Ok(_)) = poll_fn(|context| response.poll_informational(context)).await {
        interim = interim.saturating_add(1);
        if interim > INTERIM_LIMIT {
            let what = format!("{HEAD}: more than {INTERIM_LIMIT} interim answers");
            return Err(Broken {
                fault: Fault::new(Failure::Protocol, what),
                left: Left::Processed,
            });
        }
    }
    response.await.map_err(|error| match interim {
        0 => Broken::after(HEAD, &error),
        _ => Broken::amid(HEAD, &error),
    })
}

/// Waits until staging and the connection take some of so many bytes: how many.
async fn room(stream: &mut SendStream<Bytes>, wanted: usize) -> Option<usize> {
    stream.reserve_capacity(wanted);
    poll_fn(|context| match stream.capacity() {
        0 => match stream.poll_capacity(context) {
            Poll::Ready(Some(Ok(0))) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(Ok(room))) => Poll::Ready(Some(room)),
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        },
        room => Poll::Ready(Some(room)),
    })
    .await
}

fn unsayable(what: words::Unsayable) -> Broken {
    let what = format!("say it in HTTP/2: {what} cannot be");
    Broken { fault: Fault::new(Failure::Internal, what), left: Left::Processed }
}
