//! What a request's notes say for `CustomLog`: its targets, and what became of the copy to each by its end.

use crate::config::{Policy, TargetId};
use crate::outcome::{Loss, NotCopied};

/// What became of a request's copy to one target, as far as the request knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits to be sent, or is; what staging makes of it, the request does not wait for.
    HandedOver,
    /// It was dropped before.
    Dropped(Loss),
    /// None was made.
    NotCopied(NotCopied),
}

impl Fate {
    fn text(self) -> String {
        let named = |kind: &str, reason: &str| format!("{kind}:{}", reason.replace(' ', "_"));
        match self {
            Fate::HandedOver => "handed-over".to_owned(),
            Fate::Dropped(loss) => named("dropped", loss.name()),
            Fate::NotCopied(reason) => named("not-copied", reason.name()),
        }
    }
}

/// The fates of one request's copies, where somebody asks for them.
#[derive(Debug)]
pub struct Fates(Option<Vec<(TargetId, Fate)>>);

impl Fates {
    /// None yet; and none ever, where nobody asks.
    pub fn asked_for(is: bool) -> Fates {
        Fates(is.then(Vec::new))
    }

    /// Takes note of one, if anybody asks.
    #[inline(always)]
    pub fn note(&mut self, target: TargetId, fate: Fate) {
        if let Fates(Some(fates)) = self {
            fates.push((target, fate));
        }
    }

    /// The targets' names, and what became of their copies in the same order, joined by commas; `None` where there
    /// is nothing to tell.
    pub fn texts(&self, policy: &Policy) -> Option<[String; 2]> {
        let Fates(fates) = self;
        let fates = fates.as_ref().filter(|fates| !fates.is_empty())?;
        let name = |target: &TargetId| {
            let known = policy.targets().get(target.index());
            known.map_or("", |known| known.target.name.as_str())
        };
        let names: Vec<&str> = fates.iter().map(|(target, _)| name(target)).collect();
        let texts: Vec<String> = fates.iter().map(|(_, fate)| fate.text()).collect();
        Some([names.join(","), texts.join(",")])
    }
}
