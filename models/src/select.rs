//! What all children share of a target's rules: the module's files that say so.

#[path = "../../src/select/share.rs"]
mod share;
#[path = "../../src/select/valve.rs"]
mod valve;

pub use share::{Overrides, Share};
pub use valve::{Held, Nanos, Rate, Throttle, Valve};
