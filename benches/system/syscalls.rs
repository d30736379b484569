//! What a forwarder asks of the kernel for each copy, seen by strace where it is installed.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::load::{self, Pace};
use crate::pair::FORWARDERS;
use crate::production::{self, CONNECTIONS, Module, Request};
use crate::sink::Backends;
use crate::wait::poll;
use crate::{has, processes};

/// Copies per second, less where they are large; strace slows all down.
fn rate(request: Request) -> f64 {
    match request {
        Request::Post(1024) => 100.0,
        _ => 1000.0,
    }
}

/// A line for each size: the system calls of the forwarders, per copy.
pub fn look() -> String {
    if !has("strace", "--version") {
        return "system calls per copy: strace is not installed".into();
    }
    [Request::POST, Request::Post(64), Request::Post(1024)].map(look_at).join("\n")
}

fn look_at(request: Request) -> String {
    let backends = Backends::start();
    let server = production::start(Module::On, &backends);
    let child = processes::children(server.pid())[0];
    let out = server.root().join("strace.out");
    // All threads, for the pool may start forwarders meanwhile.
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-p", &child.to_string(), "-o"])
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let attached = || forwarders(child).iter().all(|thread| is_traced(thread)).then_some(());
    if poll(Duration::from_secs(5), attached).is_none() {
        let _ = strace.kill();
        let _ = strace.wait();
        return "system calls per copy: strace may not trace here".into();
    }
    let before = backends.copies();
    let pace = Pace::Rate(rate(request), Duration::from_secs(1));
    let sent = load::run(server.port(), &request.bytes(), pace, CONNECTIONS, &backends).requests;
    let copies = || backends.copies() - before;
    // Where some were lost, their calls are shared by those that came.
    poll(Duration::from_secs(2), || (copies() >= sent).then_some(()));
    let copies = copies();
    let threads = forwarders(child);
    kill_process(Pid::from_child(&strace), Signal::INT).unwrap();
    strace.wait().unwrap();
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(out).unwrap().lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else { continue };
        // A call that others interrupt has a second line, without a name at its beginning.
        let name = call.trim_start().split('(').next().unwrap_or_default();
        if threads.iter().any(|known| known == thread) && !name.starts_with(['<', '+', '-']) {
            *calls.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    let each = |(name, count): (&String, &u32)| {
        let each = f64::from(*count) / copies.max(1) as f64;
        (each >= 0.01).then(|| format!("{name} {each:.2}"))
    };
    let calls: Vec<String> = calls.iter().filter_map(each).collect();
    let count = threads.len();
    format!(
        "system calls per copy, {request}, {copies} copies in a second, {count} forwarders: {}",
        calls.join(", ")
    )
}

/// The forwarders' threads of a child.
fn forwarders(child: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{child}/task")).unwrap().flatten();
    threads
        .filter(|thread| {
            let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            name.starts_with(FORWARDERS)
        })
        .map(|thread| thread.file_name().into_string().unwrap())
        .collect()
}

fn is_traced(thread: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
}
