//! What staging may do wrong, and what comes of it: production answers as ever, each copy is counted for what it is,
//! the log is told in few words, and copies arrive again as soon as staging is well.
//!
//! ```text
//! staging/     the faulty server
//! harness.rs   which holds against itself
//! watched.rs   and tells all that it is sent
//! row.rs       one row of the table
//! rows.rs      the table
//! play.rs      plays rows on a real httpd
//! connections.rs  staging that keeps none
//! flapping.rs  staging that comes and goes
//! names.rs     names that do not resolve
//! memory.rs    what the worst of it takes
//! ```

mod connections;
mod flapping;
mod harness;
mod memory;
pub mod names;
mod play;
mod row;
mod rows;
mod staging;
mod watched;

use play::Manner;

use crate::mpm::{Mpm, on_each_mpm};

on_each_mpm!(no_fault_of_staging_touches_production_or_loses_an_account);

fn no_fault_of_staging_touches_production_or_loses_an_account(mpm: Mpm) {
    play::run(mpm, Manner::OneByOne, &rows::under(mpm));
}

#[test]
fn faults_that_meet_several_copies_at_once_come_out_the_same() {
    play::run(Mpm::Event, Manner::Together, &rows::for_several_at_once());
}
