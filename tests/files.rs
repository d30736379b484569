//! The setting of tests about what production does with a request: it serves files.

use crate::conf::Builder;
use crate::mirrored::copies_while;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::{Received, Staging};

/// Production that serves files, and its staging.
pub struct Files {
    pub server: Server,
    pub staging: Staging,
}

impl Files {
    pub fn with(mpm: Mpm, configure: impl FnOnce(Builder) -> Builder) -> Files {
        let staging = Staging::start();
        let builder = Server::on(mpm)
            .vhost(format!("CopyTarget {} max=1", staging.url("/")))
            .file("htdocs/index.html", "the index")
            .file("htdocs/a.html", "a");
        Files { server: configure(builder).start(), staging }
    }

    /// The response's status, and what staging got until then.
    pub fn answer_to(&self, request: impl AsRef<[u8]>) -> (u16, Vec<Received>) {
        let mut status = 0;
        let copies = copies_while(&self.server, &self.staging, |client| {
            let response = client.exchange(request);
            status = response.status;
            // The answer may have ended the connection.
            if response.field("Connection").is_some_and(|option| option == "close") {
                *client = self.server.client();
            }
        });
        (status, copies)
    }

    pub fn assert_one_copy(&self, request: impl AsRef<[u8]>, status: u16, line: &str) -> Received {
        let (answered, mut copies) = self.answer_to(request);
        assert_eq!(answered, status, "{line}\n{}", self.server.logs());
        let lines: Vec<String> = copies.iter().map(Received::request_line).collect();
        assert_eq!(lines, [line]);
        copies.remove(0)
    }

    pub fn not_copied(&self, reason: &str) -> u64 {
        self.server.status().sum(&format!("not_copied.{reason}"))
    }
}
