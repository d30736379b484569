//! The threads of a child: no more than its targets allow, and fewer when there is less to do.

use crate::client::request;
use crate::load;
use crate::mpm::Mpm;
use crate::processes;
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::wait::{poll, wait_for};

/// The forwarders of the target `pool`, and the lookups, in all children together.
fn threads(server: &Server) -> [usize; 2] {
    let children = processes::children(server.pid()).into_iter();
    let names: Vec<String> = children.flat_map(processes::threads).collect();
    ["copy-pool", "copy-dns"].map(|name| names.iter().filter(|other| *other == name).count())
}

#[test]
fn a_child_has_at_most_max_forwarders_and_one_lookup_for_each_target_and_min_when_idle() {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let keys = "name=pool min=2 max=5 ttl=200ms timeout=60s";
    let server = Server::on(Mpm::Event)
        .one_child()
        .vhost(format!("CopyTarget http://localhost:{}/ {keys}", staging.port()))
        .file("htdocs/a", "a")
        .start();
    wait_for("min threads", || (threads(&server) == [2, 0]).then_some(()));
    let port = server.port();
    std::thread::scope(|scope| {
        let get = request("GET", "/a");
        let load = scope.spawn(move || load::run(port, 4, 100, get.as_bytes()));
        let most = poll(crate::wait::PATIENCE, || {
            let [forwarders, lookups] = threads(&server);
            assert!(forwarders <= 5 && lookups <= 1, "{forwarders} forwarders, {lookups} lookups");
            load.is_finished().then_some(())
        });
        assert_eq!(most, Some(()), "production is served");
    });
    wait_for("max copies in flight, for staging is slow", || {
        (server.status().target("pool").count("in_flight") == 5).then_some(())
    });
    let [forwarders, lookups] = threads(&server);
    assert!((2..=5).contains(&forwarders) && lookups <= 1, "{forwarders} forwarders");
    staging.set(Mode::Answers);
    server.settled(400);
    wait_for("min threads again", || (threads(&server) == [2, 0]).then_some(()));
    assert_eq!(server.status().target("pool").count("forwarders"), 2);
}
