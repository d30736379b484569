//! A target: where copies go, and within which limits.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use http::Uri;

use crate::breaker::Rules;

/// One staging server as configured: its URL, its pool and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The `name=` key, else the URL; unique in a configuration, and the key of the counters.
    pub name: String,
    /// Where copies go.
    pub url: Url,
    /// How the URL's path and the request's are joined.
    pub path: PathMode,
    /// Connections, threads and queue, per child process.
    pub pool: Pool,
    /// When it is given up for a while, by all child processes.
    pub breaker: Rules,
    /// The whole exchange; `None` follows the request's server.
    pub timeout: Option<Duration>,
    /// Making a connection; `None` follows the request's server.
    pub connect_timeout: Option<Duration>,
}

impl Target {
    /// The target that a bare URL means: named by it, and with every default.
    pub fn at(url: Url) -> Target {
        Target {
            name: url.to_string(),
            url,
            path: PathMode::default(),
            pool: Pool::default(),
            breaker: Rules::default(),
            timeout: None,
            connect_timeout: None,
        }
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
}

/// A checked `http://host[:port][/path]`, or the same with `https`.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    fn parse(text: &str) -> Option<Scheme> {
        [Scheme::Http, Scheme::Https].into_iter().find(|scheme| scheme.name() == text)
    }

    /// As URLs spell it.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port where none is written.
    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl Url {
    /// Reads a target URL; the error says what was expected.
    pub fn parse(text: &str) -> Result<Url, &'static str> {
        if !text.contains("://") {
            return Err("a URL with its scheme, as http://host[:port][/path]");
        }
        let uri: Uri = text.parse().map_err(|_| "a URL of the form http://host[:port][/path]")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("a URL with its scheme, as http://host[:port][/path]");
        };
        let Some(scheme) = Scheme::parse(scheme) else {
            return Err("the scheme http or https");
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
}

fn port_number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority, self.path)
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
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (text, expected) in [
            ("staging.internal.net/", "a URL with its scheme, as http://host[:port][/path]"),
            ("/api", "a URL with its scheme, as http://host[:port][/path]"),
            ("ftp://staging/", "the scheme http or https"),
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
