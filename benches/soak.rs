//! A soak: a real httpd under load, with staging that fails in every way by turns, and every request accounted for.
//!
//! `make soak MINUTES=5 SEED=1 MPM=event` runs it. Many clients send requests of all kinds to production, which copies
//! each to three staging servers; a schedule made from the seed switches their faults and restarts httpd. Every
//! request, its answer and its copy follow from the seed and the request's number alone, so that whoever meets one,
//! client, origin or staging, knows every byte that it must have. At the end both sides are held against each other.
//!
//! ```text
//! soak/plan.rs      what was asked for            soak/chance.rs    numbers from a seed
//! soak/traffic.rs   what each request is          soak/ledger.rs    what became of each
//! soak/crowd.rs     the clients                   soak/origin.rs    production's origin
//! soak/stagings.rs  the targets and their keys    soak/schedule.rs  which fault when, and the restarts
//! soak/watch.rs     httpd's processes, watched    soak/verdict.rs   what must agree at the end
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a soak that meets the unexpected has to stop, and say where"
)]

#[path = "soak/chance.rs"]
mod chance;
#[path = "soak/crowd.rs"]
mod crowd;
#[path = "soak/ledger.rs"]
mod ledger;
#[path = "soak/origin.rs"]
mod origin;
#[path = "soak/plan.rs"]
mod plan;
#[path = "soak/schedule.rs"]
mod schedule;
#[path = "soak/stagings.rs"]
mod stagings;
#[path = "soak/traffic.rs"]
mod traffic;
#[path = "soak/verdict.rs"]
mod verdict;
#[path = "soak/watch.rs"]
mod watch;

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
    "../tests/faults/staging/mod.rs" faults,
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

use std::panic;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ledger::Ledger;
use mpm::Mpm;
use origin::Origin;
use plan::Plan;
use schedule::Schedule;
use server::Server;
use stagings::Stagings;
use status::Status;
use traffic::Traffic;
use verdict::Verdict;
use wait::{PATIENCE, poll, wait_for};
use watch::Watch;

fn main() -> ExitCode {
    let plan = match Plan::asked_for() {
        Ok(plan) => plan,
        Err(wrong) => {
            eprintln!("mod_copy's soak: {wrong}");
            return ExitCode::from(2);
        }
    };
    // Each is run, whatever became of the one before.
    let ends = plan.mpms.iter().map(|mpm| (mpm, soak_to_the_end(&plan, *mpm)));
    let wrongs: Vec<_> = ends.filter_map(|(mpm, end)| Some((mpm, end.err()?))).collect();
    // Said again, for who sees only the end of all that was printed.
    for (mpm, wrong) in &wrongs {
        println!("\n== {mpm:?}, seed {}: {wrong}", plan.seed);
    }
    if wrongs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Soaks production under one MPM, and says what was wrong, also where one of the soak's own threads stopped.
fn soak_to_the_end(plan: &Plan, mpm: Mpm) -> Result<(), String> {
    let stop: Arc<Mutex<Option<String>>> = Arc::default();
    let (first, usual) = (Arc::clone(&stop), panic::take_hook());
    panic::set_hook(Box::new(move |cause| {
        first.lock().unwrap().get_or_insert_with(|| cause.to_string());
        usual(cause);
    }));
    let end = panic::catch_unwind(|| soak(plan, mpm));
    drop(panic::take_hook());
    end.unwrap_or_else(|_| {
        Err(format!("stopped: {}", stop.lock().unwrap().as_deref().unwrap_or_default()))
    })
}

/// Soaks production under one MPM; fails with what did not agree.
fn soak(plan: &Plan, mpm: Mpm) -> Result<(), String> {
    let schedule = Schedule::of(plan.seed, plan.time);
    println!("\n== {mpm:?}, seed {}, {:.0} s\n{schedule}", plan.seed, plan.time.as_secs_f64());
    let ledger = Arc::new(Ledger::new(Traffic::of(plan.seed)));
    let origin = Origin::start(Arc::clone(&ledger));
    let stagings = Stagings::start(&ledger, crowd::children(mpm));
    let mut server = production(mpm, &origin, &stagings);
    let watch = Watch::on(&server);

    let begun = Instant::now();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = OnDrop(&over);
        for _ in 0..crowd::size(mpm) {
            crowd::client(scope, server.port(), &ledger, &over);
        }
        scope.spawn(|| schedule.switch(&stagings, begun, &over));
        scope.spawn(|| watch.look_until(&server, &over));
        schedule.restart(&server, begun);
        thread::sleep(plan.time.saturating_sub(begun.elapsed()));
        drop(ends);
    });
    let took = begun.elapsed();
    stagings.heal();
    let mut verdict = Verdict::default();
    let at_rest = |status: &Status| status.sum("queued") == 0 && status.sum("in_flight") == 0;
    let drained = poll(PATIENCE, || at_rest(&server.status()).then_some(()));
    verdict.check(drained.is_some(), || "copies have no outcome".to_owned());
    watch.compare(&server, &stagings, &mut verdict);
    let (status, page) = (server.status(), server.status_page("").text());
    verdict.say(page);
    server.stop();
    verdict.check(server.left_well(), || "httpd did not leave well".to_owned());
    let unexpected = server.unexpected();
    verdict.check(unexpected.is_empty(), || {
        format!("unexpected in the error log:\n{}", unexpected.join("\n"))
    });
    wait_for("the end of every connection to staging", || stagings.are_left().then_some(()));
    verdict.compare(&ledger, &status, &stagings);
    println!("{}", verdict.report(&ledger, took));
    verdict.end()
}

/// httpd with an origin behind it, files of its own, and the three targets.
fn production(mpm: Mpm, origin: &Origin, stagings: &Stagings) -> Server {
    let builder = Server::on(mpm)
        .modules(&["proxy", "proxy_http"])
        .global(crowd::sizes(mpm))
        .global("KeepAliveTimeout 3\nMaxKeepAliveRequests 200\nTimeout 20\nCopyMemory 6M")
        .vhost(format!("CopyBodyLimit {}", traffic::LIMIT))
        .vhost("ProxyPass \"/file/\" \"!\"")
        .vhost(format!("ProxyPass \"/\" \"http://127.0.0.1:{}/\"", origin.port()))
        .vhost(stagings.lines())
        // Of clients that go away; its other errors are seen by the clients.
        .vhost("LogLevel proxy:crit proxy_http:crit")
        .expect("CPY01");
    // What httpd says where its workers are all busy, children that drain among them.
    let expected = ["AH00484:", "AH00485:", "AH03490:", "AH10159:", "AH00161:", "AH00286:"];
    let builder = expected.into_iter().fold(builder, |builder, line| builder.expect(line));
    traffic::FILES
        .into_iter()
        .fold(builder, |builder, (name, length)| {
            builder.file(&format!("htdocs/file/{name}"), &traffic::noise()[..length])
        })
        .start()
}

/// Tells the others that it is over, also where this thread panics.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long a thread that waits for its time sleeps before it looks whether all is over.
const LOOK: Duration = Duration::from_millis(50);
