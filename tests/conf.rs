//! The configuration of a test's httpd: its own ServerRoot, the modules it needs, the lines under test.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::httpd::{faulty_module, free_port, httpd, module};
use crate::injection::Faults;
use crate::mpm::Mpm;
use crate::server::{Server, Verdict, configtest};
use crate::staging::Staging;

/// Whether this is part of the tests, and not of a measurement.
const TESTS: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"integration");

/// A configuration in the making.
pub struct Builder {
    root: TempDir,
    mpm: Mpm,
    sizes: String,
    with_copy: bool,
    with_faults: bool,
    patient: bool,
    modules: Vec<&'static str>,
    global: String,
    vhost: String,
    tail: String,
    port: u16,
    status_port: u16,
    expected: Vec<String>,
    environment: Vec<(String, PathBuf)>,
}

impl Builder {
    pub fn new(mpm: Mpm) -> Builder {
        let root = TempDir::with_prefix("mod_copy-test-").unwrap();
        // httpd's children run as another user where the tests run as root.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(root.path().join("htdocs")).unwrap();
        Builder {
            root,
            mpm,
            sizes: mpm.sizes().to_owned(),
            with_copy: true,
            with_faults: false,
            patient: TESTS,
            modules: vec!["authz_core"],
            global: String::new(),
            vhost: String::new(),
            tail: String::new(),
            port: free_port(),
            status_port: free_port(),
            expected: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// The port of the virtual host under test.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Leaves mod_copy out.
    pub fn without_copy(mut self) -> Builder {
        self.with_copy = false;
        self
    }

    /// Sets nothing but what the test says: copies have as long to connect as administrators have them, though a busy
    /// machine may take longer. Measurements have no other.
    pub fn with_defaults(mut self) -> Builder {
        self.patient = false;
        self
    }

    /// Loads the module that panics where the test asks for it, by [`Faults`].
    pub fn with_faults(mut self) -> Builder {
        self.with_faults = true;
        Faults::prepare(self.root());
        self
    }

    /// Other numbers of processes and threads than [`Mpm::sizes`].
    pub fn sizes(mut self, lines: &str) -> Builder {
        lines.clone_into(&mut self.sizes);
        self
    }

    /// Loads further modules, named without `mod_` and `.so`.
    pub fn modules(mut self, names: &[&'static str]) -> Builder {
        for name in names {
            if !self.modules.contains(name) {
                self.modules.push(name);
            }
        }
        self
    }

    /// A single child process, so that its share of a limit is the whole.
    pub fn one_child(mut self) -> Builder {
        assert_ne!(self.mpm, Mpm::Prefork, "its one child could not tell the status meanwhile");
        self.sizes = "StartServers 1\nServerLimit 1\nThreadLimit 8\nThreadsPerChild 8\nMaxRequestWorkers 8\n\
                      MinSpareThreads 1\nMaxSpareThreads 8\n"
            .to_owned();
        self
    }

    /// Lines outside any section.
    pub fn global(mut self, lines: impl AsRef<str>) -> Builder {
        writeln!(self.global, "{}", lines.as_ref()).unwrap();
        self
    }

    /// Lines of the virtual host under test.
    pub fn vhost(mut self, lines: impl AsRef<str>) -> Builder {
        writeln!(self.vhost, "{}", lines.as_ref()).unwrap();
        self
    }

    /// Lines after the virtual host under test, which so stays the first on its port.
    pub fn tail(mut self, lines: impl AsRef<str>) -> Builder {
        writeln!(self.tail, "{}", lines.as_ref()).unwrap();
        self
    }

    /// Makes the virtual host a reverse proxy for this origin.
    pub fn proxy(self, origin: &Staging) -> Builder {
        let line = format!("ProxyPass \"/\" \"{}\"", origin.url("/"));
        self.modules(&["proxy", "proxy_http"]).vhost(line)
    }

    /// A file below the ServerRoot; what is in `htdocs` is served.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Builder {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A file that only its owner may read.
    pub fn secret(self, path: &str, content: impl AsRef<[u8]>) -> Builder {
        let builder = self.file(path, content);
        let path = builder.root.path().join(path);
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        builder
    }

    /// Declares that lines with this in them may stand in the error log.
    pub fn expect(mut self, part: &str) -> Builder {
        self.expected.push(part.to_owned());
        self
    }

    /// A variable of httpd's environment.
    pub fn env(mut self, name: &str, value: &Path) -> Builder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A C library of the tests' own, put before the system's in httpd: `source` is its path below `tests`.
    pub fn preload(self, source: &str) -> Builder {
        let library = self.root().join("preload.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source);
        let compiled = cc.arg("-ldl").status();
        assert!(compiled.expect("a C compiler is needed").success(), "{source:?} does not compile");
        self.env("LD_PRELOAD", &library)
    }

    pub fn start(mut self) -> Server {
        self.write();
        if self.mpm == Mpm::Worker && httpd().is_older_than(62) {
            // Its children leave when they are told twice, and after many restarts httpd has forgotten some.
            self.expected.extend(["AH00045:", "AH00291:"].map(str::to_owned));
        }
        let ports = [self.port, self.status_port];
        Server::start(self.root, ports, self.expected, self.environment)
    }

    /// Checks the configuration and starts nothing.
    pub fn configtest(&self) -> Verdict {
        self.write();
        configtest(self.root.path())
    }

    /// Writes `httpd.conf` into the ServerRoot.
    pub fn write(&self) {
        fs::write(self.root.path().join("httpd.conf"), self.text()).unwrap();
    }

    fn text(&self) -> String {
        let Builder { port, status_port, .. } = self;
        let root = self.root.path().display();
        let mut text = format!(
            "ServerRoot \"{root}\"\nServerName production.test\nListen 127.0.0.1:{port}\n\
             DefaultRuntimeDir \"{root}\"\nPidFile \"{root}/httpd.pid\"\nErrorLog \"{root}/error.log\"\n\
             DocumentRoot \"{root}/htdocs\"\n"
        );
        text += &httpd().load(self.mpm.module());
        for name in ["unixd", "log_config"].iter().chain(&self.modules) {
            text += &httpd().load(name);
        }
        if self.modules.contains(&"mime") {
            text += "TypesConfig \"/dev/null\"\n";
        }
        if rustix::process::geteuid().is_root() {
            text += "User nobody\nGroup #65534\n";
        }
        text += &self.sizes;
        text += "LogLevel warn\n";
        if self.with_copy {
            let module = if self.with_faults { faulty_module() } else { module().to_owned() };
            let module = module.display();
            write!(
                text,
                "LoadModule copy_module \"{module}\"\nLogLevel copy:debug\nListen 127.0.0.1:{status_port}\n\
                 <VirtualHost 127.0.0.1:{status_port}>\n<Location \"/copy-status\">\nSetHandler copy-status\n\
                 </Location>\n</VirtualHost>\n"
            )
            .unwrap();
            if self.patient {
                text += "CopyConnectTimeout 5s\n";
            }
        }
        let Builder { global, vhost, tail, .. } = self;
        text + &format!("{global}<VirtualHost 127.0.0.1:{port}>\n{vhost}</VirtualHost>\n{tail}")
    }
}
