//! A request's content on its way to production, kept as it passes, up to a limit.

use crate::memory::{Budget, Lease};
use crate::message::Content;
use crate::outcome::{GivenUp, Loss, NotCopied};

/// What has passed of one request's content.
#[derive(Debug)]
pub struct Capture {
    bytes: Vec<u8>,
    lease: Lease,
    limit: usize,
    /// Bytes that passed, kept or not.
    seen: u64,
    ended: bool,
    given_up: Option<GivenUp>,
}

impl Capture {
    /// An empty capture of at most `limit` bytes.
    pub fn new(limit: usize, budget: &'static Budget) -> Capture {
        Capture {
            bytes: Vec::new(),
            lease: budget.lease(),
            limit,
            seen: 0,
            ended: false,
            given_up: None,
        }
    }

    /// Lowers the limit to that of the request's scope.
    pub fn limit_to(&mut self, limit: usize) {
        self.limit = limit;
        self.check_limit();
    }

    /// Keeps bytes that pass. Memory follows what arrives, never what a client announces.
    pub fn take(&mut self, bytes: &[u8]) {
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        self.check_limit();
        if self.given_up.is_some() {
            return;
        }
        let needed = self.bytes.len().saturating_add(bytes.len());
        if needed > self.bytes.capacity() {
            let doubled = self.bytes.capacity().saturating_mul(2).min(self.limit);
            let capacity = needed.max(doubled);
            if !self.lease.cover(capacity) {
                return self.give_up(GivenUp::Dropped(Loss::Memory));
            }
            self.bytes.reserve_exact(capacity.saturating_sub(self.bytes.len()));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether bytes are still wanted; once not, [`skip`](Self::skip) does.
    pub fn wants_bytes(&self) -> bool {
        self.given_up.is_none()
    }

    /// Counts bytes that pass without keeping them.
    pub fn skip(&mut self, length: u64) {
        self.seen = self.seen.saturating_add(length);
    }

    /// The content's end has passed.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether all is known that will be: the end has passed, or the content is given up.
    pub fn is_settled(&self) -> bool {
        self.ended || self.given_up.is_some()
    }

    /// The whole content. An end alone is not enough: where the client waits for a 100 that
    /// production never sends, httpd reports the end after no byte, hence the comparison with the
    /// `declared` length.
    pub fn finish(self, declared: Option<u64>) -> Result<Content, GivenUp> {
        if let Some(reason) = self.given_up {
            return Err(reason);
        }
        let length = self.bytes.len() as u64;
        if !self.ended || declared.is_some_and(|declared| declared != length) {
            return Err(GivenUp::NotCopied(NotCopied::Incomplete));
        }
        Ok(Content { bytes: self.bytes, lease: self.lease })
    }

    fn check_limit(&mut self) {
        if self.given_up.is_none() && self.seen > self.limit as u64 {
            self.give_up(GivenUp::NotCopied(NotCopied::TooLarge));
        }
    }

    fn give_up(&mut self, reason: GivenUp) {
        self.given_up = Some(reason);
        self.bytes = Vec::new();
        self.lease.release();
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
        assert_eq!(capture.finish(Some(11)).unwrap().bytes, b"hello world");
        let mut chunked = captured(100, &[b"x"]);
        chunked.end();
        assert_eq!(chunked.finish(None).unwrap().bytes, b"x");
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
        static SMALL: Budget = Budget::new(10);
        let mut capture = Capture::new(100, &SMALL);
        capture.take(b"hello");
        assert_eq!(SMALL.used(), 5);
        capture.take(b"a longer part");
        assert_eq!(SMALL.used(), 0);
        assert_eq!(capture.finish(None).unwrap_err(), GivenUp::Dropped(Loss::Memory));
    }
}
