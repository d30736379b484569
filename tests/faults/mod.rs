//! What staging may do wrong, and what comes of it.

mod staging;

mod harness;
mod watched;
