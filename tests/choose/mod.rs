//! Which requests are copied: conditions, methods, samples, rates, pressure, and the scopes they stand in.

mod conditions;
mod examples;
mod pressure;
mod rate;
mod sampling;
mod scopes;

use crate::client::{Client, Response};
use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;

/// Production that serves files, and a staging server; both tell which of a number of requests were copied.
struct Choice {
    server: Server,
    staging: Staging,
}

/// A request: method, path, and further fields with their line ends.
type Asked<'a> = (&'a str, &'a str, &'a str);

impl Choice {
    /// Production with these lines, in which `STAGING` is the staging server's URL, and the files that `more` makes.
    fn with(mpm: Mpm, lines: &str, more: impl FnOnce(Builder) -> Builder) -> Choice {
        let staging = Staging::start();
        let lines = lines.replace("STAGING", &staging.url("/"));
        let server = more(Server::on(mpm).file("htdocs/a", "a")).vhost(lines).start();
        Choice { server, staging }
    }

    /// Asks for these, over one connection, and tells for each how many copies of it there are.
    fn copies_of(&self, requests: &[Asked<'_>]) -> Vec<usize> {
        self.ask(requests).0
    }

    /// As [`copies_of`](Choice::copies_of), with what production answered.
    fn ask(&self, requests: &[Asked<'_>]) -> (Vec<usize>, Vec<Response>) {
        let before = self.staging.count();
        let mut answers = Vec::new();
        let mut client = Client::connect(self.server.port());
        for (number, (method, path, fields)) in requests.iter().enumerate() {
            answers.push(client.exchange(format!(
                "{method} {path} HTTP/1.1\r\nHost: www.example.com\r\nX-Number: {number}\r\n{fields}\r\n"
            )));
        }
        // A request is counted before it is answered.
        let drained = |status: &crate::status::Status| status.is_drained();
        self.server.status_when("an outcome for each copy", drained);
        let copies = self.staging.received_after(before);
        let numbers: Vec<_> = copies.iter().map(|copy| copy.field("X-Number").unwrap()).collect();
        let count =
            |number: usize| numbers.iter().filter(|copied| **copied == number.to_string()).count();
        ((0..requests.len()).map(count).collect(), answers)
    }
}
