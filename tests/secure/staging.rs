//! An httpd with mod_ssl in front of a recording staging server.

use std::fs;

use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::{PATIENCE, poll};

use super::authority::{Authority, Pair};

/// The two servers.
pub struct Secure {
    front: Server,
    staging: Staging,
}

/// What the front says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `Initial` or `Resumed`
    pub session: String,
    /// The common name in the client's certificate.
    pub client: String,
    pub protocol: String,
    /// The name that was asked for.
    pub name: String,
    /// `HTTP/1.1` or `HTTP/2.0`
    pub http: String,
}

impl Secure {
    pub fn start(authority: &Authority) -> Secure {
        Secure::with(authority, "")
    }

    /// With these further lines in its virtual host.
    pub fn with(authority: &Authority, lines: &str) -> Secure {
        Secure::before(Staging::start(), authority, lines)
    }

    /// In front of this one.
    pub fn before(staging: Staging, authority: &Authority, lines: &str) -> Secure {
        Secure::of(staging, authority, &authority.server(), lines)
    }

    /// Whose certificate has expired.
    pub fn expired(authority: &Authority) -> Secure {
        Secure::of(Staging::start(), authority, &authority.expired(), "")
    }

    pub fn asking_for_certificates(authority: &Authority) -> Secure {
        Secure::with(authority, "SSLVerifyClient require\nSSLCACertificateFile ca.pem")
    }

    fn of(staging: Staging, authority: &Authority, pair: &Pair, lines: &str) -> Secure {
        let front = Server::on(Mpm::Event)
            .without_copy()
            .proxy(&staging)
            .modules(&["ssl", "socache_shmcb", "http2"])
            .file("ca.pem", authority.pem())
            .file("server.pem", &pair.certificate)
            .file("server.key", &pair.key)
            .global("SSLSessionCache shmcb:sessions(512000)")
            .vhost("SSLEngine On\nSSLCertificateFile server.pem\nSSLCertificateKeyFile server.key")
            .vhost("ServerName staging.test\nProxyPreserveHost On")
            .vhost(
                "CustomLog access.log \"%{SSL_SESSION_RESUMED}x %{SSL_CLIENT_S_DN_CN}x %{SSL_PROTOCOL}x %{SSL_TLS_SNI}x %H\"",
            )
            .vhost(lines)
            // A libssl other than the one that httpd was built with; what clients do wrong.
            .expect("AH01882:")
            .expect("ssl:")
            .start();
        Secure { front, staging }
    }

    pub fn port(&self) -> u16 {
        self.front.port()
    }

    /// What is behind the front.
    pub fn staging(&self) -> &Staging {
        &self.staging
    }

    /// The front's account of so many requests, of which `holds` is true.
    pub fn accessed_by(&self, count: usize, holds: impl Fn(&Access) -> bool) -> Vec<Access> {
        let read = || {
            let log = fs::read_to_string(self.front.root().join("access.log")).unwrap_or_default();
            let all: Vec<Access> = log.lines().map(access).collect();
            (all.len() >= count).then_some(all)
        };
        let all = poll(PATIENCE, read).unwrap_or_else(|| panic!("not {count} requests"));
        assert!(all.len() == count && all.iter().all(holds), "{all:#?}");
        all
    }
}

fn access(line: &str) -> Access {
    let words: Vec<&str> = line.split(' ').collect();
    let [session, client, protocol, name, http] = words[..] else {
        panic!("the front logged {line}")
    };
    Access {
        session: session.to_owned(),
        client: client.to_owned(),
        protocol: protocol.to_owned(),
        name: name.to_owned(),
        http: http.to_owned(),
    }
}
