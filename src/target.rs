//! A target: where copies go, and within which limits.

mod balancer;
mod proxy;
mod unix;
mod url;

pub use balancer::BalancerUrl;
pub use proxy::{Proxy, ProxyKind, User};
pub use url::{Scheme, Url};

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::Rules;
use crate::comparing::Asked;
use crate::edit::Edits;
use crate::message::TraceHeader;
use balancer::BALANCER;

/// `CopyDNSRefresh` where none is written.
pub const DNS_REFRESH: Duration = Duration::from_secs(60);

/// One staging server as configured: its URL, its pool and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The `name=` key, else the URL; unique in a configuration, and the key of the counters.
    pub name: String,
    /// Where copies go.
    pub destination: Destination,
    /// How the URL's path and the request's are joined.
    pub path: PathMode,
    /// Connections, threads and queue, per child process.
    pub pool: Pool,
    /// `status=D`: it gets no copies until an operator switches it on.
    pub starts_off: bool,
    /// When it is given up for a while, by all child processes.
    pub breaker: Rules,
    /// The whole exchange; `None` follows the request's server.
    pub timeout: Option<Duration>,
    /// Making a connection; `None` follows the request's server.
    pub connect_timeout: Option<Duration>,
    /// The receive buffer of its sockets, in bytes, 0 for the system's; `None` follows the request's server.
    pub receive_buffer: Option<u32>,
    /// The address of this machine that its connections leave from; the system's choice where there is none.
    pub bind_address: Option<IpAddr>,
    /// The proxy that its connections go through.
    pub proxy: Option<Arc<Proxy>>,
    /// How long the addresses of its name are used before they are looked up again.
    pub dns_refresh: Duration,
    /// Whether staging sees the client's `Host`; `None` follows the request's scope.
    pub preserve_host: Option<bool>,
    /// Whether its copies have `X-Forwarded-*`; `None` follows the request's scope.
    pub add_headers: Option<bool>,
    /// The field that marks its copies, or that none does; `None` follows the request's scope.
    pub trace: Option<Option<TraceHeader>>,
    /// What its block changes in the fields of its copies.
    pub edits: Option<Edits>,
    /// What is compared of its copies; `None` follows the request's scope.
    pub compare: Option<Asked>,
}

impl Target {
    /// Whether the fields of its copies may be others than those of its scope.
    pub fn has_own_fields(&self) -> bool {
        self.edits.is_some() || self.add_headers.is_some() || self.trace.is_some()
    }

    /// The limits of its copies, where their server's are these.
    pub fn limits(&self, of_server: &Limits) -> Limits {
        Limits {
            timeout: self.timeout.unwrap_or(of_server.timeout),
            connect_timeout: self.connect_timeout.unwrap_or(of_server.connect_timeout),
            receive_buffer: self.receive_buffer.unwrap_or(of_server.receive_buffer),
        }
    }

    /// The target that a bare URL means: named by it, and with every default.
    pub fn at(destination: impl Into<Destination>) -> Target {
        let destination = destination.into();
        Target {
            name: destination.to_string(),
            destination,
            path: PathMode::default(),
            pool: Pool::default(),
            starts_off: false,
            breaker: Rules::default(),
            timeout: None,
            connect_timeout: None,
            receive_buffer: None,
            bind_address: None,
            proxy: None,
            dns_refresh: DNS_REFRESH,
            preserve_host: None,
            add_headers: None,
            trace: None,
            edits: None,
            compare: None,
        }
    }
}

/// Where a target's copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// One server.
    Url(Url),
    /// The members of a balancer of mod_proxy's.
    Balancer(BalancerUrl),
}

impl Destination {
    /// Reads a target URL; the error says what was expected.
    pub fn parse(text: &str) -> Result<Destination, &'static str> {
        match text.strip_prefix(BALANCER) {
            Some(rest) => BalancerUrl::parse(rest).map(Destination::Balancer),
            None => Url::parse(text).map(Destination::Url),
        }
    }
}

impl From<Url> for Destination {
    fn from(url: Url) -> Destination {
        Destination::Url(url)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Url(url) => url.fmt(f),
            Destination::Balancer(balancer) => balancer.fmt(f),
        }
    }
}

/// One server that copies are sent to, and how the paths are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The server.
    pub url: Url,
    /// How the URL's path and the request's are joined.
    pub path: PathMode,
    /// Whether it sees the client's `Host`; `None` follows the request's scope.
    pub preserve_host: Option<bool>,
    /// What a proxy is told with each request.
    pub via: Option<Via>,
}

/// What a proxy of HTTP's reads of each request that it passes on.
#[derive(Clone, PartialEq, Eq)]
pub struct Via {
    /// What stands before the path: the authority (RFC 9112 section 3.2.2).
    pub authority: String,
    /// The field line for the proxy alone; empty where it asks for none.
    pub authorization: String,
    /// The proxy, as it may be shown.
    pub proxy: String,
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Via").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Via {
    fn of(proxy: &Proxy, url: &Url) -> Option<Via> {
        let is_told = proxy.kind() == ProxyKind::Http && url.scheme() == Scheme::Http;
        is_told.then(|| Via {
            authority: format!("http://{}", url.authority()),
            authorization: proxy.authorization(),
            proxy: proxy.to_string(),
        })
    }
}

impl Aim {
    /// A server whose own path goes before a request's, and which sees its own name.
    pub fn at(url: Url) -> Aim {
        Aim { url, path: PathMode::Append, preserve_host: None, via: None }
    }

    /// A target's server.
    pub fn of(target: &Target, url: Url) -> Aim {
        let proxy = target.proxy.as_deref().filter(|_| url.socket().is_none());
        let via = proxy.and_then(|proxy| Via::of(proxy, &url));
        Aim { url, path: target.path, preserve_host: target.preserve_host, via }
    }
}

/// The size of a target's pool in each child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Threads that are kept when idle, at least 1.
    pub min: usize,
    /// The most connections, each with one copy in flight, and the most threads.
    pub max: usize,
    /// How long an idle connection, and an idle thread above `min`, is kept.
    pub ttl: Duration,
    /// The most copies that wait.
    pub queue: usize,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool { min: 1, max: 20, ttl: Duration::from_secs(60), queue: 1024 }
    }
}

/// How the target URL's path and the request's path make the copy's request target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathMode {
    /// The URL's path is put before the request's.
    #[default]
    Append,
    /// The URL's path takes the place of the request's; the query is kept.
    Replace,
}

/// The limits one copy is sent under, resolved from its target and its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole exchange, from the first byte (or the connect) to the end of the answer.
    pub timeout: Duration,
    /// Making a connection; never more than what is left of `timeout`.
    pub connect_timeout: Duration,
    /// The receive buffer of a connection that is made for it, in bytes; 0 for the system's.
    pub receive_buffer: u32,
}
