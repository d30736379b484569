//! httpd's processes as the system sees them.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The child processes of a process, zombies too.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    processes.filter(|pid| stat(*pid).is_some_and(|(_, its_parent)| its_parent == parent)).collect()
}

/// Whether the process has ended and nobody asked how.
pub fn is_zombie(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state == 'Z')
}

/// Whether the process exists, as a zombie or alive.
pub fn exists(pid: u32) -> bool {
    stat(pid).is_some()
}

/// The memory a process has in use, in bytes; 0 where it has ended.
pub fn resident(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The most memory it has had in use, since it was told to forget.
pub fn peak(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

/// Makes what it has in use now the peak.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.map_or(0, |number| number.parse::<u64>().unwrap() * 1024)
}

/// Whether every thread of the process sleeps, waiting for something.
pub fn is_idle(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    let files = threads.filter_map(|thread| Some(thread.ok()?.path().join("stat")));
    files.filter_map(|file| stat_in(&file)).all(|(state, _)| state == 'S')
}

/// The names of a process's threads.
pub fn threads(pid: u32) -> Vec<String> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// State and parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    stat_in(format!("/proc/{pid}/stat").as_ref())
}

fn stat_in(file: &Path) -> Option<(char, u32)> {
    let stat = fs::read_to_string(file).ok()?;
    // The program's name, in parentheses, may hold anything.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Kills a process of a test's own httpd at once, as the out-of-memory killer does.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Sends a signal to a process of a test's own httpd.
pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
