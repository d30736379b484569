//! What a request's notes say for `CustomLog`, and its lines in the error log: its targets, and what became of the copy
//! to each by its end.

use std::fmt;

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

impl fmt::Display for Fate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::HandedOver => to.write_str("handed over"),
            Fate::Dropped(loss) => write!(to, "dropped: {}", loss.name()),
            Fate::NotCopied(reason) => write!(to, "not copied: {}", reason.name()),
        }
    }
}

/// What passed of the content that was to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// How many bytes.
    pub bytes: u64,
    /// Whether that was all, and all of it was kept.
    pub is_whole: bool,
}

impl fmt::Display for Captured {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.is_whole { "whole" } else { "not whole" };
        write!(to, "{} bytes, {whole}", self.bytes)
    }
}

/// The fates of one request's copies, where somebody asks for them.
#[derive(Debug)]
pub struct Fates {
    noted: Option<Vec<(TargetId, Fate)>>,
    captured: Option<Captured>,
}

impl Fates {
    /// None yet; and none ever, where nobody asks.
    pub fn asked_for(is: bool) -> Fates {
        Fates { noted: is.then(Vec::new), captured: None }
    }

    /// Takes note of one, if anybody asks.
    #[inline(always)]
    pub fn note(&mut self, target: TargetId, fate: Fate) {
        if let Some(noted) = &mut self.noted {
            noted.push((target, fate));
        }
    }

    /// Takes note of the content, if anybody asks.
    #[inline(always)]
    pub fn note_content(&mut self, captured: impl FnOnce() -> Captured) {
        if self.noted.is_some() {
            self.captured = Some(captured());
        }
    }

    /// What is noted of the content.
    pub fn captured(&self) -> Option<Captured> {
        self.captured
    }

    /// The targets by name, and what became of the copy to each; none where nobody asks.
    pub fn told<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = (&'a str, Fate)> {
        self.noted.iter().flatten().map(|(target, fate)| {
            let known = policy.targets().get(target.index());
            (known.map_or("", |known| known.target.name.as_str()), *fate)
        })
    }

    /// The targets' names, and what became of their copies in the same order, joined by commas; `None` where there
    /// is nothing to tell.
    #[inline(always)]
    pub fn texts(&self, policy: &Policy) -> Option<[String; 2]> {
        self.noted.as_ref().filter(|noted| !noted.is_empty()).map(|_| self.joined(policy))
    }

    #[cold]
    fn joined(&self, policy: &Policy) -> [String; 2] {
        let (names, texts): (Vec<&str>, Vec<String>) =
            self.told(policy).map(|(name, fate)| (name, fate.text())).unzip();
        [names.join(","), texts.join(",")]
    }
}
