//! Production of the table: one configuration with a place for every row, with the module or without.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;

use super::backends::Backends;
use super::row::Door;
use crate::conf::Builder;
use crate::httpd::free_port;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;

/// What both productions share: files (their dates go into `ETag`), the certificate, what lies behind.
pub struct Site {
    files: TempDir,
    pub backends: Arc<Backends>,
}

/// The ports of one production.
pub struct Doors {
    ports: [(Door, u16); 4],
}

impl Doors {
    fn on(main: u16) -> Doors {
        let [tls, forward, impatient] = [(); 3].map(|()| free_port());
        Doors {
            ports: [
                (Door::Main, main),
                (Door::Tls, tls),
                (Door::Forward, forward),
                (Door::Impatient, impatient),
            ],
        }
    }

    pub fn port(&self, door: Door) -> u16 {
        self.ports.iter().find(|(other, _)| *other == door).unwrap().1
    }
}

const MODULES: [&str; 37] = [
    "alias",
    "allowmethods",
    "auth_basic",
    "auth_form",
    "authn_core",
    "authn_file",
    "authz_user",
    "cache",
    "cache_disk",
    "cgid",
    "dav",
    "dav_fs",
    "deflate",
    "dir",
    "env",
    "filter",
    "headers",
    "include",
    "logio",
    "mime",
    "negotiation",
    "proxy",
    "proxy_connect",
    "proxy_fcgi",
    "proxy_http",
    "proxy_wstunnel",
    "ratelimit",
    "reqtimeout",
    "request",
    "rewrite",
    "security2",
    "session",
    "setenvif",
    "socache_shmcb",
    "ssl",
    "unique_id",
    "authz_host",
];

/// What httpd and its modules say of rows that go wrong on purpose.
const EXPECTED: [&str; 12] = [
    "ModSecurity",
    "AH01873:",
    "AH01882:",
    "AH01630:",
    "AH00574:",
    "AH00957:",
    "AH01114:",
    "AH01095:",
    "AH01136:",
    "AH01617:",
    "AH01623:",
    "Bad header: this is no field",
];

impl Site {
    pub fn new() -> Site {
        let files = TempDir::with_prefix("mod_copy-site-").unwrap();
        let site = Site { files, backends: Arc::new(Backends::start()) };
        site.open("");
        for (path, content) in FILES {
            site.write(path, content.as_bytes());
        }
        site.write("htdocs/ratelimited/text.txt", &[b'.'; 1500]);
        site.write("htdocs/large", &vec![b'x'; 8 << 20]);
        for (path, content) in SCRIPTS {
            site.write(path, content.as_bytes());
            let script = site.files.path().join(path);
            fs::set_permissions(script, Permissions::from_mode(0o755)).unwrap();
        }
        let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| site.path(name));
        let options = "req -x509 -newkey rsa:2048 -nodes -days 2 \
                       -subj /CN=www.example.com -addext basicConstraints=CA:FALSE";
        let made = Command::new("openssl")
            .args(options.split_whitespace().chain(["-keyout", &key, "-out", &certificate]))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        site
    }

    /// Production with the module copies to `staging`.
    pub fn production(&self, mpm: Mpm, staging: Option<&Staging>) -> (Server, Doors) {
        let builder = self.configured(Server::on(mpm), staging);
        let doors = Doors::on(builder.port());
        let builder = builder.tail(self.doors(&doors, staging));
        (builder.start(), doors)
    }

    /// The main port's virtual hosts.
    pub fn configured(&self, builder: Builder, staging: Option<&Staging>) -> Builder {
        let root = builder.root().display().to_string();
        for directory in ["dav", "cache"] {
            let path = builder.root().join(directory);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        }
        let mut builder = builder.modules(&MODULES);
        for part in EXPECTED {
            builder = builder.expect(part);
        }
        let port = builder.port();
        let own = format!("http://127.0.0.1:{port}/");
        let copy = match staging {
            None => String::new(),
            Some(staging) => super::places::copying(staging, &own),
        };
        if staging.is_none() {
            builder = builder.without_copy();
        }
        let log = "LogFormat \"%v \\\"%r\\\" %>s out %O keepalive %k in %I\" account";
        let memory = if staging.is_some() { "CopyMemory 512M\nCopyTimeout 60" } else { "" };
        builder
            .global(format!("DavLockDB \"{root}/dav/lock\"\nCacheRoot \"{root}/cache\""))
            .global(format!("{log}\nTraceEnable On\nSetEnv ap_trust_cgilike_cl 1"))
            .global(format!("DocumentRoot \"{}\"\n{memory}", self.path("htdocs")))
            .vhost("ServerName www.example.com\nCustomLog access.log account")
            .vhost(super::places::places(self, &root))
            .vhost(copy)
            .tail(super::places::named_hosts(self, port, staging))
    }

    /// The virtual hosts of the other ports.
    fn doors(&self, doors: &Doors, staging: Option<&Staging>) -> String {
        super::places::doors(self, doors, staging)
    }

    /// The path of a file of the site.
    pub fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn write(&self, path: &str, content: &[u8]) {
        let parent = Path::new(path).parent().unwrap();
        fs::create_dir_all(self.files.path().join(parent)).unwrap();
        let path = self.files.path().join(path);
        fs::write(&path, content).unwrap();
        // What was changed a moment ago has a weak `ETag`.
        let past = UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        File::open(path).unwrap().set_modified(past).unwrap();
    }

    /// httpd's children run as another user where the tests run as root.
    fn open(&self, path: &str) {
        fs::set_permissions(self.files.path().join(path), Permissions::from_mode(0o755)).unwrap();
    }
}

const FILES: [(&str, &str); 12] = [
    ("htdocs/fence", "the fence"),
    ("htdocs/a.html", "a"),
    ("htdocs/dir/index.html", "the index"),
    ("htdocs/docs/page.html", "a page"),
    ("htdocs/docs/.htaccess", "RewriteEngine On\nRewriteRule \"^old$\" \"page.html\"\n"),
    ("htdocs/errors/404.html", "not here"),
    (
        "htdocs/ssi/page.shtml",
        "[<!--#include virtual=\"/a.html\" -->|<!--#include virtual=\"/cgi/plain\" -->]",
    ),
    ("htdocs/ssi/kept.shtml", "[<!--#include virtual=\"/cgi/echo\" -->]"),
    ("htdocs/deflate/text.txt", "compress me, compress me, compress me, compress me, compress me"),
    ("htdocs/private/secret.html", "a secret"),
    ("htdocs/sec/page.html", "watched"),
    // user:secret
    ("users", "user:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"),
];

const SCRIPTS: [(&str, &str); 3] = [
    (
        "cgi/plain",
        "#!/bin/sh\ncat >/dev/null\n\
         printf 'Content-Type: text/plain\\r\\nContent-Length: 5\\r\\n\\r\\nplain'\n",
    ),
    (
        "cgi/echo",
        "#!/bin/sh\nbody=$(cat)\nhead='Content-Type: text/plain\\r\\nContent-Length: %d\\r\\n\\r\\n'\n\
         printf \"$head%s\" \"${#body}\" \"$body\"\n",
    ),
    ("cgi/broken", "#!/bin/sh\necho 'this is no field'\n"),
];
