//! Writes the head of a copy, field by field: what each field means to a copy is decided here.

use super::field::{Field, Role, is};
use super::request_target::origin_form;
use super::{Additions, Head, LOOP_MARK, Received, TraceHeader, place};
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

/// Whether a connection option is the name of a field, and not a word about the connection itself.
fn nominates(option: &[u8]) -> bool {
    !is(option, b"keep-alive") && !is(option, b"close")
}

/// Serialises the head of a request for staging, in one pass over its fields; in a second, with all the room
/// that it needs, where it does not fit into a small buffer.
#[inline(always)]
pub(super) fn serialise<'a>(
    received: &Received<'a, impl Iterator<Item = Field<'a>> + Clone>,
    additions: &Additions<'a>,
    budget: &'static Budget,
) -> Result<Head, GivenUp> {
    if matches!(received.method, b"CONNECT" | b"TRACE") {
        return Err(GivenUp::NotCopied(NotCopied::NotCopyable));
    }
    let mut room = 0;
    loop {
        let buffer = budget.buffer(room).ok_or(GivenUp::Dropped(Loss::Memory))?;
        match write(received, additions, buffer) {
            Ok(head) => return Ok(head),
            Err(Stop::GivenUp(reason)) => return Err(reason),
            Err(Stop::NoRoom) if room > 0 => return Err(GivenUp::Dropped(Loss::Memory)),
            Err(Stop::NoRoom) => room = most(received, additions)?,
        }
    }
}

/// Why a request with this field is not copied.
#[inline(always)]
pub(super) fn refusal(&Field { value, role, .. }: &Field<'_>, mark: &str) -> Option<NotCopied> {
    match role {
        Role::Upgrade if !elements(value).all(|item| item.eq_ignore_ascii_case(b"h2c")) => {
            Some(NotCopied::NotCopyable)
        }
        Role::LoopMark if lists(value, mark.as_bytes()) => Some(NotCopied::Loop),
        _ => None,
    }
}

/// Why there is no head.
enum Stop {
    /// It does not fit.
    NoRoom,
    GivenUp(GivenUp),
}

impl From<NotCopied> for Stop {
    fn from(reason: NotCopied) -> Stop {
        Stop::GivenUp(GivenUp::NotCopied(reason))
    }
}

#[inline(never)]
fn write<'a>(
    received: &Received<'a, impl Iterator<Item = Field<'a>> + Clone>,
    additions: &Additions<'a>,
    mut bytes: Buffer,
) -> Result<Head, Stop> {
    let &Received { method, target, connection, has_content, .. } = received;
    let nominated = if elements(connection).any(nominates) { connection } else { b"" };
    let rest = bytes.room();
    let mut writer = Writer {
        received_host: None,
        has_content,
        additions,
        nominated,
        room: rest.len(),
        rest,
        host: None,
        has_length: false,
        takes_trailers: false,
        joined: 0,
        trace: additions.trace,
    };
    // As most are, where nothing is taken out or replaced.
    let is_plain = nominated.is_empty() && additions.trace.is_none();
    let (root, target) = origin_form(target);
    writer.bytes([method])?;
    if !root.is_empty() {
        writer.bytes([root])?;
    }
    writer.bytes([target])?;
    let target = writer.written();
    for field in received.fields.clone() {
        if field.role == Role::EndToEnd && is_plain {
            writer.line(field.name, field.value)?;
        } else {
            writer.special(&field, || received.fields.clone())?;
        }
    }
    writer.what_was_not_received()?;
    if let Some(trace) = writer.trace {
        writer.line(trace.name().as_bytes(), trace.value().as_bytes())?;
    }
    writer.check_room_for_the_rest()?;
    let (end, host, has_length) = (writer.written(), writer.host, writer.has_length);
    let takes_trailers = writer.takes_trailers;
    bytes.fill(end as usize);
    let (method, preserve_host) = (place(method.len()), additions.preserve_host);
    let framing = end;
    Ok(Head {
        bytes,
        method,
        target,
        end,
        host,
        preserve_host,
        has_length,
        framing,
        takes_trailers,
    })
}

