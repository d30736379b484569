//! Where an answer ends, and whether the connection outlives it (RFC 9112 section 6.3).

use std::mem;

use httparse::Status;

use crate::comparing::{Keeping, LONGEST};
use crate::outcome::StatusClass;

use super::head::{Coding, Head, Length, Malformed};

/// The most bytes of an answer's content, its framing included, that are read: more is not waited for.
pub(super) const DISCARD_LIMIT: u64 = 1024 * 1024;
/// What is read of any answer's content, and then as much again each time that more is allowed.
pub(super) const PORTION: u64 = 64 * 1024;
/// The most bytes of an answer's head.
const HEAD_LIMIT: usize = 64 * 1024;
/// What is looked at of a head as soon as it comes.
const GLANCE: usize = 4 * 1024;
/// What ends a head, or is longer than what does.
const END: &[u8] = b"\n\r\n";
/// The most interim (1xx) answers before the final one.
pub(super) const INTERIM_LIMIT: u32 = 16;
/// The most bytes of a line between chunks.
const LINE_LIMIT: usize = 8 * 1024;

/// An answer as it arrives, in pieces of any size. Its content is thrown away, unless the answer is kept.
#[derive(Debug)]
pub(super) struct Answer {
    stage: Stage,
    /// Whether it answers `HEAD`, and so has no content.
    to_head: bool,
    /// The beginning of a head, or of a line between chunks, that is not yet whole.
    partial: Vec<u8>,
    interim: u32,
    class: Option<StatusClass>,
    status: u16,
    persistent: bool,
    discarded: u64,
    /// What may be read of the content.
    allowed: u64,
    /// What the answer is kept by, if it is compared.
    keep: Option<Box<Keeping>>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    /// Content of a known length: this many bytes of it.
    Length(u64),
    UntilClose,
    ChunkSize,
    /// This many bytes of a chunk.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Complete,
}

impl Answer {
    /// The answer to a request of this method.
    pub(super) fn to(method: &[u8]) -> Answer {
        Answer {
            stage: Stage::Head,
            to_head: method == b"HEAD",
            partial: Vec::new(),
            interim: 0,
            class: None,
            status: 0,
            persistent: false,
            discarded: 0,
            allowed: PORTION,
            keep: None,
        }
    }

    /// The same kept, if it is to be.
    pub(super) fn keeping(self, keep: Option<Box<Keeping>>) -> Answer {
        Answer { keep, ..self }
    }

    /// What was kept.
    pub(super) fn take_kept(&mut self) -> Option<Box<Keeping>> {
        self.keep.take()
    }

    fn wants_content(&self) -> bool {
        self.keep.as_ref().is_some_and(|keep| keep.wants_content())
    }

    /// Takes the next bytes; how many of them belong to the answer. All do, unless it is complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() && self.stage != Stage::Complete {
            let in_head = self.stage == Stage::Head;
            let used = self.step(rest)?;
            rest = rest.get(used..).unwrap_or_default();
            if !in_head {
                self.count(used as u64);
            }
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    /// How many of the next bytes are content for certain, as far as it is waited for: whoever has them may
    /// [`skip`](Self::skip) them instead.
    pub(super) fn ahead(&self) -> usize {
        if self.wants_content() {
            return 0;
        }
        let allowed = self.allowed.saturating_sub(self.discarded).saturating_add(1);
        let ahead = match self.stage {
            Stage::Length(left) | Stage::Chunk(left) => left.min(allowed),
            Stage::UntilClose => allowed,
            _ => 0,
        };
        usize::try_from(ahead).unwrap_or(usize::MAX)
    }

    /// Does without bytes of those that are [`ahead`](Self::ahead).
    pub(super) fn skip(&mut self, count: u64) {
        self.pass(count);
        self.count(count);
    }

    /// Counts bytes of the content, and ends with what is read of it.
    fn count(&mut self, bytes: u64) {
        self.discarded = self.discarded.saturating_add(bytes);
        let most = if self.wants_content() { LONGEST as u64 } else { DISCARD_LIMIT };
        if self.discarded > most {
            self.cut();
        }
    }

    /// Whether more of the content comes than may be read so far: it is for the caller to
    /// [`allow`](Self::allow) more, or to [`cut`](Self::cut) it.
    pub(super) fn is_beyond_allowed(&self) -> bool {
        self.discarded > self.allowed && self.stage != Stage::Complete
    }

    /// Lets another [`PORTION`] be read.
    pub(super) fn allow(&mut self) {
        self.allowed = self.allowed.saturating_add(PORTION);
    }

    /// Does without the rest of the content, and with it, without the connection.
    pub(super) fn cut(&mut self) {
        if self.stage != Stage::Complete {
            self.stage = Stage::Complete;
            self.persistent = false;
            if let Some(keep) = &mut self.keep {
                keep.lose();
            }
        }
    }

    /// Takes bytes of the content; how many of them belong to this stage.
    fn pass(&mut self, count: u64) -> u64 {
        let (left, next) = match &mut self.stage {
            Stage::Length(left) => (left, Stage::Complete),
            Stage::Chunk(left) => (left, Stage::ChunkEnd),
            _ => return count,
        };
        let used = count.min(*left);
        *left = left.saturating_sub(used);
        if *left == 0 {
            self.stage = next;
        }
        used
    }

    /// The final status, once the class is known; else 0.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The class of the final status, once the head is complete.
    pub(super) fn class(&self) -> Option<StatusClass> {
        self.class
    }

    /// Whether nothing more is to be read: all of it was, or enough.
    pub(super) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    /// Whether the end of the connection is the end of the content.
    pub(super) fn ends_at_close(&self) -> bool {
        self.stage == Stage::UntilClose
    }

