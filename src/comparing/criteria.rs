//! By what the answers of one target are compared and judged.

use super::pair::Manner;
use crate::compare::{Rules, Thresholds};

/// What is kept of a body where nothing else is said.
const LIMIT: usize = 1 << 20;

/// `CopyCompareIgnore`, `CopyCompareLimit` and `CopyCompareThreshold` as they hold for a target.
#[derive(Clone, Debug)]
pub struct Criteria {
    ignored: Vec<String>,
    limits: Limits,
    /// What `copy-status?verdict` fails by.
    pub thresholds: Thresholds,
}

/// The most bytes of a body that are kept, where that is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// In the target's block, which goes before what a request's scope says.
    pub block: Option<usize>,
    /// In the target's server.
    pub server: Option<usize>,
}

impl Criteria {
    /// The words of the directives were read before: what is not right in them is left out.
    pub fn of(ignored: &[String], limits: Limits, thresholds: &[String]) -> Criteria {
        let mut judged = Thresholds::default();
        for word in thresholds {
            let _ = judged.set(word);
        }
        Criteria { ignored: ignored.to_vec(), limits, thresholds: judged }
    }

    /// The most bytes of a body that are kept, in a scope that says this of it.
    pub fn limit(&self, scope: Option<usize>) -> usize {
        let Limits { block, server } = self.limits;
        block.or(scope).or(server).unwrap_or(LIMIT)
    }

    /// The rules for answers that are compared in this manner; `lines` are those of all sections.
    pub fn rules(&self, manner: Manner, lines: &[Vec<String>]) -> Rules {
        let mut rules = Rules::default();
        for word in self.ignored.iter().chain(manner.ignored.of(lines).flatten()) {
            let _ = rules.ignore(word);
        }
        rules.aspects = manner.aspects;
        rules.limit = manner.limit.unwrap_or(rules.limit);
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::super::Lines;
    use super::*;
    use crate::compare::Aspects;

    #[test]
    fn the_block_goes_before_the_section_and_that_before_the_server() {
        let limits = |block, server| {
            let criteria = Criteria::of(&[], Limits { block, server }, &[]);
            [None, Some(20)].map(|scope| criteria.limit(scope))
        };
        assert_eq!(limits(None, None), [LIMIT, 20]);
        assert_eq!(limits(None, Some(10)), [10, 20]);
        assert_eq!(limits(Some(30), Some(10)), [30, 30]);
    }

    #[test]
    fn what_sections_leave_out_adds_to_what_the_target_does() {
        let criteria = Criteria::of(&["header:A".to_owned()], Limits::default(), &[]);
        let lines = ["header:B", "header:C"].map(|word| vec![word.to_owned()]);
        let aspects = Aspects { headers: true, body: false };
        let ignores = |ignored: Lines| {
            let manner = Manner { aspects, limit: Some(7), ignored };
            let rules = criteria.rules(manner, &lines);
            assert_eq!((rules.aspects, rules.limit), (aspects, 7));
            ["a", "b", "c"].map(|name| rules.ignores_field(name))
        };
        assert_eq!(ignores(Lines::default()), [true, false, false]);
        assert_eq!(ignores(Lines::one(1)), [true, false, true]);
        assert_eq!(ignores(Lines::one(0).and(Lines::one(1))), [true, true, true]);
    }
}
