//! An answer as it is kept until it is compared: its body whole as long as it may be, else its digest.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::compare::answer::{Digesting, Field};
use crate::compare::{Answer, Body, Digest};
use crate::copylog::Occasion;
use crate::memory::{Budget, Lease, Segments};

/// A body no longer than this is kept in one piece; any other in segments, which are used again: memory that the
/// system gives anew costs the request more than all that is copied into it.
const SMALL: usize = 4 << 10;
/// The longest body that is compared at all, whichever answer's it is: what is longer, or never ends, is neither
/// waited for nor digested any further.
pub const LONGEST: usize = 16 << 20;

/// An answer that passes, and what is kept of it so far.
#[derive(Debug)]
pub struct Keeping {
    budget: &'static Budget,
    /// The most bytes of the body that are kept; `None` where it is not compared.
    limit: Option<usize>,
    lines: Kept,
    digesting: Digesting,
    /// When the answer began to come.
    begun: Option<Instant>,
    /// Bytes of the body that are to come, if that was told.
    expected: u64,
    /// Bytes of the body that have passed.
    passed: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Whole,
    Digest,
    /// Nothing of the body can be known, or is wanted.
    Unknown,
    /// There is no memory for it.
    Shed,
}

/// An answer that was kept.
#[derive(Debug)]
pub struct Kept {
    /// The status code.
    pub status: u16,
    /// From the request to the beginning of the answer.
    pub latency: Duration,
    /// The lines of its fields.
    fields: Vec<u8>,
    /// The body's beginning; all of it where it is small.
    small: Vec<u8>,
    rest: Segments,
    content: Content,
    /// The request behind it, where a log is to tell.
    occasion: Option<Box<Occasion>>,
    lease: Option<Lease>,
}

/// What is known of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it was kept.
    Whole,
    /// Its length and digest.
    Digest(Digest),
    /// Not all of it passed, or it was not asked for.
    Unknown,
    /// The memory for it was not to be had.
    Shed,
}

impl Keeping {
    /// Nothing yet. `limit` is what is kept of the body, `None` where it is not compared.
    pub fn new(budget: &'static Budget, limit: Option<usize>) -> Keeping {
        let lines = Kept {
            status: 0,
            latency: Duration::ZERO,
            fields: Vec::new(),
            small: Vec::new(),
            rest: budget.segments_aside(),
            content: Content::Unknown,
            occasion: None,
            lease: None,
        };
        let stage = if limit.is_some() { Stage::Whole } else { Stage::Unknown };
        Keeping {
            budget,
            limit,
            lines,
            digesting: Digesting::default(),
            begun: None,
            expected: 0,
            passed: 0,
            stage,
        }
    }

    /// The answer begins anew: what was seen of it is none of it.
    pub fn restart(&mut self) {
        *self = Keeping::new(self.budget, self.limit);
    }

    /// The answer begins to come; whoever tells it again is late.
    pub fn begins(&mut self) {
        self.begun.get_or_insert_with(Instant::now);
    }

    /// Whether it has begun to come.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// How long it took until it began, after it was asked for; `None` where it has not begun.
    pub fn took_since(&self, asked: Instant) -> Option<Duration> {
        Some(self.begun?.saturating_duration_since(asked))
    }

