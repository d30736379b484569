//! What the request path executes: user instructions of httpd's own threads, counted by valgrind's callgrind.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Plan;
use crate::httpd::httpd;
use crate::load::{self, Pace};
use crate::mpm::Mpm;
use crate::production::{self, Module, Request};
use crate::recorded::Counts;
use crate::sink::Backends;
use crate::table::{Required, Table, median_of};
use crate::wait::poll;

/// Requests before, and between, what is compared.
const WARM: u64 = 200;
const COUNTED: u64 = 1000;

/// A rule that leaves all but every hundred thousandth request out.
const SAMPLED_OUT: &str = "sample=0.001%";
/// A rule that every request meets, by a regular expression on its path.
const EXPRESSION: &str = "\"expr=%{REQUEST_URI} =~ m#^/(static|origin)#\"";

/// Instructions per request.
struct Counted {
    post: f64,
    get: f64,
}

/// Counts without the module, with no target in scope, and mirroring.
///
/// Under worker, as under event, httpd has threads anyway. A prefork child has none of its own, and
/// gets forwarders: from then on the C library's `read`, `poll` and `writev`, and its mutexes, execute
/// some 400 instructions more per request, which are counted here too.
pub fn measure(plan: &Plan, table: &mut Table) -> Counts {
    let models = [("worker", Mpm::Worker), ("prefork", Mpm::Prefork)];
    models.map(|(name, mpm)| (name, measure_on(mpm, plan, table))).into()
}

fn measure_on(mpm: Mpm, plan: &Plan, table: &mut Table) -> BTreeMap<&'static str, f64> {
    let backends = Backends::start();
    let settings = [
        (Module::Off, ""),
        (Module::Elsewhere, ""),
        (Module::On, ""),
        (Module::On, SAMPLED_OUT),
        (Module::On, EXPRESSION),
    ];
    let mut counts: [Vec<Counted>; 5] = Default::default();
    for repeat in 0..plan.repeats {
        eprintln!("instructions, {}, {} of {} …", mpm.module(), repeat + 1, plan.repeats);
        let counted = settings.map(|(module, rule)| count(mpm, module, rule, &backends));
        for (counts, counted) in counts.iter_mut().zip(counted) {
            counts.push(counted);
        }
    }
    let [off, elsewhere, on, sampled_out, expression] = &counts;
    let (model, mpm) = (mpm, mpm.module());
    table.title(format!("user instructions on the request path, {mpm}"));
    measured(
        table,
        ["POST, module off", "added to a POST of 1 KiB", "added to a POST, no target in scope"],
        [off, on, elsewhere],
        |counted| counted.post,
    );
    measured(
        table,
        ["GET, module off", "added to a GET", "added to a GET, no target in scope"],
        [off, on, elsewhere],
        |counted| counted.get,
    );
    let get: Of = |counted| counted.get;
    let [least, most] = limits(model);
    let sampled_out_row = "added to a GET, sampled out";
    table.row(sampled_out_row, added(sampled_out, off, get), Required::AtMost(least));
    let expression_row = "added to a copied GET by an expression";
    table.row(expression_row, added(expression, on, get), Required::AtMost(most));
    let kinds: [(_, _, Of); 4] = [
        ("post", on, |counted| counted.post),
        ("get", on, |counted| counted.get),
        ("post_out_of_scope", elsewhere, |counted| counted.post),
        ("get_out_of_scope", elsewhere, |counted| counted.get),
    ];
    let mut kept: BTreeMap<_, _> =
        kinds.map(|(kind, counts, of)| (kind, median_of(added(counts, off, of)))).into();
    kept.insert("get_sampled_out", median_of(added(sampled_out, off, get)));
    kept.insert("get_expression", median_of(added(expression, on, get)));
    kept
}

/// What a request that is sampled out, and an expression, may add: 0.3 and 0.5 µs at the 4.3 instructions a
/// nanosecond that httpd as a whole does here, serving a file. Having threads costs a prefork child 400 more.
fn limits(mpm: Mpm) -> [f64; 2] {
    let threads = if mpm == Mpm::Prefork { 400.0 } else { 0.0 };
    [1290.0 + threads, 2150.0]
}

/// The count of one kind of request.
type Of = fn(&Counted) -> f64;

/// What each run has more than each without the module.
fn added(counts: &[Counted], off: &[Counted], of: Of) -> Vec<f64> {
    counts.iter().flat_map(|with| off.iter().map(move |off| of(with) - of(off))).collect()
}

/// The rows of one request: without the module, what it adds, and what it adds where nothing is mirrored.
fn measured(
    table: &mut Table,
    names: [&'static str; 3],
    [off, on, elsewhere]: [&Vec<Counted>; 3],
    of: Of,
) {
    let [name_off, name_on, name_elsewhere] = names;
    table.row(name_off, off.iter().map(of).collect(), Required::Nothing);
    table.row(name_on, added(on, off, of), Required::AtMost(4000.0));
    table.row(name_elsewhere, added(elsewhere, off, of), Required::Nothing);
}

/// Three runs side by side: their differences are what only the further requests cost.
fn count(mpm: Mpm, module: Module, rule: &str, backends: &Backends) -> Counted {
    let [base, post, get] = thread::scope(|scope| {
        [None, Some(Request::POST), Some(Request::Static)]
            .map(|further| scope.spawn(move || run(mpm, module, rule, backends, further)))
            .map(|running| running.join().unwrap())
    });
    let each = |total: u64| (total as f64 - base as f64) / COUNTED as f64;
    Counted { post: each(post), get: each(get) }
}

/// The instructions of one httpd's serving threads: start, warming up, further requests, end.
fn run(mpm: Mpm, module: Module, rule: &str, backends: &Backends, further: Option<Request>) -> u64 {
    let target = format!("{} {rule}", backends.staging());
    let builder = production::configure(mpm, module, backends, &[target]);
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
    let ready = poll(Duration::from_secs(60), || {
        let ended = server.try_wait().unwrap().is_some();
        let ready = !ended && serves(builder.port());
        (ended || ready).then_some(ready)
    });
    assert!(
        ready == Some(true),
        "httpd under valgrind did not start, see valgrind's words:\n{}",
        said(&builder)
    );
    for request in [Request::POST, Request::Static] {
        load::run(builder.port(), &request.bytes(), Pace::Count(WARM), 1, backends);
    }
    if let Some(request) = further {
        load::run(builder.port(), &request.bytes(), Pace::Count(COUNTED), 1, backends);
    }
    stop(&mut server);
    served(&out).unwrap_or_else(|| panic!("no count by valgrind\n{}", said(&builder)))
}

/// Whether it answers: it listens long before that.
fn serves(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    asked.is_ok() && stream.read(&mut [0]).is_ok_and(|read| read > 0)
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

/// The sum of what callgrind wrote of the threads that served requests; `None` where none did.
fn served(out: &Path) -> Option<u64> {
    let files = fs::read_dir(out).unwrap().map(|file| fs::read_to_string(file.unwrap().path()));
    let served = files.map(Result::unwrap).filter(|text| text.contains(") ap_read_request\n"));
    served.map(|text| total(&text)).reduce(|sum, total| Some(sum? + total?))?
}

fn total(text: &str) -> Option<u64> {
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok()
}

fn said(builder: &crate::conf::Builder) -> String {
    fs::read_to_string(builder.root().join("console.log")).unwrap_or_default()
}
