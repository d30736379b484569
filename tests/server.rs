//! A running httpd of the test's own: started in the foreground as a child process, stopped when dropped.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::{self, Client};
use crate::conf::Builder;
use crate::httpd::httpd;
use crate::mpm::Mpm;
use crate::processes;
use crate::status::Status;
use crate::wait::{PATIENCE, poll};

/// httpd's ordinary notices: configured, command line, and each way to stop or restart.
const ORDINARY: [&str; 17] = [
    "AH00163:", "AH00292:", "AH00489:", "AH00094:", "AH00169:", "AH00170:", "AH00171:", "AH00173:",
    "AH00295:", "AH00296:", "AH00297:", "AH00298:", "AH00491:", "AH00492:", "AH00493:", "AH00494:",
    "AH00112:",
];

/// What is ordinary before 2.4.N: HTTP/2 without mod_ssl, and a client that leaves within its content.
const OF_OLDER: [(&str, u32); 2] = [("AH02951:", 48), ("AH02609:", 41)];

/// What httpd logs whenever it is ready, or ready again, to serve.
const READY: &str = "resuming normal operations";

/// A running httpd.
pub struct Server {
    root: TempDir,
    port: u16,
    status_port: u16,
    child: Child,
    exit: Option<ExitStatus>,
    /// Parts of the lines that the test expects in the error log.
    expected: Vec<String>,
}

/// What `apache2 -t` made of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    pub passed: bool,
    pub stderr: String,
}

impl Server {
    /// A configuration to fill in and start.
    pub fn on(mpm: Mpm) -> Builder {
        Builder::new(mpm)
    }

    /// Starts httpd on a prepared ServerRoot and waits until it serves.
    pub fn start(
        root: TempDir,
        [port, status_port]: [u16; 2],
        expected: Vec<String>,
        environment: Vec<(String, PathBuf)>,
    ) -> Server {
        let console = File::create(root.path().join("console.log")).unwrap();
        let child = httpd()
            .command()
            .arg("-DFOREGROUND")
            .args(arguments(root.path()))
            .envs(environment)
            .env("MOD_COPY_FAULTS", root.path().join("faults"))
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            // httpd signals its whole process group when it stops or restarts.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut server = Server { root, port, status_port, child, exit: None, expected };
        let ready = poll(PATIENCE, || {
            let ended = server.ended();
            let ready = server.times_ready() > 0 && client::accepts(port);
            (ended || ready).then_some(ready && !ended)
        });
        assert!(ready == Some(true), "httpd did not start\n{}", server.logs());
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of copy-status and copy-manager.
    pub fn status_port(&self) -> u16 {
        self.status_port
    }

    /// The ServerRoot, with `htdocs` in it.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The parent process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    pub fn error_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.root().join("error.log")).unwrap_or_default())
            .into_owned()
    }

    /// How many lines of the error log have this in them.
    pub fn logged(&self, part: &str) -> usize {
        self.error_log().lines().filter(|line| line.contains(part)).count()
    }

    /// Restarts gracefully, and waits until the new configuration serves alone.
    pub fn graceful(&self) {
        self.again(Signal::USR1);
    }

    /// Restarts, cutting connections off, and waits until the new configuration serves alone.
    pub fn restart(&self) {
        self.come_to_rest();
        self.again(Signal::HUP);
    }

    /// Sends SIGTERM, as `apachectl stop`, and waits for the end; says how long it took.
    pub fn stop(&mut self) -> Duration {
        self.end(Signal::TERM)
    }

    /// Sends SIGWINCH, as `apachectl graceful-stop`, and waits for the end; says how long it took.
    pub fn graceful_stop(&mut self) -> Duration {
        self.end(Signal::WINCH)
    }

    /// Whether the parent process left with success; only after a stop.
    pub fn left_well(&self) -> bool {
        self.exit.is_some_and(|exit| exit.success())
    }

    /// What copy-status tells now, as JSON.
    pub fn status(&self) -> Status {
        let response = client::get(self.status_port, "/copy-status?json");
        assert_eq!(response.status, 200, "{}\n{}", response.text(), self.logs());
        Status::parse(&response.text())
    }

    /// What copy-status tells with this query, as text.
    pub fn status_page(&self, query: &str) -> client::Response {
        client::get(self.status_port, &format!("/copy-status{query}"))
    }

    /// The status as soon as `holds` is true of it.
    pub fn status_when(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
        poll(PATIENCE, || Some(self.status()).filter(&holds)).unwrap_or_else(|| {
            let status = self.status();
            panic!("{what}: not within {PATIENCE:?}\n{status}\n{}", self.logs())
        })
    }

