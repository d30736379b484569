use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// A directory of files as an administrator has them.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// A certificate that has signed itself, and its key, in PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["staging.example".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn url() -> Url {
    Url::parse("http://staging.example/").unwrap()
}

fn fault(settings: &Settings) -> String {
    Loader::default().load(settings, &url()).unwrap_err().to_string()
}

fn file(path: &Path) -> Option<PathBuf> {
    Some(path.to_owned())
}

#[test]
fn a_certificate_with_its_key_and_roots_of_its_own_are_taken() {
    let files = Files::new();
    let (certificate, key) = pair();
    let both = files.write("both.pem", &format!("{certificate}{key}"));
    let apart = (files.write("cert.pem", &certificate), files.write("key.pem", &key));
    let settings =
        Settings { roots: file(&apart.0), certificate: file(&both), ..Settings::default() };
    assert!(Loader::default().load(&settings, &url()).is_ok());
    let settings = Settings { certificate: file(&apart.0), key: file(&apart.1), ..settings };
    let tls = Loader::default().load(&settings, &url()).unwrap();
    assert_eq!(tls.name, ServerName::try_from("staging.example").unwrap());
}

#[test]
fn whatever_is_wrong_with_a_file_is_said_with_its_name() {
    let files = Files::new();
    let (certificate, key) = pair();
    let (_, other_key) = pair();
    let cert = files.write("cert.pem", &certificate);
    let missing = files.0.path().join("missing.pem");
    let empty = files.write("empty.pem", "nothing\n");
    let broken =
        files.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n");
    let key = files.write("key.pem", &key);
    let other = files.write("other.pem", &other_key);
    let locked = files.write(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let with = |certificate: &Path, key: &Path| Settings {
        verify: Some(false),
        certificate: file(certificate),
        key: file(key),
        ..Settings::default()
    };
    let rooted = |roots: &Path| Settings { roots: file(roots), ..Settings::default() };
    for (settings, expected) in [
        (
            rooted(&missing),
            format!(
                "CopyTLSCACertificateFile: {}: No such file or directory (os error 2)",
                missing.display()
            ),
        ),
        (
            rooted(&empty),
            format!(
                "CopyTLSCACertificateFile: {}: expected a certificate in PEM, found none",
                empty.display()
            ),
        ),
        (
            rooted(&broken),
            format!(
                "CopyTLSCACertificateFile: {}: expected a certificate in PEM: it is broken",
                broken.display()
            ),
        ),
        (
            with(&empty, &key),
            format!(
                "CopyTLSCertificateFile: {}: expected a certificate in PEM, found none",
                empty.display()
            ),
        ),
        (
            with(&cert, &cert),
            format!(
                "CopyTLSCertificateKeyFile: {}: expected a private key in PEM, found none",
                cert.display()
            ),
        ),
        (
            with(&cert, &locked),
            format!(
                "CopyTLSCertificateKeyFile: {}: expected a private key that is not encrypted",
                locked.display()
            ),
        ),
        (
            Settings { certificate: None, ..with(&cert, &key) },
            format!("CopyTLSCertificateFile: expected beside the key {}", key.display()),
        ),
        (
            Settings { server_name: Some("not a name".to_owned()), ..Settings::default() },
            "CopyTLSServerName: expected a host name, found 'not a name'".to_owned(),
        ),
    ] {
        assert_eq!(fault(&settings), expected);
    }
    let mismatch = fault(&with(&cert, &other));
    let expected = format!(
        "CopyTLSCertificateKeyFile: the key {} does not serve the certificate {}: ",
        other.display(),
        cert.display()
    );
    assert!(mismatch.starts_with(&expected), "{mismatch}");
}

#[test]
fn a_certificate_and_its_key_are_never_joined_with_another_scopes() {
    let named = |name: &str| Some(PathBuf::from(name));
    let outer = Settings { certificate: named("a"), key: named("b"), ..Settings::default() };
    let inner = Settings { certificate: named("c"), verify: Some(false), ..Settings::default() };
    let merged = outer.merge(&inner);
    assert_eq!((merged.certificate, merged.key, merged.verify), (named("c"), None, Some(false)));
    assert_eq!(outer.merge(&Settings::default()), outer);
}
