//! Writes the head of a copy, field by field: what each field means to a copy is decided here.

use std::ops::Range;

use super::request_target::origin_form;
use super::{Additions, Head, LOOP_MARK, Received};
use crate::memory::{Budget, Buffer};
use crate::outcome::{GivenUp, Loss, NotCopied};

/// The elements of a comma-separated list (RFC 9110 section 5.6.1).
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether a comma-separated list has the element, letter case aside.
fn lists(list: &[u8], element: &[u8]) -> bool {
    elements(list).any(|item| item.eq_ignore_ascii_case(element))
}

/// Whether a token is the known one, whose letters are small, letter case aside.
///
/// The bit that is set turns capitals into small letters and leaves `-` and digits alone; what else it
/// would make alike (control characters) no token has. The known length lets this be a few instructions,
/// on eight bytes at a time.
#[inline(always)]
pub fn is<const N: usize>(token: &[u8], known: &[u8; N]) -> bool {
    const SMALL: u64 = u64::from_le_bytes([0x20; 8]);
    let Ok(token) = <&[u8; N]>::try_from(token) else { return false };
    let (words, rest) = token.as_chunks();
    let (known_words, known_rest) = known.as_chunks();
    let words = words
        .iter()
        .zip(known_words)
        .all(|(word, known)| u64::from_le_bytes(*word) | SMALL == u64::from_le_bytes(*known));
    words && rest.iter().zip(known_rest).all(|(byte, known)| byte | 0x20 == *known)
}

/// What a field's name means to a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Copied as it is.
    EndToEnd,
    /// Belongs to the client's connection (RFC 9110 section 7.6.1), or to its framing.
    HopByHop,
    ContentLength,
    Host,
    Upgrade,
    LoopMark,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
}

impl Role {
    fn of(name: &[u8]) -> Role {
        let initial = name.first().map_or(0, |initial| initial | 0x20);
        // By length and first letter: most fields are told apart without a look at the rest.
        match (name.len(), initial) {
            (2, b't') if is(name, b"te") => Role::HopByHop,
            (4, b'h') if is(name, b"host") => Role::Host,
            (6, b'e') if is(name, b"expect") => Role::HopByHop,
            (7, b'u') if is(name, b"upgrade") => Role::Upgrade,
            (7, b't') if is(name, b"trailer") => Role::HopByHop,
            (10, b'c') if is(name, b"connection") => Role::HopByHop,
            (10, b'k') if is(name, b"keep-alive") => Role::HopByHop,
            (10, b'x') if is(name, b"x-mod-copy") => Role::LoopMark,
            (14, b'c') if is(name, b"content-length") => Role::ContentLength,
            (14, b'h') if is(name, b"http2-settings") => Role::HopByHop,
            (15, b'x') if is(name, b"x-forwarded-for") => Role::ForwardedFor,
            (16, b'p') if is(name, b"proxy-connection") => Role::HopByHop,
            (16, b'x') if is(name, b"x-forwarded-host") => Role::ForwardedHost,
            (17, b't') if is(name, b"transfer-encoding") => Role::HopByHop,
            (17, b'x') if is(name, b"x-forwarded-proto") => Role::ForwardedProto,
            _ => Role::EndToEnd,
        }
    }
}

/// Whether a connection option is the name of a field, and not a word about the connection itself.
fn nominates(option: &[u8]) -> bool {
    !is(option, b"keep-alive") && !is(option, b"close")
}

/// Values that the copy adds: joined to what was received, or on lines of their own.
struct Added<'a> {
    forwarded_for: Option<&'a [u8]>,
    forwarded_host: Option<&'a [u8]>,
    forwarded_proto: Option<&'a [u8]>,
    mark: Option<&'a [u8]>,
}

impl<'a> Added<'a> {
    fn of(additions: &Additions<'a>, host: Option<&'a [u8]>) -> Added<'a> {
        let forwarded = additions.forwarded;
        Added {
            forwarded_for: forwarded.map(|forwarded| forwarded.client),
            forwarded_host: forwarded.and(host),
            forwarded_proto: forwarded.map(|forwarded| forwarded.proto.as_bytes()),
            mark: Some(additions.mark.as_bytes()),
        }
    }

    /// What is added to a received field, once.
    fn take(&mut self, role: Role) -> Option<&'a [u8]> {
        match role {
            Role::ForwardedFor => self.forwarded_for.take(),
            Role::ForwardedHost => self.forwarded_host.take(),
            Role::ForwardedProto => self.forwarded_proto.take(),
            Role::LoopMark => self.mark.take(),
            _ => None,
        }
    }
}

/// Serialises the head of a request for staging, in one pass over its fields.
pub(super) fn serialise<'a>(
    received: Received<'a, impl Iterator<Item = (&'a [u8], &'a [u8])>>,
    additions: &Additions<'a>,
    budget: &'static Budget,
) -> Result<Head, GivenUp> {
    let Received { method, target, fields, host, connection, has_content } = received;
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(GivenUp::NotCopied(NotCopied::NotCopyable));
    }
    let nominated = if elements(connection).any(nominates) { connection } else { b"" };
    let mut writer = Writer {
        bytes: budget.buffer(),
        host: None,
        has_length: false,
        has_content,
        nominated,
        mark: additions.mark.as_bytes(),
        added: Added::of(additions, host),
    };
    let (root, target) = origin_form(target);
    writer.bytes([method, root, target])?;
    let target = method.len()..writer.bytes.len();
    for (name, value) in fields {
        writer.field(name, value)?;
    }
    writer.what_was_not_received()?;
    writer.room_for_the_rest()?;
    let Writer { bytes, host, has_length, .. } = writer;
    let (method, end, preserve_host) = (method.len(), bytes.len(), additions.preserve_host);
    Ok(Head { bytes, method, target, host, end, preserve_host, has_length })
}

