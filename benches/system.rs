//! What a copy costs production: httpd with the module against httpd without it, in interleaved runs.
//!
//! `make bench` runs it, and it fails where a required figure is missed. Production has one core of its own; the
//! load, its origin and staging share another. `BENCH_QUICK=1` makes the runs short, and the figures rough;
//! `BENCH_ONLY=instructions,memory` measures these parts alone.
//!
//! ```text
//! exchange.rs      CPU and throughput per request, with and without the module
//! instructions.rs  what the request path executes, counted by valgrind
//! memory.rs        what queued copies take
//! syscalls.rs      what a forwarder asks of the kernel for each copy, seen by strace
//! production.rs    the httpd under measurement      cores.rs  who runs where, and for how long
//! load.rs          its clients                      sink.rs   origin and staging
//! framing.rs       messages on the wire             table.rs  the figures and what is required of them
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

#[path = "system/cores.rs"]
mod cores;
#[path = "system/exchange.rs"]
mod exchange;
#[path = "system/framing.rs"]
mod framing;
#[path = "system/instructions.rs"]
mod instructions;
#[path = "system/load.rs"]
mod load;
#[path = "system/memory.rs"]
mod memory;
#[path = "system/production.rs"]
mod production;
#[path = "system/sink.rs"]
mod sink;
#[path = "system/syscalls.rs"]
mod syscalls;
#[path = "system/table.rs"]
mod table;

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

use table::Table;

/// How much is measured.
pub struct Plan {
    /// Pairs of runs, each on an httpd started anew.
    pub pairs: usize,
    /// Times that instructions are counted.
    pub repeats: usize,
    /// How long one run of load takes.
    pub run: Duration,
    /// How long to wait in all for others to leave the cores alone.
    pub patience: Duration,
}

fn main() -> ExitCode {
    if let Err(missing) = prepare() {
        eprintln!("mod_copy's bench: {missing}");
        return ExitCode::from(2);
    }
    let quick = env::var_os("BENCH_QUICK").is_some();
    let [run, patience] =
        [[2000, 60_000], [500, 5000]][usize::from(quick)].map(Duration::from_millis);
    let [pairs, repeats] = [[7, 2], [5, 1]][usize::from(quick)];
    let plan = Plan { pairs, repeats, run, patience };
    let begun = Instant::now();
    let mut table = Table::default();
    if asked("exchange") {
        exchange::measure(&plan, &mut table);
    }
    if asked("instructions") {
        instructions::measure(&plan, &mut table);
    }
    if asked("memory") {
        memory::measure(&mut table);
    }
    println!("\n{}\n{table}", cores::machine());
    if asked("syscalls") {
        println!("{}", syscalls::look());
    }
    println!("{} pairs of runs, {:.0} s in all", plan.pairs, begun.elapsed().as_secs_f64());
    if table.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    for (program, package) in [("taskset", "util-linux"), ("valgrind", "valgrind")] {
        if !has(program) {
            return Err(format!("{program} is missing: install the package {package}"));
        }
    }
    cores::stay_off_productions()
}

/// Whether a program is installed.
fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
