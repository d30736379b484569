//! What holds for all copies to a target, as it is written in a server or in its block: TLS, masks, comparisons.

use crate::target::Url;
use crate::{mask, tls};

/// What a server, or a target's block, says of how copies leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The directives of TLS.
    pub tls: tls::Settings,
    /// The rules of its `CopyMask` lines, in their order.
    pub masks: Vec<mask::Rule>,
    /// By what answers are compared.
    pub compare: Compare,
}

/// The directives that say by what answers are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compare {
    /// The words of its `CopyCompareIgnore` lines.
    pub ignored: Vec<String>,
    /// `CopyCompareLimit` in bytes.
    pub limit: Option<usize>,
    /// The words of its `CopyCompareThreshold` lines.
    pub thresholds: Vec<String>,
    /// `CopyControl`
    pub control: Option<Url>,
}

impl Compare {
    /// What is ignored adds up; of all else the inner holds.
    fn merge(&self, inner: &Compare) -> Compare {
        Compare {
            ignored: added(&self.ignored, &inner.ignored),
            limit: inner.limit.or(self.limit),
            thresholds: added(&self.thresholds, &inner.thresholds),
            control: inner.control.clone().or_else(|| self.control.clone()),
        }
    }
}

/// What is said outside, and what inside adds to it: what is said again adds nothing.
pub(super) fn added<T: Clone + PartialEq>(outer: &[T], inner: &[T]) -> Vec<T> {
    let mut all = outer.to_vec();
    if !all.ends_with(inner) {
        all.extend_from_slice(inner);
    }
    all
}

impl Terms {
    /// What holds inside `self` for what is written in `inner` too.
    ///
    /// Masks add up: what is hidden from all targets is not shown to one by hiding more from it. Those that
    /// are said again add nothing.
    pub fn merge(&self, inner: &Terms) -> Terms {
        Terms {
            tls: self.tls.merge(&inner.tls),
            masks: added(&self.masks, &inner.masks),
            compare: self.compare.merge(&inner.compare),
        }
    }
}
