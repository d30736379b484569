//! Names that mean several addresses, or others than before, in httpd itself: see `faults::names`.

use super::relay::Relay;
use crate::faults::names::{NAME, now_means, with_names};
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;
use crate::status::Status;
use crate::wait::{PATIENCE, poll, wait_for};

/// Staging at two addresses of one port, and production that knows its name alone.
struct Named {
    server: Server,
    places: [Relay; 2],
    _staging: Staging,
}

impl Named {
    /// The name means this at first; staging's connections end with each answer, or are kept.
    fn with(words: &str, kept: bool, lines: &str) -> Named {
        let answer = match kept {
            true => crate::staging::OK.to_owned(),
            false => crate::staging::OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
        };
        let staging = Staging::with_answer(&answer);
        let first = Relay::at("127.0.0.2:0", staging.port());
        let second = Relay::at(&format!("127.0.0.3:{}", first.port()), staging.port());
        let target =
            format!("CopyTarget http://{NAME}:{}/ name=named max=1 failures=0", first.port());
        let server = with_names(Server::on(Mpm::Event).one_child(), words)
            .expect("CPY0106:")
            .expect("CPY0121:")
            .global(lines)
            .vhost(target)
            .start();
        Named { server, places: [first, second], _staging: staging }
    }

    /// Sends so many copies, one by one, which all have to arrive.
    fn deliver(&self, count: u64) {
        let before = self.server.status().sum("selected");
        for sent in 1..=count {
            self.server.client().get("/");
            let status = self.server.settled(before + sent);
            assert_eq!(status.sum("failed"), 0, "{status}\n{}", self.server.logs());
        }
    }

    fn connections(&self) -> [usize; 2] {
        self.places.each_ref().map(|place| place.clients().len())
    }
}

#[test]
fn connections_are_made_to_all_addresses_by_turns() {
    let named = Named::with("127.0.0.2 127.0.0.3", false, "");
    named.deliver(6);
    assert_eq!(named.connections(), [3, 3]);
}

#[test]
fn an_address_where_nobody_listens_loses_no_copy() {
    for words in ["127.0.0.4 127.0.0.2", "::1 127.0.0.2"] {
        let named = Named::with(words, false, "");
        named.deliver(4);
        assert_eq!(named.connections(), [4, 0], "{words}");
    }
}

#[test]
fn copies_follow_a_name_to_another_address_although_their_connection_is_kept() {
    let named = Named::with("127.0.0.2", true, "CopyDNSRefresh 50ms");
    named.deliver(3);
    assert_eq!(named.connections(), [1, 0]);
    now_means(&named.server, "127.0.0.3");
    wait_for("a copy at the new address", || {
        named.deliver(1);
        (named.connections()[1] > 0).then_some(())
    });
    named.deliver(3);
    assert_eq!(named.connections(), [1, 1]);
}

#[test]
fn a_resolver_that_hangs_delays_no_copy_to_a_known_address() {
    let lines = "CopyDNSRefresh 1ms\nCopyConnectTimeout 60s\nCopyTimeout 60s";
    let named = Named::with("127.0.0.2", false, lines);
    named.deliver(1);
    now_means(&named.server, "hangs");
    named.deliver(5);
    // Well again, it tells the news.
    now_means(&named.server, "127.0.0.3");
    wait_for("a copy at the new address", || {
        named.deliver(1);
        (named.connections()[1] > 0).then_some(())
    });
}

#[test]
fn a_name_that_does_not_resolve_when_httpd_starts_is_warned_of_and_looked_up_again() {
    let named = Named::with("fails", true, "");
    let told = "CPY0121: the host of named does not resolve as a child starts: failed to lookup address \
                information: Name or service not known: it is looked up again for the copies to come (1 so far)";
    let logged = poll(PATIENCE, || (named.server.logged(told) == 1).then_some(()));
    assert!(logged.is_some(), "{}", named.server.logs());
    now_means(&named.server, "127.0.0.2");
    wait_for("a copy that arrives", || {
        named.server.client().get("/");
        let status = named.server.status_when("an outcome", Status::is_drained);
        (status.sum("delivered") > 0).then_some(())
    });
    let status = named.server.status();
    assert_eq!(status.sum("failed"), status.sum("failed.dns"), "{status}");
}
