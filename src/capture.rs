//! A request's content on its way to production, kept as it passes, up to a limit.

use std::ops::Deref;

use crate::memory::{Budget, Buffer};
use crate::outcome::{GivenUp, Loss, NotCopied};

/// What has passed of one request's content.
#[derive(Debug)]
pub struct Capture {
    bytes: Buffer,
    /// Where the content begins: behind the copy's head, where both are in one buffer.
    start: usize,
    limit: usize,
    /// Bytes that passed, kept or not.
    seen: u64,
    ended: bool,
    given_up: Option<GivenUp>,
}

impl Capture {
    /// An empty capture of at most `limit` bytes.
    pub fn new(limit: usize, budget: &'static Budget) -> Capture {
        Capture { bytes: budget.buffer(), start: 0, limit, seen: 0, ended: false, given_up: None }
    }

    /// Lowers the limit to that of the request's scope.
    pub fn limit_to(&mut self, limit: usize) {
        self.limit = limit;
        self.check_limit();
    }

    /// Whether nothing has passed yet.
    pub fn is_untouched(&self) -> bool {
        self.seen == 0 && !self.is_settled()
    }

    /// Keeps the content behind what this buffer holds; nothing must have passed yet.
    pub fn keep_behind(&mut self, head: Buffer) {
        debug_assert!(self.is_untouched(), "content is kept in one place");
        self.start = head.len();
        self.bytes = head;
    }

    /// Keeps bytes that pass. Memory follows what arrives, never what a client announces.
    ///
    /// What passes after the end has passed before: mod_ssl keeps content over a renegotiation, and
    /// gives it to production a second time.
    pub fn take(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        self.check_limit();
        if self.given_up.is_some() {
            return;
        }
        let needed = self.bytes.len().saturating_add(bytes.len());
        let doubled = self.bytes.capacity().saturating_mul(2).min(self.limit);
        if !self.bytes.make_room(needed, doubled) {
            return self.give_up(GivenUp::Dropped(Loss::Memory));
        }
        self.bytes.extend(bytes);
    }

    /// Whether bytes are still wanted; once not, [`skip`](Self::skip) does.
    pub fn wants_bytes(&self) -> bool {
        self.given_up.is_none()
    }

    /// Counts bytes that pass without keeping them.
    pub fn skip(&mut self, length: u64) {
        if self.ended {
            return;
        }
        self.seen = self.seen.saturating_add(length);
    }

    /// Production failed to read on, or reads in a way that cannot be followed: whatever comes later,
    /// the content is not whole.
    pub fn break_off(&mut self) {
        if self.given_up.is_none() && !self.ended {
            self.give_up(GivenUp::NotCopied(NotCopied::Incomplete));
        }
    }

    /// The content's end has passed.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether all is known that will be: the end has passed, or the content is given up.
    pub fn is_settled(&self) -> bool {
        self.ended || self.given_up.is_some()
    }

    /// The whole content, whose length is the `declared` one, if one was declared.
    pub fn finish(self, declared: Option<u64>) -> Result<Content, GivenUp> {
        if let Some(reason) = self.given_up {
            return Err(reason);
        }
        let content = Content { bytes: self.bytes, start: self.start };
        let length = content.len() as u64;
        if !self.ended || declared.is_some_and(|declared| declared != length) {
            return Err(GivenUp::NotCopied(NotCopied::Incomplete));
        }
        Ok(content)
    }

    fn check_limit(&mut self) {
        if self.given_up.is_none() && self.seen > self.limit as u64 {
            self.give_up(GivenUp::NotCopied(NotCopied::TooLarge));
        }
    }

    fn give_up(&mut self, reason: GivenUp) {
        self.given_up = Some(reason);
        self.bytes.release();
    }
}

