//! The copy itself: one request, serialised once and owned, shared by all its targets.

mod field;
mod h2;
mod kept;
mod mark;
mod request_target;
mod rewrite;
mod trace;
mod writer;

pub use field::{Field, HeaderSection, Notes};
pub(crate) use h2::trailers;
pub use kept::Kept;
pub use mark::LoopMark;
pub use trace::TraceHeader;

use std::sync::Arc;

use crate::memory::{Budget, Buffer, Marks, Segments};
use crate::outcome::GivenUp;
use crate::target::Aim;
use request_target::map_target;

/// The field that marks our own copies; its value is a secret of this server, so clients cannot forge it.
pub const LOOP_MARK: &str = "X-Mod-Copy";

/// A request as httpd received it, before any other module touched it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a, F> {
    /// The method, spelt as received.
    pub method: &'a [u8],
    /// The request target, byte for byte.
    pub target: &'a [u8],
    /// Its fields, in order.
    pub fields: F,
    /// The value of `Connection`; empty if not received.
    pub connection: &'a [u8],
    /// Whether content follows (RFC 9112 section 6.3).
    pub has_content: bool,
}

/// What is added to a copy's fields.
#[derive(Clone, Copy, Debug)]
pub struct Additions<'a> {
    /// This server's loop mark.
    pub mark: &'a LoopMark,
    /// `CopyAddHeaders On`: what the `X-Forwarded-*` fields say.
    pub forwarded: Option<Forwarded<'a>>,
    /// `CopyPreserveHost On`: staging sees the client's `Host`, else its own.
    pub preserve_host: bool,
    /// `CopyTraceHeader`
    pub trace: Option<&'a TraceHeader>,
}

/// What `X-Forwarded-For` and `X-Forwarded-Proto` say; `X-Forwarded-Host` repeats the received `Host`.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// The client's address.
    pub client: &'a [u8],
    /// The scheme the client used.
    pub proto: &'a str,
}

/// The head of a copy: method, request target and fields, each target's own part left open.
///
/// Its buffer holds method, request target and field lines, one after another, and notes its `Layout`.
#[derive(Debug)]
pub struct Head {
    bytes: Buffer,
}

/// Where the parts of a head lie in its buffer, and what is known of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// Where the method ends, and the request target begins.
    method: u32,
    /// Where the request target ends, and the fields begin.
    target: u32,
    /// Where the fields end.
    end: u32,
    /// Where the value of the received `Host` begins and ends.
    host: Option<[u32; 2]>,
    preserve_host: bool,
    /// A `Content-Length` was received, and stands among the fields.
    has_length: bool,
    /// Where the fields end that are not for HTTP/1.1's framing alone.
    framing: u32,
    /// Whether the client takes trailers: see [`Message::takes_trailers`].
    takes_trailers: bool,
}

impl Layout {
    const HAS_HOST: u32 = 1;
    const PRESERVES_HOST: u32 = 2;
    const HAS_LENGTH: u32 = 4;
    const TAKES_TRAILERS: u32 = 8;

    /// As a buffer notes it.
    #[inline(always)]
    fn marks(self) -> Marks {
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        let flags = flag(self.host.is_some(), Layout::HAS_HOST)
            | flag(self.preserve_host, Layout::PRESERVES_HOST)
            | flag(self.has_length, Layout::HAS_LENGTH)
            | flag(self.takes_trailers, Layout::TAKES_TRAILERS);
        let [host, host_end] = self.host.unwrap_or_default();
        [self.method, self.target, self.end, host, host_end, self.framing, flags, 0]
    }

    #[inline(always)]
    fn of(bytes: &Buffer) -> Layout {
        let [method, target, end, host, host_end, framing, flags, _] = bytes.marks();
        let has = |flag: u32| flags & flag != 0;
        Layout {
            method,
            target,
            end,
            host: has(Layout::HAS_HOST).then_some([host, host_end]),
            preserve_host: has(Layout::PRESERVES_HOST),
            has_length: has(Layout::HAS_LENGTH),
            framing,
            takes_trailers: has(Layout::TAKES_TRAILERS),
        }
    }
}

impl Head {
    /// Serialises the head of a request for staging, less what belongs to the client's connection.
    pub fn serialise<'a>(
        received: &Received<'a, impl Iterator<Item = Field<'a>> + Clone>,
        additions: &Additions<'a>,
        budget: &'static Budget,
    ) -> Result<Head, GivenUp> {
        writer::serialise(received, additions, budget)
    }

    /// The value of the received `Host`.
    pub fn host(&self) -> Option<&[u8]> {
        self.layout().host.map(|[from, to]| self.slice(from, to))
    }

    /// The same, with that `Host` for whatever target.
    pub fn preserving_host(self) -> Head {
        let layout = Layout { preserve_host: true, ..self.layout() };
        Head::laid_out(self.bytes, layout)
    }

    /// Its buffer, for content to follow, unless its last line is still to be written.
    pub fn content_place(&mut self) -> Option<&mut Buffer> {
        self.layout().has_length.then_some(&mut self.bytes)
    }

    /// Completes the copy with the request's content, if it had any: what does not follow the head already.
    #[inline(always)]
    pub fn with_content(mut self, content: Option<Segments>) -> Message {
        if let Some(content) = content.as_ref().filter(|_| !self.layout().has_length) {
            self.add_length(content.len());
        }
        Message { head: self, content, of: None, trailers: None }
    }

    /// Completes a copy that has its own head, and the content of another.
    pub fn with_content_of(mut self, other: &Arc<Message>) -> Message {
        if other.content.is_some() && !self.layout().has_length {
            self.add_length(other.content_pieces().map(<[u8]>::len).sum());
        }
        let trailers = other.trailers.clone();
        Message { head: self, content: None, of: Some(Arc::clone(other)), trailers }
    }

    #[cold]
    fn add_length(&mut self, length: usize) {
        let line = format!("Content-Length: {length}\r\n");
        let mut layout = self.layout();
        layout.framing = layout.end;
        // There is room for it.
        if self.bytes.append(line.as_bytes()) {
            layout.end = place(self.bytes.len());
        }
        self.bytes.mark(layout.marks());
    }
}

