//! Clients that go on asking while httpd stops, restarts or crashes, and remember what they were answered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::client;
use crate::server::Server;
use crate::staging::Staging;
use crate::status::Status;

const CLIENTS: usize = 4;

/// What the clients met.
pub struct Siege {
    /// Request targets that were asked for.
    asked: Vec<String>,
    /// Those of them that production answered with 200.
    answered: Vec<String>,
}

/// Keeps production under load while `work` is done; each request has a request target of its own.
pub fn during<T>(port: u16, work: impl FnOnce() -> T) -> (T, Siege) {
    let ended = &AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || ask(port, client, ended))).collect();
        let result = work();
        ended.store(true, Ordering::Relaxed);
        let mut siege = Siege { asked: Vec::new(), answered: Vec::new() };
        for client in clients {
            let Siege { asked, answered } = client.join().unwrap();
            siege.asked.extend(asked);
            siege.answered.extend(answered);
        }
        (result, siege)
    })
}

fn ask(port: u16, client: usize, ended: &AtomicBool) -> Siege {
    let mut siege = Siege { asked: Vec::new(), answered: Vec::new() };
    while !ended.load(Ordering::Relaxed) {
        let target = format!("/a?{client}-{}", siege.asked.len());
        let fields = "Host: www.example.com\r\nConnection: close";
        let request = match siege.asked.len() % 2 {
            0 => format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n"),
            _ => format!("POST {target} HTTP/1.1\r\n{fields}\r\nContent-Length: 5\r\n\r\nhello"),
        };
        siege.asked.push(target.clone());
        match client::attempt(port, request.as_bytes()) {
            Ok(Some(head)) if head.starts_with(b"HTTP/1.1 200") => siege.answered.push(target),
            // Nobody is there: no need to ask as fast as possible.
            Err(_) => thread::sleep(Duration::from_millis(2)),
            Ok(_) => {}
        }
    }
    siege
}

impl Siege {
    /// How many requests were answered.
    pub fn answered(&self) -> usize {
        self.answered.len()
    }

    /// Holds what staging received against what was asked: no copy came twice, none was made up; returns
    /// how many of the answered requests' copies did not come.
    pub fn missing_in(&self, staging: &Staging) -> usize {
        let mut received: HashMap<String, usize> = HashMap::new();
        for copy in staging.received() {
            let line = copy.request_line();
            *received.entry(line.split(' ').nth(1).unwrap().to_owned()).or_default() += 1;
        }
        let twice: Vec<_> = received.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "copied more than once: {twice:?}");
        let asked: std::collections::HashSet<&String> = self.asked.iter().collect();
        let invented: Vec<_> = received.keys().filter(|target| !asked.contains(target)).collect();
        assert!(invented.is_empty(), "copied though nobody asked: {invented:?}");
        self.answered.iter().filter(|target| !received.contains_key(*target)).count()
    }

    /// Waits until every copy has its outcome, and holds the counters against what was asked and received:
    /// each answered request was selected, and staging has what it is said to have.
    pub fn settled(&self, server: &Server, staging: &Staging) -> Status {
        let status = server.status_when("an outcome for every copy", Status::is_drained);
        status.assert_promise_3();
        let selected = status.sum("selected");
        assert!(
            selected >= self.answered.len() as u64,
            "{} answered\n{status}",
            self.answered.len()
        );
        assert!(selected <= self.asked.len() as u64, "{} asked\n{status}", self.asked.len());
        let received = staging.count() as u64;
        assert!(received >= status.sum("delivered"), "{received} received\n{status}");
        let perhaps = status.sum("dropped.stopping") + status.sum("dropped.lost");
        assert!(received <= status.sum("delivered") + perhaps, "{received} received\n{status}");
        assert!(self.missing_in(staging) as u64 <= perhaps, "{status}");
        status
    }
}
