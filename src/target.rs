//! A target: where copies go, and within which limits.

mod proxy;
mod unix;

pub use proxy::{Proxy, ProxyKind, User};

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::breaker::Rules;
use crate::comparing::Asked;
use crate::edit::Edits;
use crate::message::TraceHeader;

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

const BALANCER: &str = "balancer://";

/// A checked `balancer://name[/path]`.
#[derive(Clone, PartialEq, Eq)]
pub struct BalancerUrl {
    name: String,
    path: String,
}

impl BalancerUrl {
    /// Reads what follows the scheme.
    fn parse(rest: &str) -> Result<BalancerUrl, &'static str> {
        let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(
                "a balancer's name of letters, digits, -, _ and ., as balancer://name[/path]",
            );
        }
        // A path is what it is elsewhere.
        let path = Url::parse(&format!("http://name{path}"))?.path;
        // mod_proxy too knows balancers by their names in lower case.
        Ok(BalancerUrl { name: name.to_ascii_lowercase(), path })
    }

    /// The balancer's name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path, at least `/`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for BalancerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BALANCER}{}{}", self.name, self.path)
    }
}

impl fmt::Debug for BalancerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BalancerUrl({self})")
    }
}

/// A checked `http://host[:port][/path]`, or the same with `https`, `h2c` or `h2`; perhaps with `unix:/path|` before it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// The Unix socket that it is reached by, instead of host and port.
    socket: Option<String>,
    scheme: Scheme,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 in the clear, with prior knowledge.
    H2c,
    /// HTTP/2 over TLS.
    H2,
}

impl Scheme {
    fn parse(text: &str) -> Option<Scheme> {
        let all = [Scheme::Http, Scheme::Https, Scheme::H2c, Scheme::H2];
        all.into_iter().find(|scheme| scheme.name() == text)
    }

    /// As URLs spell it.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::H2c => "h2c",
            Scheme::H2 => "h2",
        }
    }

    /// Whether it is over TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, Scheme::Https | Scheme::H2)
    }

    /// Whether it is HTTP/2.
    pub fn is_h2(self) -> bool {
        matches!(self, Scheme::H2c | Scheme::H2)
    }

    /// The port where none is written.
    fn port(self) -> u16 {
        match self {
            Scheme::Http | Scheme::H2c => 80,
            Scheme::Https | Scheme::H2 => 443,
        }
    }
}

impl Url {
    /// Reads a target URL; the error says what was expected.
    pub fn parse(text: &str) -> Result<Url, &'static str> {
        let (socket, text) = unix::split(text)?;
        if !text.contains("://") {
            return Err("a URL with its scheme, as http://host[:port][/path]");
        }
        let uri: Uri = text.parse().map_err(|_| "a URL of the form http://host[:port][/path]")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("a URL with its scheme, as http://host[:port][/path]");
        };
        let Some(scheme) = Scheme::parse(scheme) else {
            return Err("the scheme http, https, h2c, h2 or balancer");
        };
        if authority.as_str().contains('@') {
            return Err("a URL without user and password");
        }
        if !text.is_ascii() {
            return Err("a URL in ASCII, other characters as %XX");
        }
        if uri.query().is_some() || text.contains('#') {
            return Err("a URL without query and fragment");
        }
        let host = authority.host();
        if host.is_empty() {
            return Err("a URL with a host");
        }
        let port = match authority.as_str().get(host.len()..).unwrap_or("") {
            "" => scheme.port(),
            port => match port.strip_prefix(':').and_then(port_number) {
                Some(port) if port > 0 => port,
                _ => return Err("a port from 1 to 65535"),
            },
        };
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let in_brackets = literal.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok());
        if host.contains(['[', ']']) && !in_brackets {
            return Err("an IPv6 address between [ and ]");
        }
        Ok(Url {
            socket: socket.map(str::to_owned),
            scheme,
            host: literal.unwrap_or(host).to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path: uri.path().to_owned(),
        })
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The path of the Unix socket that it is reached by, if it is.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref().map(Path::new)
    }

    /// The URL without the socket's path.
    pub fn behind_socket(&self) -> String {
        format!("{}://{}{}", self.scheme.name(), self.authority, self.path)
    }

    /// The host's name or address, without the brackets of an IPv6 literal.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 or 443 where none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host[:port]` as written: the value of the copy's `Host` field.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path, at least `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same server, with this path behind its own.
    pub fn below(&self, path: &str) -> Url {
        let own = self.path.strip_suffix('/').unwrap_or(&self.path);
        let path = if path == "/" { self.path.clone() } else { format!("{own}{path}") };
        Url { path, ..self.clone() }
    }
}

