//! The URL of a target, checked and taken apart.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::Path;

use http::Uri;

use super::unix;

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
