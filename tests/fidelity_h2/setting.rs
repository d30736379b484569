//! Two productions that differ in the module alone, the origin of both, and the staging of one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::conf::Builder;
use crate::fidelity::model::{staged_head, without_secret};
use crate::fidelity::row::{PLAIN, Place};
use crate::h2::{Request, Session, Transport};
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::{Received, Staging};
use crate::tls::with_tls;

use super::presented::presented;
use super::rows::Staged;

pub struct Setting {
    pub with: Server,
    pub without: Server,
    pub staging: Staging,
    transport: Transport,
    /// What must have been counted until now, by the counter's path.
    counted: RefCell<BTreeMap<String, u64>>,
    pub origin: Staging,
}

/// What a row must bring forth.
pub struct Expected<'a> {
    setting: &'a Setting,
    before: usize,
    staged: Staged,
}

impl Setting {
    pub fn start(mpm: Mpm, transport: Transport) -> Setting {
        Setting::start_with(mpm, transport, |builder| builder)
    }

    /// With further lines in both configurations.
    pub fn start_with(
        mpm: Mpm,
        transport: Transport,
        more: impl Fn(Builder) -> Builder,
    ) -> Setting {
        let (origin, staging) = (Staging::with_answers(echo), Staging::start());
        let builder = || more(production(mpm, transport, &origin, &staging));
        let (with, without) = (builder().start(), builder().without_copy().start());
        for server in [&with, &without] {
            for name in ["page.html", "large", "style.css", "script.js"] {
                let file =
                    File::options().write(true).open(server.root().join("htdocs").join(name));
                let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
                file.unwrap().set_modified(then).unwrap();
            }
        }
        let counted = RefCell::default();
        Setting { with, without, staging, transport, counted, origin }
    }

    /// A connection to either production.
    pub fn sessions(&self) -> (Session, Session) {
        let connect = |server: &Server| Session::connect(self.transport, server.port());
        (connect(&self.with), connect(&self.without))
    }

    /// Takes note of what the next request must bring forth.
    pub fn expect(&self, staged: Staged) -> Expected<'_> {
        Expected { setting: self, before: self.staging.count(), staged }
    }

    /// The head, its mark's secret left out, and the content of the copy that a request must bring forth.
    pub fn model(&self, request: &Request) -> (Vec<u8>, Vec<u8>) {
        let scheme = if self.transport == Transport::Tls { "https" } else { "http" };
        let place = Place { scheme, ..PLAIN };
        let head = staged_head(&presented(request), &place, &self.staging.authority());
        (head, request.content.clone().unwrap_or_default())
    }

    /// Adds to what must have been counted.
    pub fn count(&self, path: &str, more: u64) -> u64 {
        let mut counted = self.counted.borrow_mut();
        let count = counted.entry(path.to_owned()).or_default();
        *count += more;
        *count
    }

    /// Waits until this is counted once more.
    pub fn await_not_copied(&self, reason: &str) {
        let path = format!("not_copied.{reason}");
        let count = self.count(&path, 1);
        self.with.status_when(&format!("{path} {count}"), |status| status.sum(&path) >= count);
    }

    /// Waits until an upload of untold length that broke off is counted as incomplete; or is copied, if
    /// the origin was asked the same: mod_http2 at times passes the break on as the content's end.
    pub fn await_broken_upload(&self) {
        let selected = self.count("selected", 0);
        let incomplete = self.count("not_copied.incomplete", 0);
        let status = self.with.status_when("a broken upload's end", |status| {
            status.sum("selected") + status.sum("not_copied.incomplete") > selected + incomplete
        });
        if status.sum("selected") == selected {
            self.count("not_copied.incomplete", 1);
            return;
        }
        let copies = self.staging.wait_for(usize::try_from(selected).unwrap() + 1);
        let copy = copies.last().unwrap();
        self.origin.wait_until("the content that staging received", |requests| {
            requests.iter().any(|request| request.content == copy.content)
        });
        self.count("selected", 1);
    }

    /// Fails the test where there was any copy, or any count, beside those that were expected.
    pub fn check_totals(&self) {
        let selected = self.count("selected", 0);
        let status = self.with.settled(selected);
        assert_eq!(self.staging.count() as u64, selected, "copies at staging\n{status}");
        let not_copied: u64 = self
            .counted
            .borrow()
            .iter()
            .filter(|(path, _)| path.starts_with("not_copied."))
            .map(|(path, count)| {
                assert_eq!(status.sum(path), *count, "{path}\n{status}");
                count
            })
            .sum();
        assert_eq!(status.sum("not_copied"), not_copied, "{status}");
        assert_eq!(status.sum("delivered.2xx"), selected, "{status}");
    }
}

