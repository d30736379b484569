//! A real application in two releases: `api.py`, in a process of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::client;
use crate::httpd::free_port;
use crate::wait::wait_for;

/// The application; stopped when dropped.
pub struct Application {
    process: Child,
    pub port: u16,
}

impl Application {
    pub fn start(release: u32) -> Application {
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compare/api.py");
        let process = Command::new("python3")
            .arg(script)
            .args([port.to_string(), release.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("python3: {error}: run `make test-deps`"));
        wait_for("the application", || client::accepts(port).then_some(()));
        Application { process, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
