//! TLS towards a target: what the administrator wrote, and what connections are made with.
//!
//! Files are read and checked once, by the process that reads the configuration, which may read keys
//! that the children may not. Whatever is wrong with one is found then, and named.

mod files;
mod verifier;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::target::Url;
use verifier::Unverified;

/// The directives, as the configuration calls them.
const ROOTS: &str = "CopyTLSCACertificateFile";
const CERTIFICATE: &str = "CopyTLSCertificateFile";
const KEY: &str = "CopyTLSCertificateKeyFile";
const NAME: &str = "CopyTLSServerName";

/// What is written about TLS in a server or a target, one value or none each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `CopyTLSVerify`
    pub verify: Option<bool>,
    /// `CopyTLSCACertificateFile`
    pub roots: Option<PathBuf>,
    /// `CopyTLSCertificateFile`
    pub certificate: Option<PathBuf>,
    /// `CopyTLSCertificateKeyFile`
    pub key: Option<PathBuf>,
    /// `CopyTLSServerName`
    pub server_name: Option<String>,
}

impl Settings {
    /// What holds inside `self` for what is written in `inner` too.
    pub fn merge(&self, inner: &Settings) -> Settings {
        let either = |inner: &Option<PathBuf>, outer: &Option<PathBuf>| {
            inner.clone().or_else(|| outer.clone())
        };
        // A certificate and its key belong together: neither is joined with another scope's.
        let pair = if inner.certificate.is_some() || inner.key.is_some() { inner } else { self };
        Settings {
            verify: inner.verify.or(self.verify),
            roots: either(&inner.roots, &self.roots),
            certificate: pair.certificate.clone(),
            key: pair.key.clone(),
            server_name: inner.server_name.clone().or_else(|| self.server_name.clone()),
        }
    }
}

/// What is wrong with the settings, or with a file that they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The directive to look at.
    pub directive: &'static str,
    /// What was expected of what, and what was found.
    pub what: String,
}

impl Fault {
    fn new(directive: &'static str, what: impl fmt::Display) -> Fault {
        Fault { directive, what: what.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.directive, self.what)
    }
}

/// What connections to one target are made with; children share the sessions that they have kept
/// with none but their own threads.
#[derive(Clone)]
pub struct Tls {
    /// Protocol versions, roots, client certificate, and the sessions that may be resumed.
    pub config: Arc<ClientConfig>,
    /// Who staging has to prove to be.
    pub name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is wrong with a file of CAs' certificates, if anything is.
pub fn check_roots(file: &Path) -> Result<(), String> {
    roots(file).map(drop)
}

/// What is wrong with a file of certificates, if anything is.
pub fn check_certificates(file: &Path) -> Result<(), String> {
    files::certificates(file).map(drop)
}

/// What is wrong with the file of a private key, if anything is.
pub fn check_key(file: &Path) -> Result<(), String> {
    files::key(file).map(drop)
}

/// Whether staging could prove to have this name.
pub fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in files::certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{}: not a CA's certificate: {error}", file.display()))?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    match roots.add_parsable_certificates(found.certs) {
        (0, _) => {
            let reason = found.errors.first().map(|error| format!(": {error}"));
            let what = "expected a file, for the system has no certificates of CAs";
            Err(format!("{what}{}", reason.unwrap_or_default()))
        }
        _ => Ok(roots),
    }
}

/// What connections are made with that a balancer's members share.
#[derive(Clone)]
pub struct Shared {
    config: Arc<ClientConfig>,
    /// `CopyTLSServerName`
    name: Option<ServerName<'static>>,
}

impl Shared {
    /// The same for the member at this host.
    pub fn towards(&self, host: &str) -> Result<Tls, Fault> {
        let name = self.name.clone().map_or_else(|| server_name(host), Ok)?;
        Ok(Tls { config: Arc::clone(&self.config), name })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Loads what targets need, and the same files only once.
#[derive(Debug, Default)]
pub struct Loader(Vec<(Settings, Arc<ClientConfig>)>);

impl Loader {
    /// Reads the files that the settings name, and checks that they fit each other.
    pub fn load(&mut self, settings: &Settings, url: &Url) -> Result<Tls, Fault> {
        self.load_shared(settings)?.towards(url.host())
    }

    /// The same, but for who staging is.
    pub fn load_shared(&mut self, settings: &Settings) -> Result<Shared, Fault> {
        let name = settings.server_name.as_deref().map(server_name).transpose()?;
        let files = Settings { server_name: None, ..settings.clone() };
        let known = self.0.iter().find(|(known, _)| *known == files);
        let config = match known {
            Some((_, config)) => Arc::clone(config),
            None => {
                let config = Arc::new(config(&files)?);
                self.0.push((files, Arc::clone(&config)));
                config
            }
        };
        Ok(Shared { config, name })
    }
}

/// A name that staging can prove to have.
fn server_name(name: &str) -> Result<ServerName<'static>, Fault> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| Fault::new(NAME, format!("expected a host name, found '{name}'")))
}

fn config(settings: &Settings) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new(ROOTS, error))?;
    let verified = verification(builder, settings, &provider)?;
    match identity(settings)? {
        None => Ok(verified.with_no_client_auth()),
        Some((chain, key)) => verified.with_client_auth_cert(chain, key).map_err(|error| {
            let certificate = settings.certificate.as_deref().unwrap_or("".as_ref());
            let key = settings.key.as_deref().unwrap_or(certificate);
            let (certificate, key) = (certificate.display(), key.display());
            Fault::new(
                KEY,
                format!("the key {key} does not serve the certificate {certificate}: {error}"),
            )
        }),
    }
}

type Verified = ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn verification(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
) -> Result<Verified, Fault> {
    if settings.verify == Some(false) {
        let any = Arc::new(Unverified::new(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(any));
    }
    let roots = settings.roots.as_deref().map_or_else(system_roots, roots);
    let roots = roots.map_err(|what| Fault::new(ROOTS, what))?;
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| Fault::new(ROOTS, error))?;
    Ok(builder.with_webpki_verifier(verifier))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client certificate with its chain, and its key, which may stand in the same file.
fn identity(settings: &Settings) -> Result<Option<Identity>, Fault> {
    let Some(certificate) = &settings.certificate else {
        return match &settings.key {
            None => Ok(None),
            Some(key) => {
                let what = format!("expected beside the key {}", key.display());
                Err(Fault::new(CERTIFICATE, what))
            }
        };
    };
    let chain = files::certificates(certificate).map_err(|what| Fault::new(CERTIFICATE, what))?;
    let key = settings.key.as_ref().unwrap_or(certificate);
    let key = files::key(key).map_err(|what| Fault::new(KEY, what))?;
    Ok(Some((chain, key)))
}

#[cfg(test)]
mod tests;
