//! Names that do not resolve, or slowly, or never: in httpd itself, whose lookups are answered by a test's file.
//!
//! A library put before the system's (`LD_PRELOAD`) answers for names under `.faulty.test`, so that no test depends
//! on a name server, or on the right to be one.

use std::fs;

use super::staging::{Fault, FaultyStaging};
use crate::client;
use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::status::Status;
use crate::wait::wait_for;

pub const NAME: &str = "staging.faulty.test";

/// Makes the name mean this: addresses, `fails` or `hangs`.
pub fn with_names(builder: Builder, words: &str) -> Builder {
    let directory = builder.root().to_owned();
    builder
        .preload("faults/names.c")
        .env("FAULTY_NAMES", &directory)
        .file(NAME, format!("{words}\n"))
}

/// From now on the name means this.
pub fn now_means(server: &Server, words: &str) {
    let (new, file) = (server.root().join("new"), server.root().join(NAME));
    fs::write(&new, format!("{words}\n")).unwrap();
    fs::rename(new, file).unwrap();
}

/// Production whose one target has that name, and what the name means.
struct Setting {
    staging: FaultyStaging,
    server: Server,
}

impl Setting {
    /// `word` is an address, `fails` or `hangs`; `keys` are the target's.
    fn with(word: &str, keys: &str) -> Setting {
        let staging = FaultyStaging::start(Fault::None);
        let port = staging.address().port();
        let builder = Server::on(Mpm::Event).one_child().expect("CPY0106:").file("htdocs/a", "a");
        let server = with_names(builder.expect("CPY0121:"), word)
            .vhost(format!(
                "CopyTarget http://{NAME}:{port}/ name=named max=1 timeout=20s failures=0 {keys}"
            ))
            .start();
        Setting { staging, server }
    }

    /// From now on the name means this.
    fn means(&self, word: &str) {
        now_means(&self.server, word);
    }

    /// Production answers, whatever becomes of the copy.
    fn ask(&self) {
        assert_eq!(client::get(self.server.port(), "/a").text(), "a");
    }

    /// Sends copies one by one; each has to fail for want of an address.
    fn fail(&self, count: u64) {
        for sent in 1..=count {
            self.ask();
            let status = self.server.settled(sent);
            assert_eq!(status.sum("failed.dns"), sent, "{status}");
        }
    }

    fn log(&self) -> Vec<String> {
        let log = self.server.error_log();
        let lines = log.lines().filter_map(|line| Some(line.split_once("CPY0106: ")?.1.to_owned()));
        lines.collect()
    }

    /// Copies arrive again, and until they do, nothing else than before is wrong.
    fn comes_back(&self) {
        self.means("127.0.0.1");
        wait_for("a copy that arrives", || {
            self.ask();
            let status = self.server.status_when("an outcome", Status::is_drained);
            (status.sum("delivered.2xx") > 0).then_some(())
        });
        let status = self.server.status();
        assert_eq!(status.sum("failed"), status.sum("failed.dns"), "{status}");
        assert_eq!(self.staging.received_whole(), 1);
        status.assert_promise_3();
    }
}

#[test]
fn a_name_that_does_not_resolve_fails_its_copies_until_it_does() {
    let setting = Setting::with("fails", "");
    setting.fail(3);
    let told = |count: u32| {
        format!(
            "copying to named failed: dns: resolve {NAME}: failed to lookup address information: \
             Name or service not known ({count} so far)"
        )
    };
    assert_eq!(setting.log(), [told(1), told(2)]);
    setting.comes_back();
}

#[test]
fn a_name_whose_lookup_hangs_fails_its_copies_until_it_ends() {
    let setting = Setting::with("hangs", "connectiontimeout=200ms");
    setting.fail(3);
    let told = |count: u32| {
        format!(
            "copying to named failed: dns: resolve {NAME}: not done within 200ms ({count} so far)"
        )
    };
    assert_eq!(setting.log(), [told(1), told(2)]);
    setting.comes_back();
}

#[test]
fn a_copy_waits_for_a_slow_lookup_and_production_does_not() {
    let setting = Setting::with("hangs", "connectiontimeout=20s");
    for _ in 0..5 {
        setting.ask();
    }
    let waits = |status: &Status| status.sum("in_flight") == 1 && status.sum("queued") == 4;
    setting.server.status_when("a copy that waits for an address", waits);
    setting.means("127.0.0.1");
    let status = setting.server.settled(5);
    assert_eq!(status.sum("delivered.2xx"), 5, "{status}");
    assert_eq!(setting.staging.connections(), 1);
    assert_eq!(setting.log(), [""; 0]);
}

#[test]
fn httpd_stops_in_time_while_a_lookup_hangs() {
    let mut setting = Setting::with("hangs", "");
    setting.ask();
    setting.server.status_when("a copy on its way", |status| status.sum("in_flight") == 1);
    setting.server.stop();
    assert!(setting.server.left_well(), "{}", setting.server.logs());
}

#[test]
fn a_name_that_nobody_may_have_is_a_failure_of_dns_whatever_the_resolver_says() {
    let server = Server::on(Mpm::Event)
        .expect("CPY0121: the host of nowhere does not resolve as a child starts: ")
        .expect("CPY0106: copying to nowhere failed: dns: resolve staging.invalid: ")
        .file("htdocs/a", "a")
        .vhost("CopyTarget http://staging.invalid/ name=nowhere connectiontimeout=500ms")
        .start();
    assert_eq!(client::get(server.port(), "/a").text(), "a");
    let status = server.settled(1);
    assert_eq!(status.sum("failed.dns"), 1, "{status}");
    assert_eq!(server.logged("CPY0106:"), 1, "{}", server.logs());
}