/// One copy, ready for any target.
#[derive(Debug)]
pub struct Message {
    head: Head,
    /// The content, but for what follows the head.
    content: Option<Segments>,
    /// Whose content it has instead of its own.
    of: Option<Arc<Message>>,
    /// The lines of the fields that followed the content.
    trailers: Option<Arc<Buffer>>,
}

/// How many parts a message's head has: see [`Message::head_parts`].
pub const HEAD_PARTS: usize = 15;

impl Message {
    /// The message as staging is to see it, in parts that lie here and there: its head's, then its content's.
    ///
    /// Nothing is joined: what a target changes, it changes without a copy of the rest.
    pub fn parts<'a>(&'a self, aim: &'a Aim) -> impl Iterator<Item = &'a [u8]> {
        self.head_parts(aim).into_iter().chain(self.content_pieces())
    }

    /// The parts of the head: request line, fields, and the empty line.
    pub fn head_parts<'a>(&'a self, aim: &'a Aim) -> [&'a [u8]; HEAD_PARTS] {
        let (head, Aim { url, path: mode, preserve_host, via }) = (&self.head, aim);
        let [path, rest] = map_target(self.target(), url.path().as_bytes(), *mode);
        let layout = head.layout();
        let (begin, end) = (layout.target, layout.end);
        let authority = url.authority().as_bytes();
        let [first, second, third, fourth]: [&[u8]; 4] = match layout.host {
            Some(_) if preserve_host.unwrap_or(layout.preserve_host) => {
                [head.slice(begin, end), b"", b"", b""]
            }
            Some([from, to]) => [head.slice(begin, from), authority, head.slice(to, end), b""],
            None => [b"Host: ", authority, b"\r\n", head.slice(begin, end)],
        };
        let (method, line, end) = (self.method(), b" HTTP/1.1\r\n", b"\r\n");
        let Some(via) = via else {
            let none: &[u8] = b"";
            return [
                method, b" ", path, rest, line, first, second, third, fourth, end, none, none,
                none, none, none,
            ];
        };
        // The server as a whole is its authority without a path (RFC 9112 section 3.2.4).
        let path = if path == b"*" { b"" } else { path };
        let (root, own) = (via.authority.as_bytes(), via.authorization.as_bytes());
        let [[first, behind_first], [third, behind_third], [fourth, behind_fourth]] =
            [first, third, fourth].map(around_proxy_authorization);
        [
            method,
            b" ",
            root,
            path,
            rest,
            line,
            own,
            first,
            behind_first,
            second,
            third,
            behind_third,
            fourth,
            behind_fourth,
            end,
        ]
    }

    /// The method, as received.
    pub fn method(&self) -> &[u8] {
        self.head.slice(0, self.head.layout().method)
    }

    /// The request target, as received.
    pub fn target(&self) -> &[u8] {
        let Layout { method, target, .. } = self.head.layout();
        self.head.slice(method, target)
    }

    /// The field lines, as far as all targets share them.
    pub fn fields(&self) -> &[u8] {
        let Layout { target, end, .. } = self.head.layout();
        self.head.slice(target, end)
    }

    /// The pieces of the content, in order; none where there was none.
    pub fn content_pieces(&self) -> impl Iterator<Item = &[u8]> {
        let of = self.of.as_deref().unwrap_or(self);
        let behind =
            of.head.bytes.get(of.head.layout().end as usize..).filter(|behind| !behind.is_empty());
        behind.into_iter().chain(of.content.iter().flat_map(Segments::iter))
    }

    /// Gives back what content does not follow the head: it will not be sent again.
    pub fn release_content(&mut self) {
        (self.content, self.of) = (None, None);
    }

    /// The child's memory that it is a part of.
    pub fn budget(&self) -> &'static Budget {
        self.head.bytes.budget()
    }

    /// Whether sending it twice does what sending it once does (RFC 9110 section 9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD" | b"OPTIONS")
    }
}

impl Head {
    /// One whose parts lie so in the buffer.
    #[inline(always)]
    fn laid_out(mut bytes: Buffer, layout: Layout) -> Head {
        bytes.mark(layout.marks());
        Head { bytes }
    }

    #[inline(always)]
    fn layout(&self) -> Layout {
        Layout::of(&self.bytes)
    }

    #[inline(always)]
    fn slice(&self, from: u32, to: u32) -> &[u8] {
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }
}

/// What is before the line of `Proxy-Authorization` among field lines, and what is behind it: a proxy of ours is asked
/// with our own, and has no business with what a client said to another.
fn around_proxy_authorization(lines: &[u8]) -> [&[u8]; 2] {
    const NAME: &[u8] = b"Proxy-Authorization:";
    let mut begin = 0;
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let end = begin + line.len();
        if line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            return [lines.get(..begin), lines.get(end..)].map(Option::unwrap_or_default);
        }
        begin = end;
    }
    [lines, b""]
}

/// A place in a head's buffer, which has no more room than can be told so.
#[inline(always)]
fn place(at: usize) -> u32 {
    at as u32
}

#[cfg(test)]
mod tests;
