//! From two answers to a line of the report: who keeps them, where they meet, and who compares them.
//!
//! ```text
//!  production ──► witness ──► Kept ──┐
//!                                    ├─► meeting ──► Comparer ──► Report ──► Shelf ──► copy-status?compare
//!  staging ─────► exchange ─► Kept ──┘   pair.rs     comparer.rs             shelf.rs
//! ```
//!
//! What a difference is, and what of it is noise, [`compare`](crate::compare) knows; here is what that costs whom.
//! A request that is not compared costs a draw. One that is costs production's thread a copy of the body, up to
//! `CopyCompareLimit`, and staging's forwarder another. Both count in `CopyMemory`, of which comparisons take no more
//! than copies leave free, and never the last half. They are made by one thread in each child, of a lower
//! priority than all others; what it does not keep up with is let go, and counted as shed.

mod asked;
mod comparer;
mod criteria;
mod examples;
mod kept;
mod pair;
mod shelf;

pub use asked::{Asked, AskedId, InScope, Lines};
pub use comparer::{Compared, Comparer};
pub use criteria::{Criteria, Limits};
pub use kept::{Content, Keeping, Kept, LONGEST};
pub use pair::{
    Answered, Comparisons, ControlCopy, Copies, CopySide, Manner, Plan, Production, ProductionSide,
    Purpose, pair,
};
pub use shelf::{Begun, ChildSlab, Count, Header, Place, Reports, SLABS, Shelf, VERSION};