impl Expected<'_> {
    /// The copy, where there must be one; else waits until it is counted why there is none.
    pub fn received(&self, name: &str) -> Option<Received> {
        match self.staged {
            Staged::Copied => {
                self.setting.count("selected", 1);
                let count = self.before + 1;
                let mut copies = self
                    .setting
                    .staging
                    .wait_until(&format!("{name}: a copy"), |copies| copies.len() >= count);
                assert_eq!(copies.len(), count, "{name}: {copies:#?}");
                copies.pop()
            }
            Staged::NotCopied(reason) => {
                self.setting.await_not_copied(reason);
                None
            }
        }
    }
}

/// Fails the test where a received head is not this one, its mark's secret aside.
pub fn assert_same_head(name: &str, received: &[u8], expected: &[u8]) {
    let (received, secret) = without_secret(received);
    assert!(secret.is_some(), "{name}: no mark in {}", String::from_utf8_lossy(&received));
    let shown = |head: &[u8]| head.escape_ascii().to_string().replace("\\r\\n", "\n");
    assert_eq!(shown(&received), shown(expected), "{name}: the copy's head");
}

fn production(mpm: Mpm, transport: Transport, origin: &Staging, staging: &Staging) -> Builder {
    let builder = Server::on(mpm);
    let (users, origin) = (builder.root().join("users"), origin.url("/app"));
    let builder = match mpm {
        // Without threads, the one child could not tell its status meanwhile. What mod_http2 says of prefork.
        Mpm::Prefork => builder.expect("AH10034:"),
        _ => builder.one_child(),
    };
    let builder = builder
        .modules(&["http2", "alias", "headers", "mime", "proxy", "proxy_http"])
        .modules(&["auth_basic", "authn_core", "authn_file", "authz_user"])
        .file("users", "")
        .file("htdocs/page.html", "a page")
        .file("htdocs/style.css", "a {}")
        .file("htdocs/script.js", ";")
        .file("htdocs/large", vec![b'x'; 8 << 20])
        .vhost(format!(
            "ProxyPass \"/app\" \"{origin}\" nocanon\nAllowEncodedSlashes NoDecode\nTraceEnable On\n\
             Redirect 301 \"/moved\" \"http://elsewhere.test/\"\nRedirect 410 \"/gone\"\n\
             <Location \"/private\">\nRequire all denied\n</Location>\n\
             <Location \"/login\">\nAuthType Basic\nAuthName \"test\"\nAuthUserFile \"{}\"\nRequire valid-user\n\
             </Location>",
            users.display()
        ))
        .vhost(format!(
            "<IfModule mod_copy.c>\nCopyTarget {} max=1\nCopyBodyLimit 8M\n<Location \"/app/limited\">\n\
             CopyBodyLimit 1K\n</Location>\n</IfModule>",
            staging.url("/")
        ))
        .expect("AH01630:");
    match transport {
        Transport::Plain => builder.vhost("Protocols h2c http/1.1"),
        Transport::Tls => with_tls(builder).vhost("Protocols h2 http/1.1"),
    }
}

/// What the origin answers: what it was asked, and how much content came with it.
fn echo(request: &Received) -> Vec<u8> {
    let line = request.request_line();
    let status = match line.split('/').nth(2) {
        Some("500 HTTP") => "500 Internal Server Error",
        _ => "200 OK",
    };
    let sum = request
        .content
        .iter()
        .fold(0_u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let text = format!("{line} {} {sum}", request.content.len());
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
}
