//! The atomics that the promises rest on: the standard library's; `models/` puts loom's in their place.

pub(crate) use std::sync::atomic;
