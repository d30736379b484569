//! What the administrator asked for: read into a [`Draft`], resolved to a [`Policy`].

mod directives;
mod draft;
mod policy;
mod reference;
mod rules;
mod settings;
#[cfg(not(fuzzing))]
mod values;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod values;

pub use directives::{Context, DIRECTIVES, Directive, TARGET_KEYS, find};
pub use draft::{Balancers, Draft, Kind, Misfit, Origin, Place, Server, Written};
pub use policy::{Choice, Policy, TargetId};
pub use reference::markdown as reference;
pub use rules::RULE_KEYS;
pub use settings::{BODY_LIMIT, ListId, ScopeSettings, ServerPolicy, ServerSettings};
pub use values::Fault;
