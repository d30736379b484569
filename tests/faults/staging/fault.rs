//! What may be wrong with staging, and who is told of it.

use std::time::Duration;

/// What is wrong with staging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: every request is answered at once, with 200, and connections are kept.
    None,
    /// Nobody listens, and all connections are closed. The port stays reserved.
    Dead,
    /// The backlog is full, so that the kernel ignores who wants to connect; all connections are closed.
    SwallowSyn,
    /// Accepts, and never reads.
    NeverReads,
    /// Reads requests, and never answers.
    NeverAnswers,
    /// Answers after this time.
    AnswersAfter(Duration),
    /// Answers at one byte a second, from the first of the head on.
    Drip,
    /// Reads a request, and resets the connection.
    ResetBeforeHead,
    /// Resets the connection within the answer's head.
    ResetWithinHead,
    /// Resets the connection within the answer's content.
    ResetAfterHead,
    /// Answers with bytes that are no HTTP, and closes.
    Garbage,
    /// Answers with a head of 1 MB.
    HugeHead,
    /// Answers with content that never ends, as fast as it is taken.
    EndlessBody,
    /// Sends interim answers without end, as fast as they are taken.
    FloodOf1xx,
    /// Announces another length than that of its content, and keeps the connection.
    WrongContentLength(Length),
    /// Answers, and then closes the connection without having said so.
    ClosesKeptConnections,
    /// Keeps the connection after its first answer, and closes it when the next request is on its way.
    ClosesWhenUsedAgain,
    /// Answers each request as soon as it has read its head.
    AnswersBeforeBody(Then),
    /// Dead and well by turns of this length, dead first.
    Flapping(Duration),
}

/// What an announced length is beside the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    TooLong,
    TooShort,
}

/// What follows an answer that came before the request's content was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Reads,
    Closes,
    /// Neither reads nor closes.
    Hangs,
}

/// Who is told what the server receives and sends, and says what it answers where nothing is wrong.
pub trait Witness: Send + Sync {
    /// A request was read to its end, even if only after the connection was closed.
    fn received(&self, _head: &[u8], _content: &[u8]) {}

    /// The answer to a request with this head.
    fn answer(&self, _head: &[u8]) -> Vec<u8> {
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    }

    /// An answer to it was written to its end.
    fn answered(&self, _head: &[u8]) {}

    /// A connection broke within a request's content: how much of it was sent cannot be told.
    fn broken(&self) {}
}

/// Nobody.
impl Witness for () {}
