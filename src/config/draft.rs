//! The configuration while it is read: targets and lists as written, names not yet looked up.

mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::policy::TargetId;
use super::settings::{ListId, ScopeSettings, ServerSettings, Traced};
use super::terms::Terms;
use super::values::Fault;
use super::written::{Line, Section};
use crate::balancer::Roster;
use crate::comparing::{Asked, AskedId, Lines};
use crate::copylog::{Logs, LogsId, Medium, Spec};
use crate::edit::Edits;
use crate::mask::Key;
use crate::message::TraceHeader;
use crate::select::{Expression, Rule};
use crate::stats;
use crate::target::Target;

/// Where a directive stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The configuration file.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// The section around it; none in a server itself, or in a target's block there.
    pub section: Option<Arc<Section>>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A fault that shows only when the whole configuration is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    directive: &'static str,
    fault: Fault,
    /// Where.
    origin: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.directive, self.fault, self.origin)
    }
}

/// Finds a server's balancer of this name.
pub type Balancers<'a> = dyn Fn(Server, &str) -> Option<Arc<dyn Roster>> + 'a;

/// What was read of the configuration so far.
#[derive(Debug, Default)]
pub struct Draft {
    /// What the names of files are relative to.
    server_root: PathBuf,
    targets: Vec<Definition>,
    terms: BTreeMap<Server, Terms>,
    /// The servers that name targets of their own, outside of sections: the others inherit the main server's.
    naming: BTreeSet<Server>,
    /// The target's block that is being read.
    block: Option<Block>,
    lists: Vec<Vec<Reference>>,
    logs: Vec<Vec<Logged>>,
    expressions: Vec<Written>,
    /// What scopes ask for by `CopyCompare`.
    asked: Vec<Asked>,
    /// The `CopyCompareIgnore` lines of sections.
    ignored: Vec<Vec<String>>,
    /// The fields that scopes mark copies with.
    traces: Vec<TraceHeader>,
    /// Every directive that was read.
    lines: Vec<Line>,
    pub(super) memory: Option<usize>,
    pub(super) drain_timeout: Option<Duration>,
    pub(super) dns_refresh: Option<Duration>,
    pub(super) mask_key: Option<Key>,
}

/// A `CopyLog` line, and where it stands.
#[derive(Debug)]
struct Logged {
    spec: Spec,
    origin: Origin,
}

/// What a target's block says so far.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) target: Target,
    pub(super) rule: Rule,
    pub(super) terms: Terms,
}

/// A server of the configuration: the main one, or a virtual host, told from others by its record's address.
pub type Server = Option<usize>;

/// A target, the rule of its `CopyTarget` line, and where that stands.
#[derive(Debug)]
struct Definition {
    target: Target,
    rule: Rule,
    /// What its block says.
    terms: Terms,
    /// Where it was defined first.
    origin: Origin,
    /// Where it was defined at all, each time with the same words.
    servers: Vec<Server>,
    /// Whether a `CopyControl` line names it: its terms are then those of the targets beside which it gets copies.
    is_control: bool,
}

#[derive(Debug)]
enum Reference {
    /// A target that a `CopyTarget` line defines.
    Defined(TargetId),
    /// A target that a `MirrorRequest` line names, and that line's rule.
    Named(String, Rule, Origin, Server),
}

/// What an expression makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Condition,
    /// A text.
    Text,
}

/// An expression as it is written; httpd's to parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What it makes of a request.
    pub kind: Kind,
    /// The key it was first given to.
    pub key: String,
    /// What it says.
    pub text: String,
}

/// Where a directive takes effect.
#[derive(Debug)]
pub struct Place<'a> {
    /// The whole configuration.
    pub draft: &'a mut Draft,
    /// The innermost scope around the directive.
    pub scope: &'a mut ScopeSettings,
    /// The server or virtual host around it.
    pub server: &'a mut ServerSettings,
    /// Which server that is.
    pub which: Server,
    /// Whether that scope is a section, and not the server itself.
    pub in_section: bool,
    /// The file and line it stands on.
    pub origin: Origin,
}

