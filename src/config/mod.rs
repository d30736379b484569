//! What the administrator asked for: read into a [`Draft`], resolved to a [`Policy`].

mod compare;
mod directives;
mod draft;
mod dump;
mod key_file;
mod lines;
mod policy;
#[cfg(test)]
mod reference;
mod rules;
mod settings;
mod terms;
#[cfg(not(fuzzing))]
mod values;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod values;
mod written;

pub use directives::{BLOCK, Context, DIRECTIVES, Directive, find};
pub use draft::{Balancers, Draft, Kind, Misfit, Origin, Place, Server, Written};
pub use dump::{Dump, Host};
pub use lines::TARGET_KEYS;
pub use policy::{Choice, Policy, Resolved, TargetId};

pub use rules::RULE_KEYS;
pub use settings::{
    BODY_LIMIT, ListId, ProxyDefaults, ScopeSettings, ServerPolicy, ServerSettings, Traced,
};
pub use values::{Fault, without_password, words};
pub use written::{Line, Section};
