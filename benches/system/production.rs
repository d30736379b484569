//! The httpd under measurement: a reverse proxy and a static file, without the module or with it.

use std::fmt;
use std::sync::Arc;

use crate::conf::Builder;
use crate::cores;
use crate::httpd::free_port;
use crate::load::{self, Pace, request};
use crate::mpm::Mpm;
use crate::server::Server;
use crate::sink::Backends;

/// Client connections, all in use at saturation.
pub const CONNECTIONS: usize = 16;

/// What production has of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// It is not loaded.
    Off,
    /// It is loaded, and mirrors another virtual host.
    Elsewhere,
    /// It mirrors every request.
    On,
}

/// What is asked of production: each request has eight fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A GET of a static file of 1 KiB.
    Static,
    /// A GET, proxied to the origin.
    Get,
    /// A POST of so many KiB, proxied to the origin.
    Post(usize),
}

impl Request {
    pub const ALL: [Request; 5] =
        [Request::Static, Request::Get, Request::POST, Request::Post(64), Request::Post(1024)];
    /// The one that most is asked of.
    pub const POST: Request = Request::Post(1);

    pub fn bytes(self) -> Arc<[u8]> {
        match self {
            Request::Static => request("GET", "/static.txt?id=42", 0),
            Request::Get => request("GET", "/origin/orders?id=42", 0),
            Request::Post(kib) => request("POST", "/origin/orders?id=42", kib * 1024),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Static => write!(f, "GET of a static file of 1 KiB"),
            Request::Get => write!(f, "GET, proxied"),
            Request::Post(1024) => write!(f, "POST of 1 MiB, proxied"),
            Request::Post(kib) => write!(f, "POST of {kib} KiB, proxied"),
        }
    }
}

/// How many child processes and threads serve; it comes after the tests' small numbers, and so holds.
pub fn sizes(mpm: Mpm, children: usize, threads: usize) -> String {
    let all = children * threads;
    match mpm {
        Mpm::Prefork => {
            format!("StartServers {all}\nServerLimit 4\nMaxRequestWorkers 4\nMinSpareServers {all}")
        }
        _ => format!(
            "StartServers {children}\nServerLimit {children}\nThreadLimit {threads}\nThreadsPerChild {threads}\n\
             MaxRequestWorkers {all}\nMinSpareThreads 1\nMaxSpareThreads {all}"
        ),
    }
}

/// The configuration: `targets` are what follows `CopyTarget`.
pub fn configure(mpm: Mpm, module: Module, backends: &Backends, targets: &[String]) -> Builder {
    let threads = if mpm == Mpm::Prefork { 1 } else { 64 };
    let builder = Server::on(mpm)
        .global(sizes(mpm, 1, threads))
        .modules(&["proxy", "proxy_http"])
        .file("htdocs/static.txt", [b'x'; 1024])
        // The tests' debugging lines would be measured too.
        .global("LogLevel warn\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60")
        .vhost(format!("ProxyPass \"/origin/\" \"{}\"", backends.origin()))
        .expect("CPY01");
    let elsewhere = free_port();
    let lines: String = targets.iter().map(|target| format!("CopyTarget {target}\n")).collect();
    match module {
        // As many listeners as with the module, whose status page has one.
        Module::Off => builder.without_copy().global(format!("Listen 127.0.0.1:{elsewhere}")),
        Module::Elsewhere => builder.global(format!(
            "Listen 127.0.0.1:{elsewhere}\n<VirtualHost 127.0.0.1:{elsewhere}>\n{lines}</VirtualHost>"
        )),
        Module::On => builder.vhost(lines),
    }
}

/// Starts it on its core, and lets it become warm.
pub fn start(module: Module, backends: &Backends) -> Server {
    let builder = configure(Mpm::Event, module, backends, &[backends.staging()]);
    start_as(builder, backends)
}

/// Starts a configuration that mirrors nothing below `/origin/warm`, and lets all but the module become warm.
pub fn start_cold(builder: Builder, backends: &Backends) -> Server {
    let server = cores::on_productions(|| builder.start());
    // All of httpd's own threads and pools are in use then, so that what grows is ours.
    let warm = request("POST", "/origin/warm", 1024);
    load::run(server.port(), &warm, Pace::Count(4000), 32, backends);
    server
}

/// Starts a configuration, and lets it become warm.
pub fn start_as(builder: Builder, backends: &Backends) -> Server {
    let server = cores::on_productions(|| builder.start());
    for request in [Request::POST, Request::Static] {
        load::run(server.port(), &request.bytes(), Pace::Count(1500), CONNECTIONS, backends);
    }
    server
}
