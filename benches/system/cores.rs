//! Who runs on which core, and how much CPU time they used.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::processes;

const PRODUCTION: &str = "0";
const OURS: &str = "1";

/// Starts this program anew on the core that is not production's, unless it runs there.
pub fn stay_off_productions() -> Result<(), String> {
    const MOVED: &str = "MOD_COPY_BENCH_MOVED";
    if std::env::var_os(MOVED).is_some() {
        return Ok(());
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return Err("two cores are needed, one of them for production alone".into());
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut moved = Command::new("taskset");
    moved.args(["-c", OURS]).arg(program).env(MOVED, "1");
    Err(format!("moving to core {OURS} failed: {}", moved.exec()))
}

/// Runs `start` on production's core: processes and threads that it starts stay there.
pub fn on_productions<T>(start: impl FnOnce() -> T) -> T {
    stay_on(PRODUCTION);
    let result = start();
    stay_on(OURS);
    result
}

/// Moves the current thread to production's core.
pub fn stay_on_productions() {
    stay_on(PRODUCTION);
}

/// Moves the current thread.
fn stay_on(core: &str) {
    let thread = fs::read_link("/proc/thread-self").unwrap();
    let mut command = Command::new("taskset");
    command.args(["-c", "-p", core]).arg(thread.file_name().unwrap()).stdout(Stdio::null());
    assert!(command.status().unwrap().success(), "could not move to core {core}");
}

/// A thread, and the CPU time that it has used, in nanoseconds.
struct Thread {
    number: String,
    name: String,
    used: u64,
}

/// The threads of a process, as far as it lives.
fn threads(process: u32) -> impl Iterator<Item = Thread> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| {
        let read = |file| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let used = read("schedstat").split(' ').next()?.parse().ok()?;
        Some(Thread { number: thread.file_name().into_string().ok()?, name: read("comm"), used })
    })
}

/// The CPU time that each thread of some processes has used, in nanoseconds, and what it is called.
pub struct Used(HashMap<(u32, String), (u64, String)>);

impl Used {
    /// That of a process and its children.
    pub fn by_family(parent: u32) -> Used {
        let mut used = HashMap::new();
        let family = processes::children(parent).into_iter().chain([parent]);
        for process in family {
            for Thread { number, name, used: time } in threads(process) {
                used.insert((process, number), (time, name));
            }
        }
        Used(used)
    }

    /// What was used since then.
    pub fn since(&self, before: &Used) -> Duration {
        let ended = before.0.keys().find(|thread| !self.0.contains_key(thread));
        assert!(ended.is_none(), "a thread of httpd's ended, and its time is lost: {ended:?}");
        self.since_by(before, "")
    }

    /// What threads whose names begin so used since then.
    pub fn since_by(&self, before: &Used, name: &str) -> Duration {
        let threads = self.0.iter().filter(|(_, (_, comm))| comm.starts_with(name));
        let used = threads.map(|(thread, (time, _))| {
            time - before.0.get(thread).map_or(0, |(before, _)| *before)
        });
        Duration::from_nanos(used.sum())
    }
}

/// The CPU time that has been used by whoever is neither this process nor one of a family, and the time that the
/// machine did not have.
///
/// Without the kernel's own threads: what these do is done for whoever asked.
pub struct Others {
    used: HashMap<(u32, String), u64>,
    stolen: Duration,
}

impl Others {
    pub fn than(parent: u32) -> Others {
        let family = processes::children(parent);
        let is_other = |process: &u32| {
            *process != parent && *process != std::process::id() && !family.contains(process)
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut used = HashMap::new();
        for process in processes.filter(is_other).filter(|process| has_program(*process)) {
            used.extend(threads(process).map(|thread| ((process, thread.number), thread.used)));
        }
        Others { used, stolen: stolen() }
    }

    /// What was used since then, but by who has ended.
    pub fn since(&self, before: &Others) -> Duration {
        let used = self.used.iter();
        let used = used.map(|(thread, time)| {
            time.saturating_sub(before.used.get(thread).copied().unwrap_or(0))
        });
        Duration::from_nanos(used.sum()) + self.stolen.saturating_sub(before.stolen)
    }
}

/// Whether a process is of a program, and not the kernel's.
fn has_program(process: u32) -> bool {
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|words| !words.is_empty())
}

/// The time that the machine did not have for its cores; to 10 ms.
fn stolen() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let all = stat.lines().next().unwrap();
    let ticks: u64 = all.split_whitespace().nth(8).unwrap().parse().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Waits until nobody else uses the cores much, at most as long as `patience`, which it uses up.
pub fn wait_for_quiet(patience: &mut Duration) {
    const LOOK: Duration = Duration::from_millis(250);
    while let Some(left) = patience.checked_sub(LOOK) {
        let (before, begun) = (Others::than(std::process::id()), Instant::now());
        thread::sleep(LOOK);
        let used = Others::than(std::process::id()).since(&before);
        if used.as_secs_f64() < 0.1 * 2.0 * begun.elapsed().as_secs_f64() {
            return;
        }
        *patience = left;
    }
}

/// The machine and the versions, in one line.
pub fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let version = Command::new(&crate::httpd::httpd().program).arg("-v").output().unwrap().stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    let version = version.lines().next().unwrap_or_default().trim_start_matches("Server version: ");
    let kernel = kernel.trim();
    // What large content costs depends on it.
    let tcp = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    let tcp = tcp.trim();
    let tracked = if tracks_connections() { ", which tracks connections" } else { "" };
    format!("{version}, event; {model}, Linux {kernel}{tracked}, TCP {tcp}, {cores} cores")
}

/// Whether packets on the loopback interface pass a filter that keeps track of their connections, as a container
/// engine's rules have it: each packet costs more then, production's too.
fn tracks_connections() -> bool {
    const MANY: usize = 64;
    let tracked = || -> Option<usize> {
        let count = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").ok()?;
        count.trim().parse().ok()
    };
    let Some(before) = tracked() else { return false };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let _open: Vec<_> = (0..MANY).filter_map(|_| TcpStream::connect(address).ok()).collect();
    // Meanwhile others may be forgotten.
    tracked().is_some_and(|after| after >= before + MANY / 2)
}