    /// The head: its status, and its field lines as they are on the wire.
    pub fn head<'a>(&mut self, status: u16, lines: impl IntoIterator<Item = &'a [u8]>) {
        self.lines.status = status;
        let fields = &mut self.lines.fields;
        fields.clear();
        lines.into_iter().for_each(|line| fields.extend_from_slice(line));
        self.lease_fields();
    }

    /// A body of so many bytes is to come: one that is longer than what is kept need not be kept first, one that
    /// is not compared need not be looked at, and what is shorter in the end is not whole.
    pub fn expect(&mut self, length: u64) {
        self.expected = length;
        if length > LONGEST as u64 {
            self.lose();
        } else if self.limit.is_some_and(|limit| length > limit as u64) {
            self.digest();
        }
    }

    /// Whether the next bytes of the body are wanted.
    pub fn wants_content(&self) -> bool {
        matches!(self.stage, Stage::Whole | Stage::Digest)
    }

    /// How many more bytes of the body would be kept.
    pub fn room(&self) -> usize {
        match self.stage {
            Stage::Whole => self.limit.unwrap_or(0).saturating_sub(self.passed),
            _ => 0,
        }
    }

    /// The next bytes of the body. Beyond [`LONGEST`] they are none of it.
    pub fn content(&mut self, bytes: &[u8]) {
        if self.stage == Stage::Whole && bytes.len() > self.room() {
            self.digest();
        }
        self.passed = self.passed.saturating_add(bytes.len());
        if self.passed > LONGEST {
            return self.lose();
        }
        match self.stage {
            Stage::Whole => {
                if !self.keep(bytes) {
                    self.stage = Stage::Shed;
                    self.let_go();
                }
            }
            Stage::Digest => self.digesting.take(bytes),
            Stage::Unknown | Stage::Shed => {}
        }
    }

    /// Keeps the bytes; whether `CopyMemory` bears them.
    fn keep(&mut self, bytes: &[u8]) -> bool {
        if self.passed > SMALL || !self.lines.rest.is_empty() {
            return self.lines.rest.append(bytes);
        }
        if !self.make_room(bytes.len()) {
            return false;
        }
        self.lines.small.extend_from_slice(bytes);
        true
    }

    /// Sees that a small body has room for so many bytes more, whether `CopyMemory` bears them. Most come in one part, and
    /// room for others would be new memory of the system's for nothing.
    fn make_room(&mut self, more: usize) -> bool {
        let (length, room) = (self.lines.small.len(), self.lines.small.capacity());
        let needed = length.saturating_add(more);
        if needed <= room {
            return true;
        }
        let needed = needed.max(room.saturating_mul(2)).min(SMALL);
        self.lease(needed.saturating_sub(room))
            && self.lines.small.try_reserve_exact(needed.saturating_sub(length)).is_ok()
    }

    /// From here on the body is digested, and not kept: it is too long, or a stream.
    pub fn digest(&mut self) {
        if self.stage == Stage::Whole {
            self.lines.pieces().for_each(|piece| self.digesting.take(piece));
            self.stage = Stage::Digest;
            self.let_go();
        }
    }

    /// Gives back what was kept of the body. The fields stay, and so does what they take.
    fn let_go(&mut self) {
        self.lines.small = Vec::new();
        self.lines.rest.release();
        self.lines.lease = None;
        self.lease_fields();
    }

    fn lease_fields(&mut self) {
        if !self.lease(self.lines.fields.len()) {
            self.lines.fields = Vec::new();
            self.stage = Stage::Shed;
        }
    }

    /// Some of the body passed unseen, or will not come, or nobody waits for it.
    pub fn lose(&mut self) {
        if self.wants_content() {
            self.stage = Stage::Unknown;
            self.let_go();
        }
    }

    /// Who asks, for the logs that tell of comparisons.
    pub fn asked_by(&mut self, occasion: Occasion) {
        self.lines.occasion = Some(Box::new(occasion));
    }

    /// The answer, which took so long to begin.
    pub fn finish(mut self, latency: Duration) -> Kept {
        if (self.passed as u64) < self.expected {
            self.lose();
        }
        let content = match self.stage {
            Stage::Whole => Content::Whole,
            Stage::Digest => Content::Digest(self.digesting.finish()),
            Stage::Unknown => Content::Unknown,
            Stage::Shed => Content::Shed,
        };
        Kept { latency, content, ..self.lines }
    }

    /// Counts so many bytes more; whether `CopyMemory` bears them.
    fn lease(&mut self, more: usize) -> bool {
        match &mut self.lines.lease {
            Some(lease) => lease.grow_aside(more),
            none => {
                *none = self.budget.lease_aside(more);
                none.is_some()
            }
        }
    }
}

impl Kept {
    /// What is known of the body.
    pub fn content(&self) -> Content {
        self.content
    }

    /// The request behind it, where a log is to tell.
    pub fn occasion(&self) -> Option<&Occasion> {
        self.occasion.as_deref()
    }

