//! What staging answers differently: two answers compared, the noise told from it, the rest counted by route.
//!
//! A pure room: it takes views of two answers to one request, and owns nothing but its tables.
//!
//! ```text
//!  production's Answer ─┐
//!                       ├─► compare ──► Comparison ──► Report::record ──► Report::verdict
//!  staging's Answer ────┘   answer, fields,            report, noise      verdict
//!  (the control's Answer)   json, text, html
//!                           under Rules
//! ```
//!
//! # What a difference is
//!
//! A [`Difference`] has a path and a [`Change`]. Paths are such that the same difference in the answers to
//! many requests has the same one: `status`, `header:location`, `$.items[*].price`, `html:span.price`,
//! `text:uptime`, `body`. A path says where, never what: values are in the examples alone, which whoever
//! masks may take away before they are recorded.
//!
//! An answer of another status class has another body and other fields by nature, so nothing further is compared.
//!
//! # Bounds
//!
//! One comparison lists at most [`LISTED`] differences and counts the others, goes [`DEPTH`] deep into JSON, and
//! decodes at most [`Rules::limit`] bytes of each body. Beside the decoded bodies it holds some 60 bytes for each
//! member of objects whose members stand in another order, for each element of arrays whose order is ignored, and some
//! 70 for each line of texts that differ, of at most 65536. All of it takes time in proportion to the bodies; but members
//! in another order on every level, and arrays in any order inside each other, are read once for each level.
//!
//! # The report in shared memory
//!
//! Comparisons are made in the background of every child process, and the page is served by any. Each
//! child keeps a [`Report`] of its own, so that recording takes no lock that another process could die with,
//! and needs nothing of the shared memory's layout. It publishes what it has, at most once a second and only when it changed, as
//! [`Report::encode`] writes it, into a slab of its own in the shared memory: `AtomicU64` words, all
//! zeroes when nothing was published, of which the first two are the number of publications, odd while one
//! is under way, and the length. Whoever shows the report reads each slab between two equal even numbers (and
//! leaves out, for this time, one that is written again and again), has [`Report::decode`] check it, and
//! [merges](Report::merge) them all. A child that takes the row of one that ended first merges that slab into the
//! base's slab under the lock that rows are taken with, as the counters' ledger does; the base is capped as every report is. So all fields of the
//! plain form can be added up, but the examples and the first and last time, of which the outer ones win.
//!
//! A report that has more than the slab holds is encoded without the routes compared least, which are counted as evicted.

pub mod answer;
mod content;
pub mod difference;
mod fields;
mod fold;
mod html;
pub mod json;
pub mod noise;
pub mod report;
pub mod route;
pub mod rules;
pub mod text;
pub mod verdict;

pub use answer::{Answer, Body, Digest, compare};
pub use difference::{Change, Comparison, Difference, Differences, Example, LISTED, Latency};
pub use fields::{IGNORED as IGNORED_FIELDS, cookie_in_paths, field_in_paths};
pub use fold::name as folded;
pub use json::DEPTH;
pub use report::Report;
pub use route::Route;
pub use rules::{Aspects, Rules};
pub use verdict::{Thresholds, Verdict};
