//! What the request path executes: user instructions of httpd's own thread, counted by valgrind's callgrind.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::httpd::httpd;
use crate::load::{self, Pace};
use crate::mpm::Mpm;
use crate::production::{self, Module, Request};
use crate::sink::Backends;
use crate::table::{Required, Table};
use crate::wait::poll;
use crate::{Plan, client};

/// Requests before, and between, what is compared.
const WARM: u64 = 200;
const COUNTED: u64 = 1000;

/// Instructions per request.
struct Counted {
    post: f64,
    get: f64,
}

/// Counts without the module, with no target in scope, and mirroring.
pub fn measure(plan: &Plan, table: &mut Table) {
    let backends = Backends::start();
    let modules = [Module::Off, Module::Elsewhere, Module::On];
    let mut counts: [Vec<Counted>; 3] = Default::default();
    for repeat in 0..plan.repeats {
        eprintln!("instructions, {} of {} …", repeat + 1, plan.repeats);
        let counted = modules.map(|module| count(module, &backends));
        for (counts, counted) in counts.iter_mut().zip(counted) {
            counts.push(counted);
        }
    }
    let [off, elsewhere, on] = &counts;
    let added = |counts: &[Counted], of: fn(&Counted) -> f64| -> Vec<f64> {
        counts
            .iter()
            .flat_map(|with| off.iter().map(move |without| of(with) - of(without)))
            .collect()
    };
    table.title("user instructions on the request path".into());
    table.row(
        "POST, module off",
        off.iter().map(|counted| counted.post).collect(),
        Required::Nothing,
    );
    table.row(
        "added to a POST of 1 KiB",
        added(on, |counted| counted.post),
        Required::AtMost(5000.0),
    );
    table.row(
        "added to a POST, no target in scope",
        added(elsewhere, |counted| counted.post),
        Required::Nothing,
    );
    table.row(
        "GET, module off",
        off.iter().map(|counted| counted.get).collect(),
        Required::Nothing,
    );
    table.row("added to a GET", added(on, |counted| counted.get), Required::AtMost(5000.0));
    table.row(
        "added to a GET, no target in scope",
        added(elsewhere, |counted| counted.get),
        Required::Nothing,
    );
}

/// Three runs side by side: their differences are what only the further requests cost.
fn count(module: Module, backends: &Backends) -> Counted {
    let [base, post, get] = thread::scope(|scope| {
        [None, Some(Request::Post), Some(Request::Get)]
            .map(|further| scope.spawn(move || run(module, backends, further)))
            .map(|running| running.join().unwrap())
    });
    let each = |total: u64| (total as f64 - base as f64) / COUNTED as f64;
    Counted { post: each(post), get: each(get) }
}

/// The instructions of one httpd's only serving thread: start, warming up, further requests, end.
fn run(module: Module, backends: &Backends, further: Option<Request>) -> u64 {
    let builder = production::configure(Mpm::Prefork, module, backends, &backends.staging());
    builder.write();
    // httpd is another user when valgrind writes at its end.
    let out = builder.root().join("callgrind");
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, Permissions::from_mode(0o777)).unwrap();
    let console = File::create(builder.root().join("console.log")).unwrap();
    let mut server = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes", "--vgdb=no"])
        .arg(format!("--callgrind-out-file={}", out.join("out").display()))
        .arg(&httpd().program)
        .args(["-X", "-d"])
        .arg(builder.root())
        .arg("-f")
        .arg(builder.root().join("httpd.conf"))
        .stdin(Stdio::null())
        .stdout(console.try_clone().unwrap())
        .stderr(console)
        .spawn()
        .unwrap();
    let ready = poll(Duration::from_secs(60), || client::accepts(builder.port()).then_some(()));
    assert!(
        ready.is_some(),
        "httpd under valgrind did not start, see valgrind's words:\n{}",
        said(&builder)
    );
    for request in [Request::Post, Request::Get] {
        load::run(builder.port(), &request.bytes(), Pace::Count(WARM), 1, backends);
    }
    if let Some(request) = further {
        load::run(builder.port(), &request.bytes(), Pace::Count(COUNTED), 1, backends);
    }
    stop(&mut server);
    instructions(&out.join("out-01"))
        .unwrap_or_else(|| panic!("no count by valgrind\n{}", said(&builder)))
}

fn stop(server: &mut Child) {
    kill_process(Pid::from_child(server), Signal::TERM).unwrap();
    let ended = poll(Duration::from_secs(30), || server.try_wait().unwrap());
    if ended.is_none() {
        server.kill().unwrap();
        server.wait().unwrap();
        panic!("httpd under valgrind did not stop");
    }
}

/// The total that callgrind wrote of a thread.
fn instructions(file: &std::path::Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok()
}

fn said(builder: &crate::conf::Builder) -> String {
    fs::read_to_string(builder.root().join("console.log")).unwrap_or_default()
}