    /// Whether the connection may serve the next exchange, once the answer is complete.
    pub(super) fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// The room taken by what is not yet whole.
    #[cfg(fuzzing)]
    pub(super) fn room(&self) -> usize {
        self.partial.capacity()
    }

    /// What is being read, for the error log.
    pub(super) fn part(&self) -> &'static str {
        match self.stage {
            Stage::Head => "read the answer's head",
            _ => "read the answer's content",
        }
    }

    /// Takes at least one byte of `bytes`, and none beyond its stage.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self.stage {
            Stage::Head => self.head(bytes),
            Stage::ChunkSize | Stage::ChunkEnd | Stage::Trailers => self.line(bytes),
            Stage::Length(_) | Stage::Chunk(_) | Stage::UntilClose | Stage::Complete => {
                // No more than there are bytes.
                let used = usize::try_from(self.pass(bytes.len() as u64)).unwrap_or(bytes.len());
                if let Some(keep) = &mut self.keep {
                    keep.content(bytes.get(..used).unwrap_or_default());
                }
                Ok(used)
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut gathered = mem::take(&mut self.partial);
        let before = gathered.len();
        let whole = match before {
            0 => bytes,
            _ => {
                gathered.extend_from_slice(bytes);
                gathered.as_slice()
            }
        };
        let head = parse(whole, before)?;
        if head.as_ref().map_or(whole.len(), |head| head.bytes) > HEAD_LIMIT {
            return Err("a head of more than 64 KiB");
        }
        match head {
            Some(head) => {
                self.begin(&head)?;
                if let Some(keep) = self.keep.as_mut().filter(|_| self.class.is_some()) {
                    let lines = whole.get(..head.bytes).unwrap_or_default();
                    let status_line = lines.iter().position(|&byte| byte == b'\n').unwrap_or(0);
                    keep.begins();
                    keep.head(head.status, lines.get(status_line..));
                    if let Stage::Length(length) = self.stage {
                        keep.expect(length);
                    }
                }
                Ok(head.bytes.saturating_sub(before))
            }
            None => {
                if before == 0 {
                    gathered.extend_from_slice(bytes);
                }
                self.partial = gathered;
                Ok(bytes.len())
            }
        }
    }

    /// Decides what follows a head.
    fn begin(&mut self, head: &Head) -> Result<(), Malformed> {
        if (100..200).contains(&head.status) {
            self.interim = self.interim.saturating_add(1);
            return match head.status {
                101 => Err("a switch of protocols that was not asked for"),
                _ if self.interim > INTERIM_LIMIT => Err("more than 16 interim answers"),
                _ => Ok(()),
            };
        }
        self.class = Some(StatusClass::of(head.status).ok_or("a status code beyond 599")?);
        self.status = head.status;
        self.persistent = head.is_persistent();
        self.stage = match (head.coding, head.length) {
            _ if self.to_head || matches!(head.status, 204 | 304) => Stage::Complete,
            (Coding::Chunked, _) => Stage::ChunkSize,
            (Coding::Other, _) => Stage::UntilClose,
            (Coding::None, Length::Faulty) => return Err("a faulty Content-Length"),
            (Coding::None, Length::Of(0)) => Stage::Complete,
            (Coding::None, Length::Of(length)) => Stage::Length(length),
            (Coding::None, Length::Absent) => Stage::UntilClose,
        };
        if self.stage == Stage::UntilClose {
            self.persistent = false;
        }
        Ok(())
    }

    /// Gathers a line between chunks, and acts on it when it is whole.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let end = memchr::memchr(b'\n', bytes);
        let used = end.map_or(bytes.len(), |at| at.saturating_add(1));
        self.partial.extend_from_slice(bytes.get(..used).unwrap_or_default());
        if self.partial.len() > LINE_LIMIT {
            return Err("an endless line in chunked content");
        }
        if end.is_some() {
            let line = self.partial.as_slice();
            self.stage = match self.stage {
                Stage::ChunkSize => match chunk_size(line).ok_or("a faulty chunk size")? {
                    0 => Stage::Trailers,
                    size => Stage::Chunk(size),
                },
                Stage::Trailers if matches!(line, b"\r\n" | b"\n") => Stage::Complete,
                Stage::Trailers => Stage::Trailers,
                _ if line == b"\r\n" => Stage::ChunkSize,
                _ => return Err("a chunk longer than its size"),
            };
            self.partial.clear();
        }
        Ok(used)
    }
}

/// Reads a head of which the first `before` bytes were looked at before; `None` where it is not yet whole.
fn parse(head: &[u8], before: usize) -> Result<Option<Head>, Malformed> {
    if before == 0 {
        // They are the whole of most heads, and tell what does not speak HTTP.
        let first = Head::parse(head.get(..GLANCE).unwrap_or(head))?;
        if first.is_some() || head.len() <= GLANCE {
            return Ok(first);
        }
    }
    // However long it is, it is not read again before its end has come.
    let unseen = head.get(before.saturating_sub(END.len() - 1)..).unwrap_or_default();
    if has_end(unseen) { Head::parse(head) } else { Ok(None) }
}

/// Whether an empty line follows another.
fn has_end(mut bytes: &[u8]) -> bool {
    while let Some(at) = memchr::memchr(b'\n', bytes) {
        bytes = bytes.get(at.saturating_add(1)..).unwrap_or_default();
        if bytes.starts_with(b"\n") || bytes.starts_with(b"\r\n") {
            return true;
        }
    }
    false
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    // httparse takes a line without any digit for a size of 0.
    if !line.first()?.is_ascii_hexdigit() {
        return None;
    }
    match httparse::parse_chunk_size(line) {
        Ok(Status::Complete((_, size))) => Some(size),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