/// The end of a line, and the beginning of that of [`LOOP_MARK`].
const MARK_BEGINS: &str = "\r\nX-Mod-Copy: ";
const _: () = assert!(MARK_BEGINS.len() == LOOP_MARK.len() + 4);

/// Room for the line that [`Head::with_content`] may add.
const LENGTH_LINE: usize = "Content-Length: 18446744073709551615\r\n".len();

/// Writes the lines of the fields.
struct Writer<'a> {
    bytes: Buffer,
    host: Option<Range<usize>>,
    has_length: bool,
    has_content: bool,
    /// The `Connection` field, where it names fields that end at this hop; else empty.
    nominated: &'a [u8],
    /// This server's loop mark.
    mark: &'a [u8],
    added: Added<'a>,
}

impl Writer<'_> {
    #[inline(always)]
    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), GivenUp> {
        match Role::of(name) {
            Role::EndToEnd if self.ends_here(name) => Ok(()),
            Role::EndToEnd => self.line(name, value),
            Role::HopByHop => Ok(()),
            Role::Upgrade if elements(value).all(|item| item.eq_ignore_ascii_case(b"h2c")) => {
                Ok(())
            }
            Role::Upgrade => Err(GivenUp::NotCopied(NotCopied::NotCopyable)),
            Role::Host if self.host.is_some() => Ok(()),
            Role::Host => {
                self.line(name, value)?;
                let end = self.bytes.len().saturating_sub(b"\r\n".len());
                self.host = Some(end.saturating_sub(value.len())..end);
                Ok(())
            }
            // Where no content follows, a received "0" is the client's own word and stays.
            Role::ContentLength if self.has_content || value == b"0" => {
                self.has_length = true;
                self.line(name, value)
            }
            Role::ContentLength => Ok(()),
            Role::LoopMark if lists(value, self.mark) => Err(GivenUp::NotCopied(NotCopied::Loop)),
            Role::LoopMark => self.joined(Role::LoopMark, name, value),
            Role::ForwardedFor | Role::ForwardedHost | Role::ForwardedProto
                if self.ends_here(name) =>
            {
                Ok(())
            }
            role @ (Role::ForwardedFor | Role::ForwardedHost | Role::ForwardedProto) => {
                self.joined(role, name, value)
            }
        }
    }

    /// Writes a received field that the copy adds to; once, should it have been received twice.
    fn joined(&mut self, role: Role, name: &[u8], value: &[u8]) -> Result<(), GivenUp> {
        match self.added.take(role) {
            Some(more) if value.is_empty() => self.line(name, more),
            Some(more) => self.bytes([name, b": ", value, b", ", more, b"\r\n"]),
            None => self.line(name, value),
        }
    }

    fn what_was_not_received(&mut self) -> Result<(), GivenUp> {
        let Added { forwarded_for, forwarded_host, forwarded_proto, mark } = self.added;
        if let (Some(client), Some(host), Some(proto), Some(mark)) =
            (forwarded_for, forwarded_host, forwarded_proto, mark)
        {
            // So it is for most requests.
            return self.bytes([
                b"X-Forwarded-For: ",
                client,
                b"\r\nX-Forwarded-Host: ",
                host,
                b"\r\nX-Forwarded-Proto: ",
                proto,
                MARK_BEGINS.as_bytes(),
                mark,
                b"\r\n",
            ]);
        }
        for (name, value) in [
            ("X-Forwarded-For", forwarded_for),
            ("X-Forwarded-Host", forwarded_host),
            ("X-Forwarded-Proto", forwarded_proto),
            (LOOP_MARK, mark),
        ] {
            if let Some(value) = value {
                self.line(name.as_bytes(), value)?;
            }
        }
        Ok(())
    }

    /// Makes sure that nothing later needs more room.
    fn room_for_the_rest(&mut self) -> Result<(), GivenUp> {
        if self.has_content && !self.has_length && !self.bytes.make_room(LENGTH_LINE) {
            return Err(GivenUp::Dropped(Loss::Memory));
        }
        Ok(())
    }

    /// Whether the client's `Connection` field names this one.
    fn ends_here(&self, name: &[u8]) -> bool {
        !self.nominated.is_empty() && lists(self.nominated, name)
    }

    fn line(&mut self, name: &[u8], value: &[u8]) -> Result<(), GivenUp> {
        self.bytes([name, b": ", value, b"\r\n"])
    }

    #[inline]
    fn bytes<const N: usize>(&mut self, parts: [&[u8]; N]) -> Result<(), GivenUp> {
        if self.bytes.append(parts) { Ok(()) } else { Err(GivenUp::Dropped(Loss::Memory)) }
    }
}
