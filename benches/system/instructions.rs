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

/// What a target has beside its URL.
#[derive(Clone, Copy)]
enum With {
    /// Keys on its line.
    Keys(&'static str),
    /// Directives in its block.
    Block(&'static str),
    /// Nothing: the directives are production's own.
    Production(&'static str),
}

const NOTHING: With = With::Keys("");
/// A rule that leaves all but every hundred thousandth request out.
const SAMPLED_OUT: With = With::Keys("sample=0.001%");
/// A rule that every request meets, by a regular expression on its path.
const EXPRESSION: With = With::Keys("\"expr=%{REQUEST_URI} =~ m#^/(static|origin)#\"");
/// Five changes to the fields of copies, without an expression, which is measured by itself.
const RULES: &str = "RequestHeader unset Cookie\nRequestHeader unset Authorization\n\
     RequestHeader set X-Environment staging\nRequestHeader append Accept text/html\n\
     RequestHeader edit User-Agent Mozilla Copy";
const FIELDS: With = With::Block(RULES);
/// What mod_headers itself takes for them.
const OWN_FIELDS: With = With::Production(RULES);
/// Masks for all that a request holds.
const MASKS: With = With::Block("CopyMask standard\nCopyMask json email name hash");

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
    const POST: &[Request] = &[Request::POST];
    const GET: &[Request] = &[Request::Static];
    const BOTH: &[Request] = &[Request::POST, Request::Static];
    let backends = Backends::start();
    let settings = [
        (Module::Off, NOTHING, BOTH),
        (Module::Elsewhere, NOTHING, BOTH),
        (Module::On, NOTHING, BOTH),
        (Module::On, SAMPLED_OUT, GET),
        (Module::On, EXPRESSION, GET),
        (Module::On, FIELDS, GET),
        (Module::On, MASKS, POST),
        (Module::Off, OWN_FIELDS, GET),
    ];
    let mut counts: [Vec<Counted>; 8] = Default::default();
    for repeat in 0..plan.repeats {
        eprintln!("instructions, {}, {} of {} …", mpm.module(), repeat + 1, plan.repeats);
        for (counts, (module, with, requests)) in counts.iter_mut().zip(settings) {
            counts.push(count(mpm, module, with, requests, &backends));
        }
    }
    let [off, elsewhere, on, sampled_out, expression, fields, masks, own_fields] = &counts;
    let mpm = mpm.module();
    table.title(format!("user instructions on the request path, {mpm}"));
    let (post, get): (Of, Of) = (|counted| counted.post, |counted| counted.get);
    measured(
        table,
        ["POST, module off", "added to a POST of 1 KiB", "added to a POST, no target in scope"],
        [off, on, elsewhere],
        post,
    );
    measured(
        table,
        ["GET, module off", "added to a GET", "added to a GET, no target in scope"],
        [off, on, elsewhere],
        get,
    );
    for (name, figures, most) in [
        ("added to a GET, sampled out", added(sampled_out, off, get), LIMITS.sampled_out),
        ("added to a copied GET by an expression", added(expression, on, get), LIMITS.expression),
        ("added to it by 5 RequestHeader rules", added(fields, on, get), LIMITS.fields),
        ("added to a copied POST by masks", added(masks, on, post), LIMITS.masks),
    ] {
        table.row(name, figures, Required::AtMost(most));
    }
    let of_production = "5 RequestHeader rules of production's own, without the module";
    table.row(of_production, added(own_fields, off, get), Required::Nothing);
    [
        ("post", added(on, off, post)),
        ("get", added(on, off, get)),
        ("post_out_of_scope", added(elsewhere, off, post)),
        ("get_out_of_scope", added(elsewhere, off, get)),
        ("get_sampled_out", added(sampled_out, off, get)),
        ("get_expression", added(expression, on, get)),
        ("get_fields", added(fields, on, get)),
    ]
    .map(|(kind, figures)| (kind, median_of(figures)))
    .into()
}

/// The most that may be added.
struct Limits {
    sampled_out: f64,
    expression: f64,
    fields: f64,
    masks: f64,
}

/// 0.3 µs for a request that is sampled out, 0.5 µs for an expression and 1.5 µs for five changes to fields, at the
/// 4.3 instructions a nanosecond that httpd as a whole does here, serving a file. Masks are the forwarders' work: what is
/// handed over with a copy for them is within what counts differ by from start to start.
const LIMITS: Limits =
    Limits { sampled_out: 1290.0, expression: 2150.0, fields: 6450.0, masks: 100.0 };

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

/// Runs side by side: their differences are what only the further requests cost.
fn count(
    mpm: Mpm,
    module: Module,
    with: With,
    requests: &[Request],
    backends: &Backends,
) -> Counted {
    let further = [Request::POST, Request::Static]
        .map(|request| requests.contains(&request).then_some(request));
    let [base, post, get] = thread::scope(|scope| {
        let [post, get] = further.map(|further| {
            further
                .map(|further| scope.spawn(move || run(mpm, module, with, backends, Some(further))))
        });
        let base = scope.spawn(move || run(mpm, module, with, backends, None));
        [Some(base), post, get].map(|running| running.map(|running| running.join().unwrap()))
    });
    // What was not asked for is nothing that anyone looks at.
    let each = |total: Option<u64>| match (total, base) {
        (Some(total), Some(base)) => (total as f64 - base as f64) / COUNTED as f64,
        _ => f64::NAN,
    };
    Counted { post: each(post), get: each(get) }
}

/// The instructions of one httpd's serving threads: start, warming up, further requests, end.
fn run(mpm: Mpm, module: Module, with: With, backends: &Backends, further: Option<Request>) -> u64 {
    let staging = backends.staging();
    let builder = match with {
        With::Keys(keys) => {
            production::configure(mpm, module, backends, &[format!("{staging} {keys}")])
        }
        With::Block(lines) => production::configure(mpm, module, backends, &[])
            .vhost(format!("<CopyTarget {staging}>\n{lines}\n</CopyTarget>")),
        With::Production(lines) => production::configure(mpm, module, backends, &[]).vhost(lines),
    };
    // Those of FIELDS are its, and it is there for all, so that only they make a difference.
    let builder = builder.modules(&["headers"]);
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
