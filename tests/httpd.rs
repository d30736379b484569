//! Where httpd and the module are on this machine, and which ports are free.

use std::collections::HashSet;
use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, Socket, Type};

/// The installed httpd.
pub struct Httpd {
    pub program: PathBuf,
    modules: PathBuf,
    /// File names of the modules that are compiled in, as `mod_unixd.c`.
    compiled_in: HashSet<String>,
    /// The last number of its version: 71 for 2.4.71.
    patch: u32,
}

/// The httpd that apxs (or the program named by `APXS`) tells of.
pub fn httpd() -> &'static Httpd {
    static HTTPD: OnceLock<Httpd> = OnceLock::new();
    HTTPD.get_or_init(|| {
        let program = Path::new(&apxs("sbindir")).join(apxs("progname"));
        let ask = |option| {
            let output = Command::new(&program).arg(option).output().unwrap_or_else(|error| {
                panic!("{}: {error}; install httpd (Debian: apache2)", program.display())
            });
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let (list, version) = (ask("-l"), ask("-v"));
        let patch = version.split_once("Apache/2.4.").map(|(_, rest)| {
            rest.split(|character: char| !character.is_ascii_digit()).next().unwrap_or_default()
        });
        Httpd {
            program,
            modules: apxs("LIBEXECDIR").into(),
            compiled_in: list.lines().map(|line| line.trim().to_owned()).collect(),
            patch: patch.and_then(|digits| digits.parse().ok()).expect("httpd's version"),
        }
    })
}

impl Httpd {
    /// httpd itself; with `MOD_COPY_UNDER`, that program, which is told to run httpd.
    pub fn command(&self) -> Command {
        match env::var_os("MOD_COPY_UNDER") {
            None => Command::new(&self.program),
            Some(checker) => {
                let mut command = Command::new(checker);
                command.arg(&self.program);
                command
            }
        }
    }

    /// Whether it is older than 2.4.`patch`, and so has faults that were mended there.
    pub fn is_older_than(&self, patch: u32) -> bool {
        self.patch < patch
    }

    /// The line that loads `mod_NAME`; nothing where it is compiled in.
    pub fn load(&self, name: &str) -> String {
        if self.compiled_in.contains(&format!("mod_{name}.c")) {
            return String::new();
        }
        let file = self.modules.join(format!("mod_{name}.so"));
        assert!(file.is_file(), "{} is missing: httpd lacks mod_{name}", file.display());
        format!("LoadModule {name}_module \"{}\"\n", file.display())
    }
}

fn apxs(variable: &str) -> String {
    let named = env::var("APXS").ok();
    let candidates = named.as_deref().map_or(vec!["apxs", "apxs2"], |name| vec![name]);
    let answer = candidates
        .iter()
        .find_map(|apxs| Command::new(apxs).args(["-q", variable]).output().ok())
        .unwrap_or_else(|| {
            panic!("{candidates:?} not found; install apache2-dev (Debian) or httpd-devel (RHEL)")
        });
    String::from_utf8_lossy(&answer.stdout).trim().to_owned()
}

/// The module under test.
pub fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/libmod_copy.so");
        let path = env::var_os("MOD_COPY_SO").map_or(default, PathBuf::from);
        path.canonicalize()
            .unwrap_or_else(|_| panic!("{} is missing: run make build", path.display()))
    })
}

/// The module that panics where a test asks for it: see `src/boundary.rs`.
pub fn faulty_module() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults/libmod_copy.so");
    let path = env::var_os("MOD_COPY_FAULTS_SO").map_or(default, PathBuf::from);
    path.canonicalize().unwrap_or_else(|_| panic!("{} is missing: run make faults", path.display()))
}

/// A loopback port that nothing listens on, and that no other test of this run will get.
///
/// Below the range from which the system picks the clients' own ports, so that none of those is in the way.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let start = u16::try_from(std::process::id() * 67 % u32::from(COUNT)).unwrap();
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + offset % COUNT;
        // It is only bound: a program that another test is just starting may hold it for a moment more.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        if socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}