impl Place<'_> {
    /// Takes a target's definition with its rule, and puts it in scope.
    pub fn define(&mut self, target: Target, rule: Rule) -> Result<(), Fault> {
        self.define_block(Block { target, rule, terms: Terms::default() })
    }

    fn define_block(&mut self, block: Block) -> Result<(), Fault> {
        let id = self.draft.define(block, (&self.origin, self.which))?;
        self.draft.refer(&mut self.scope.defined, Reference::Defined(id));
        self.names_targets();
        self.server.mirrors = true;
        Ok(())
    }

    /// Puts a target in scope by its name, or by its URL; what this rule sets goes before the target's own.
    pub fn select(&mut self, name: &str, rule: Rule) {
        let reference = Reference::Named(name.to_owned(), rule, self.origin.clone(), self.which);
        self.draft.refer(&mut self.scope.selected, reference);
        self.names_targets();
        self.server.mirrors = true;
    }

    /// Begins a target's block.
    pub(super) fn open(&mut self, target: Target, rule: Rule) {
        self.draft.block = Some(Block { target, rule, terms: Terms::default() });
    }

    /// Ends the block, whose target is defined by it.
    pub fn close(&mut self) -> Result<(), Fault> {
        self.draft.block.take().map_or(Ok(()), |block| self.define_block(block))
    }

    /// The block around the directive.
    pub(super) fn block(&mut self) -> Option<&mut Block> {
        self.draft.block.as_mut()
    }

    /// Whether the directive stands in a section, and in no target's block.
    pub(super) fn is_in_section_alone(&self) -> bool {
        self.in_section && !self.draft.has_block()
    }

    /// How copies leave, as it is written in the block or the server around the directive.
    pub(super) fn terms(&mut self) -> &mut Terms {
        match &mut self.draft.block {
            Some(block) => &mut block.terms,
            None => self.draft.terms.entry(self.which).or_default(),
        }
    }

    /// Takes a log of the server's.
    pub(super) fn log(&mut self, mut spec: Spec) {
        if let Medium::File(path) = &mut spec.medium {
            *path = self.draft.server_root.join(&*path);
        }
        let names_parties = spec.format.names_parties();
        let of_comparisons = spec.which.is_of_comparisons();
        let logs = self.server.logs.get_or_insert_with(|| {
            self.draft.logs.push(Vec::new());
            let last = self.draft.logs.len().saturating_sub(1);
            let id = LogsId(u32::try_from(last).unwrap_or(u32::MAX));
            Logs { id, name_parties: false, of_copies: false, of_comparisons: false }
        });
        logs.name_parties |= names_parties;
        logs.of_copies |= !of_comparisons;
        logs.of_comparisons |= of_comparisons;
        let LogsId(index) = logs.id;
        if let Some(logged) = self.draft.logs.get_mut(index as usize) {
            logged.push(Logged { spec, origin: self.origin.clone() });
        }
    }

    fn names_targets(&mut self) {
        if !self.in_section {
            self.draft.naming.insert(self.which);
        }
    }

    /// A file's name as httpd reads it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.draft.server_root.join(name)
    }
}

impl Draft {
    /// An empty one, in which the names of files are relative to `server_root`.
    pub fn in_server_root(server_root: PathBuf) -> Draft {
        Draft { server_root, ..Draft::default() }
    }

    fn refer(&mut self, id: &mut Option<ListId>, reference: Reference) {
        let ListId(index) = *id.get_or_insert_with(|| {
            self.lists.push(Vec::new());
            ListId(u32::try_from(self.lists.len().saturating_sub(1)).unwrap_or(u32::MAX))
        });
        if let Some(list) = self.lists.get_mut(index as usize) {
            list.push(reference);
        }
    }

    /// Takes note that the block that is being read changes fields.
    pub fn edits(&mut self, edits: Edits) {
        if let Some(block) = &mut self.block {
            block.target.edits = Some(edits);
        }
    }

