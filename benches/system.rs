//! What a copy costs production: httpd with the module against httpd without it, in interleaved runs.
//!
//! `make bench` runs it, and it fails where a required figure is missed. Production has one core of its own; the
//! load, its origin and staging share another. `BENCH_QUICK=1` makes the runs short, and the figures rough;
//! `BENCH_ONLY=instructions,memory` measures these parts alone; `UPDATE_DOCS=1` writes the table into
//! `docs/performance.md`.
//!
//! ```text
//! exchange.rs      throughput, CPU and latency, with and without the module
//! ideal.rs         what no mirror does without, beside httpd without one
//! beside.rs        the same at half load, on production's core
//! faults.rs        the same while staging is not well
//! peer.rs          nginx with its `mirror`, on the same work
//! concurrency.rs   1,000 exchanges at the same time
//! http2.rs         copies over HTTP/2 against copies over HTTP/1.1
//! scale.rs         more targets, more child processes
//! forwarding.rs    what an exchange over TLS costs its forwarder, beside a plain one
//! certified.rs     TLS for staging
//! core.rs          what masks and balancers take, by themselves
//! comparing.rs     what comparing answers takes, by itself
//! instructions.rs  what the request path executes, counted by valgrind
//! recorded.rs      the counts that are kept in the repository
//! memory.rs        what queued copies take, and what 10,000 per second do
//! syscalls.rs      what a forwarder asks of the kernel for each copy, seen by strace
//! pair.rs          runs with copies between runs without
//! production.rs    the httpd under measurement      cores.rs  who runs where, and for how long
//! load.rs          its clients                      sink.rs   origin and staging
//! framing.rs       messages on the wire             ready.rs  which connections have something
//! world.rs         the core without httpd           subjects.rs  what else is measured by itself
//! table.rs         the figures and what is required of them   docs.rs   where they are kept
//! ```
//!
//! httpd's configuration, start and status are the tests' own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that meets the unexpected has to stop, and say where"
)]

#[path = "system/beside.rs"]
mod beside;
#[path = "system/certified.rs"]
mod certified;
#[path = "system/comparing.rs"]
mod comparing;
#[path = "system/concurrency.rs"]
mod concurrency;
#[path = "system/core.rs"]
mod core;
#[path = "system/cores.rs"]
mod cores;
#[path = "system/docs.rs"]
mod docs;
#[path = "system/exchange.rs"]
mod exchange;
#[path = "system/faults.rs"]
mod faults;
#[path = "system/forwarding.rs"]
mod forwarding;
#[path = "system/framing.rs"]
mod framing;
#[path = "system/http2.rs"]
mod http2;
#[path = "system/ideal.rs"]
mod ideal;
#[path = "system/instructions.rs"]
mod instructions;
#[path = "system/load.rs"]
mod load;
#[path = "system/memory.rs"]
mod memory;
#[path = "system/pair.rs"]
mod pair;
#[path = "system/peer.rs"]
mod peer;
#[path = "system/production.rs"]
mod production;
#[path = "system/ready.rs"]
mod ready;
#[path = "system/recorded.rs"]
mod recorded;
#[path = "system/scale.rs"]
mod scale;
#[path = "system/sink.rs"]
mod sink;
#[path = "system/sink_h2.rs"]
mod sink_h2;
#[path = "system/subjects.rs"]
mod subjects;
#[path = "system/syscalls.rs"]
mod syscalls;
#[path = "system/table.rs"]
mod table;
#[path = "system/world.rs"]
#[allow(dead_code, reason = "micro.rs uses the rest")]
mod world;

/// Declares a module of the tests' harness, of which only a part is of use here.
macro_rules! from_tests {
    ($($path:literal $name:ident),+ $(,)?) => {
        $(#[path = $path]
        #[allow(dead_code, unused_imports, unused_macros, reason = "the tests use the rest")]
        mod $name;)+
    };
}

from_tests!(
    "../tests/client.rs" client,
    "../tests/conf.rs" conf,
    "../tests/httpd.rs" httpd,
    "../tests/injection.rs" injection,
    "../tests/mpm.rs" mpm,
    "../tests/processes.rs" processes,
    "../tests/server.rs" server,
    "../tests/staging.rs" staging,
    "../tests/status.rs" status,
    "../tests/wait.rs" wait,
    "../tests/wire.rs" wire,
);

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use table::Table;

