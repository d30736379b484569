//! The copy as HTTP/2 has it: without a request line, `Host`, or what frames it in HTTP/1.1.

use super::Message;
use super::field::is;
use super::request_target::map_target;
use crate::target::Aim;

impl Message {
    /// `:path`, in two parts: the URL's path and the request target, joined as for HTTP/1.1.
    pub fn path<'a>(&'a self, aim: &'a Aim) -> [&'a [u8]; 2] {
        map_target(self.target(), aim.url.path().as_bytes(), aim.path)
    }

    /// `:authority`: what `Host` is in HTTP/1.1.
    pub fn authority<'a>(&'a self, aim: &'a Aim) -> &'a [u8] {
        match self.head.host {
            Some([from, to]) if aim.preserve_host.unwrap_or(self.head.preserve_host) => {
                self.head.slice(from, to)
            }
            _ => aim.url.authority().as_bytes(),
        }
    }

    /// The fields, names and values, in their order: without `Host`, and without a `Content-Length` that was
    /// not received.
    pub fn own_fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = self.head.slice(self.head.target, self.head.framing);
        // Each was written so, and no value holds the end of a line.
        let lines = lines.split(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
        let fields = lines.filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((line.get(..colon)?, line.get(colon.saturating_add(2)..)?))
        });
        fields.filter(|(name, _)| !is(name, b"host"))
    }

    /// Whether the client said `TE: trailers`. That is about its own connection, and so in no copy over HTTP/1.1;
    /// but gRPC's servers want to be told.
    pub fn takes_trailers(&self) -> bool {
        self.head.takes_trailers
    }

    /// How many bytes of content there are.
    pub fn content_length(&self) -> usize {
        self.content_pieces().map(<[u8]>::len).sum()
    }
}
