//! httpd's processes, before, during and after: their memory, threads and file descriptors.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::processes;
use crate::server::Server;
use crate::stagings::Stagings;
use crate::verdict::Verdict;
use crate::wait::{PATIENCE, poll, wait_for};

/// How often the processes are looked at.
const PERIOD: Duration = Duration::from_millis(250);
/// What memory may differ by, from one third of the time to another: faults come as they come.
const SLACK: u64 = 8 << 20;

/// What the processes took before the load, and what they take.
pub struct Watch {
    parent: Taken,
    child: Taken,
    /// The largest child's memory, at each look.
    looks: Mutex<Vec<u64>>,
}

/// What a process takes.
#[derive(Clone, Copy, Debug)]
struct Taken {
    resident: u64,
    threads: usize,
    files: usize,
}

impl Watch {
    /// Looks at a server that has not served yet, after a restart, as in the end.
    pub fn on(server: &Server) -> Watch {
        server.graceful();
        let child = wait_for("children at rest", || {
            let before = largest(&children(server));
            thread::sleep(PERIOD);
            let now = largest(&children(server));
            let rest = (before.threads, before.files) == (now.threads, now.files);
            (rest && now.threads > 0).then_some(now)
        });
        Watch { parent: Taken::by(server.pid()), child, looks: Mutex::default() }
    }

    /// Looks again and again.
    pub fn look_until(&self, server: &Server, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let resident = children(server).into_iter().map(processes::resident).max();
            self.looks.lock().unwrap().push(resident.unwrap_or_default());
            thread::sleep(PERIOD);
        }
    }

    /// Holds what the processes take now, at rest, against what they took before.
    pub fn compare(&self, server: &Server, stagings: &Stagings, verdict: &mut Verdict) {
        let let_go = poll(PATIENCE, || stagings.are_left().then_some(()));
        verdict.check(let_go.is_some(), || "idle connections to staging are kept".to_owned());
        let back = poll(PATIENCE, || {
            let threads = largest(&children(server)).threads;
            (threads <= self.child.threads).then_some(())
        });
        verdict.check(back.is_some(), || {
            let now = largest(&children(server));
            format!("children had {} threads and now have {}", self.child.threads, now.threads)
        });
        server.graceful();
        let back = poll(PATIENCE, || {
            let (parent, child) = (Taken::by(server.pid()), largest(&children(server)));
            let zombies = processes::children(server.pid()).into_iter().any(processes::is_zombie);
            let back = parent.files <= self.parent.files
                && parent.threads <= self.parent.threads
                && child.files <= self.child.files
                && child.threads <= self.child.threads;
            (back && !zombies).then_some(())
        });
        let (parent, child) = (Taken::by(server.pid()), largest(&children(server)));
        verdict.check(back.is_some(), || {
            format!(
                "not as before: parent {:?}, now {parent:?}; children {:?}, now {child:?}",
                self.parent, self.child
            )
        });
        verdict.check(parent.resident <= self.parent.resident + (4 << 20), || {
            format!("the parent grew from {} to {} bytes", self.parent.resident, parent.resident)
        });
        self.compare_memory(verdict);
    }

    fn compare_memory(&self, verdict: &mut Verdict) {
        let looks = self.looks.lock().unwrap();
        let third = looks.len() / 3;
        let [first, last] = [&looks[..third], &looks[looks.len() - third..]].map(median);
        let most = looks.iter().max().copied().unwrap_or_default();
        verdict.say(format!(
            "largest child: {} MiB in the first third, {} MiB in the last, {} MiB at most; parent {:?}, children {:?} \
             at rest",
            first >> 20,
            last >> 20,
            most >> 20,
            self.parent,
            self.child
        ));
        verdict.check(last <= first + first / 4 + SLACK, || {
            format!("children grew from {first} to {last} bytes")
        });
    }
}

impl Taken {
    fn by(pid: u32) -> Taken {
        let count = |what: &str| {
            fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, |entries| entries.count())
        };
        Taken { resident: processes::resident(pid), threads: count("task"), files: count("fd") }
    }
}

fn children(server: &Server) -> Vec<u32> {
    let mut children = processes::children(server.pid());
    children.retain(|pid| !processes::is_zombie(*pid));
    children
}

/// The most that any of them takes.
fn largest(pids: &[u32]) -> Taken {
    let mut largest = Taken { resident: 0, threads: 0, files: 0 };
    for taken in pids.iter().map(|pid| Taken::by(*pid)) {
        largest.resident = largest.resident.max(taken.resident);
        largest.threads = largest.threads.max(taken.threads);
        largest.files = largest.files.max(taken.files);
    }
    largest
}

fn median(looks: &[u64]) -> u64 {
    let mut sorted = looks.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
