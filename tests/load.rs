//! A bounded load on production: several kept-alive clients, every answer checked.

use std::thread;

use crate::client::Client;

/// Sends `each` copies of a request over `clients` connections at once; all must be answered with 200.
pub fn run(port: u16, clients: usize, each: usize, request: &[u8]) {
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| client(port, each, request));
        }
    });
}

fn client(port: u16, requests: usize, request: &[u8]) {
    let mut kept: Option<Client> = None;
    for _ in 0..requests {
        // The event MPM closes idle kept connections where all its workers are busy.
        let answered = kept.take().and_then(|mut client| {
            let response = client.exchange_if_kept(request)?;
            Some((client, response))
        });
        let (client, response) = answered.unwrap_or_else(|| {
            let mut client = Client::connect(port);
            let response = client.exchange(request);
            (client, response)
        });
        assert_eq!(response.status, 200, "{}", response.text());
        let ends =
            response.field("Connection").is_some_and(|option| option.eq_ignore_ascii_case("close"));
        kept = (!ends).then_some(client);
    }
}
