//! Writes the head of a copy, field by field: what each field means to a copy is decided here.

use super::field::{Field, Role, is};
use super::request_target::origin_form;
use super::{Additions, Head, LOOP_MARK, Layout, LoopMark, Received, TraceHeader, place};
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
pub(super) fn refusal(
    &Field { value, role, .. }: &Field<'_>,
    mark: &LoopMark,
) -> Option<NotCopied> {
    match role {
        Role::Upgrade if !elements(value).all(|item| item.eq_ignore_ascii_case(b"h2c")) => {
            Some(NotCopied::NotCopyable)
        }
        Role::LoopMark if lists(value, mark.value()) => Some(NotCopied::Loop),
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
    // Most requests have none: nothing is split then.
    let names_fields = !connection.is_empty() && elements(connection).any(nominates);
    let nominated = if names_fields { connection } else { b"" };
    let rest = bytes.room();
    let room = rest.len();
    let mut writer = Writer {
        received_host: None,
        has_content,
        additions,
        nominated,
        room,
        host: None,
        has_length: false,
        takes_trailers: false,
        joined: 0,
        trace: additions.trace,
    };
    // As most are, where nothing is taken out or replaced.
    let is_plain = nominated.is_empty() && additions.trace.is_none();
    let (root, target) = origin_form(target);
    let mut pen = Pen { rest }.put(method)?;
    if !root.is_empty() {
        pen = pen.put(root)?;
    }
    pen = pen.put(target)?;
    let target = writer.written(&pen);
    for Field { name, value, role } in received.fields.clone() {
        match role {
            Role::EndToEnd if is_plain || writer.stays(name) => pen = pen.line(name, value)?,
            Role::Host if writer.host.is_none() => {
                pen = pen.line(name, value)?;
                writer.note_host(value, &pen);
            }
            Role::ContentLength if has_content => {
                pen = pen.line(name, value)?;
                writer.has_length = true;
            }
            _ => {
                let field = Field { name, value, role };
                pen = writer.special(pen, field, || received.fields.clone())?;
            }
        }
    }
    pen = writer.what_was_not_received(pen)?;
    if let Some(trace) = writer.trace {
        pen = pen.line(trace.name().as_bytes(), trace.value().as_bytes())?;
    }
    writer.check_room_for_the_rest(&pen)?;
    let end = writer.written(&pen);
    let Writer { host, has_length, takes_trailers, .. } = writer;
    bytes.fill(end);
    let layout = Layout {
        method: place(method.len()),
        target: place(target),
        end: place(end),
        host: host.map(|at| at.map(place)),
        preserve_host: additions.preserve_host,
        has_length,
        framing: place(end),
        takes_trailers,
    };
    Ok(Head::laid_out(bytes, layout))
}

/// How many bytes a copy's head has at most, and a line that is added later.
#[cold]
fn most<'a>(
    received: &Received<'a, impl Iterator<Item = Field<'a>> + Clone>,
    additions: &Additions<'a>,
) -> Result<usize, GivenUp> {
    const LINES: usize = ", \r\n".len();
    const OF_OUR_OWN: usize = "/X-Forwarded-For: , \r\nX-Forwarded-Host: , \r\n\
        X-Forwarded-Proto: , \r\n"
        .len()
        + LOOP_MARK.len()
        + LINES
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
    let most = line
        + fields.sum::<usize>()
        + forwarded
        + trace
        + additions.mark.value().len()
        + OF_OUR_OWN;
    u32::try_from(most).map(|_| most).map_err(|_| GivenUp::Dropped(Loss::Memory))
}

/// The value of `Host`, if received; the first, where there are more.
#[cold]
fn host_of<'a>(mut fields: impl Iterator<Item = Field<'a>>) -> Option<&'a [u8]> {
    fields.find(|field| field.role == Role::Host).map(|field| field.value)
}

/// Room for the line that [`Head::with_content`] may add.
const LENGTH_LINE: usize = "Content-Length: 18446744073709551615\r\n".len();

/// What is known of a head while its fields' lines are written.
struct Writer<'a, 'b> {
    /// The value of `Host`, as soon as it has been received.
    received_host: Option<&'a [u8]>,
    has_content: bool,
    additions: &'b Additions<'a>,
    /// The `Connection` field, where it names fields that end at this hop; else empty.
    nominated: &'a [u8],
    /// How many bytes there was room for.
    room: usize,
    /// Where the value of `Host` begins and ends.
    host: Option<[usize; 2]>,
    has_length: bool,
    takes_trailers: bool,
    /// A bit for each role whose received field something was added to.
    joined: u16,
    /// The field that marks the copy, until it is written.
    trace: Option<&'b TraceHeader>,
}

