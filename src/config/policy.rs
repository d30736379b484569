//! The configuration once read: what requests are decided by. Never changes.

use std::sync::Arc;
use std::time::Duration;

use super::settings::{ListId, Traced};
use crate::comparing::{Asked, AskedId, Criteria};
use crate::copylog::Spec;
use crate::mask::Masks;
use crate::message::TraceHeader;
use crate::route::Route;
use crate::select::Rule;
use crate::target::Target;

/// A target of the [`Policy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetId(u16);

impl TargetId {
    pub(super) fn new(index: usize) -> TargetId {
        TargetId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// The target's place among [`Policy::targets`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A target that a scope names, and which of the scope's requests it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The target.
    pub target: TargetId,
    /// What a request must meet.
    pub rule: Rule,
}

/// A target with all that is known of it.
#[derive(Debug)]
pub struct Resolved {
    /// The target.
    pub target: Arc<Target>,
    /// What its copies reach it by.
    pub route: Route,
    /// What of its copies staging may not see.
    pub masks: Option<Arc<Masks>>,
    /// The rule of its own `CopyTarget` line.
    pub rule: Rule,
    /// By what its answers are compared.
    pub criteria: Arc<Criteria>,
    /// Who else gets the copies that are compared.
    pub control: Option<TargetId>,
}

#[derive(Debug)]
struct List {
    choices: Vec<Choice>,
    /// Every request goes to all of them.
    is_open: bool,
    /// Some of them may have fields of their own.
    has_own_fields: bool,
}

/// A whole configuration, resolved.
#[derive(Debug)]
pub struct Policy {
    targets: Vec<Resolved>,
    lists: Vec<List>,
    asked: Vec<Asked>,
    /// The `CopyCompareIgnore` lines of sections.
    ignored: Vec<Vec<String>>,
    logs: Vec<Vec<Spec>>,
    memory: usize,
    drain_timeout: Duration,
    /// The fields that scopes mark copies with.
    traces: Vec<TraceHeader>,
}

impl Policy {
    pub(super) fn new(
        targets: Vec<Resolved>,
        (lists, asked): (Vec<Vec<Choice>>, Vec<Asked>),
        logs: Vec<Vec<Spec>>,
        memory: Option<usize>,
        drain_timeout: Option<Duration>,
    ) -> Policy {
        let list = |choices: Vec<Choice>| {
            let is_open = choices.iter().all(|choice| choice.rule.is_open());
            let own = |choice: &Choice| {
                let known: Option<&Resolved> = targets.get(choice.target.index());
                known.is_some_and(|known| known.target.has_own_fields())
            };
            let has_own_fields = choices.iter().any(own);
            List { choices, is_open, has_own_fields }
        };
        let lists = lists.into_iter().map(list).collect();
        Policy {
            targets,
            lists,
            asked,
            ignored: Vec::new(),
            logs,
            memory: memory.unwrap_or(64 << 20),
            drain_timeout: drain_timeout.unwrap_or(Duration::from_secs(2)),
            traces: Vec::new(),
        }
    }

    pub(super) fn traced(self, traces: Vec<TraceHeader>) -> Policy {
        Policy { traces, ..self }
    }

    pub(super) fn ignoring(self, ignored: Vec<Vec<String>>) -> Policy {
        Policy { ignored, ..self }
    }

    /// The `CopyCompareIgnore` lines of sections, which scopes know by their places.
    pub fn ignored(&self) -> &[Vec<String>] {
        &self.ignored
    }

    /// The field that marks a scope's copies.
    pub fn trace(&self, trace: Traced) -> Option<&TraceHeader> {
        match trace {
            Traced::Off => None,
            Traced::By(place) => self.traces.get(place as usize),
        }
    }

    /// Every target, in the order of their ids.
    pub fn targets(&self) -> &[Resolved] {
        &self.targets
    }

    /// Every target with its id.
    pub fn identified(&self) -> impl Iterator<Item = (TargetId, &Resolved)> {
        self.targets.iter().enumerate().map(|(index, target)| (TargetId::new(index), target))
    }

    /// The logs of each server that has some, by their [`LogsId`](crate::copylog::LogsId).
    pub fn logs(&self) -> &[Vec<Spec>] {
        &self.logs
    }

    /// The targets that a scope names, each once.
    pub fn list(&self, ListId(index): ListId) -> &[Choice] {
        self.lists.get(index as usize).map_or(&[], |list| &list.choices)
    }

    /// Whether every request goes to all targets of the list.
    pub fn is_open(&self, ListId(index): ListId) -> bool {
        self.lists.get(index as usize).is_none_or(|list| list.is_open)
    }

    /// Whether some target of the list may have fields of its own in its copies.
    #[inline]
    pub fn has_own_fields(&self, ListId(index): ListId) -> bool {
        self.lists.get(index as usize).is_some_and(|list| list.has_own_fields)
    }

    /// Whether some target may not see all of a request.
    pub fn hides(&self) -> bool {
        let hides = |known: &Resolved| known.masks.is_some() || known.target.edits.is_some();
        self.targets.iter().any(hides)
    }

    /// Whether some scope's rule for the target adapts, for each target in the order of their ids.
    pub fn adapting(&self) -> impl Iterator<Item = bool> {
        let adapts = |target: usize| {
            let mut choices = self.lists.iter().flat_map(|list| &list.choices);
            choices.any(|choice| choice.target.index() == target && choice.rule.adapts())
        };
        (0..self.targets.len()).map(adapts)
    }

    /// What a scope asks for by `CopyCompare`.
    pub fn asked(&self, AskedId(index): AskedId) -> Option<&Asked> {
        self.asked.get(usize::from(index))
    }

    /// Whether anything is compared anywhere.
    pub fn compares(&self) -> bool {
        let of_targets = self.targets.iter().filter_map(|known| known.target.compare.as_ref());
        self.asked.iter().chain(of_targets).any(|asked| asked.aspects.is_some())
    }

    /// `CopyMemory` in bytes.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// `CopyDrainTimeout`.
    pub fn drain_timeout(&self) -> Duration {
        self.drain_timeout
    }
}
