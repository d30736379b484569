//! A request's content on its way to production, kept as it passes, up to a limit.

use crate::memory::{Budget, Buffer, Segments};
use crate::message::{self, Field};
use crate::outcome::{GivenUp, Loss, NotCopied};

/// What has passed of one request's content.
#[derive(Debug)]
pub struct Capture {
    /// What does not lie behind the copy's head.
    kept: Segments,
    limit: usize,
    /// Bytes that passed, kept or not.
    seen: u64,
    ended: bool,
    given_up: Option<GivenUp>,
    /// The lines of the fields that followed it.
    trailers: Option<Buffer>,
}

impl Capture {
    /// An empty capture of at most `limit` bytes.
    pub fn new(limit: usize, budget: &'static Budget) -> Capture {
        let kept = budget.segments();
        Capture { kept, limit, seen: 0, ended: false, given_up: None, trailers: None }
    }

    /// Lowers the limit to that of the request's scope.
    #[inline]
    pub fn limit_to(&mut self, limit: usize) {
        self.limit = limit;
        self.check_limit();
    }

    /// Keeps bytes that pass: behind the copy's head, where that is at hand and has room for them, and else
    /// in segments. Memory follows what arrives, never what a client announces; but content whose `declared` length
    /// is more than the limit, or than there is room for, is not begun there: what is kept of it would take others' room,
    /// and time, for nothing.
    ///
    /// What passes after the end has passed before: mod_ssl keeps content over a renegotiation, and
    /// gives it to production a second time.
    #[inline]
    pub fn take(&mut self, bytes: &[u8], head: Option<&mut Buffer>, declared: Option<u64>) {
        if self.ended {
            return;
        }
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        self.check_limit();
        if self.given_up.is_some() {
            return;
        }
        let is_behind = self.kept.is_empty() && head.is_some_and(|head| head.append(bytes));
        if !is_behind && let Err(reason) = self.keep(bytes, declared) {
            self.give_up(reason);
        }
    }

    /// Keeps bytes in segments.
    #[inline(never)]
    fn keep(&mut self, bytes: &[u8], declared: Option<u64>) -> Result<(), GivenUp> {
        const NO_ROOM: GivenUp = GivenUp::Dropped(Loss::Memory);
        if self.kept.is_empty()
            && !bytes.is_empty()
            && let Some(declared) = declared
        {
            if declared > self.limit as u64 {
                return Err(GivenUp::NotCopied(NotCopied::TooLarge));
            }
            if declared > self.kept.room() as u64 {
                return Err(NO_ROOM);
            }
        }
        if self.kept.append(bytes) { Ok(()) } else { Err(NO_ROOM) }
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

    /// Fields follow it; before its [end](Self::end).
    pub fn trailers<'a>(
        &mut self,
        fields: impl Iterator<Item = Field<'a>> + Clone,
        budget: &'static Budget,
    ) {
        if self.ended || self.given_up.is_some() {
            return;
        }
        match message::trailers(fields, budget) {
            Ok(trailers) => self.trailers = trailers,
            Err(_) => self.give_up(GivenUp::Dropped(Loss::Memory)),
        }
    }

    /// The lines of the fields that followed it, once.
    pub fn take_trailers(&mut self) -> Option<Buffer> {
        self.trailers.take()
    }

    /// How many bytes have passed, kept or not.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The content's end has passed.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether all is known that will be: the end has passed, or the content is given up.
    pub fn is_settled(&self) -> bool {
        self.ended || self.given_up.is_some()
    }

    /// The whole content, but for what lies behind the head, if its length is the `declared` one, where one
    /// was declared; once.
    #[inline]
    pub fn finish(&mut self, declared: Option<u64>) -> Result<Segments, GivenUp> {
        if let Some(reason) = self.given_up {
            return Err(reason);
        }
        if !self.ended || declared.is_some_and(|declared| declared != self.seen) {
            return Err(GivenUp::NotCopied(NotCopied::Incomplete));
        }
        Ok(self.kept.take())
    }

    fn check_limit(&mut self) {
        if self.given_up.is_none() && self.seen > self.limit as u64 {
            self.give_up(GivenUp::NotCopied(NotCopied::TooLarge));
        }
    }

