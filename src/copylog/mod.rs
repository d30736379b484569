//! `CopyLog`: a line for each copy, written when both the copy and its request have ended, or for each comparison.
//!
//! ```text
//! spec.rs     a CopyLog line as written: where to, which copies or comparisons, in which format
//! format.rs   a format: JSON, or LogFormat's letters as far as they mean something for a copy
//! entry.rs    what is known of one copy, or of a comparison, at its end, and of its request at theirs
//! line.rs     the line of an entry: JSON
//! found.rs    what a comparison found, and its line as JSON
//! pattern.rs  the same by letters
//! escape.rs   what no line may have in it, made harmless
//! moment.rs   times as lines have them
//! book.rs     the lines for one log, written whole
//! writer.rs   the thread that writes, and the bounded way to it
//! ```
//!
//! Neither requests nor forwarders format or write: they hand on what they know, or, where too much waits to be
//! written, let it go and count it.

mod book;
mod entry;
mod escape;
mod format;
mod found;
mod line;
mod moment;
mod pattern;
mod spec;
mod writer;

pub use book::Output;
pub use entry::{Awaiting, Copied, Entry, Id, Occasion, Parties, Production, Requested, Told};
pub use format::{Format, ITEMS, LETTERS};
pub use found::{Differing, Found};
pub use moment::Micros;
pub use spec::{Logs, LogsId, Medium, Spec, Which};
pub use writer::CopyLog;

#[cfg(test)]
mod tests;