/// How many bytes a copy's head has at most, and a line that is added later.
#[cold]
fn most<'a>(
    received: &Received<'a, impl Iterator<Item = Field<'a>> + Clone>,
    additions: &Additions<'a>,
) -> Result<usize, GivenUp> {
    const LINES: usize = ", \r\n".len();
    const OF_OUR_OWN: usize = "/X-Forwarded-For: , \r\nX-Forwarded-Host: , \r\n\
        X-Forwarded-Proto: , \r\nX-Mod-Copy: , \r\n"
        .len()
        + LENGTH_LINE;
    // Slices of memory that exists: their lengths cannot add up to more than there is.
    let fields = received.fields.clone();
    let host = host_of(fields.clone()).map_or(0, <[u8]>::len);
    let forwarded = additions
        .forwarded
        .map_or(0, |forwarded| forwarded.client.len() + forwarded.proto.len() + host);
    let fields = fields.map(|field| field.name.len() + field.value.len() + LINES);
    let line = received.method.len() + received.target.len();
    let trace = additions.trace.map_or(0, |trace| trace.name().len() + trace.value().len() + LINES);
    let most = line + fields.sum::<usize>() + forwarded + trace + additions.mark.len() + OF_OUR_OWN;
    u32::try_from(most).map(|_| most).map_err(|_| GivenUp::Dropped(Loss::Memory))
}

/// The value of `Host`, if received; the first, where there are more.
#[cold]
fn host_of<'a>(mut fields: impl Iterator<Item = Field<'a>>) -> Option<&'a [u8]> {
    fields.find(|field| field.role == Role::Host).map(|field| field.value)
}

/// Room for the line that [`Head::with_content`] may add.
const LENGTH_LINE: usize = "Content-Length: 18446744073709551615\r\n".len();

/// The end of a line, and the beginning of that of [`LOOP_MARK`].
const MARK_BEGINS: &str = "\r\nX-Mod-Copy: ";
const _: () = assert!(MARK_BEGINS.len() == LOOP_MARK.len() + 4);

/// Writes the lines of the fields.
struct Writer<'a, 'b> {
    /// The value of `Host`, as soon as it has been received.
    received_host: Option<&'a [u8]>,
    has_content: bool,
    additions: &'b Additions<'a>,
    /// The `Connection` field, where it names fields that end at this hop; else empty.
    nominated: &'a [u8],
    /// How many bytes there was room for, and where the next ones go.
    room: usize,
    rest: &'b mut [u8],
    host: Option<[u32; 2]>,
    has_length: bool,
    takes_trailers: bool,
    /// A bit for each role whose received field something was added to.
    joined: u16,
    /// The field that marks the copy, until it is written.
    trace: Option<&'b TraceHeader>,
}