    /// The status as soon as `selected` copies were made in all and each has its outcome.
    ///
    /// Fails the test where more copies than that were made, or where promise 3 does not hold.
    pub fn settled(&self, selected: u64) -> Status {
        let status = self.status_when(&format!("{selected} copies and their outcomes"), |status| {
            status.sum("selected") >= selected && status.is_drained()
        });
        assert_eq!(status.sum("selected"), selected, "more copies than requests\n{status}");
        status.assert_promise_3();
        status
    }

    /// Everything httpd has said, for a failure's report.
    pub fn logs(&self) -> String {
        let console = fs::read_to_string(self.root().join("console.log")).unwrap_or_default();
        format!("--- console\n{console}--- error log\n{}", self.error_log())
    }

    /// Fails the test where the error log, or the console, has a line that is neither ordinary nor expected.
    pub fn check_log(&self) {
        let unexpected = self.unexpected();
        assert!(unexpected.is_empty(), "unexpected in the error log:\n{}", unexpected.join("\n"));
    }

    /// The lines of the error log, or the console, that are neither ordinary nor expected.
    pub fn unexpected(&self) -> Vec<String> {
        let console = fs::read_to_string(self.root().join("console.log")).unwrap_or_default();
        let log = self.error_log();
        let lines = console.lines();
        lines
            .chain(log.lines())
            .filter(|line| {
                !is_ordinary(line) && !self.expected.iter().any(|part| line.contains(part))
            })
            .map(str::to_owned)
            .collect()
    }

    /// Waits until httpd's threads are at rest.
    ///
    /// A child that is stopped while one of its threads closes a connection can crash, with and without mod_copy: the
    /// event MPM's `close_worker_sockets` then touches a socket that was just freed. A bound, as load may go on.
    fn come_to_rest(&self) {
        let children = || processes::children(self.pid());
        poll(Duration::from_secs(1), || {
            children().into_iter().all(processes::is_idle).then_some(())
        });
    }

    fn again(&self, signal: Signal) {
        let before = self.times_ready();
        let children = processes::children(self.pid());
        self.signal(signal);
        poll(PATIENCE, || (self.times_ready() > before).then_some(()))
            .unwrap_or_else(|| panic!("httpd did not restart\n{}", self.logs()));
        // Until they have gone, the old ones may accept a connection, and close it after its first request.
        let gone = |pid: &u32| !processes::exists(*pid) || processes::is_zombie(*pid);
        poll(PATIENCE, || children.iter().all(gone).then_some(())).unwrap_or_else(|| {
            panic!("children of before the restart are still there\n{}", self.logs())
        });
    }

    fn end(&mut self, signal: Signal) -> Duration {
        self.come_to_rest();
        let begun = Instant::now();
        if !self.ended() {
            self.signal(signal);
        }
        while !self.ended() && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
        let took = begun.elapsed();
        if !self.ended() {
            self.child.kill().unwrap();
            self.exit = self.child.wait().ok();
            panic!("httpd did not stop within {PATIENCE:?}\n{}", self.logs());
        }
        took
    }

    fn ended(&mut self) -> bool {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().unwrap();
        }
        self.exit.is_some()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn times_ready(&self) -> usize {
        self.logged(READY)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            if !self.ended() {
                self.signal(Signal::TERM);
                if poll(PATIENCE, || self.ended().then_some(())).is_none() {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                }
            }
            eprintln!("{}", self.logs());
            return;
        }
        self.stop();
        self.check_log();
    }
}

/// Checks a prepared ServerRoot's configuration, as `apachectl configtest`.
pub fn configtest(root: &Path) -> Verdict {
    let output = ask(root, &["-t"]);
    Verdict {
        passed: output.status.success(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What httpd prints for these options about a prepared ServerRoot.
pub fn ask(root: &Path, options: &[&str]) -> std::process::Output {
    let mut command = httpd().command();
    command.args(options).args(arguments(root)).env("MOD_COPY_FAULTS", root.join("faults"));
    command.output().unwrap()
}

fn arguments(root: &Path) -> [PathBuf; 4] {
    ["-d".into(), root.to_owned(), "-f".into(), root.join("httpd.conf")]
}

fn is_ordinary(line: &str) -> bool {
    let quiet = [":info]", ":debug]", ":trace"];
    ORDINARY.iter().any(|tag| line.contains(tag))
        || quiet.iter().any(|level| line.contains(level))
        || OF_OLDER.iter().any(|(tag, patch)| httpd().is_older_than(*patch) && line.contains(tag))
}
