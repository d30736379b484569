//! The module's own files over loom's atomics: `tests/` runs them in every order that threads can take.
//!
//! They are the files that the module is built of, read from `../src`; only [`sync`] is another.

#![allow(dead_code, reason = "no model needs all of it")]

#[path = "../../src/breaker.rs"]
pub mod breaker;
#[path = "../../src/memory/mod.rs"]
pub mod memory;
#[path = "../../src/outcome.rs"]
pub mod outcome;
pub mod select;
#[path = "../../src/stats/mod.rs"]
pub mod stats;
pub mod sync;