impl<'a> Writer<'a, '_> {
    #[inline(always)]
    fn special<F: Iterator<Item = Field<'a>>>(
        &mut self,
        field: &Field<'a>,
        fields: impl FnOnce() -> F,
    ) -> Result<(), Stop> {
        if let Some(reason) = refusal(field, self.additions.mark) {
            return Err(reason.into());
        }
        let &Field { name, value, role } = field;
        match role {
            Role::EndToEnd if self.ends_here(name) => Ok(()),
            Role::EndToEnd => match self.trace {
                Some(trace) if name.eq_ignore_ascii_case(trace.name().as_bytes()) => {
                    self.trace = None;
                    self.mark(trace, name, value)
                }
                _ => self.line(name, value),
            },
            Role::HopByHop | Role::Connection | Role::TransferEncoding | Role::Upgrade => Ok(()),
            Role::Te => {
                self.takes_trailers |= lists(value, b"trailers");
                Ok(())
            }
            Role::Host if self.host.is_some() => Ok(()),
            Role::Host => {
                self.line(name, value)?;
                self.received_host = Some(value);
                let end = self.written().saturating_sub(place(b"\r\n".len()));
                self.host = Some([end.saturating_sub(place(value.len())), end]);
                Ok(())
            }
            // Where no content follows, a received "0" is the client's own word and stays.
            Role::ContentLength if self.has_content || value == b"0" => {
                self.has_length = true;
                self.line(name, value)
            }
            Role::ContentLength => Ok(()),
            Role::LoopMark => self.join(Role::LoopMark, name, value),
            Role::ForwardedFor | Role::ForwardedHost | Role::ForwardedProto
                if self.ends_here(name) =>
            {
                Ok(())
            }
            Role::ForwardedHost => {
                self.received_host = self.received_host.or_else(|| host_of(fields()));
                self.join(role, name, value)
            }
            Role::ForwardedFor | Role::ForwardedProto => self.join(role, name, value),
        }
    }

    /// Writes the field that marks the copy in the place of a received one.
    #[cold]
    fn mark(&mut self, trace: &TraceHeader, name: &[u8], value: &[u8]) -> Result<(), Stop> {
        let own = trace.value().as_bytes();
        match trace.leads_others() && !value.is_empty() {
            true => self.bytes([name, b": ", own, b",", value, b"\r\n"]),
            false => self.line(name, own),
        }
    }

    /// Writes a received field that the copy adds to; once, should it have been received twice.
    fn join(&mut self, role: Role, name: &[u8], value: &[u8]) -> Result<(), Stop> {
        let more = self.added(role).filter(|_| self.is_missing(role));
        self.joined |= 1 << role as u16;
        match more {
            Some(more) if value.is_empty() => self.line(name, more),
            Some(more) => self.bytes([name, b": ", value, b", ", more, b"\r\n"]),
            None => self.line(name, value),
        }
    }

    /// What the copy adds to a received field, or has on a line of its own.
    fn added(&self, role: Role) -> Option<&'a [u8]> {
        let forwarded = self.additions.forwarded.as_ref();
        match role {
            Role::ForwardedFor => forwarded.map(|forwarded| forwarded.client),
            Role::ForwardedHost => forwarded.and(self.received_host),
            Role::ForwardedProto => forwarded.map(|forwarded| forwarded.proto.as_bytes()),
            Role::LoopMark => Some(self.additions.mark.as_bytes()),
            _ => None,
        }
    }

    fn is_missing(&self, role: Role) -> bool {
        self.joined & 1 << role as u16 == 0
    }

    #[inline(always)]
    fn what_was_not_received(&mut self) -> Result<(), Stop> {
        if let (0, Some(forwarded), Some(host)) =
            (self.joined, &self.additions.forwarded, self.received_host)
        {
            // So it is for most requests.
            return self.bytes([
                b"X-Forwarded-For: ",
                forwarded.client,
                b"\r\nX-Forwarded-Host: ",
                host,
                b"\r\nX-Forwarded-Proto: ",
                forwarded.proto.as_bytes(),
                MARK_BEGINS.as_bytes(),
                self.additions.mark.as_bytes(),
                b"\r\n",
            ]);
        }
        for (role, name) in [
            (Role::ForwardedFor, "X-Forwarded-For"),
            (Role::ForwardedHost, "X-Forwarded-Host"),
            (Role::ForwardedProto, "X-Forwarded-Proto"),
            (Role::LoopMark, LOOP_MARK),
        ] {
            if let Some(value) = self.added(role).filter(|_| self.is_missing(role)) {
                self.line(name.as_bytes(), value)?;
            }
        }
        Ok(())
    }

    /// Whether the client's `Connection` field names this one.
    fn ends_here(&self, name: &[u8]) -> bool {
        !self.nominated.is_empty() && lists(self.nominated, name)
    }

    #[inline(always)]
    fn line(&mut self, name: &[u8], value: &[u8]) -> Result<(), Stop> {
        self.bytes([name, b": ", value, b"\r\n"])
    }

    /// Writes all the parts, for which there is room.
    #[inline(always)]
    fn bytes<const N: usize>(&mut self, parts: [&[u8]; N]) -> Result<(), Stop> {
        let mut rest = std::mem::take(&mut self.rest);
        for part in parts {
            let Some((here, behind)) = rest.split_at_mut_checked(part.len()) else {
                return Err(Stop::NoRoom);
            };
            copy(here, part);
            rest = behind;
        }
        self.rest = rest;
        Ok(())
    }

    /// Nothing later needs more room.
    fn check_room_for_the_rest(&self) -> Result<(), Stop> {
        let line_follows = self.has_content && !self.has_length;
        if line_follows && self.rest.len() < LENGTH_LINE { Err(Stop::NoRoom) } else { Ok(()) }
    }

    /// Where the next bytes go, from the head's beginning.
    fn written(&self) -> u32 {
        place(self.room.saturating_sub(self.rest.len()))
    }
}

/// Copies bytes to as many others. Most parts of a head are short, and cost less than a call: two copies of
/// a size that is known, which overlap.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        8..=16 => copy_ends::<8>(to, from),
        4..=7 => copy_ends::<4>(to, from),
        _ => to.copy_from_slice(from),
    }
}

#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk()) {
        *to = *from;
    }
}