impl<'a> Writer<'a, '_> {
    /// Whether a field that means nothing to a copy is in it as it was received.
    fn stays(&self, name: &[u8]) -> bool {
        let is_marked = |trace: &TraceHeader| name.eq_ignore_ascii_case(trace.name().as_bytes());
        !self.ends_here(name) && !self.trace.is_some_and(is_marked)
    }

    /// Takes note of `Host`, whose line was just written.
    #[inline(always)]
    fn note_host(&mut self, value: &'a [u8], pen: &Pen<'_>) {
        self.received_host = Some(value);
        // Its value and the end of its line are among what was written.
        let end = self.written(pen) - b"\r\n".len();
        self.host = Some([end - value.len(), end]);
    }

    /// Writes a field that is not, or not just, copied.
    fn special<'p, F: Iterator<Item = Field<'a>>>(
        &mut self,
        pen: Pen<'p>,
        field: Field<'a>,
        fields: impl FnOnce() -> F,
    ) -> Result<Pen<'p>, Stop> {
        if let Some(reason) = refusal(&field, self.additions.mark) {
            return Err(reason.into());
        }
        let Field { name, value, role } = field;
        match role {
            Role::EndToEnd if self.ends_here(name) => Ok(pen),
            Role::EndToEnd => match self.trace.take() {
                Some(trace) => mark(pen, trace, name, value),
                None => pen.line(name, value),
            },
            Role::HopByHop | Role::Connection | Role::TransferEncoding | Role::Upgrade => Ok(pen),
            Role::Te => {
                self.takes_trailers |= lists(value, b"trailers");
                Ok(pen)
            }
            // The first one was written.
            Role::Host => Ok(pen),
            // Where no content follows, a received "0" is the client's own word and stays.
            Role::ContentLength if value == b"0" => {
                self.has_length = true;
                pen.line(name, value)
            }
            Role::ContentLength => Ok(pen),
            Role::LoopMark => self.join(pen, field),
            Role::ForwardedFor | Role::ForwardedHost | Role::ForwardedProto
                if self.ends_here(name) =>
            {
                Ok(pen)
            }
            Role::ForwardedHost => {
                self.received_host = self.received_host.or_else(|| host_of(fields()));
                self.join(pen, field)
            }
            Role::ForwardedFor | Role::ForwardedProto => self.join(pen, field),
        }
    }

    /// Writes a received field that the copy adds to; once, should it have been received twice.
    fn join<'p>(&mut self, pen: Pen<'p>, field: Field<'a>) -> Result<Pen<'p>, Stop> {
        let Field { name, value, role } = field;
        let more = self.added(role).filter(|_| self.is_missing(role));
        self.joined |= 1 << role as u16;
        match more {
            Some(more) if value.is_empty() => pen.line(name, more),
            Some(more) => pen.put(name)?.put(b": ")?.put(value)?.put(b", ")?.put(more)?.end(),
            None => pen.line(name, value),
        }
    }

    /// What the copy adds to a received field, or has on a line of its own.
    fn added(&self, role: Role) -> Option<&'a [u8]> {
        let forwarded = self.additions.forwarded.as_ref();
        match role {
            Role::ForwardedFor => forwarded.map(|forwarded| forwarded.client),
            Role::ForwardedHost => forwarded.and(self.received_host),
            Role::ForwardedProto => forwarded.map(|forwarded| forwarded.proto.as_bytes()),
            Role::LoopMark => Some(self.additions.mark.value()),
            _ => None,
        }
    }

    fn is_missing(&self, role: Role) -> bool {
        self.joined & 1 << role as u16 == 0
    }

    #[inline(always)]
    fn what_was_not_received<'p>(&self, mut pen: Pen<'p>) -> Result<Pen<'p>, Stop> {
        if let (0, Some(forwarded), Some(host)) =
            (self.joined, &self.additions.forwarded, self.received_host)
        {
            // So it is for most requests.
            pen = pen.put(b"X-Forwarded-For: ")?.put(forwarded.client)?;
            pen = pen.put(b"\r\nX-Forwarded-Host: ")?.put(host)?;
            pen = pen.put(b"\r\nX-Forwarded-Proto: ")?.put(forwarded.proto.as_bytes())?;
            return pen.put(self.additions.mark.after_a_line());
        }
        for (role, name) in [
            (Role::ForwardedFor, "X-Forwarded-For"),
            (Role::ForwardedHost, "X-Forwarded-Host"),
            (Role::ForwardedProto, "X-Forwarded-Proto"),
            (Role::LoopMark, LOOP_MARK),
        ] {
            if let Some(value) = self.added(role).filter(|_| self.is_missing(role)) {
                pen = pen.line(name.as_bytes(), value)?;
            }
        }
        Ok(pen)
    }

    /// Whether the client's `Connection` field names this one.
    fn ends_here(&self, name: &[u8]) -> bool {
        !self.nominated.is_empty() && lists(self.nominated, name)
    }

    /// Nothing later needs more room.
    fn check_room_for_the_rest(&self, pen: &Pen<'_>) -> Result<(), Stop> {
        let line_follows = self.has_content && !self.has_length;
        if line_follows && pen.rest.len() < LENGTH_LINE { Err(Stop::NoRoom) } else { Ok(()) }
    }

    /// Where the next bytes go, from the head's beginning.
    #[inline(always)]
    fn written(&self, pen: &Pen<'_>) -> usize {
        // The pen's rest is the end of that room.
        self.room - pen.rest.len()
    }
}