/// The whole content of a request.
#[derive(Debug)]
pub struct Content {
    /// The content, behind the copy's head where [`Capture::keep_behind`] put it there.
    pub bytes: Buffer,
    /// Where in it the content begins.
    pub start: usize,
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BUDGET: Budget = Budget::new(1 << 20);

    fn captured(limit: usize, parts: &[&[u8]]) -> Capture {
        let mut capture = Capture::new(limit, &BUDGET);
        parts.iter().for_each(|part| capture.take(part));
        capture
    }

    #[test]
    fn content_is_whole_when_its_end_and_its_length_agree() {
        let mut capture = captured(100, &[b"hello ", b"world"]);
        capture.end();
        assert_eq!(&capture.finish(Some(11)).unwrap()[..], b"hello world");
        let mut chunked = captured(100, &[b"x"]);
        chunked.end();
        assert_eq!(&chunked.finish(None).unwrap()[..], b"x");
    }

    #[test]
    fn content_behind_a_head_is_told_from_it_and_may_outgrow_its_buffer() {
        let mut capture = Capture::new(9000, &BUDGET);
        assert!(capture.is_untouched());
        capture.keep_behind(BUDGET.filled(b"GET /"));
        capture.take(b"hello");
        assert!(!capture.is_untouched());
        capture.take(&[b'x'; 8000]);
        capture.end();
        let content = capture.finish(Some(8005)).unwrap();
        assert_eq!((&content[..6], content.len()), (&b"hellox"[..], 8005));
        assert!(content.bytes.starts_with(b"GET /hello"));
    }

    #[test]
    fn an_end_before_the_declared_length_is_incomplete() {
        let incomplete = GivenUp::NotCopied(NotCopied::Incomplete);
        let mut waiting = captured(100, &[]);
        waiting.end();
        assert_eq!(waiting.finish(Some(8)).unwrap_err(), incomplete);
        assert_eq!(captured(100, &[b"hello"]).finish(None).unwrap_err(), incomplete);
    }

    #[test]
    fn what_broke_off_stays_incomplete_though_an_end_follows() {
        let mut broken = captured(100, &[b"hel"]);
        broken.break_off();
        assert!(broken.is_settled());
        broken.end();
        let incomplete = GivenUp::NotCopied(NotCopied::Incomplete);
        assert_eq!(broken.finish(None).unwrap_err(), incomplete);
        let mut whole = captured(100, &[b"hello"]);
        whole.end();
        whole.break_off();
        assert!(whole.finish(None).is_ok(), "reading on after the end breaks nothing");
    }

    #[test]
    fn what_passes_again_after_the_end_is_not_kept() {
        let mut replayed = captured(8, &[b"hello"]);
        replayed.end();
        replayed.take(b"hello");
        replayed.skip(5);
        replayed.end();
        assert_eq!(&replayed.finish(None).unwrap()[..], b"hello");
    }

    #[test]
    fn the_limit_is_met_exactly() {
        let too_large = GivenUp::NotCopied(NotCopied::TooLarge);
        let mut exact = captured(5, &[b"hello"]);
        exact.end();
        assert!(exact.finish(Some(5)).is_ok());
        let above = captured(5, &[b"hello", b"!"]);
        assert!(above.is_settled() && !above.wants_bytes());
        assert_eq!(above.finish(None).unwrap_err(), too_large);
        let mut lowered = captured(100, &[b"hello"]);
        lowered.limit_to(4);
        assert_eq!(lowered.finish(None).unwrap_err(), too_large);
    }

    #[test]
    fn content_beyond_the_budget_is_given_up_and_its_memory_returned() {
        static SMALL: Budget = Budget::new(5000);
        let mut capture = Capture::new(10_000, &SMALL);
        capture.take(b"hello");
        assert!(SMALL.used() > 0);
        capture.take(&[0; 5000]);
        assert_eq!(SMALL.used(), 0);
        assert_eq!(capture.finish(None).unwrap_err(), GivenUp::Dropped(Loss::Memory));
    }
}
