//! What `CopyCompare` asks for in a scope or in a target's block.

use crate::compare::Aspects;
use crate::select::{Methods, Share};

/// Methods that change nothing, and so may be compared without being asked for.
const SAFE: [&[u8]; 3] = [b"GET", b"HEAD", b"OPTIONS"];

/// One `CopyCompare` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is compared beside status and latency; `None` where nothing is.
    pub aspects: Option<Aspects>,
    /// Of how many copies.
    pub sample: Share,
    /// Of requests with which methods; `None` for those that are safe.
    pub methods: Option<Methods>,
}

impl Asked {
    /// `CopyCompare Off`
    pub const OFF: Asked = Asked { aspects: None, sample: Share::ALL, methods: None };

    /// What is compared of a request with this method, if it is; `draw` is a number by chance.
    #[inline]
    pub fn aspects_of(&self, method: &[u8], draw: impl FnOnce() -> u64) -> Option<Aspects> {
        let aspects = self.aspects?;
        let is_wanted = match &self.methods {
            None => SAFE.contains(&method),
            Some(methods) => methods.has(method),
        };
        let is_drawn = || self.sample.limit().is_none_or(|limit| draw() < limit);
        (is_wanted && is_drawn()).then_some(aspects)
    }
}

/// A place in the list of all [`Asked`] of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedId(pub u16);

/// What a request's scope says of comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InScope {
    /// `CopyCompare`, if one holds.
    pub asked: Option<AskedId>,
    /// `CopyCompareLimit` of its sections, in bytes.
    pub limit: Option<usize>,
    /// `CopyCompareIgnore` of its sections.
    pub ignored: Lines,
}

impl InScope {
    /// What holds inside `self` for whoever is in `inner` too.
    pub fn merge(&self, inner: &InScope) -> InScope {
        InScope {
            asked: inner.asked.or(self.asked),
            limit: inner.limit.or(self.limit),
            ignored: self.ignored.and(inner.ignored),
        }
    }
}

/// Some of the `CopyCompareIgnore` lines that stand in sections: a bit for each, by its place in the list of all.
///
/// They add up, which a request's scope has to do without memory of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lines(u64);

impl Lines {
    /// None of them.
    pub const NONE: Lines = Lines(0);
    /// How many a configuration may have.
    pub const MOST: usize = u64::BITS as usize;

    /// The one at this place, below [`MOST`](Lines::MOST).
    pub fn one(place: usize) -> Lines {
        Lines(1 << (place % Lines::MOST))
    }

    /// These and those.
    #[must_use]
    pub fn and(self, others: Lines) -> Lines {
        Lines(self.0 | others.0)
    }

    /// Those of a list that are among them.
    pub fn of<T>(self, all: &[T]) -> impl Iterator<Item = &T> {
        let all = all.iter().take(Lines::MOST).enumerate();
        all.filter(move |(place, _)| self.0 >> place & 1 == 1).map(|(_, line)| line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: Aspects = Aspects { headers: false, body: true };

    #[test]
    fn safe_methods_are_compared_unless_others_are_named() {
        let asked = Asked { aspects: Some(BODY), ..Asked::OFF };
        for (method, is_safe) in [("GET", true), ("HEAD", true), ("POST", false), ("get", false)] {
            let aspects = asked.aspects_of(method.as_bytes(), || 0);
            assert_eq!(aspects.is_some(), is_safe, "{method}");
        }
        let asked = Asked { methods: Methods::parse("POST"), ..asked };
        assert_eq!(asked.aspects_of(b"POST", || 0), Some(BODY));
        assert_eq!(asked.aspects_of(b"GET", || 0), None);
        assert_eq!(Asked::OFF.aspects_of(b"GET", || 0), None);
    }

    #[test]
    fn lines_add_up_and_all_else_goes_value_by_value() {
        let all: Vec<usize> = (0..Lines::MOST).collect();
        let scope = |asked, limit, line| InScope {
            asked: Some(AskedId(asked)),
            limit,
            ignored: Lines::one(line),
        };
        let merged = scope(1, Some(10), 0).merge(&scope(2, None, 63));
        assert_eq!((merged.asked, merged.limit), (Some(AskedId(2)), Some(10)));
        assert_eq!(merged.ignored.of(&all).collect::<Vec<_>>(), [&0, &63]);
        assert_eq!(merged.merge(&InScope::default()), merged);
        assert_eq!(InScope::default().ignored.of(&all).count(), 0);
    }

    #[test]
    fn a_sample_is_drawn_for() {
        let half =
            Asked { aspects: Some(BODY), sample: Share::parse("50%").unwrap(), methods: None };
        assert!(half.aspects_of(b"GET", || u64::MAX / 2 - 1).is_some());
        assert!(half.aspects_of(b"GET", || u64::MAX / 2 + 2).is_none());
    }
}