/// How much is measured.
pub struct Plan {
    /// Pairs of runs, each on an httpd started anew.
    pub pairs: usize,
    /// The same where less is asked.
    pub rounds: usize,
    /// Times that instructions are counted.
    pub repeats: usize,
    /// How long one run of load takes.
    pub run: Duration,
    /// How long to wait, in each part, for others to leave the cores alone.
    pub patience: Duration,
}

impl Plan {
    const FULL: Plan = Plan {
        pairs: 5,
        rounds: 3,
        repeats: 2,
        run: Duration::from_millis(800),
        patience: Duration::from_secs(20),
    };
    const QUICK: Plan = Plan {
        pairs: 2,
        rounds: 1,
        repeats: 1,
        run: Duration::from_millis(300),
        patience: Duration::from_secs(2),
    };
}

/// Measures, and adds its figures.
type Part = fn(&Plan, &mut Table);

fn main() -> ExitCode {
    if let Err(missing) = prepare() {
        eprintln!("mod_copy's bench: {missing}");
        return ExitCode::from(2);
    }
    let quick = env::var_os("BENCH_QUICK").is_some();
    let plan = if quick { Plan::QUICK } else { Plan::FULL };
    let begun = Instant::now();
    let machine = match peer::version() {
        Some(nginx) => format!("{}; {nginx}", cores::machine()),
        None => cores::machine(),
    };
    let mut table = Table::default();
    let parts: [(&str, Part); 11] = [
        ("exchange", exchange::measure),
        ("ideal", ideal::measure),
        ("faults", faults::measure),
        ("concurrency", concurrency::measure),
        ("http2", http2::measure),
        ("memory", memory::measure),
        ("peer", peer::measure),
        ("scale", scale::measure),
        ("forwarding", forwarding::measure),
        ("core", core::measure),
        ("comparing", comparing::measure),
    ];
    for (name, measure) in parts {
        if asked(name) {
            measure(&plan, &mut table);
            eprintln!("{name}: done after {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    let (mut notes, mut grown) = (Vec::new(), false);
    if asked("instructions") {
        let counts = instructions::measure(&plan, &mut table);
        let (compared, met) = recorded::compare(&counts, &machine);
        notes.push(compared);
        grown = !met;
    }
    if asked("syscalls") {
        notes.push(syscalls::look());
    }
    println!("\n{machine}\n\n{table}\n{}", notes.join("\n"));
    let disturbance = table.disturbance();
    println!(
        "{} pairs of runs, {:.0} s in all; others took {disturbance:.0} % of both cores at most",
        plan.pairs,
        begun.elapsed().as_secs_f64()
    );
    let kept = docs::keep(&machine, &table, &notes, quick);
    kept.into_iter().for_each(|said| println!("{said}"));
    let missed = table.missed();
    missed.iter().for_each(|figure| println!("missed: {figure}"));
    if missed.is_empty() && !grown { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether `BENCH_ONLY`, if set, names this part.
fn asked(part: &str) -> bool {
    env::var("BENCH_ONLY").map_or(true, |only| only.split(',').any(|named| named == part))
}

/// Sees that all that is needed is here, and moves this process to its core.
fn prepare() -> Result<(), String> {
    let module = env::var("MOD_COPY_SO").unwrap_or_else(|_| "target/release/libmod_copy.so".into());
    if !Path::new(&module).is_file() {
        return Err(format!(
            "{module} is missing: run make build, or name the module in MOD_COPY_SO"
        ));
    }
    if !Path::new("/proc/thread-self/schedstat").exists() {
        return Err("/proc/PID/schedstat is missing: CPU time is measured on Linux only".into());
    }
    let needed = [
        ("taskset", "util-linux", "--version"),
        ("valgrind", "valgrind", "--version"),
        ("nginx", "nginx", "-v"),
    ];
    for (program, package, version) in needed {
        if !has(program, version) {
            return Err(format!("{program} is missing: install the package {package}"));
        }
    }
    // 1,500 connections are more than many a limit; httpd and nginx inherit it.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| error.to_string())?;
    cores::stay_off_productions()
}

/// Whether a program is installed.
fn has(program: &str, version: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(version).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
