//! By what the answers of one target are compared and judged.

use crate::compare::{Aspects, Rules, Thresholds};

/// What is kept of a body where nothing else is said.
const LIMIT: usize = 1 << 20;

/// `CopyCompareIgnore`, `CopyCompareLimit` and `CopyCompareThreshold` as they hold for a target.
#[derive(Clone, Debug)]
pub struct Criteria {
    /// Rules for each choice of aspects: see [`Criteria::rules`].
    rules: [Rules; 4],
    /// The most bytes of a body that are kept.
    pub limit: usize,
    /// What `copy-status?verdict` fails by.
    pub thresholds: Thresholds,
}

impl Criteria {
    /// The words of the directives were read before: what is not right in them is left out.
    pub fn of(ignored: &[String], limit: Option<usize>, thresholds: &[String]) -> Criteria {
        let mut rules = Rules::default();
        for word in ignored {
            let _ = rules.ignore(word);
        }
        let limit = limit.unwrap_or(LIMIT);
        rules.limit = limit;
        let with = |headers, body| {
            let mut rules = rules.clone();
            rules.aspects = Aspects { headers, body };
            rules
        };
        let mut judged = Thresholds::default();
        for word in thresholds {
            let _ = judged.set(word);
        }
        Criteria {
            rules: [with(false, false), with(true, false), with(false, true), with(true, true)],
            limit,
            thresholds: judged,
        }
    }

    /// The rules for these aspects.
    pub fn rules(&self, aspects: Aspects) -> &Rules {
        let [neither, headers, body, both] = &self.rules;
        match (aspects.headers, aspects.body) {
            (false, false) => neither,
            (true, false) => headers,
            (false, true) => body,
            (true, true) => both,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_rules_for_every_choice_of_aspects() {
        let criteria = Criteria::of(&["header:Date".to_owned()], Some(1000), &[]);
        for headers in [false, true] {
            for body in [false, true] {
                let aspects = Aspects { headers, body };
                assert_eq!(criteria.rules(aspects).aspects, aspects);
                assert_eq!(criteria.rules(aspects).limit, 1000);
            }
        }
    }
}
