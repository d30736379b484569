//! A proxy that copies go through: `http://[user:password@]host:port`, or the same with `socks5`.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;

use super::Url;

/// A checked proxy. Its user and password are for the proxy alone: nothing here shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: ProxyKind,
    at: Url,
    user: Option<User>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// By HTTP/1.1: requests in absolute-form, and `CONNECT` for what is no plain HTTP/1.1.
    Http,
    /// By SOCKS version 5 (RFC 1928).
    Socks5,
}

/// Who a proxy lets through.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name, without percent-encoding.
    pub name: Vec<u8>,
    /// The password, without percent-encoding.
    pub password: Vec<u8>,
}

const EXPECTED: &str =
    "a proxy as http://[user:password@]host:port or socks5://[user:password@]host:port";

impl Proxy {
    /// Reads a proxy; the error says what was expected.
    pub fn parse(text: &str) -> Result<Proxy, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        let kind = match scheme {
            "http" => ProxyKind::Http,
            "socks5" => ProxyKind::Socks5,
            _ => return Err(EXPECTED),
        };
        let (user, authority) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some((user, authority)) => (Some(User::parse(user)?), authority),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let at = Url::parse(&format!("http://{authority}/")).map_err(|_| EXPECTED)?;
        // A port that nobody wrote would be a guess.
        let ends_in_port = authority.ends_with(&format!(":{}", at.port()));
        match at.path() == "/" && ends_in_port {
            true => Ok(Proxy { kind, at, user }),
            false => Err(EXPECTED),
        }
    }

    /// How it is spoken to.
    pub fn kind(&self) -> ProxyKind {
        self.kind
    }

    /// Where it is: the URL of its host and port.
    pub fn at(&self) -> &Url {
        &self.at
    }

    /// Who it lets through.
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The field line that tells a proxy of HTTP's who asks; empty where nobody in particular does.
    pub fn authorization(&self) -> String {
        let line = |user: &User| {
            let words = [&*user.name, b":", &*user.password].concat();
            format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(words))
        };
        self.user.as_ref().map(line).unwrap_or_default()
    }
}

impl User {
    fn parse(text: &str) -> Result<User, &'static str> {
        let (name, password) = text.split_once(':').ok_or(EXPECTED)?;
        let [name, password] = [name, password].map(|text| percent_decode_str(text).collect());
        let user = User { name, password };
        let fits = |word: &Vec<u8>| {
            (1..=255).contains(&word.len()) && !word.iter().any(u8::is_ascii_control)
        };
        match fits(&user.name) && fits(&user.password) && !user.name.contains(&b':') {
            true => Ok(user),
            false => Err(
                "a user without : and a password of 1 to 255 bytes each, others than letters and digits as %XX",
            ),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", self.at.authority())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_taken_apart_and_shown_without_its_password() {
        let proxy = Proxy::parse("http://user:p%40ss%3A@proxy.internal.net:3128").unwrap();
        assert_eq!((proxy.kind(), proxy.at().port()), (ProxyKind::Http, 3128));
        assert_eq!(proxy.authorization(), "Proxy-Authorization: Basic dXNlcjpwQHNzOg==\r\n");
        assert_eq!(
            format!("{proxy} {proxy:?} {:?}", proxy.user()),
            "http://proxy.internal.net:3128 Proxy(http://proxy.internal.net:3128) Some(User)"
        );
        let proxy = Proxy::parse("socks5://[::1]:1080/").unwrap();
        assert_eq!(
            (proxy.kind(), proxy.at().host(), proxy.user()),
            (ProxyKind::Socks5, "::1", None)
        );
        assert_eq!(
            (proxy.to_string(), proxy.authorization()),
            ("socks5://[::1]:1080".into(), String::new())
        );
        assert!(Proxy::parse("http://proxy:80").is_ok(), "the usual port may be written");
    }

    #[test]
    fn anything_else_is_told_what_was_expected() {
        for text in [
            "",
            "proxy:3128",
            "https://proxy:3128",
            "socks4://proxy:1080",
            "http://proxy",
            "http://proxy:0",
            "http://proxy:3128/path",
            "http://user@proxy:3128",
            "socks5://:1080",
        ] {
            assert_eq!(Proxy::parse(text), Err(EXPECTED), "{text}");
        }
        for text in [
            "http://:b@proxy:80",
            "http://a:@proxy:80",
            "http://a%3A:b@proxy:80",
            "http://a:%0a@proxy:80",
        ] {
            assert!(
                Proxy::parse(text).is_err_and(|error| error.starts_with("a user without")),
                "{text}"
            );
        }
    }
}
