//! What staging may not see, and the block in which a target's own directives stand.

mod block;
mod fields;
mod masks;
mod secrecy;

use crate::client::{Client, request_with};
use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::{Received, Staging};
use crate::status::Status;

/// Production as a reverse proxy with two targets: one in whose block the lines under test stand, and one that
/// stands outside of any.
struct Scrubbed {
    server: Server,
    origin: Staging,
    /// The target with the block.
    scrubbed: Staging,
    /// The other.
    plain: Staging,
}

/// A request as one of the three servers received it.
struct Seen {
    scrubbed: Received,
    plain: Received,
    origin: Received,
}

impl Scrubbed {
    fn with(mpm: Mpm, block: &str) -> Scrubbed {
        Scrubbed::more(mpm, block, |builder| builder)
    }

    fn more(mpm: Mpm, block: &str, more: impl FnOnce(Builder) -> Builder) -> Scrubbed {
        let [origin, scrubbed, plain] = [(); 3].map(|()| Staging::start());
        let lines = format!(
            "<CopyTarget {} name=scrubbed max=1>\n{block}\n</CopyTarget>\nCopyTarget {} name=plain max=1",
            scrubbed.url("/"),
            plain.url("/")
        );
        let server = more(Server::on(mpm).proxy(&origin)).vhost(lines).start();
        Scrubbed { server, origin, scrubbed, plain }
    }

    /// One request as each of the three received it.
    fn see(&self, request: impl AsRef<[u8]>) -> Seen {
        let all = [&self.scrubbed, &self.plain, &self.origin];
        let before = all.map(Staging::count);
        assert_eq!(Client::connect(self.server.port()).exchange(request).status, 200);
        let mut seen = all.into_iter().zip(before).map(|(staging, before)| {
            staging.wait_for(before + 1);
            let mut received = staging.received_after(before);
            assert_eq!(received.len(), 1);
            received.remove(0)
        });
        let [scrubbed, plain, origin] = [(); 3].map(|()| seen.next().unwrap());
        self.server.status_when("an outcome for each copy", Status::is_drained).assert_promise_3();
        Seen { scrubbed, plain, origin }
    }
}

/// A POST with content of this type.
fn post(path: &str, media_type: &str, content: &[u8]) -> Vec<u8> {
    let request = request_with("POST", path, content);
    let fields = format!("Content-Type: {media_type}\r\nContent-Length");
    String::from_utf8_lossy(&request).replacen("Content-Length", &fields, 1).into_bytes()
}