fn port_number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            write!(f, "unix:{socket}|")?;
        }
        f.write_str(&self.behind_socket())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = Url::parse("http://staging.internal.net/api/v1").unwrap();
        assert_eq!((url.host(), url.port()), ("staging.internal.net", 80));
        assert_eq!((url.authority(), url.path()), ("staging.internal.net", "/api/v1"));
        let url = Url::parse("http://[::1]:8080").unwrap();
        assert_eq!((url.host(), url.port()), ("::1", 8080));
        assert_eq!((url.authority(), url.path()), ("[::1]:8080", "/"));
        assert_eq!(url.to_string(), "http://[::1]:8080/");
        let url = Url::parse("https://staging/").unwrap();
        assert_eq!((url.port(), url.scheme()), (443, Scheme::Https));
        assert_eq!(url.to_string(), "https://staging/");
        assert_eq!(url.socket(), None);
        for (text, port, scheme) in
            [("h2c://staging/v1", 80, Scheme::H2c), ("h2://staging/v1", 443, Scheme::H2)]
        {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.port(), url.scheme(), url.path()), (port, scheme, "/v1"));
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn a_url_may_be_behind_a_unix_socket() {
        let url = Url::parse("unix:/run/app.sock|https://localhost/api").unwrap();
        assert_eq!(url.socket(), Some(Path::new("/run/app.sock")));
        assert_eq!((url.host(), url.authority(), url.path()), ("localhost", "localhost", "/api"));
        assert_eq!(url.scheme(), Scheme::Https);
        assert_eq!(url.to_string(), "unix:/run/app.sock|https://localhost/api");
        assert_eq!(url.below("/v2").to_string(), "unix:/run/app.sock|https://localhost/api/v2");
        assert_eq!(Url::parse("unix:/a|ftp://b/"), Url::parse("ftp://b/"));
        assert_eq!(Url::parse("unix:/a|h2c://b/").unwrap().scheme(), Scheme::H2c);
    }

    #[test]
    fn a_balancer_has_a_name_and_a_path() {
        let parsed = |text| Destination::parse(text).map(|destination| destination.to_string());
        assert_eq!(parsed("balancer://Staging_1"), Ok("balancer://staging_1/".to_owned()));
        assert_eq!(parsed("balancer://a.b/v2/x"), Ok("balancer://a.b/v2/x".to_owned()));
        assert_eq!(parsed("http://a"), Ok("http://a/".to_owned()));
        let name = "a balancer's name of letters, digits, -, _ and ., as balancer://name[/path]";
        for (text, expected) in [
            ("balancer://", name),
            ("balancer:///path", name),
            ("balancer://a:80/", name),
            ("balancer://a?b", name),
            ("balancer://a/?b", "a URL without query and fragment"),
        ] {
            assert_eq!(parsed(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_path_goes_behind_that_of_a_member() {
        for (url, path, joined) in [
            ("http://a", "/", "http://a/"),
            ("http://a/x", "/", "http://a/x"),
            ("http://a", "/y", "http://a/y"),
            ("http://a/x/", "/y/", "http://a/x/y/"),
        ] {
            assert_eq!(Url::parse(url).unwrap().below(path).to_string(), joined);
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (text, expected) in [
            ("staging.internal.net/", "a URL with its scheme, as http://host[:port][/path]"),
            ("/api", "a URL with its scheme, as http://host[:port][/path]"),
            ("ftp://staging/", "the scheme http, https, h2c, h2 or balancer"),
            ("http:///api", "a URL of the form http://host[:port][/path]"),
            ("http://user:secret@staging/", "a URL without user and password"),
            ("http://staging/?x=1", "a URL without query and fragment"),
            ("http://staging/#x", "a URL without query and fragment"),
            ("http://staging:0/", "a port from 1 to 65535"),
            ("http://staging:65536/", "a port from 1 to 65535"),
            ("http://staging:/", "a port from 1 to 65535"),
            ("http://staging:+80/", "a port from 1 to 65535"),
            ("http://staging/\u{e9}", "a URL in ASCII, other characters as %XX"),
            ("http://[staging]/", "an IPv6 address between [ and ]"),
            ("http://staging[]/", "an IPv6 address between [ and ]"),
            ("http://[fe80::1%25eth0]/", "an IPv6 address between [ and ]"),
            ("http://sta ging/", "a URL of the form http://host[:port][/path]"),
        ] {
            assert_eq!(Url::parse(text), Err(expected), "{text}");
        }
    }
}
