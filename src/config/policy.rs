//! The configuration once read: what requests are decided by. Never changes.

use std::sync::Arc;
use std::time::Duration;

use super::settings::ListId;
use crate::target::Target;
use crate::tls::Tls;

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

/// A whole configuration, resolved.
#[derive(Debug)]
pub struct Policy {
    targets: Vec<Arc<Target>>,
    tls: Vec<Option<Tls>>,
    lists: Vec<Vec<TargetId>>,
    memory: usize,
    drain_timeout: Duration,
}

impl Policy {
    pub(super) fn new(
        targets: Vec<(Arc<Target>, Option<Tls>)>,
        lists: Vec<Vec<TargetId>>,
        memory: Option<usize>,
        drain_timeout: Option<Duration>,
    ) -> Policy {
        let (targets, tls) = targets.into_iter().unzip();
        Policy {
            targets,
            tls,
            lists,
            memory: memory.unwrap_or(64 << 20),
            drain_timeout: drain_timeout.unwrap_or(Duration::from_secs(2)),
        }
    }

    /// Every target, in the order of their ids.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// Every target with what connections to it are made with, where they are over TLS.
    pub fn routes(&self) -> impl Iterator<Item = (&Arc<Target>, Option<&Tls>)> {
        self.targets.iter().zip(self.tls.iter().map(Option::as_ref))
    }

    /// The targets that a scope names.
    pub fn list(&self, ListId(index): ListId) -> &[TargetId] {
        self.lists.get(index as usize).map_or(&[], Vec::as_slice)
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
