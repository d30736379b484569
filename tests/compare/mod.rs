//! Staging's answers compared with production's: what is seen, what is reported, what of it is noise.

mod application;
mod control;
mod cut;
mod latency;
mod planted;
pub mod reading;
mod report;
mod scopes;
mod seen;
mod ways;
