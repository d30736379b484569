//! Where an answer ends, and whether the connection outlives it (RFC 9112 section 6.3).

use std::mem;

use httparse::Status;

use crate::outcome::StatusClass;

use super::head::{Coding, Head, Length, Malformed};

/// The most bytes of an answer's content, its framing included, that are read: more is not waited for.
pub(super) const DISCARD_LIMIT: u64 = 1024 * 1024;
/// The most bytes of an answer's head.
const HEAD_LIMIT: usize = 64 * 1024;
/// The most interim (1xx) answers before the final one.
const INTERIM_LIMIT: u32 = 16;
/// The most bytes of a line between chunks.
const LINE_LIMIT: usize = 8 * 1024;

/// An answer as it arrives, in pieces of any size. Its content is thrown away.
#[derive(Debug)]
pub(super) struct Answer {
    stage: Stage,
    /// Whether it answers `HEAD`, and so has no content.
    to_head: bool,
    /// The beginning of a head, or of a line between chunks, that is not yet whole.
    partial: Vec<u8>,
    interim: u32,
    class: Option<StatusClass>,
    persistent: bool,
    discarded: u64,
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
            persistent: false,
            discarded: 0,
        }
    }

    /// Takes the next bytes; how many of them belong to the answer. All do, unless it is complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() && self.stage != Stage::Complete {
            let in_head = self.stage == Stage::Head;
            let used = self.step(rest)?;
            rest = rest.get(used..).unwrap_or_default();
            if !in_head {
                self.discarded = self.discarded.saturating_add(used as u64);
                if self.discarded > DISCARD_LIMIT && self.stage != Stage::Complete {
                    self.stage = Stage::Complete;
                    self.persistent = false;
                }
            }
        }
        Ok(bytes.len().saturating_sub(rest.len()))
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
            Stage::Length(left) => {
                let (used, left) = skip(left, bytes);
                self.stage = if left == 0 { Stage::Complete } else { Stage::Length(left) };
                Ok(used)
            }
            Stage::Chunk(left) => {
                let (used, left) = skip(left, bytes);
                self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk(left) };
                Ok(used)
            }
            Stage::ChunkSize | Stage::ChunkEnd | Stage::Trailers => self.line(bytes),
            Stage::UntilClose | Stage::Complete => Ok(bytes.len()),
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
        // What was gathered before did not end a head, and only the end of a line can. The first
        // bytes are looked at in any case: they tell what does not speak HTTP.
        let parse = before == 0 || bytes.contains(&b'\n');
        let head = if parse { Head::parse(whole)? } else { None };
        if head.as_ref().map_or(whole.len(), |head| head.bytes) > HEAD_LIMIT {
            return Err("a head of more than 64 KiB");
        }
        match head {
            Some(head) => {
                self.begin(&head)?;
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
        let end = bytes.iter().position(|&byte| byte == b'\n');
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

/// How many of the `left` bytes are in `bytes`, and how many are left then.
fn skip(left: u64, bytes: &[u8]) -> (usize, u64) {
    let used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (used, left.saturating_sub(used as u64))
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
mod tests {
    use super::*;

    /// What became of an answer: its class and persistence, and how many bytes were not its own.
    type End = Result<(Option<StatusClass>, bool, usize), Malformed>;

    /// Feeds pieces of `size` bytes until the answer is complete or the connection closes.
    fn fed(method: &str, bytes: &[u8], size: usize) -> End {
        let mut answer = Answer::to(method.as_bytes());
        let mut used = 0;
        for piece in bytes.chunks(size) {
            if answer.is_complete() {
                break;
            }
            used += answer.feed(piece)?;
        }
        if answer.is_complete() || answer.ends_at_close() {
            Ok((answer.class(), answer.is_persistent(), bytes.len() - used))
        } else {
            Err("cut short")
        }
    }

    /// The same however the bytes are cut, or the test fails.
    fn end(method: &str, text: &str) -> End {
        let bytes = text.replace('\n', "\r\n").into_bytes();
        let whole = fed(method, &bytes, bytes.len());
        for size in 1..bytes.len() {
            assert_eq!(fed(method, &bytes, size), whole, "{text} in pieces of {size}");
        }
        whole
    }

    const KEPT: End = Ok((Some(StatusClass::Successful), true, 0));
    const CLOSED: End = Ok((Some(StatusClass::Successful), false, 0));

    #[test]
    fn the_end_of_the_content_is_found() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", KEPT),
            ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", KEPT),
            ("HTTP/1.1 200\nContent-Length: 0\n\n", KEPT),
            ("HTTP/1.1 200 OK\ncontent-length : 5, 5\nContent-Length: 5\n\nhello", KEPT),
            ("HTTP/1.1 200 OK\nX-Folded: a\n b\nContent-Length: 0\n\n", KEPT),
            ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n", KEPT),
            (
                "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n5;x=\"y\"\nhello\nA\n0123456789\n0\n\n",
                KEPT,
            ),
            (
                "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n1\nx\n00\nDigest: x\nX: y\n\n",
                KEPT,
            ),
            ("HTTP/1.1 200 OK\nTransfer-Encoding: gzip\nTransfer-Encoding: chunked\n\n0\n\n", KEPT),
            ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked, gzip\n\nwhatever", CLOSED),
            ("HTTP/1.1 200 OK\n\nuntil the end", CLOSED),
            ("HTTP/1.1 200 OK\n\n", CLOSED),
            ("HTTP/1.0 200 OK\n\nuntil the end", CLOSED),
        ] {
            assert_eq!(end("GET", answer), expected, "{answer}");
        }
    }

    #[test]
    fn answers_without_content_end_with_their_head() {
        let classified = |class| Ok((Some(class), true, 0));
        for (method, answer, expected) in [
            ("HEAD", "HTTP/1.1 200 OK\nContent-Length: 5\n\n", KEPT),
            ("HEAD", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", KEPT),
            ("HEAD", "HTTP/1.1 200 OK\n\n", KEPT),
            ("GET", "HTTP/1.1 204 No Content\n\n", KEPT),
            (
                "GET",
                "HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n",
                classified(StatusClass::Redirection),
            ),
        ] {
            assert_eq!(end(method, answer), expected, "{method} {answer}");
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let answer = "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: x\n\n\
                      HTTP/1.1 404 Not Found\nContent-Length: 1\n\nx";
        assert_eq!(end("GET", answer), Ok((Some(StatusClass::ClientError), true, 0)));
        let endless = "HTTP/1.1 100 Continue\n\n".repeat(17);
        assert_eq!(end("GET", &endless), Err("more than 16 interim answers"));
        let switch = "HTTP/1.1 101 Switching Protocols\n\n";
        assert_eq!(end("GET", switch), Err("a switch of protocols that was not asked for"));
    }

    #[test]
    fn the_connection_is_kept_only_where_both_sides_know_it() {
        for (head, kept) in [
            ("HTTP/1.1 200 OK\nContent-Length: 0", true),
            ("HTTP/1.1 200 OK\nContent-Length: 0\nConnection: x, Close", false),
            ("HTTP/1.0 200 OK\nContent-Length: 0", false),
            ("HTTP/1.0 200 OK\nContent-Length: 0\nConnection: Keep-Alive", true),
            ("HTTP/1.0 200 OK\nContent-Length: 0\nConnection: keep-alive, close", false),
            ("HTTP/1.1 204 No Content\nContent-Length: 3\nTransfer-Encoding: chunked", false),
        ] {
            assert_eq!(end("GET", &format!("{head}\n\n")).unwrap().1, kept, "{head}");
        }
        let both = "HTTP/1.1 200 OK\nContent-Length: 1\nTransfer-Encoding: chunked\n\n2\nab\n0\n\n";
        assert_eq!(
            end("GET", both),
            CLOSED,
            "the coding overrules the length, but is no good sign"
        );
        let old = "HTTP/1.0 200 OK\nConnection: keep-alive\nTransfer-Encoding: chunked\n\n0\n\n";
        assert_eq!(end("GET", old), CLOSED, "HTTP/1.0 knows no codings");
    }

    #[test]
    fn what_follows_the_answer_is_not_its_own() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(fed("GET", answer, answer.len()), Ok((Some(StatusClass::Successful), true, 19)));
    }

    #[test]
    fn malformed_answers_are_told() {
        let head = "HTTP/1.1 200 OK\n";
        for (answer, expected) in [
            ("SSH-2.0-OpenSSH_9.2\n", "not a status line of HTTP/1.1"),
            ("\u{15}\u{3}\u{1}", "not a status line of HTTP/1.1"),
            ("HTTP/2.0 200 OK\n\n", "not a status line of HTTP/1.1"),
            ("HTTP/1.1 20 OK\n\n", "not a status line of HTTP/1.1"),
            ("HTTP/1.1 600 Odd\n\n", "a status code beyond 599"),
            ("HTTP/1.1 000 Odd\n\n", "a status code beyond 599"),
            (&format!("{head}no field\n\n"), "not a field line"),
            (&format!("{head}Content-Length: 1\nContent-Length: 2\n\n"), "a faulty Content-Length"),
            (&format!("{head}Content-Length: 1, 2\n\n"), "a faulty Content-Length"),
            (&format!("{head}Content-Length: +1\n\n"), "a faulty Content-Length"),
            (&format!("{head}Content-Length:\n\n"), "a faulty Content-Length"),
            (&format!("{head}Content-Length: 99999999999999999999\n\n"), "a faulty Content-Length"),
            (&format!("{head}Transfer-Encoding: chunked\n\n\n"), "a faulty chunk size"),
            (&format!("{head}Transfer-Encoding: chunked\n\nx\n"), "a faulty chunk size"),
            (&format!("{head}Transfer-Encoding: chunked\n\n-1\n"), "a faulty chunk size"),
            (
                &format!("{head}Transfer-Encoding: chunked\n\n10000000000000000\n"),
                "a faulty chunk size",
            ),
            (
                &format!("{head}Transfer-Encoding: chunked\n\n1\nxy\n"),
                "a chunk longer than its size",
            ),
            (&format!("{head}{}\n", "X: y\n".repeat(129)), "more than 128 fields"),
        ] {
            assert_eq!(end("GET", answer), Err(expected), "{answer}");
        }
        let fed = |bytes: Vec<u8>| fed("GET", &bytes, 4096);
        let huge = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; HEAD_LIMIT]].concat();
        assert_eq!(fed(huge), Err("a head of more than 64 KiB"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;".to_vec();
        let endless = [chunked, vec![b'x'; LINE_LIMIT]].concat();
        assert_eq!(fed(endless), Err("an endless line in chunked content"));
    }

    #[test]
    fn answers_that_are_cut_short_are_not_complete() {
        for whole in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        ] {
            for cut in 1..whole.len() {
                let bytes = &whole.as_bytes()[..cut];
                assert_eq!(fed("GET", bytes, cut), Err("cut short"), "{cut} bytes of {whole}");
            }
        }
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        let content = vec![b'x'; 2 * DISCARD_LIMIT as usize];
        for head in ["Content-Length: 9999999999", "X: until the end"] {
            let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").into_bytes();
            let mut answer = Answer::to(b"GET");
            assert_eq!(answer.feed(&head), Ok(head.len()));
            for piece in content.chunks(1000).take(DISCARD_LIMIT as usize / 1000) {
                assert_eq!(answer.feed(piece), Ok(1000));
                assert!(!answer.is_complete());
            }
            assert_eq!(answer.feed(&content[..1000]), Ok(1000));
            assert!(answer.is_complete() && !answer.is_persistent());
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_stand_still() {
        let seeds: [&[u8]; 4] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\nff\r\nx\r\n0\r\nA: b\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 304 Not Modified\r\nX: \r\n y\r\n\r\n",
            b"\r\n\nHTTP/1.1 500 \r\n\r\nuntil the end",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % below
        };
        for _ in 0..50_000 {
            let mut bytes = seeds[random(seeds.len())].to_vec();
            for _ in 0..random(6) {
                let at = random(bytes.len());
                match random(3) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b"\r\n0;: fF\x00"[random(9)]),
                }
            }
            let size = 1 + random(bytes.len());
            let method = ["GET", "HEAD"][random(2)];
            assert_eq!(fed(method, &bytes, size).is_ok(), fed(method, &bytes, 1).is_ok());
        }
    }
}