    /// The fields, in their order.
    pub fn fields(&self) -> Vec<Field<'_>> {
        let lines = self.fields.split(|byte| *byte == b'\n');
        // What folds a line is long obsolete, and of no field's name.
        let of_line = |line: &'_ [u8]| -> Option<(usize, usize)> {
            let colon = line.iter().position(|byte| *byte == b':')?;
            line.first().filter(|first| !first.is_ascii_whitespace())?;
            Some((colon, colon.saturating_add(1)))
        };
        lines
            .filter_map(|line| {
                let (end, begin) = of_line(line)?;
                let value = line.get(begin..).unwrap_or_default();
                Some((line.get(..end).unwrap_or_default().trim_ascii_end(), value.trim_ascii()))
            })
            .collect()
    }

    /// What was kept of the body, in one piece: for whoever compares it, who has the time to copy it.
    pub fn body(&self) -> Cow<'_, [u8]> {
        if self.rest.is_empty() {
            return Cow::Borrowed(&self.small);
        }
        let mut whole = Vec::with_capacity(self.small.len().saturating_add(self.rest.len()));
        self.pieces().for_each(|piece| whole.extend_from_slice(piece));
        Cow::Owned(whole)
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.small.as_slice()).chain(self.rest.iter())
    }

    /// The answer as it is compared; its fields are [`fields`](Self::fields), its body is [`body`](Self::body).
    pub fn answer<'a>(&'a self, fields: &'a [Field<'a>], body: &'a [u8]) -> Answer<'a> {
        let body = match self.content {
            Content::Whole => Body::Whole(body),
            Content::Digest(digest) => Body::Digest(digest),
            Content::Unknown | Content::Shed => Body::Truncated,
        };
        Answer { status: self.status, fields, body, latency: self.latency }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(bytes: usize) -> &'static Budget {
        Box::leak(Box::new(Budget::new(bytes)))
    }

    fn kept(keeping: Keeping) -> Kept {
        keeping.finish(Duration::from_millis(5))
    }

    #[test]
    fn a_body_is_kept_up_to_its_limit_and_digested_beyond() {
        let budget = budget(1 << 20);
        for (limit, is_whole) in [(10_000, true), (9_999, false)] {
            let mut keeping = Keeping::new(budget, Some(limit));
            (0..100).for_each(|_| keeping.content(&[b'x'; 100]));
            let kept = kept(keeping);
            let body = kept.body();
            match is_whole {
                true => assert_eq!(kept.answer(&[], &body).body, Body::Whole(&[b'x'; 10_000])),
                false => assert_eq!(kept.content(), Content::Digest(Digest::of(&[b'x'; 10_000]))),
            }
        }
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_body_is_kept_as_it_came_in_whatever_parts() {
        let budget = budget(1 << 20);
        let body: Vec<u8> = (0..100_000_u32).map(|at| (at / 7) as u8).collect();
        for part in [1, 1000, SMALL, SMALL + 1, 8 << 10, body.len()] {
            let mut keeping = Keeping::new(budget, Some(body.len()));
            body.chunks(part).for_each(|part| keeping.content(part));
            assert_eq!(keeping.room(), 0);
            assert_eq!(&*kept(keeping).body(), body, "{part}");
        }
        let mut keeping = Keeping::new(budget, Some(body.len()));
        keeping.content(&body[..SMALL]);
        assert_eq!(budget.used(), SMALL, "what is small takes little");
        keeping.restart();
        for (part, taken) in [(100, 100), (50, 200), (50, 200), (2_000, 2_200), (1, SMALL)] {
            keeping.content(&body[..part]);
            assert_eq!(budget.used(), taken, "and no more than it needs, or twice what it had");
        }
    }

    #[test]
    fn what_is_to_be_too_long_is_not_kept_first_nor_digested_for_nothing() {
        let (budget, longest) = (budget(1 << 20), LONGEST as u64);
        for (length, is_wanted, is_kept) in [
            (10_000, true, true),
            (10_001, true, false),
            (longest, true, false),
            (longest + 1, false, false),
        ] {
            let mut keeping = Keeping::new(budget, Some(10_000));
            keeping.expect(length);
            assert_eq!(keeping.wants_content(), is_wanted, "{length}");
            keeping.content(&[b'x'; 5_000]);
            assert_eq!(budget.used() > 0, is_kept, "{length}");
        }
    }

    #[test]
    fn an_answer_takes_as_long_as_until_it_begins() {
        let mut keeping = Keeping::new(budget(1 << 20), Some(100));
        let asked = Instant::now();
        assert_eq!(keeping.took_since(asked), None);
        keeping.begins();
        let took = keeping.took_since(asked);
        assert!(took.is_some_and(|took| took <= asked.elapsed()));
        keeping.content(b"first");
        keeping.begins();
        assert_eq!(keeping.took_since(asked), took, "the rest takes none of it");
        keeping.restart();
        assert_eq!(keeping.took_since(asked), None, "another answer");
    }

    #[test]
    fn a_body_without_end_is_not_digested_for_ever_and_gives_back_what_was_kept() {
        let (budget, part) = (budget(64 << 20), [b'x'; 64 << 10]);
        for limit in [1 << 20, LONGEST] {
            let mut keeping = Keeping::new(budget, Some(limit));
            let parts = LONGEST / part.len();
            (0..parts).for_each(|_| keeping.content(&part));
            assert!(keeping.wants_content(), "as long as it may be");
            keeping.content(b"x");
            assert_eq!((keeping.wants_content(), budget.used()), (false, 0));
            keeping.content(&part);
            assert_eq!(kept(keeping).content(), Content::Unknown);
        }
    }

    #[test]
    fn fields_are_read_from_their_lines() {
        let mut keeping = Keeping::new(budget(1 << 20), None);
        keeping.head(201, [&b"A: 1\r\nb:2 \r\n folded: 3\r\n"[..], b"C :\r\n", b"\r\n"]);
        let kept = kept(keeping);
        let fields: [Field<'_>; 3] = [(b"A", b"1"), (b"b", b"2"), (b"C", b"")];
        assert_eq!(kept.fields(), fields);
        assert_eq!((kept.status, kept.latency.as_millis()), (201, 5));
    }

    #[test]
    fn what_memory_does_not_bear_is_shed_and_copies_keep_half_of_it() {
        let budget = budget(100_000);
        let mut keeping = Keeping::new(budget, Some(1 << 20));
        keeping.content(&[0; 40_000]);
        assert!((40_000..=50_000).contains(&budget.used()), "{}", budget.used());
        assert!(keeping.wants_content());
        keeping.content(&[0; 20_000]);
        assert!(!keeping.wants_content());
        assert_eq!(kept(keeping).content(), Content::Shed);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_shorter_than_it_was_to_be_is_not_whole() {
        for (limit, length, content) in [
            (100, 4, Content::Whole),
            (100, 3, Content::Whole),
            (100, 5, Content::Unknown),
            (3, 5, Content::Unknown),
        ] {
            let budget = budget(1 << 20);
            let mut keeping = Keeping::new(budget, Some(limit));
            keeping.expect(length);
            keeping.content(b"half");
            assert_eq!(kept(keeping).content(), content, "{length} of which {limit} are kept");
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn what_is_lost_or_begins_anew_is_not_compared() {
        let mut keeping = Keeping::new(budget(1 << 20), Some(100));
        keeping.content(b"half of");
        keeping.lose();
        keeping.content(b"nothing");
        let lost = kept(keeping);
        assert_eq!((&*lost.body(), lost.answer(&[], b"").body), (&b""[..], Body::Truncated));
        let mut keeping = Keeping::new(budget(1 << 20), Some(100));
        keeping.content(b"the wrong one");
        keeping.restart();
        keeping.content(b"ok");
        assert_eq!(&*kept(keeping).body(), b"ok");
    }

    #[test]
    fn what_is_digested_gives_back_its_body_and_keeps_its_fields_counted() {
        let budget = budget(1 << 20);
        let mut keeping = Keeping::new(budget, Some(10_000));
        keeping.head(200, [&b"A: 1\r\n"[..], b"\r\n"]);
        keeping.content(&[b'x'; 9_000]);
        assert!(budget.used() > 9_000);
        keeping.digest();
        assert_eq!(budget.used(), b"A: 1\r\n\r\n".len());
        assert_eq!(kept(keeping).fields(), [(&b"A"[..], &b"1"[..])]);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_stream_is_digested_from_its_beginning() {
        let mut keeping = Keeping::new(budget(1 << 20), Some(100));
        keeping.content(b"one ");
        keeping.digest();
        keeping.content(b"two");
        assert_eq!(kept(keeping).content(), Content::Digest(Digest::of(b"one two")));
    }
}
