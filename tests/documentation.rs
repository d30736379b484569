//! What the pages of `docs/` and the README show is right: each configuration passes configtest, each message is explained.

use std::fs;
use std::path::{Path, PathBuf};

use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::secure::authority::Authority;
use crate::server::{Server, Verdict};

/// Loaded for every configuration: an administrator has them, or is told on the page.
const MODULES: [&str; 13] = [
    "authz_core",
    "authz_host",
    "authz_user",
    "authn_core",
    "authn_file",
    "auth_basic",
    "headers",
    "proxy",
    "proxy_http",
    "proxy_balancer",
    "slotmem_shm",
    "lbmethod_byrequests",
    "setenvif",
];

/// Files that the pages name, as they are in the test's ServerRoot.
const FILES: [(&str, &str); 5] = [
    ("/etc/ssl/staging/ca.pem", "ca.pem"),
    ("/etc/ssl/staging/production.pem", "client.pem"),
    ("/etc/ssl/private/production.key", "client.key"),
    ("/etc/apache2/mask.key", "mask.key"),
    ("/etc/apache2/copy-users", "copy-users"),
];

#[test]
fn every_configuration_on_a_page_is_right() {
    let mut configurations = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```apache\n").skip(1) {
            let (lines, _) = block.split_once("```").unwrap();
            let verdict = verdict(lines);
            assert!(verdict.passed, "{}:\n{lines}\n{}", page.display(), verdict.stderr);
            configurations += 1;
        }
    }
    assert!(configurations > 20, "{configurations}");
}

#[test]
fn every_message_is_explained() {
    let page = repository("docs/troubleshooting.md");
    let explained = fs::read_to_string(&page).unwrap();
    let mut messages = 0;
    for file in sources(&repository("src")) {
        for tag in tags(&fs::read_to_string(&file).unwrap()) {
            assert!(explained.contains(&tag), "{tag} of {} in {}", file.display(), page.display());
            messages += 1;
        }
    }
    assert!(messages > 20, "{messages}");
}

/// Those lines in a virtual host, or outside of it where they have their own or may only stand there.
fn verdict(lines: &str) -> Verdict {
    if lines.contains("<VirtualHost") {
        return verdict_where(lines, |builder, lines| builder.global(lines));
    }
    let verdict = verdict_where(lines, |builder, lines| builder.vhost(lines));
    match verdict.stderr.contains("cannot occur within <VirtualHost> section") {
        true => verdict_where(lines, |builder, lines| builder.global(lines)),
        false => verdict,
    }
}

fn verdict_where(lines: &str, place: fn(Builder, String) -> Builder) -> Verdict {
    let builder = prepared();
    let here = |file: &str| builder.root().join(file).display().to_string();
    let lines = FILES
        .iter()
        .fold(lines.to_owned(), |lines, (named, file)| lines.replace(named, &here(file)));
    place(builder, lines).configtest()
}

fn prepared() -> Builder {
    let authority = Authority::named("staging's");
    let client = authority.client("production");
    Server::on(Mpm::Event)
        .modules(&MODULES)
        .file("ca.pem", authority.pem())
        .file("client.pem", &client.certificate)
        .file("client.key", &client.key)
        .file("copy-users", "")
        .file("logs/readme", "")
        .secret("mask.key", "a key of some twenty bytes")
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every page, the README among them.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![repository("README.md")];
    for entry in fs::read_dir(repository("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages
}

/// Every file in that folder and below.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// The tags of messages in a text, as `CPY0101`.
fn tags(text: &str) -> Vec<String> {
    let parts = text.split("CPY").skip(1);
    let digits =
        parts.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.filter(|digits| digits.len() == 4).map(|digits| format!("CPY{digits}")).collect()
}
