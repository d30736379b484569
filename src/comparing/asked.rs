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
    fn a_sample_is_drawn_for() {
        let half =
            Asked { aspects: Some(BODY), sample: Share::parse("50%").unwrap(), methods: None };
        assert!(half.aspects_of(b"GET", || u64::MAX / 2 - 1).is_some());
        assert!(half.aspects_of(b"GET", || u64::MAX / 2 + 2).is_none());
    }
}
