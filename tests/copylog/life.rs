//! Files and programs over httpd's restarts, its rights, and the ends of its children.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::Value;

use super::{lines, logging, objects, path};
use crate::client;
use crate::load;
use crate::mpm::{Mpm, on_each_mpm};
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::wait::wait_for;

on_each_mpm!(
    a_file_that_is_moved_away_is_made_again_at_a_graceful_restart,
    what_is_delivered_as_a_child_ends_is_logged,
    a_killed_child_spoils_no_line_but_the_one_it_writes,
);

fn a_file_that_is_moved_away_is_made_again_at_a_graceful_restart(mpm: Mpm) {
    let staging = Staging::start();
    let server = logging(mpm, &staging, "CopyLog logs/copy.log").start();
    server.client().get("/a?1");
    lines(&server, 1);
    let old = server.root().join("logs/copy.log.1");
    fs::rename(path(&server), &old).unwrap();
    server.client().get("/a?2");
    let moved = wait_for("a line in the moved file", || {
        Some(objects(&old)).filter(|lines| lines.len() == 2)
    });
    assert_eq!(moved[1]["path"], "/a?2");
    server.graceful();
    server.client().get("/a?3");
    assert_eq!(lines(&server, 1)[0]["path"], "/a?3");
    assert_eq!(objects(&old).len(), 2);
}

fn what_is_delivered_as_a_child_ends_is_logged(mpm: Mpm) {
    let staging = Staging::start();
    staging.set(Mode::Slow(std::time::Duration::from_millis(20)));
    let mut server =
        logging(mpm, &staging, "CopyLog logs/copy.log").global("CopyDrainTimeout 6s").start();
    let mut client = server.client();
    (0..20).for_each(|_| drop(client.get("/a")));
    drop(client);
    server.stop();
    assert_eq!((staging.count(), objects(&path(&server)).len()), (20, 20));
}

/// The kernel cuts a write where its process is killed, at the end of a page: that line alone is lost.
fn a_killed_child_spoils_no_line_but_the_one_it_writes(mpm: Mpm) {
    let staging = Staging::start();
    let server = logging(mpm, &staging, "CopyLog logs/copy.log")
        .expect("AH00051:")
        .expect("AH00052:")
        .expect("CPY01")
        .start();
    let port = server.port();
    let mut killed = 0;
    for _ in 0..3 {
        let before = whole_and_half(&server).0;
        std::thread::scope(|scope| {
            let request = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let load = scope.spawn(move || {
                (0..400).for_each(|_| drop(client::attempt(port, request.as_bytes())));
            });
            wait_for("lines under load", || {
                (whole_and_half(&server).0 > before + 20).then_some(())
            });
            let children = processes::children(server.pid());
            killed += children.len();
            children.into_iter().for_each(processes::kill);
            load.join().unwrap();
        });
    }
    // As one that is killed in a write may.
    let mut log = fs::File::options().append(true).open(path(&server)).unwrap();
    fcntl_lock(&log, FlockOperation::LockExclusive).unwrap();
    log.write_all(br#"{"time":"2026"#).unwrap();
    drop(log);
    // The new children go on behind that, and each line is one, or the beginning of one.
    let before = whole_and_half(&server).0;
    wait_for("a child that serves", || {
        client::attempt(port, b"GET /a?last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .ok()?
    });
    wait_for("its line", || (whole_and_half(&server).0 > before).then_some(()));
    let (whole, half) = whole_and_half(&server);
    assert!((1..=1 + killed).contains(&half), "{half} half lines beside {whole}, {killed} killed");
}

/// How many lines of the log are whole, and how many are the beginning of one.
fn whole_and_half(server: &Server) -> (usize, usize) {
    let log = fs::read_to_string(path(server)).unwrap_or_default();
    let is_whole = |line: &&str| serde_json::from_str::<Value>(line).is_ok();
    let (whole, half): (Vec<&str>, Vec<&str>) = log.lines().partition(is_whole);
    for line in &half {
        assert!(
            !line.get(1..).is_some_and(|rest| rest.contains(r#"{"time""#)),
            "two lines in one: {line}"
        );
    }
    (whole.len(), half.len())
}

#[test]
fn a_new_file_is_for_its_owner_to_write_and_httpd_s_group_to_read_and_an_old_one_stays_as_it_is() {
    let staging = Staging::start();
    let log = "CopyLog logs/copy.log\nCopyLog logs/old.log";
    let builder = logging(Mpm::Event, &staging, log).file("logs/old.log", "");
    let old = builder.root().join("logs/old.log");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o600)).unwrap();
    let server = builder.start();
    server.client().get("/a");
    lines(&server, 1);
    let made = fs::metadata(path(&server)).unwrap();
    assert_eq!(made.mode() & 0o7777, 0o640);
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(made.uid(), user);
    if user == 0 {
        // As the harness configures it.
        assert_eq!(made.gid(), 65534);
    }
    assert_eq!(fs::metadata(old).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_program_gets_the_lines_and_rotates_them() {
    let staging = Staging::start();
    let rotatelogs = rotatelogs();
    let builder = logging(Mpm::Event, &staging, "");
    let root = builder.root().display().to_string();
    let command = format!("|{} {root}/logs/copy.log.%Y 86400", rotatelogs.display());
    // httpd says so of every piped log at a graceful restart.
    let server = builder.vhost(format!("CopyLog \"{command}\"")).expect("AH00488:").start();
    load::run(server.port(), 4, 100, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    let rotated = || {
        let files =
            fs::read_dir(server.root().join("logs")).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.to_string_lossy().contains("copy.log.")).collect::<Vec<_>>()
    };
    let all = || -> usize { rotated().iter().map(|file| objects(file).len()).sum() };
    wait_for("lines through rotatelogs", || (all() == 400).then_some(()));
    server.graceful();
    server.client().get("/a");
    wait_for("a line through the new rotatelogs", || (all() == 401).then_some(()));
    assert_eq!(server.status().log_dropped(), 0);
}

/// httpd's own program, beside it or in the path.
pub fn rotatelogs() -> PathBuf {
    let beside = crate::httpd::httpd().program.parent().unwrap().join("rotatelogs");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> =
        std::env::split_paths(&path).map(|folder| folder.join("rotatelogs")).collect();
    candidates.insert(0, beside);
    candidates.into_iter().find(|file| file.is_file()).expect("rotatelogs (Debian: apache2-utils)")
}
