//! What 1,024 queued copies of 1 KiB take of a child's memory.

use std::fs;

use crate::load::{self, Pace};
use crate::mpm::Mpm;
use crate::production::{self, Module, Request};
use crate::sink::Backends;
use crate::table::{Required, Table};
use crate::{processes, wait};

const QUEUED: u64 = 1024;
const REPEATS: usize = 3;

/// Fills a child's queue, and sees what its memory grew by.
pub fn measure(table: &mut Table) {
    let mut grown = [Vec::new(), Vec::new()];
    for repeat in 0..REPEATS {
        eprintln!("memory, {} of {} …", repeat + 1, REPEATS);
        let [resident, proportional] = grow();
        grown[0].push(resident);
        grown[1].push(proportional);
    }
    let [resident, proportional] = grown;
    table.title(format!("{QUEUED} queued copies of 1 KiB"));
    table.row("growth of the child's RSS, MB", resident, Required::AtMost(8.0));
    table.row("growth of the child's PSS, MB", proportional, Required::AtMost(8.0));
}

/// What the child's RSS and PSS grow by, in megabytes.
fn grow() -> [f64; 2] {
    let backends = Backends::with_stalled_staging();
    let target = format!("{} max=1 queue={QUEUED} timeout=60s", backends.staging());
    let server = production::configure(Mpm::Event, Module::On, &backends, &target)
        .global("CopyDrainTimeout 1ms")
        .vhost("<Location \"/origin/warm\">\nMirrorRequest Off\n</Location>")
        .start();
    let child = processes::children(server.pid())[0];
    // All of httpd's own threads and pools are in use before, so that what grows is ours.
    let warm = load::request("POST", "/origin/warm");
    load::run(server.port(), &warm, Pace::Count(4000), 32, &backends);
    let before = memory(child);
    // One is under way.
    let bytes = Request::Post.bytes();
    load::run(server.port(), &bytes, Pace::Count(QUEUED + 1), 32, &backends);
    wait::wait_for("a copy under way", || (backends.copies() == 1).then_some(()));
    let after = memory(child);
    server.status_when("a full queue", |status| status.sum("queued") == QUEUED);
    std::array::from_fn(|at| (after[at] - before[at]) / 1e6)
}

/// RSS and PSS, in bytes.
fn memory(process: u32) -> [f64; 2] {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    ["Rss:", "Pss:"].map(|name| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    })
}
