//! The conformance table: each row on two httpds, with the module and without (promises 1 and 2).

mod backends;
mod client;
mod docs;
pub mod http1;
pub mod model;
mod pair;
mod places;
pub mod production;
pub mod row;
pub mod rows;

use crate::mpm::{Mpm, on_each_mpm};

on_each_mpm!(staging_receives_what_the_client_sent_and_production_answers_as_ever);

fn staging_receives_what_the_client_sent_and_production_answers_as_ever(mpm: Mpm) {
    pair::run(mpm, &rows::under(mpm));
}
