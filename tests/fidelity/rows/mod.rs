//! The rows, by topic.

mod bodies;
mod conditions;
mod expectations;
mod fields;
mod methods;
mod once;
mod outcomes;
mod refusals;
mod targets;
mod undisturbed;
mod unread;

use super::row::Row;
use crate::mpm::Mpm;

/// Every row that is played under this processing model, in the document's order; `Event` has them all.
pub fn under(mpm: Mpm) -> Vec<Row> {
    let topics = [
        methods::rows(),
        targets::rows(),
        fields::rows(),
        bodies::rows(mpm),
        expectations::rows(),
        unread::rows(),
        once::rows(),
        outcomes::rows(),
        refusals::rows(),
        undisturbed::rows(),
        conditions::rows(),
    ];
    topics.into_iter().flatten().collect()
}
