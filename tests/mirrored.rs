//! The setting of most tests: production as a reverse proxy, and one staging server that gets the copies in order.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::client::{Client, request};
use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::{Received, Staging};
use crate::status::Status;

/// Production, its origin and its staging.
pub struct Mirrored {
    pub server: Server,
    pub origin: Staging,
    pub staging: Staging,
}

impl Mirrored {
    /// Production with these further lines in its virtual host.
    pub fn with(mpm: Mpm, lines: &str) -> Mirrored {
        Mirrored::to(mpm, "/ max=1", |builder| builder.vhost(lines))
    }

    /// Production that copies to the staging server's `path` (with target keys after it).
    pub fn to(mpm: Mpm, path: &str, more: impl FnOnce(Builder) -> Builder) -> Mirrored {
        let (origin, staging) = (Staging::start(), Staging::start());
        let builder = more(Server::on(mpm).proxy(&origin));
        let server = builder.vhost(format!("CopyTarget {}", staging.url(path))).start();
        Mirrored { server, origin, staging }
    }

    /// The copies that these requests, sent over one connection, bring forth.
    pub fn copies_of(&self, requests: &[impl AsRef<[u8]>]) -> Vec<Received> {
        self.copies_while(|client| {
            for request in requests {
                client.exchange(request);
            }
        })
    }

    /// The one copy of this request.
    pub fn copy_of(&self, request: impl AsRef<[u8]>) -> Received {
        let mut copies = self.copies_of(&[request]);
        assert_eq!(copies.len(), 1, "one copy of one request: {copies:#?}");
        copies.remove(0)
    }

    /// The copies of what a client does.
    pub fn copies_while(&self, act: impl FnOnce(&mut Client)) -> Vec<Received> {
        copies_while(&self.server, &self.staging, act)
    }
}

/// The copies of what a client does; all of them, for one more request is sent and its copy waited for.
///
/// Takes a target with `max=1`, whose copies keep their order.
pub fn copies_while(
    server: &Server,
    staging: &Staging,
    act: impl FnOnce(&mut Client),
) -> Vec<Received> {
    static FENCES: AtomicUsize = AtomicUsize::new(0);
    let fence = format!("/fence/{}", FENCES.fetch_add(1, Ordering::Relaxed));
    let is_fence = |copy: &Received| copy.request_line().contains(&fence);

    let before = staging.count();
    let mut client = server.client();
    act(&mut client);
    // Over the same connection, if it was kept: whatever came before has ended then.
    let last = request("GET", &fence);
    if client.exchange_if_kept(last.as_bytes()).is_none() {
        server.client().exchange(last);
    }
    staging.wait_until("the fence's copy", |copies| copies.iter().any(is_fence));
    server.status_when("an outcome for each copy", Status::is_drained);
    let mut copies = staging.received().split_off(before);
    let last = copies.pop();
    assert!(last.as_ref().is_some_and(is_fence), "copies overtook each other: {last:?}");
    copies
}

/// The fields that are appended to a copy of a request to `www.example.com`, the mark aside.
pub fn appended() -> String {
    "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: www.example.com\r\nX-Forwarded-Proto: http\r\n"
        .to_owned()
}
