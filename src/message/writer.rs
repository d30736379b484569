//! Writes the head of a copy, field by field: what each field means to a copy is decided here.

use super::field::{Field, Role, is};
use super::request_target::origin_form;
use super::{Additions, Head, LOOP_MARK, Received, place};
use crate::memory::Budget;
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
    received: &Received<'a>,
    additions: &Additions<'a>,
    budget: &'static Budget,
) -> Result<Head, GivenUp> {
    let &Received { method, target, fields, host, connection, has_content } = received;
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(GivenUp::NotCopied(NotCopied::NotCopyable));
    }
    let nominated = if elements(connection).any(nominates) { connection } else { b"" };
    let most = most(received, additions);
    if u32::try_from(most).is_err() {
        return Err(GivenUp::Dropped(Loss::Memory));
    }
    let mut bytes = budget.buffer();
    let mut writer = Writer {
        place: bytes.place(most).ok_or(GivenUp::Dropped(Loss::Memory))?,
        most,
        host: None,
        has_length: false,
        has_content,
        nominated,
        mark: additions.mark.as_bytes(),
        added: Added::of(additions, host),
    };
    let (root, target) = origin_form(target);
    writer.bytes([method, root, target])?;
    let target = place(writer.written());
    for field in fields {
        // As most are.
        if field.role == Role::EndToEnd && nominated.is_empty() {
            writer.line(field.name, field.value)?;
        } else {
            writer.special(field)?;
        }
    }
    writer.what_was_not_received()?;
    let written = writer.written();
    let Writer { host, has_length, .. } = writer;
    bytes.fill(written);
    Ok(Head {
        bytes,
        method: place(method.len()),
        target,
        end: place(written),
        host,
        preserve_host: additions.preserve_host,
        has_length,
    })
}

/// How many bytes a copy's head has at most, the line included that [`Head::with_content`] may add.
fn most(received: &Received<'_>, additions: &Additions<'_>) -> usize {
    const LINES: usize = ", \r\n".len();
    const OF_OUR_OWN: usize =
        "/X-Forwarded-For: , \r\nX-Forwarded-Host: , \r\nX-Forwarded-Proto: , \r\n\
                               X-Mod-Copy: , \r\nContent-Length: 18446744073709551615\r\n"
            .len();
    let forwarded = additions.forwarded.map_or(0, |forwarded| {
        forwarded.client.len() + forwarded.proto.len() + received.host.map_or(0, <[u8]>::len)
    });
    // Slices of memory that exists: their lengths cannot add up to more than there is.
    let fields = received.fields.iter().map(|field| field.name.len() + field.value.len() + LINES);
    let line = received.method.len() + received.target.len();
    line + fields.sum::<usize>() + forwarded + additions.mark.len() + OF_OUR_OWN
}

/// The end of a line, and the beginning of that of [`LOOP_MARK`].
const MARK_BEGINS: &str = "\r\nX-Mod-Copy: ";
const _: () = assert!(MARK_BEGINS.len() == LOOP_MARK.len() + 4);

/// Writes the lines of the fields.
struct Writer<'a, 'b> {
    /// Where the next bytes go.
    place: &'b mut [u8],
    /// How many bytes there was room for.
    most: usize,
    host: Option<[u32; 2]>,
    has_length: bool,
    has_content: bool,
    /// The `Connection` field, where it names fields that end at this hop; else empty.
    nominated: &'a [u8],
    /// This server's loop mark.
    mark: &'a [u8],
    added: Added<'a>,
}

impl Writer<'_, '_> {
    fn special(&mut self, &Field { name, value, role }: &Field<'_>) -> Result<(), GivenUp> {
        match role {
            Role::EndToEnd if self.ends_here(name) => Ok(()),
            Role::EndToEnd => self.line(name, value),
            Role::HopByHop | Role::Connection | Role::TransferEncoding => Ok(()),
            Role::Upgrade if elements(value).all(|item| item.eq_ignore_ascii_case(b"h2c")) => {
                Ok(())
            }
            Role::Upgrade => Err(GivenUp::NotCopied(NotCopied::NotCopyable)),
            Role::Host if self.host.is_some() => Ok(()),
            Role::Host => {
                self.line(name, value)?;
                let end = self.written().saturating_sub(b"\r\n".len());
                self.host = Some([place(end.saturating_sub(value.len())), place(end)]);
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

    /// Whether the client's `Connection` field names this one.
    fn ends_here(&self, name: &[u8]) -> bool {
        !self.nominated.is_empty() && lists(self.nominated, name)
    }

    #[inline(always)]
    fn line(&mut self, name: &[u8], value: &[u8]) -> Result<(), GivenUp> {
        self.bytes([name, b": ", value, b"\r\n"])
    }

    /// Writes all the parts, for which there is room.
    #[inline(always)]
    fn bytes<const N: usize>(&mut self, parts: [&[u8]; N]) -> Result<(), GivenUp> {
        let mut place = std::mem::take(&mut self.place);
        for part in parts {
            let Some((here, rest)) = place.split_at_mut_checked(part.len()) else {
                return Err(GivenUp::Dropped(Loss::Memory));
            };
            copy(here, part);
            place = rest;
        }
        self.place = place;
        Ok(())
    }

    fn written(&self) -> usize {
        self.most.saturating_sub(self.place.len())
    }
}

/// Copies bytes to as many others. Most parts of a head are short, and cost less than a call: two copies of
/// a size that is known, which overlap.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        4..8 => copy_ends::<4>(to, from),
        8..=16 => copy_ends::<8>(to, from),
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