    fn give_up(&mut self, reason: GivenUp) {
        self.given_up = Some(reason);
        self.trailers = None;
        self.kept.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BUDGET: Budget = Budget::new(1 << 20);

    fn captured(limit: usize, parts: &[&[u8]]) -> Capture {
        let mut capture = Capture::new(limit, &BUDGET);
        parts.iter().for_each(|part| capture.take(part, None, None));
        capture
    }

    fn whole(mut capture: Capture, declared: Option<u64>) -> Vec<u8> {
        capture.finish(declared).unwrap().iter().collect::<Vec<_>>().concat()
    }

    #[test]
    fn content_is_whole_when_its_end_and_its_length_agree() {
        let mut capture = captured(100, &[b"hello ", b"world"]);
        capture.end();
        assert_eq!(whole(capture, Some(11)), b"hello world");
        let mut chunked = captured(100, &[b"x"]);
        chunked.end();
        assert_eq!(whole(chunked, None), b"x");
    }

    #[test]
    fn content_lies_behind_the_head_while_it_has_room_and_nothing_lies_elsewhere() {
        let mut head = BUDGET.buffer(1).unwrap();
        assert!(head.append(b"GET /"));
        let room = head.room().len();
        let mut capture = Capture::new(9000, &BUDGET);
        capture.take(b"hello", Some(&mut head), None);
        capture.take(&vec![b'x'; room], Some(&mut head), None);
        capture.take(b"!", Some(&mut head), None);
        capture.end();
        assert_eq!(&head[..], b"GET /hello");
        let rest = whole(capture, Some(room as u64 + 6));
        assert_eq!((rest.len(), rest.last()), (room + 1, Some(&b'!')));
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
        let mut complete = captured(100, &[b"hello"]);
        complete.end();
        complete.break_off();
        assert!(complete.finish(None).is_ok(), "reading on after the end breaks nothing");
    }

    #[test]
    fn what_passes_again_after_the_end_is_not_kept() {
        let mut replayed = captured(8, &[b"hello"]);
        replayed.end();
        replayed.take(b"hello", None, None);
        replayed.skip(5);
        replayed.end();
        assert_eq!(whole(replayed, None), b"hello");
    }

    #[test]
    fn the_limit_is_met_exactly() {
        let too_large = GivenUp::NotCopied(NotCopied::TooLarge);
        let mut exact = captured(5, &[b"hello"]);
        exact.end();
        assert!(exact.finish(Some(5)).is_ok());
        let mut above = captured(5, &[b"hello", b"!"]);
        assert!(above.is_settled() && !above.wants_bytes());
        assert_eq!(above.finish(None).unwrap_err(), too_large);
        let mut lowered = captured(100, &[b"hello"]);
        lowered.limit_to(4);
        assert_eq!(lowered.finish(None).unwrap_err(), too_large);
    }

    #[test]
    fn content_beyond_the_budget_is_given_up_and_its_memory_returned() {
        static SMALL: Budget = Budget::new(20_000);
        let mut capture = Capture::new(100_000, &SMALL);
        capture.take(b"hello", None, None);
        assert!(SMALL.used() > 0);
        capture.take(&[0; 20_000], None, None);
        assert_eq!(SMALL.used(), 0);
        assert_eq!(capture.finish(None).unwrap_err(), GivenUp::Dropped(Loss::Memory));
    }

    #[test]
    fn what_is_announced_to_be_too_much_is_counted_and_never_kept() {
        static OWN: Budget = Budget::new(60_000);
        let other = OWN.lease(20_000).unwrap();
        let too_large = GivenUp::NotCopied(NotCopied::TooLarge);
        let no_room = GivenUp::Dropped(Loss::Memory);
        for (limit, declared, reason) in [(99, 100, too_large), (99_999, 40_001, no_room)] {
            let mut capture = Capture::new(limit, &OWN);
            capture.take(b"", None, Some(declared));
            assert!(capture.wants_bytes(), "nothing has come yet");
            capture.take(b"hello", None, Some(declared));
            assert!(!capture.wants_bytes() && capture.is_settled());
            assert_eq!(OWN.used(), 20_000);
            capture.skip(declared - 5);
            capture.end();
            assert_eq!(capture.seen(), declared);
            assert_eq!(capture.finish(Some(declared)).unwrap_err(), reason);
        }
        let (mut exact, declared) = (Capture::new(30_000, &OWN), Some(30_000));
        exact.take(&[b'x'; 15_000], None, declared);
        exact.take(&[b'x'; 15_000], None, declared);
        exact.end();
        assert_eq!(whole(exact, declared).len(), 30_000, "what has begun has its own room");
        drop(other);
    }

    #[test]
    fn what_fits_behind_the_head_needs_no_room() {
        static OWN: Budget = Budget::new(4_096);
        let mut head = OWN.buffer(1).unwrap();
        let room = head.room().len();
        let _all = OWN.lease(OWN.segments().room()).unwrap();
        let (mut capture, declared) = (Capture::new(9_000, &OWN), Some(room as u64));
        capture.take(&vec![b'x'; room], Some(&mut head), declared);
        capture.end();
        assert!(capture.finish(declared).is_ok() && head.len() == room);
    }
}