/// Writes the field that marks the copy in the place of a received one.
#[cold]
fn mark<'p>(pen: Pen<'p>, trace: &TraceHeader, name: &[u8], value: &[u8]) -> Result<Pen<'p>, Stop> {
    let own = trace.value().as_bytes();
    match trace.leads_others() && !value.is_empty() {
        true => pen.put(name)?.put(b": ")?.put(own)?.put(b",")?.put(value)?.end(),
        false => pen.line(name, own),
    }
}

/// Where the next bytes go; handed on from line to line, so that it need not be looked up for each.
struct Pen<'p> {
    rest: &'p mut [u8],
}

impl<'p> Pen<'p> {
    #[inline(always)]
    fn line(self, name: &[u8], value: &[u8]) -> Result<Pen<'p>, Stop> {
        const MORE: usize = b": \r\n".len();
        // Slices of memory that exists: their lengths cannot add up to more than there is.
        let length = name.len() + value.len() + MORE;
        let Some((here, rest)) = self.rest.split_at_mut_checked(length) else {
            return Err(Stop::NoRoom);
        };
        // There is room for all of it.
        Pen { rest: here }.put(name)?.put(b": ")?.put(value)?.end()?;
        Ok(Pen { rest })
    }

    /// Ends a line.
    #[inline(always)]
    fn end(self) -> Result<Pen<'p>, Stop> {
        self.put(b"\r\n")
    }

    /// Writes these bytes, if there is room for them.
    #[inline(always)]
    fn put(self, bytes: &[u8]) -> Result<Pen<'p>, Stop> {
        let Some((here, rest)) = self.rest.split_at_mut_checked(bytes.len()) else {
            return Err(Stop::NoRoom);
        };
        copy(here, bytes);
        Ok(Pen { rest })
    }
}

/// Copies bytes to as many others. Most parts of a head are short, and cost less than a call: two copies of
/// a size that is known, which overlap.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    let length = from.len();
    if length < 8 {
        match length >= 4 {
            true => copy_ends::<4>(to, from),
            false => copy_few(to, from),
        }
    } else if length <= 16 {
        copy_ends::<8>(to, from);
    } else if length <= 32 {
        copy_ends::<16>(to, from);
    } else if length <= 64 {
        copy_ends::<32>(to, from);
    } else {
        to.copy_from_slice(from);
    }
}

/// Copies up to three bytes.
#[inline(always)]
fn copy_few(to: &mut [u8], from: &[u8]) {
    copy_first::<2>(to, from);
    if let Some(to) = to.last_mut()
        && let Some(from) = from.last()
    {
        *to = *from;
    }
}

#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    copy_first::<N>(to, from);
    let last = from.len().saturating_sub(N);
    if let Some(to) = to.get_mut(last..)
        && let Some(from) = from.get(last..)
    {
        copy_first::<N>(to, from);
    }
}

#[inline(always)]
fn copy_first<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let Some(to) = to.first_chunk_mut::<N>()
        && let Some(from) = from.first_chunk()
    {
        *to = *from;
    }
}
