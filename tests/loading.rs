//! The module as httpd sees it: loaded, listed, its directives in their contexts, its examples valid.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::client;
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::secure::authority::Authority;
use crate::server::{Server, ask};
use crate::staging::Staging;

on_each_mpm!(htaccess_may_use_none_of_the_directives);

/// Each directive with arguments that are right where it is allowed.
const DIRECTIVES: [&str; 27] = [
    "CopyTarget http://127.0.0.1/",
    "MirrorRequest Off",
    "CopyTimeout 5",
    "CopyConnectTimeout 1",
    "CopyPreserveHost On",
    "CopyAddHeaders Off",
    "CopyBodyLimit 1M",
    "CopyManagerOpen On",
    "CopyCompare status headers body",
    "CopyTraceHeader X-Shadow",
    "CopyReceiveBufferSize 64K",
    "CopyTLSVerify Off",
    "CopyTLSCACertificateFile ca.pem",
    "CopyTLSCertificateFile client.pem",
    "CopyTLSCertificateKeyFile client.key",
    "CopyTLSServerName staging.example.com",
    "CopyMask standard",
    "CopyCompareIgnore header:Date json:$.now",
    "CopyCompareLimit 64K",
    "CopyCompareThreshold differ=1% slower=20%",
    "CopyControl http://127.0.0.2/",
    "<CopyTarget http://127.0.0.1/ name=block>\n</CopyTarget>",
    "CopyLog copy.log errors",
    "CopyMemory 64M",
    "CopyDrainTimeout 2s",
    "CopyDNSRefresh 30s",
    "CopyMaskKeyFile mask.key",
];

fn htaccess_may_use_none_of_the_directives(mpm: Mpm) {
    let builder = Server::on(mpm).file("htdocs/a", "a").expect("not allowed here");
    let htdocs = builder.root().join("htdocs");
    let section = format!("<Directory \"{}\">\nAllowOverride All\n</Directory>", htdocs.display());
    let server = builder.vhost(section).start();
    assert_eq!(client::get(server.port(), "/a").status, 200);
    for line in DIRECTIVES {
        fs::write(htdocs.join(".htaccess"), line).unwrap();
        assert_eq!(client::get(server.port(), "/a").status, 500, "{line}");
        let name = line.split(' ').next().unwrap();
        assert_eq!(server.logged(&format!("{name} not allowed here")), 1, "{}", server.logs());
    }
}

