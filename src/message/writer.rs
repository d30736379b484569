//! Writes the head of a copy, field by field: what each field means to a copy is decided here.

use std::ops::Range;

use super::request_target::origin_form;
use super::{Additions, Head, LOOP_MARK, OVERHEAD, Received};
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

/// What a field's name means to a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Copied as it is.
    EndToEnd,
    /// Belongs to the client's connection (RFC 9110 section 7.6.1), or to its framing.
    HopByHop,
    /// Names further fields that belong to the client's connection.
    Connection,
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
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // By length first: most fields are told apart by one comparison.
        match name.len() {
            2 if is("te") => Role::HopByHop,
            4 if is("host") => Role::Host,
            6 if is("expect") => Role::HopByHop,
            7 if is("upgrade") => Role::Upgrade,
            7 if is("trailer") => Role::HopByHop,
            10 if is("connection") => Role::Connection,
            10 if is("keep-alive") => Role::HopByHop,
            10 if is(LOOP_MARK) => Role::LoopMark,
            14 if is("content-length") => Role::ContentLength,
            14 if is("http2-settings") => Role::HopByHop,
            15 if is("x-forwarded-for") => Role::ForwardedFor,
            16 if is("proxy-connection") => Role::HopByHop,
            16 if is("x-forwarded-host") => Role::ForwardedHost,
            17 if is("transfer-encoding") => Role::HopByHop,
            17 if is("x-forwarded-proto") => Role::ForwardedProto,
            _ => Role::EndToEnd,
        }
    }
}

/// Writes the head's bytes, field by field.
pub(super) struct Writer<'a> {
    bytes: Vec<u8>,
    method: usize,
    target: Range<usize>,
    host: Option<Range<usize>>,
    has_length: bool,
    has_content: bool,
    connection: &'a [u8],
    added: [Added<'a>; 4],
}

/// A field that the copy adds to: joined to what was received, or a line of its own.
struct Added<'a> {
    role: Role,
    name: &'static str,
    value: Option<&'a [u8]>,
}

impl<'a> Writer<'a> {
    pub(super) fn new<F>(received: &Received<'a, F>, additions: &Additions<'a>) -> Writer<'a>
    where
        F: Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        let (root, target) = origin_form(received.target);
        let mut bytes = Vec::with_capacity(target.len().saturating_add(1024));
        bytes.extend_from_slice(received.method);
        let method = bytes.len();
        bytes.extend_from_slice(root);
        bytes.extend_from_slice(target);
        let target = method..bytes.len();

        let value_of = |role| {
            received.fields.clone().find(|(name, _)| Role::of(name) == role).map(|(_, value)| value)
        };
        let forwarded = additions.forwarded;
        let added = |role, name, value| Added { role, name, value };
        Writer {
            bytes,
            method,
            target,
            host: None,
            has_length: false,
            has_content: received.has_content,
            connection: value_of(Role::Connection).unwrap_or_default(),
            added: [
                added(Role::ForwardedFor, "X-Forwarded-For", forwarded.map(|f| f.client)),
                added(
                    Role::ForwardedHost,
                    "X-Forwarded-Host",
                    forwarded.and_then(|_| value_of(Role::Host)),
                ),
                added(
                    Role::ForwardedProto,
                    "X-Forwarded-Proto",
                    forwarded.map(|f| f.proto.as_bytes()),
                ),
                added(Role::LoopMark, LOOP_MARK, Some(additions.mark.as_bytes())),
            ],
        }
    }

    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), GivenUp> {
        match Role::of(name) {
            Role::Connection | Role::HopByHop => {}
            Role::Upgrade if elements(value).all(|item| item.eq_ignore_ascii_case(b"h2c")) => {}
            Role::Upgrade => return Err(GivenUp::NotCopied(NotCopied::NotCopyable)),
            Role::Host if self.host.is_none() => {
                self.line(name, &[value]);
                let end = self.bytes.len().saturating_sub(2);
                self.host = Some(end.saturating_sub(value.len())..end);
            }
            // Where no content follows, a received "0" is the client's own word and stays.
            Role::ContentLength if self.has_content || value == b"0" => {
                self.has_length = true;
                self.line(name, &[value]);
            }
            Role::ContentLength => {}
            role => {
                let added = self.added.iter_mut().find(|added| added.role == role);
                let more = added.and_then(|added| added.value.take());
                match more {
                    Some(mark) if role == Role::LoopMark && lists(value, mark) => {
                        return Err(GivenUp::NotCopied(NotCopied::Loop));
                    }
                    Some(more) if value.is_empty() => self.line(name, &[more]),
                    Some(more) => self.line(name, &[value, b", ", more]),
                    None if self.ends_here(name) => {}
                    None => self.line(name, &[value]),
                }
            }
        }
        Ok(())
    }

    /// Whether the client's `Connection` field names this field.
    fn ends_here(&self, name: &[u8]) -> bool {
        !self.connection.is_empty() && lists(self.connection, name)
    }

    fn line(&mut self, name: &[u8], value: &[&[u8]]) {
        write_line(&mut self.bytes, name, value);
    }

    pub(super) fn finish(
        mut self,
        preserve_host: bool,
        budget: &'static Budget,
    ) -> Result<Head, GivenUp> {
        for Added { name, value, .. } in self.added {
            if let Some(value) = value {
                write_line(&mut self.bytes, name.as_bytes(), &[value]);
            }
        }
        let mut lease = budget.lease();
        if !lease.cover(self.bytes.capacity().saturating_add(OVERHEAD)) {
            return Err(GivenUp::Dropped(Loss::Memory));
        }
        Ok(Head {
            bytes: self.bytes,
            method: self.method,
            target: self.target,
            host: self.host,
            preserve_host,
            has_length: self.has_length,
            lease,
        })
    }
}

fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[&[u8]]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    for part in value {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}
