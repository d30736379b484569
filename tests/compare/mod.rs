//! Staging's answers compared with production's: what is seen, what is reported, what of it is noise.

mod application;
pub mod reading;
mod report;
mod seen;
