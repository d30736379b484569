//! The copy as HTTP/2 has it: without a request line, `Host`, or what frames it in HTTP/1.1.

use std::sync::Arc;

use super::field::{Field, Role, is};
use super::request_target::map_target;
use super::{Layout, Message};
use crate::memory::{Budget, Buffer};
use crate::target::Aim;

impl Message {
    /// `:path`, in two parts: the URL's path and the request target, joined as for HTTP/1.1.
    pub fn path<'a>(&'a self, aim: &'a Aim) -> [&'a [u8]; 2] {
        map_target(self.target(), aim.url.path().as_bytes(), aim.path)
    }

    /// `:authority`: what `Host` is in HTTP/1.1.
    pub fn authority<'a>(&'a self, aim: &'a Aim) -> &'a [u8] {
        let layout = self.head.layout();
        match layout.host {
            Some([from, to]) if aim.preserve_host.unwrap_or(layout.preserve_host) => {
                self.head.slice(from, to)
            }
            _ => aim.url.authority().as_bytes(),
        }
    }

    /// The fields, names and values, in their order: without `Host`, and without a `Content-Length` that was
    /// not received.
    pub fn own_fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let Layout { target, framing, .. } = self.head.layout();
        let fields = fields(self.head.slice(target, framing));
        fields.filter(|(name, _)| !is(name, b"host"))
    }

    /// The same copy with the fields that followed its content, which HTTP/1.1 does without.
    #[inline(always)]
    pub fn with_trailers(mut self, trailers: Option<Buffer>) -> Message {
        self.trailers = trailers.map(Arc::new);
        self
    }

    /// The fields that followed the content.
    pub fn trailers(&self) -> Option<impl Iterator<Item = (&[u8], &[u8])>> {
        self.trailers.as_deref().map(|lines| fields(lines))
    }

    /// Whether the client said `TE: trailers`. That is about its own connection, and so in no copy over HTTP/1.1;
    /// but gRPC's servers want to be told.
    pub fn takes_trailers(&self) -> bool {
        self.head.layout().takes_trailers
    }
}

/// The fields that follow content, as lines; those about the connection, the framing and the host may not, and are
/// left out (RFC 9110 section 6.5.1). `None` where there are no others, an error where memory does not bear them.
pub(crate) fn trailers<'a>(
    received: impl Iterator<Item = Field<'a>> + Clone,
    budget: &'static Budget,
) -> Result<Option<Buffer>, NoMemory> {
    let kept = received.filter(|field| field.role == Role::EndToEnd);
    let length = |field: Field<'_>| field.name.len() + field.value.len() + ": \r\n".len();
    let bytes: usize = kept.clone().map(length).sum();
    if bytes == 0 {
        return Ok(None);
    }
    let mut lines = budget.buffer(bytes).ok_or(NoMemory)?;
    for Field { name, value, .. } in kept {
        for part in [name, b": ", value, b"\r\n"] {
            if !lines.append(part) {
                return Err(NoMemory);
            }
        }
    }
    Ok(Some(lines))
}

/// `CopyMemory` does not bear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

/// Field lines, as names and values. Each was written by us, and no value holds the end of a line.
fn fields(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = lines.split(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
    lines.filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((line.get(..colon)?, line.get(colon.saturating_add(2)..)?))
    })
}
