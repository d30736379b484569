//! Memory is bounded by `CopyMemory` (promise 4), whatever staging and clients do, and given back after.

use super::staging::{Fault, FaultyStaging};
use crate::client::{Client, request_with};
use crate::load;
use crate::mpm::Mpm;
use crate::processes;
use crate::server::Server;
use crate::staging::Staging;
use crate::status::Status;
use crate::wait::wait_for;

const MEMORY: u64 = 16 << 20;

/// Production in one child, its origin, and its staging.
struct Setting {
    origin: Staging,
    staging: FaultyStaging,
    server: Server,
}

impl Setting {
    fn start() -> Setting {
        let (origin, staging) = (Staging::start(), FaultyStaging::start(Fault::None));
        let keys = "name=staging queue=100000 timeout=60s";
        let server = Server::on(Mpm::Event)
            .one_child()
            .proxy(&origin)
            .global(
                "CopyMemory 16M\nCopyDrainTimeout 100ms\nCopyBodyLimit 1G\nReceiveBufferSize 65536",
            )
            .vhost(format!("CopyTarget http://{}/ {keys}", staging.address()))
            .vhost("<Location \"/uncopied\">\nMirrorRequest Off\n</Location>")
            .expect("CPY0112: a copy to staging was dropped: memory (")
            // A client that leaves within its content.
            .expect("AH01095:")
            .expect("AH02608:")
            .expect("AH01097:")
            // As many clients as threads.
            .expect("AH00484:")
            .start();
        Setting { origin, staging, server }
    }

    fn child(&self) -> u32 {
        processes::children(self.server.pid())[0]
    }

    /// Sends the beginning of a request that announces more content than follows.
    fn announce(&self, length: u64, sent: usize) -> Client {
        let mut client = self.server.client();
        client.send(format!(
            "POST /a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(vec![b'x'; sent]);
        client
    }

    /// All memory is free again: nearly all of it can be had by one copy.
    fn check_nothing_is_held(&self) {
        self.check_free(MEMORY as usize - (64 << 10));
    }

    /// One copy of that size is not too large.
    fn check_free(&self, size: usize) {
        let before = self.server.status();
        let content = vec![b'x'; size];
        self.server.client().exchange(request_with("POST", "/large", &content));
        let after = self.server.settled(before.sum("selected") + 1);
        let delivered = after.sum("delivered.2xx") - before.sum("delivered.2xx");
        assert_eq!(delivered, 1, "memory is held\n{after}");
    }
}

#[test]
fn the_worst_fault_takes_copy_memory_and_a_tenth_of_it_at_most() {
    for (content, each) in [(1 << 10, 2500), (16 << 10, 500), (256 << 10, 100)] {
        never_reads(content, each);
    }
}

/// Fills the memory with copies of so much content, which staging never reads.
fn never_reads(content: usize, each: usize) {
    const CLIENTS: usize = 4;
    let setting = Setting::start();
    let post = |path| request_with("POST", path, &vec![b'x'; content]);
    // httpd's own threads and pools at the size they keep.
    load::run(setting.server.port(), 2 * CLIENTS, 50, &post("/uncopied"));
    setting.staging.set(Fault::NeverReads);
    let base = processes::resident(setting.child());
    processes::forget_peak(setting.child());
    load::run(setting.server.port(), CLIENTS, each, &post("/a"));
    let all = (CLIENTS * each) as u64;
    let status =
        setting.server.status_when("every copy selected", |status| status.sum("selected") == all);
    let peak = processes::peak(setting.child());
    println!(
        "{base} bytes before, {peak} at most: {:.2} of CopyMemory",
        (peak.saturating_sub(base)) as f64 / MEMORY as f64
    );
    assert!(status.sum("dropped.memory") > 100, "the bound was reached\n{status}");
    assert!(peak <= base + MEMORY + MEMORY / 10, "{base} bytes grew to {peak}");
    setting.staging.set(Fault::None);
    setting.server.settled(all);
    setting.check_nothing_is_held();
}

#[test]
fn an_announced_length_takes_no_memory() {
    let setting = Setting::start();
    setting.server.client().exchange(request_with("POST", "/a", b"x"));
    setting.server.settled(1);
    let base = processes::resident(setting.child());
    processes::forget_peak(setting.child());
    // More than CopyBodyLimit, and just as much; nothing of it but a byte, which lies beside the head.
    let clients = [10 << 30, 10 << 30, 1 << 30, 1 << 30].map(|length| setting.announce(length, 1));
    drop(clients);
    let status = setting.server.status_when("all four given up", |status| {
        status.sum("not_copied.incomplete") + status.sum("not_copied.too_large") == 4
    });
    assert_eq!(status.sum("selected"), 1, "{status}");
    let peak = processes::peak(setting.child());
    assert!(peak < base + (4 << 20), "{base} bytes grew to {peak}");
    setting.check_nothing_is_held();
}

#[test]
fn an_announced_length_takes_nothing_from_other_copies() {
    const LENGTH: u64 = 12 << 20;
    let setting = Setting::start();
    // The origin hears of a request when its first 16 KB are there.
    let clients = [(); 4].map(|()| setting.announce(LENGTH, 64 << 10));
    wait_for("all four on their way", || (setting.origin.connections() == 4).then_some(()));
    setting.check_free(LENGTH as usize);
    drop(clients);
    let incomplete = |status: &Status| status.sum("not_copied.incomplete") == 4;
    setting.server.status_when("all four given up", incomplete);
    setting.check_nothing_is_held();
}

#[test]
fn content_beyond_copy_memory_is_given_up_and_the_request_is_not() {
    const CONTENT: usize = 6 << 20;
    let setting = Setting::start();
    let request = request_with("POST", "/a", &vec![b'x'; CONTENT]);
    let (first, last) = request.split_at(request.len() - 1);
    // Four times 6 MB under way at the same time: two of them fit.
    let mut clients: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = Client::connect_narrowly(setting.server.port());
            client.send(first);
            client
        })
        .collect();
    let status = setting.server.status();
    assert_eq!(status.sum("delivered"), 0, "{status}");
    for client in &mut clients {
        client.send(last);
        assert_eq!(client.response().status, 200);
    }
    let status = setting.server.settled(4);
    assert_eq!(status.sum("delivered.2xx") + status.sum("dropped.memory"), 4, "{status}");
    assert!((1..=2).contains(&status.sum("delivered.2xx")), "{status}");
    setting.check_nothing_is_held();
}

#[test]
fn an_upload_that_there_is_no_room_for_takes_none() {
    const SENT: usize = 12 << 20;
    let setting = Setting::start();
    let upload = vec![b'x'; MEMORY as usize + 1];
    let request = request_with("POST", "/a", &upload);
    let (first, last) = request.split_at(SENT);
    let mut client = Client::connect_narrowly(setting.server.port());
    client.send(first);
    setting.check_nothing_is_held();
    client.send(last);
    assert_eq!(client.response().status, 200);
    let status = setting.server.settled(2);
    assert_eq!(status.sum("dropped.memory"), 1, "{status}");
}
