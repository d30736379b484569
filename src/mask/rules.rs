//! The rules of one place, compiled: which action a name or a path has.

use super::names::Names;
use super::path::Paths;
use super::rule::{Action, Name, Rule};

/// The rules of one place. Where several look for the same, the last that was written holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// By the number of the rule.
    actions: Vec<Action>,
    pub(super) names: Names,
    /// What JSON rules find by path.
    pub(super) paths: Paths,
}

impl Rules {
    pub(super) fn of<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Rules {
        let mut compiled = Rules::default();
        for (number, rule) in rules.into_iter().enumerate() {
            for name in &rule.names {
                match name {
                    Name::Plain(name) => compiled.names.add(name, number),
                    Name::Path(path) => compiled.paths.add(path, number),
                }
            }
            compiled.actions.push(rule.action.clone());
        }
        compiled
    }

    pub(super) fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The action of the rule that has this number.
    pub(super) fn action(&self, rule: Option<usize>) -> Option<&Action> {
        self.actions.get(rule?)
    }

    /// The action for a name.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Action> {
        self.action(self.names.find(name))
    }
}