    /// Takes note of a directive that was read.
    pub(super) fn record(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// The target whose block is being read.
    pub(super) fn block_of(&self) -> Option<&str> {
        self.block.as_ref().map(|block| block.target.name.as_str())
    }

    /// Every directive that was read, in order.
    pub fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// Whether a target's block is being read.
    pub fn has_block(&self) -> bool {
        self.block.is_some()
    }

    /// Forgets the block that was being read, which is not right.
    pub fn abandon_block(&mut self) {
        self.block = None;
    }

    /// An expression's place in the table of all; one that is there already, if it says the same.
    pub(super) fn expression(&mut self, kind: Kind, key: &str, text: &str) -> Expression {
        let is_known = |known: &Written| known.kind == kind && known.text == text;
        let known = self.expressions.iter().position(is_known);
        Expression::at(known.unwrap_or_else(|| {
            let (key, text) = (key.to_owned(), text.to_owned());
            self.expressions.push(Written { kind, key, text });
            self.expressions.len().saturating_sub(1)
        }))
    }

    /// The place of what a scope asks for by `CopyCompare`.
    pub(super) fn asked(&mut self, asked: Asked) -> Result<AskedId, Fault> {
        let known = self.asked.iter().position(|known| *known == asked);
        let place = known.unwrap_or_else(|| {
            self.asked.push(asked);
            self.asked.len().saturating_sub(1)
        });
        let place = u16::try_from(place);
        place.map(AskedId).map_err(|_| Fault::said("too many different ones in this configuration"))
    }

    /// A `CopyCompareIgnore` line of a section; one that says the same is the same.
    pub(super) fn ignored_line(&mut self, words: Vec<String>) -> Result<Lines, Fault> {
        let known = self.ignored.iter().position(|known| *known == words);
        let place = known.unwrap_or(self.ignored.len());
        if place >= Lines::MOST {
            let most = format!(
                "at most {} different lines in the sections of a configuration",
                Lines::MOST
            );
            return Err(Fault::said(most));
        }
        if known.is_none() {
            self.ignored.push(words);
        }
        Ok(Lines::one(place))
    }

    /// The place of a field that marks copies; that of the same one, if it is there already.
    pub(super) fn trace(&mut self, header: TraceHeader) -> Traced {
        let known = self.traces.iter().position(|known| *known == header);
        let place = known.unwrap_or_else(|| {
            self.traces.push(header);
            self.traces.len().saturating_sub(1)
        });
        Traced::By(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// Every expression so far, in the order of their places.
    pub fn expressions(&self) -> &[Written] {
        &self.expressions
    }

    fn define(
        &mut self,
        Block { target, rule, terms }: Block,
        (origin, server): (&Origin, Server),
    ) -> Result<TargetId, Fault> {
        if target.name.len() > stats::NAME_BYTES {
            return Err(Fault::new("a shorter URL, or a name=", target.name));
        }
        let mut known = self.targets.iter_mut().enumerate();
        if let Some((index, known)) = known.find(|(_, known)| known.target.name == target.name) {
            return if (&known.target, &known.rule, &known.terms) == (&target, &rule, &terms) {
                known.servers.push(server);
                Ok(TargetId::new(index))
            } else {
                Err(differing(target.name, &known.origin))
            };
        }
        if self.targets.len() == stats::TARGETS {
            let most = format!("at most {} targets in a configuration", stats::TARGETS);
            return Err(Fault::new(most, target.name));
        }
        let origin = origin.clone();
        let (servers, is_control) = (vec![server], false);
        self.targets.push(Definition { target, rule, terms, origin, servers, is_control });
        Ok(TargetId::new(self.targets.len().saturating_sub(1)))
    }
}

fn differing(name: String, first: &Origin) -> Fault {
    let found = format!("{name}, which is set otherwise at {first}");
    Fault::new("a name= of its own where the settings differ", found)
}

#[cfg(test)]
mod tests;
