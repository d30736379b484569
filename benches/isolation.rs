//! What staging that fails does to production: each fault against staging that is well, in interleaved runs.
//!
//! `make isolation` runs it and writes `docs/isolation.md`. It fails where a copy has no outcome, or where memory
//! passes its bound. `ISOLATION_QUICK=1` makes the runs short, and the figures rough; `ISOLATION_ONLY=dead,drips`
//! measures these faults alone; either leaves the document as it is. `ISOLATION_PAIRS=20` makes so many pairs of runs.
//!
//! ```text
//! faults.rs   what is measured        measure.rs  one fault, from start to recovery
//! front.rs    TLS before staging      page.rs     the document
//! load.rs     production's clients
//! ```
//!
//! Production, its clients and its origin share one core; staging has another to itself. httpd's configuration, start and
//! status, and the faulty staging server, are the tests' own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that meets the unexpected has to stop, and say where"
)]

#[path = "isolation/faults.rs"]
mod faults;
#[path = "isolation/front.rs"]
mod front;
#[path = "isolation/load.rs"]
mod load;
#[path = "isolation/measure.rs"]
mod measure;
#[path = "isolation/page.rs"]
mod page;

/// Declares a module of another program's, of which only a part is of use here.
macro_rules! from_elsewhere {
    ($($path:literal $name:ident),+ $(,)?) => {
        $(#[path = $path]
        #[allow(dead_code, unused_imports, unused_macros, reason = "others use the rest")]
        mod $name;)+
    };
}

from_elsewhere!(
    "system/certified.rs" certified,
    "system/cores.rs" cores,
    "../tests/client.rs" client,
    "../tests/conf.rs" conf,
    "../tests/faults/staging/mod.rs" faulty,
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

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use measure::Measured;

/// How much is measured.
pub struct Plan {
    /// Pairs of runs for each fault.
    pub pairs: usize,
    /// How long a run of load takes, as fast as it goes.
    pub run: Duration,
    /// How long one takes at half of that: a hundredth of its requests has to be many.
    pub steady: Duration,
    /// How many pairs of a fault are measured again at most.
    pub again: usize,
    /// How long to wait in all for others to leave the cores alone.
    pub patience: Duration,
}

fn main() -> ExitCode {
    if let Err(missing) = prepare() {
        eprintln!("mod_copy's bench of isolation: {missing}");
        return ExitCode::from(2);
    }
    let quick = env::var_os("ISOLATION_QUICK").is_some();
    let only = env::var("ISOLATION_ONLY").ok();
    let [run, steady, patience] =
        [[500, 1000, 60_000], [300, 300, 1000]][usize::from(quick)].map(Duration::from_millis);
    let pairs = env::var("ISOLATION_PAIRS")
        .ok()
        .map(|pairs| pairs.parse::<NonZeroUsize>().expect("a number of pairs").get());
    let pairs = pairs.unwrap_or(if quick { 1 } else { 5 });
    let again = if quick { 0 } else { pairs };
    let mut plan = Plan { pairs, run, steady, again, patience };
    let begun = Instant::now();
    let asked =
        |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|one| one == name));
    let measured: Vec<Measured> = faults::ALL
        .iter()
        .filter(|case| asked(case.name))
        .map(|case| {
            eprintln!("{} …", case.name);
            let measured = measure::measure(case, &mut plan);
            eprintln!("{}", page::line(&measured));
            measured
        })
        .collect();
    let page = page::page(&measured, &plan);
    println!("{page}");
    println!("{:.0} s in all", begun.elapsed().as_secs_f64());
    if !quick && only.is_none() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/isolation.md");
        fs::write(path, page).unwrap();
    }
    let bad: Vec<&str> = measured.iter().filter(|one| !one.holds()).map(|one| one.name).collect();
    if bad.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("memory passed its bound, or a copy has no outcome: {}", bad.join(", "));
    ExitCode::FAILURE
}

/// Sees that all that is needed is here, and moves this process to its core.
fn prepare() -> Result<(), String> {
    let module = env::var("MOD_COPY_SO").unwrap_or_else(|_| "target/release/libmod_copy.so".into());
    if !Path::new(&module).is_file() {
        return Err(format!(
            "{module} is missing: run make build, or name the module in MOD_COPY_SO"
        ));
    }
    cores::stay_off_productions()
}