#[test]
fn httpd_lists_the_module() {
    let builder = Server::on(Mpm::Event);
    builder.write();
    let list = ask(builder.root(), &["-M"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.lines().any(|line| line.trim() == "copy_module (shared)"), "{list}");
}

#[test]
fn httpd_lists_every_directive_with_its_contexts() {
    let builder = Server::on(Mpm::Event);
    builder.write();
    let list = ask(builder.root(), &["-L"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    for line in DIRECTIVES {
        let name = line.split(' ').next().unwrap();
        assert!(list.contains(&format!("{name} (mod_copy.c)")), "{name} in\n{list}");
    }
    let listed = list.lines().filter(|line| line.contains("(mod_copy.c)")).count();
    assert_eq!(listed, DIRECTIVES.len(), "a directive lacks its row in this test");
}

#[test]
fn the_one_line_of_the_first_article_is_right() {
    assert_passes(
        Server::on(Mpm::Event).vhost("CopyTarget \"http://staging.internal.net/api/v1\""),
    );
}

#[test]
fn every_directive_is_right_where_it_is_allowed() {
    let in_server = DIRECTIVES.join("\n");
    let in_vhost = DIRECTIVES[..23].join("\n");
    let in_section =
        DIRECTIVES[..2].iter().chain(&DIRECTIVES[4..10]).copied().collect::<Vec<_>>().join("\n");
    let authority = Authority::named("staging's");
    let client = authority.client("production");
    assert_passes(
        Server::on(Mpm::Event)
            .file("ca.pem", authority.pem())
            .file("client.pem", &client.certificate)
            .file("client.key", &client.key)
            .secret("mask.key", "a key of some twenty bytes")
            .global(in_server)
            .vhost(in_vhost)
            .vhost(format!("<Location \"/a\">\n{in_section}\n</Location>"))
            .vhost(format!("<Directory \"/a\">\n{in_section}\n</Directory>"))
            .vhost(format!("<FilesMatch \"a$\">\n{in_section}\n</FilesMatch>")),
    );
}

#[test]
fn every_example_is_right_and_starts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("apache-conf");
    let mut files = vec![folder.join("copy.conf")];
    for entry in fs::read_dir(folder.join("examples")).unwrap() {
        files.push(entry.unwrap().path());
    }
    assert!(files.len() > 1, "no examples in {}", folder.display());
    for file in files {
        let extension = file.extension().and_then(OsStr::to_str);
        // Not httpd's to read: see `metrics`.
        if extension == Some("json") {
            continue;
        }
        assert_eq!(extension, Some("conf"), "{}", file.display());
        let modules = [
            "auth_basic",
            "authn_core",
            "authn_file",
            "authz_host",
            "authz_user",
            "proxy",
            "proxy_http",
            "proxy_balancer",
            "slotmem_shm",
            "lbmethod_byrequests",
            "watchdog",
            "proxy_hcheck",
            "headers",
            "status",
            "setenvif",
            "alias",
            "dir",
            "mime",
            "http2",
            "proxy_http2",
        ];
        let builder = Server::on(Mpm::Event)
            .modules(&modules)
            .file("logs/readme", "")
            .global(format!("Include \"{}\"", file.display()));
        assert_passes(builder);
    }
}

#[test]
fn mod_info_shows_the_directives() {
    let server = Server::on(Mpm::Event)
        .modules(&["info"])
        .vhost("CopyTarget http://127.0.0.1:1/ name=next status=D\nCopyTimeout 7s")
        .vhost("<CopyTarget http://127.0.0.1:2/ status=D>\nCopyMask standard\n</CopyTarget>")
        .vhost("<Location \"/info\">\nSetHandler server-info\nMirrorRequest Off\n</Location>")
        .start();
    let lines = [
        "CopyTarget <i>http://127.0.0.1:1/ name=next status=D</i>",
        "CopyTimeout <i>7s</i>",
        "&lt;CopyTarget http://127.0.0.1:2/ status=D&gt;",
        "CopyMask <i>standard</i>",
        "&lt;/CopyTarget&gt;",
        "MirrorRequest <i>Off</i>",
    ];
    for query in ["", "?config", "?mod_copy.c"] {
        let page = client::get(server.port(), &format!("/info{query}")).text();
        assert!(query == "?config" || page.contains("mod_copy.c"), "{query}\n{page}");
        for line in lines {
            assert!(page.contains(line), "{line} in {query}\n{page}");
        }
    }
    let table = client::get(server.port(), "/info?mod_copy.c").text();
    for line in DIRECTIVES {
        let name = line.split(' ').next().unwrap().trim_start_matches('<');
        let row = [format!("<tt>{name} - <i>"), format!("<tt>&lt;{name}&gt; - <i>")];
        assert!(row.iter().any(|row| table.contains(row)), "{name} in\n{table}");
    }
}

#[test]
fn httpd_starts_without_any_directive_of_the_module() {
    let server = Server::on(Mpm::Event).file("htdocs/a", "a").start();
    assert_eq!(client::get(server.port(), "/a").text(), "a");
    assert_eq!(server.status().targets().len(), 0);
}

#[test]
fn a_target_that_is_added_by_a_graceful_restart_gets_copies() {
    let staging = Staging::start();
    let builder = Server::on(Mpm::Event).file("copy/none.conf", "");
    let folder = builder.root().join("copy");
    let server = builder.vhost(format!("IncludeOptional \"{}/*.conf\"", folder.display())).start();
    client::get(server.port(), "/before");
    fs::write(folder.join("one.conf"), format!("CopyTarget {}\n", staging.url("/"))).unwrap();
    server.graceful();
    client::get(server.port(), "/after");
    server.settled(1);
    assert_eq!(staging.received()[0].request_line(), "GET /after HTTP/1.1");
    fs::remove_file(folder.join("one.conf")).unwrap();
    server.graceful();
    client::get(server.port(), "/gone");
    assert_eq!((server.settled(1).sum("delivered"), staging.count()), (1, 1));
}

fn assert_passes(builder: Builder) {
    let verdict = builder.configtest();
    assert_eq!((verdict.passed, verdict.stderr.as_str()), (true, "Syntax OK\n"));
}
