//! Production by HTTPS, HTTP/1.1 and HTTP/2, staging by plain HTTP: the client is curl.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::conf::Builder;
use crate::mirrored::Mirrored;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;

on_each_mpm!(copies_of_https_requests_are_plain_http);

fn copies_of_https_requests_are_plain_http(mpm: Mpm) {
    let mirrored = Mirrored::to(mpm, "/ max=1", with_tls);
    curl(&mirrored.server, &["--http1.1", "--data", "a=b", "/form?x"], "");
    let copy = mirrored.staging.wait_for(1).remove(0);
    let port = mirrored.server.port();
    assert_eq!(copy.request_line(), "POST /form?x HTTP/1.1");
    assert_eq!(copy.content, b"a=b");
    assert_eq!(copy.field("X-Forwarded-Proto").as_deref(), Some("https"));
    assert_eq!(copy.field("X-Forwarded-Host"), Some(format!("127.0.0.1:{port}")));
    mirrored.server.settled(1);
}

#[test]
fn copies_of_http_2_requests_are_http_1_1() {
    for mpm in [Mpm::Event, Mpm::Worker] {
        let mirrored = Mirrored::to(mpm, "/ max=1", |builder| {
            with_tls(builder).modules(&["http2"]).vhost("Protocols h2 http/1.1")
        });
        curl(&mirrored.server, &["--http2", "--header", "X-One: 1", "/a?b=c"], "");
        curl(&mirrored.server, &["--http2", "--data-binary", "@-", "/b"], "hello");
        // Without a length: an upload of what nobody knows the end of.
        curl(&mirrored.server, &["--http2", "--upload-file", "-", "/c"], "again");
        let copies = mirrored.staging.wait_for(3);
        mirrored.server.settled(3);
        let lines: Vec<String> = copies.iter().map(|copy| copy.request_line()).collect();
        assert_eq!(lines, ["GET /a?b=c HTTP/1.1", "POST /b HTTP/1.1", "PUT /c HTTP/1.1"]);
        assert_eq!(copies[0].field("X-One").as_deref(), Some("1"));
        for copy in &copies {
            assert_eq!(copy.field("Host"), Some(mirrored.staging.authority()));
            assert_eq!(copy.field("Transfer-Encoding"), None);
            assert_eq!(
                copy.head_without_mark().matches("Host: ").count(),
                2,
                "Host and X-Forwarded-Host\n{copy:?}"
            );
        }
        assert_eq!(
            (copies[1].content.as_slice(), copies[2].content.as_slice()),
            (&b"hello"[..], &b"again"[..])
        );
    }
}

#[test]
fn an_h2c_upgrade_is_one_request_and_one_copy() {
    let (origin, staging) = (Staging::start(), Staging::start());
    let server = Server::on(Mpm::Event)
        .proxy(&origin)
        .modules(&["http2"])
        .vhost("Protocols h2c http/1.1\nH2Upgrade on")
        .vhost(format!("CopyTarget {} max=1", staging.url("/")))
        .start();
    let url = format!("http://127.0.0.1:{}/up", server.port());
    let version =
        ["--silent", "--http2", "--output", "/dev/null", "--write-out", "%{http_version}", &url];
    assert_eq!(run("curl", &version, ""), "2", "the upgrade took place");
    run("curl", &["--silent", "--fail", "--http1.1", &url.replace("/up", "/last")], "");
    let copies = staging.wait_until("the last copy", |copies| {
        copies.iter().any(|copy| copy.request_line().contains("/last"))
    });
    let lines: Vec<String> = copies.iter().map(|copy| copy.request_line()).collect();
    assert_eq!(lines, ["GET /up HTTP/1.1", "GET /last HTTP/1.1"]);
    assert_eq!(
        (copies[0].field("Upgrade"), copies[0].field("HTTP2-Settings")),
        (None, None),
        "{:?}",
        copies[0]
    );
    server.settled(2);
}

/// Makes the virtual host one of HTTPS, with a certificate of its own.
pub fn with_tls(builder: Builder) -> Builder {
    let root = builder.root().display().to_string();
    let (key, certificate) = (format!("{root}/key.pem"), format!("{root}/certificate.pem"));
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=production.test \
                   -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:production.test";
    let files = ["-keyout", &key, "-out", &certificate];
    run("openssl", &[&request.split_whitespace().collect::<Vec<_>>()[..], &files].concat(), "");
    builder
        .modules(&["ssl", "setenvif"])
        .vhost("ServerName production.test\nSSLEngine On")
        .vhost(format!("SSLCertificateFile \"{certificate}\"\nSSLCertificateKeyFile \"{key}\""))
        // No session cache; and a libssl other than the one that httpd was built with.
        .expect("AH01873:")
        .expect("AH01882:")
}

/// Requests a path (the last of the arguments) of production by HTTPS, perhaps with content; all must go well.
fn curl(server: &Server, arguments: &[&str], content: &str) {
    let (path, options) = arguments.split_last().unwrap();
    let url = format!("https://127.0.0.1:{}{path}", server.port());
    let fixed = ["--silent", "--show-error", "--fail", "--insecure", "--max-time", "20"];
    assert_eq!(run("curl", &[&fixed[..], options, &[&url]].concat(), content), "ok");
}

/// What a program prints, given this input; it must be there and succeed.
pub fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; the tests need it installed"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
