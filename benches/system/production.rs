//! The httpd under measurement: a reverse proxy and a static file, without the module or with it.

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

/// What is measured: both requests have eight fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A POST of 1 KiB, proxied to the origin.
    Post,
    /// A GET of a static file of 1 KiB.
    Get,
}

impl Request {
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Request::Post => request("POST", "/origin/orders?id=42"),
            Request::Get => request("GET", "/static.txt?id=42"),
        }
    }
}

/// The configuration: `target` is what follows `CopyTarget`.
pub fn configure(mpm: Mpm, module: Module, backends: &Backends, target: &str) -> Builder {
    // These come after the tests' small ones, and so hold.
    let sizes = match mpm {
        Mpm::Prefork => "StartServers 1\nServerLimit 4\nMaxRequestWorkers 4\nMinSpareServers 1",
        _ => {
            "StartServers 1\nServerLimit 1\nThreadLimit 64\nThreadsPerChild 64\nMaxRequestWorkers 64\n\
             MinSpareThreads 1\nMaxSpareThreads 64"
        }
    };
    let builder = Server::on(mpm)
        .global(sizes)
        .modules(&["proxy", "proxy_http"])
        .file("htdocs/static.txt", [b'x'; 1024])
        // The tests' debugging lines would be measured too.
        .global("LogLevel warn\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60")
        .vhost(format!("ProxyPass \"/origin/\" \"{}\"", backends.origin()))
        .expect("CPY01");
    let elsewhere = free_port();
    match module {
        // As many listeners as with the module, whose status page has one.
        Module::Off => builder.without_copy().global(format!("Listen 127.0.0.1:{elsewhere}")),
        Module::Elsewhere => builder.global(format!(
            "Listen 127.0.0.1:{elsewhere}\n<VirtualHost 127.0.0.1:{elsewhere}>\nCopyTarget {target}\n</VirtualHost>"
        )),
        Module::On => builder.vhost(format!("CopyTarget {target}")),
    }
}

/// Starts it on its core, and lets it become warm.
pub fn start(module: Module, backends: &Backends) -> Server {
    let builder = configure(Mpm::Event, module, backends, &backends.staging());
    let server = cores::on_productions(|| builder.start());
    for request in [Request::Post, Request::Get] {
        load::run(server.port(), &request.bytes(), Pace::Count(1500), CONNECTIONS, backends);
    }
    server
}
