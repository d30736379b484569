//! How copies leave, as it is written in a server or in a target's block: TLS, and what staging may not see.

use crate::{mask, tls};

/// What a server, or a target's block, says of how copies leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The directives of TLS.
    pub tls: tls::Settings,
    /// The rules of its `CopyMask` lines, in their order.
    pub masks: Vec<mask::Rule>,
}

impl Terms {
    /// What holds inside `self` for what is written in `inner` too.
    ///
    /// Masks add up: what is hidden from all targets is not shown to one by hiding more from it. Those that
    /// are said again add nothing.
    pub fn merge(&self, inner: &Terms) -> Terms {
        let mut masks = self.masks.clone();
        if !masks.ends_with(&inner.masks) {
            masks.extend_from_slice(&inner.masks);
        }
        Terms { tls: self.tls.merge(&inner.tls), masks }
    }
}
