//! What an exchange writes to and reads from: a socket itself, or layers over it.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, NextTimeout};

/// A connection, as an exchange uses it. A timeout of [`AT_ONCE`](super::exchange::AT_ONCE) asks it not to
/// wait.
///
/// Bytes are written from where they lie, and what nobody reads need not be moved; unless a layer over
/// the socket has to see them: see [`super::layered`].
pub(super) trait Wire: Send {
    /// Writes as much of the parts as is taken at once, and waits where nothing is; how many bytes. What it
    /// is given next begins behind these.
    fn write<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]>,
        timeout: NextTimeout,
    ) -> Result<usize, Error>;

    /// Waits for input; `false` where the connection has ended.
    fn read(&mut self, timeout: NextTimeout) -> Result<bool, Error>;

    /// Whether the connection is open although its socket shows something: a layer may have sent it for
    /// itself, and else it is the end, or what nobody asked for.
    fn is_open(&mut self) -> bool {
        false
    }

    /// Where the input is.
    fn buffers(&mut self) -> &mut dyn Buffers;

    /// Whether it can [`discard`](Self::discard).
    const DISCARDS: bool;

    /// Waits for input, and throws up to `most` bytes of it away unseen; how many, and none where the
    /// connection has ended. What was read before must have been consumed.
    fn discard(&mut self, most: usize, timeout: NextTimeout) -> Result<usize, Error>;
}

/// What of the parts lies behind the first `sent` bytes.
pub(super) fn rest<'a>(
    parts: impl Iterator<Item = &'a [u8]>,
    mut sent: usize,
) -> impl Iterator<Item = &'a [u8]> {
    parts.filter_map(move |part| {
        let rest = part.get(sent..).unwrap_or_default();
        sent = sent.saturating_sub(part.len());
        Some(rest).filter(|rest| !rest.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::rest;

    #[test]
    fn what_is_left_to_write_begins_behind_what_was_written() {
        let parts: [&[u8]; 5] = [b"POST", b" ", b"", b"/path", b"content"];
        let whole = parts.concat();
        for sent in 0..=whole.len() {
            let left: Vec<&[u8]> = rest(parts.into_iter(), sent).collect();
            assert_eq!(left.concat(), whole[sent..]);
            assert!(left.iter().all(|part| !part.is_empty()));
        }
    }
}
