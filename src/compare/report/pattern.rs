//! Which differences came together, so that comparisons can be told apart once some of them prove to be noise.

use super::{Counts, ROWS};

/// The most patterns that are counted one by one; more are told by what is known when they come.
const PATTERNS: usize = 32;
/// Something differed that has no row: taken for real.
const UNLISTED: u64 = 1 << 63;
/// Noise, and nothing else, differed in a pattern that is not counted by itself.
const NOISE: u64 = 1 << 62;
/// Places of rows.
const PLACES: u64 = (1 << ROWS) - 1;

/// A set of a route's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern(u64);

impl Pattern {
    /// A pattern as it was encoded.
    pub(super) fn of(bits: u64) -> Pattern {
        Pattern(bits & (UNLISTED | NOISE | PLACES))
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn with(self, place: usize) -> Pattern {
        Pattern(self.0 | 1 << place)
    }

    pub(super) fn with_unlisted(self) -> Pattern {
        Pattern(self.0 | UNLISTED)
    }

    pub(super) fn has(self, place: usize) -> bool {
        self.0 & 1 << place != 0
    }

    /// With rows in their places of another table; a row that has none there is unlisted.
    pub(super) fn moved(self, places: &[Option<usize>]) -> Pattern {
        let kept = Pattern(self.0 & !PLACES);
        let rows = (0..ROWS).filter(|place| self.has(*place));
        rows.fold(kept, |pattern, row| match places.get(row).copied().flatten() {
            Some(place) => pattern.with(place),
            None => pattern.with_unlisted(),
        })
    }

    fn is_real(self, real: Pattern) -> bool {
        self.0 & (real.0 | UNLISTED) != 0
    }
}

/// Comparisons, counted by the rows that differed together.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Vec<(Pattern, u64)>);

impl Patterns {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (Pattern, u64)> {
        self.0.iter().copied()
    }

    /// Counts comparisons of one pattern; `real` are the rows that are no noise, as far as one knows now.
    pub(super) fn add(&mut self, pattern: Pattern, count: u64, real: Pattern) {
        if self.count(pattern, count) {
            return;
        }
        if self.0.len() < PATTERNS {
            return self.0.push((pattern, count));
        }
        let known = Pattern(if pattern.is_real(real) { UNLISTED } else { NOISE });
        if !self.count(known, count) {
            self.0.push((known, count));
        }
    }

    fn count(&mut self, pattern: Pattern, count: u64) -> bool {
        let known = self.0.iter_mut().find(|(known, _)| *known == pattern);
        known.map(|(_, known)| *known += count).is_some()
    }

    /// A row goes: where it was real, its comparisons have an unlisted difference from now on.
    pub(super) fn retire(&mut self, place: usize, real: Pattern) {
        let instead = if real.has(place) { UNLISTED } else { NOISE };
        for (pattern, count) in std::mem::take(&mut self.0) {
            let kept = match pattern.has(place) {
                true => Pattern(pattern.0 & !(1 << place) | instead),
                false => pattern,
            };
            self.add(kept, count, real);
        }
    }

    pub(super) fn counts(&self, real: Pattern) -> Counts {
        let mut counts = Counts::default();
        for (pattern, count) in &self.0 {
            counts.compared += count;
            match pattern {
                Pattern(0) => counts.equal += count,
                pattern if pattern.is_real(real) => counts.differing += count,
                _ => counts.noise += count,
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(places: &[usize]) -> Pattern {
        places.iter().fold(Pattern::default(), |pattern, place| pattern.with(*place))
    }

    #[test]
    fn what_proves_to_be_noise_is_noise_from_the_first_comparison_on() {
        let mut patterns = Patterns::default();
        for (places, count) in [(&[][..], 5), (&[0], 7), (&[0, 1], 2), (&[1], 1)] {
            patterns.add(pattern(places), count, Pattern::default());
        }
        let counts = |real: &[usize]| {
            let Counts { compared, equal, noise, differing } = patterns.counts(pattern(real));
            (compared, equal, noise, differing)
        };
        assert_eq!(counts(&[0, 1]), (15, 5, 0, 10));
        assert_eq!(counts(&[1]), (15, 5, 7, 3));
        assert_eq!(counts(&[]), (15, 5, 10, 0));
    }

    #[test]
    fn patterns_beyond_the_table_are_told_by_what_is_known_then() {
        let (mut patterns, real) = (Patterns::default(), pattern(&[31]));
        for place in 0..PATTERNS - 1 {
            patterns.add(pattern(&[place % 31, place / 31]), 1, real);
            patterns.add(pattern(&[place % 31, 30]), 1, real);
        }
        patterns.add(pattern(&[1, 2, 31]), 3, real);
        assert!(patterns.iter().len() <= PATTERNS + 2);
        let counts = patterns.counts(Pattern::default());
        assert_eq!((counts.differing, counts.equal), (3, 0));
        assert_eq!(counts.compared, 2 * (PATTERNS as u64 - 1) + 3);
    }

    #[test]
    fn the_comparisons_of_a_row_that_goes_keep_what_they_were() {
        let mut patterns = Patterns::default();
        patterns.add(pattern(&[0, 1]), 1, Pattern::default());
        patterns.add(pattern(&[1]), 2, Pattern::default());
        patterns.retire(0, pattern(&[0]));
        patterns.retire(1, Pattern::default());
        let counts = patterns.counts(pattern(&[0, 1]));
        assert_eq!((counts.differing, counts.noise), (1, 2));
    }
}
