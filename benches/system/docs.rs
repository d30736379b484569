//! The table in `docs/performance.md`.

use std::env;
use std::fs;

use crate::table::Table;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
const BEGIN: &str = "<!-- Written by UPDATE_DOCS=1 make bench: do not edit. -->\n";
const END: &str = "<!-- End of what is written. -->\n";
/// Others may take this share of both cores, in percent: figures of a busy machine are not kept.
const DISTURBANCE: f64 = 5.0;

/// Writes the table into the page, if that is asked for and the figures are worth it; what came of it.
pub fn keep(machine: &str, table: &Table, notes: &[String], quick: bool) -> Option<String> {
    env::var_os("UPDATE_DOCS")?;
    if quick || env::var_os("BENCH_ONLY").is_some() {
        return Some(format!("{FILE}: not written, for only a part was measured"));
    }
    let disturbance = table.disturbance();
    if disturbance > DISTURBANCE {
        return Some(format!(
            "{FILE}: not written, for others took {disturbance:.0} % of the cores"
        ));
    }
    let page = fs::read_to_string(FILE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let notes = notes.join("\n");
    let table = table.markdown();
    let page = format!(
        "{before}{BEGIN}\n{machine}\n{table}\n```text\n{}\n```\n\n{END}{after}",
        notes.trim_end()
    );
    fs::write(FILE, page).unwrap();
    Some(format!("{FILE}: written anew"))
}
