//! httpd's processes as the system sees them.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Whether every thread of the process sleeps, waiting for something, and none has run for two looks at them: one that
/// was looked at may have been woken by another before that was.
pub fn is_idle(pid: u32) -> bool {
    let looks = [sleepers(pid), sleepers(pid)];
    looks[0].is_some() && looks[0] == looks[1]
}

/// How often each thread has run and for how long; `None` where one does not sleep.
fn sleepers(pid: u32) -> Option<Vec<String>> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Some(Vec::new());
    };
    let paths = threads.filter_map(|thread| Some(thread.ok()?.path()));
    let sleeper = |path: PathBuf| {
        let sleeps = stat_in(&path.join("stat")).is_none_or(|(state, _)| state == 'S');
        sleeps.then(|| fs::read_to_string(path.join("schedstat")).unwrap_or_default())
    };
    paths.map(sleeper).collect()
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

/// How the system schedules a thread.
#[derive(Debug)]
pub struct Scheduled {
    pub thread: String,
    pub policy: i32,
    pub niceness: i32,
}

/// How each of a process's threads is scheduled.
pub fn scheduled(pid: u32) -> Vec<Scheduled> {
    // Their places among the fields that follow the name.
    const NICENESS: usize = 16;
    const POLICY: usize = 38;
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let scheduled = |thread: PathBuf| {
        let name = fs::read_to_string(thread.join("comm")).ok()?;
        let fields = stat_fields(&thread.join("stat"))?;
        let number = |place: usize| fields.get(place)?.parse().ok();
        let thread = name.trim_end().to_owned();
        Some(Scheduled { thread, policy: number(POLICY)?, niceness: number(NICENESS)? })
    };
    threads.filter_map(|thread| scheduled(thread.ok()?.path())).collect()
}

/// State and parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    stat_in(format!("/proc/{pid}/stat").as_ref())
}

fn stat_in(file: &Path) -> Option<(char, u32)> {
    let fields = stat_fields(file)?;
    Some((fields.first()?.chars().next()?, fields.get(1)?.parse().ok()?))
}

/// What follows the program's name, which stands in parentheses and may hold anything.
fn stat_fields(file: &Path) -> Option<Vec<String>> {
    let stat = fs::read_to_string(file).ok()?;
    Some(stat.get(stat.rfind(')')? + 2..)?.split(' ').map(str::to_owned).collect())
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

/// What a process holds of the system's resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// What its descriptors stand for, numbers of pipes and sockets aside.
    pub files: Vec<String>,
    pub threads: usize,
    /// Its shared memory: size and name of each mapping, addresses aside.
    pub shared: Vec<String>,
    /// Where mod_copy is mapped: the same as long as it is never unloaded.
    pub module: Vec<String>,
}

/// What a process of a test's own httpd holds now.
pub fn holdings(pid: u32) -> Holdings {
    let entries = |folder: &str| {
        let entries = fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let mut files: Vec<String> = entries("fd")
        .iter()
        .filter_map(|file| fs::read_link(file).ok())
        .map(|file| file.display().to_string().split(":[").next().unwrap().to_owned())
        .collect();
    files.sort();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let module = maps.lines().filter(|line| line.contains("mod_copy.so"));
    let mut shared: Vec<String> = maps.lines().filter_map(shared_mapping).collect();
    shared.sort();
    Holdings {
        files,
        threads: entries("task").len(),
        shared,
        module: module.map(str::to_owned).collect(),
    }
}

/// Size and name of a mapping that is shared; `None` for others.
fn shared_mapping(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (range, access) = (fields.next()?, fields.next()?);
    let (from, to) = range.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).unwrap();
    let name = fields.nth(3).unwrap_or_default();
    access.ends_with('s').then(|| format!("{} bytes of {name}", address(to) - address(from)))
}
