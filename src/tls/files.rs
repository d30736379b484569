//! Certificates and keys in PEM files. What is said of a file names it, and never quotes it.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates in a file: at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| told(file, &error, "a certificate"))?;
    match found {
        found if found.is_empty() => Err(told(file, &pem::Error::NoItemsFound, "a certificate")),
        found => Ok(found),
    }
}

/// The first private key in a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(file) => {
            format!("{}: expected a private key that is not encrypted", file.display())
        }
        error => told(file, &error, "a private key"),
    })
}

fn is_encrypted(file: &Path) -> bool {
    std::fs::read(file).is_ok_and(|bytes| {
        let mark = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
        bytes.windows(mark.len()).any(|window| window == mark)
    })
}

fn told(file: &Path, error: &pem::Error, expected: &str) -> String {
    let file = file.display();
    match error {
        pem::Error::Io(error) => format!("{file}: {error}"),
        pem::Error::NoItemsFound => format!("{file}: expected {expected} in PEM, found none"),
        _ => format!("{file}: expected {expected} in PEM: it is broken"),
    }
}
