//! A bounded load on production: several kept-alive clients, every answer checked.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;

/// What a load measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Requests per second over all clients.
    pub rate: f64,
    /// The slowest of the responses.
    pub slowest: Duration,
}

/// Sends `each` copies of a request over `clients` connections at once; all must be answered with 200.
pub fn run(port: u16, clients: usize, each: usize, request: &[u8]) -> Measured {
    let begun = Instant::now();
    let slowest = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| client(port, each, request))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max()
    });
    let requests = u32::try_from(clients * each).unwrap();
    Measured {
        rate: f64::from(requests) / begun.elapsed().as_secs_f64(),
        slowest: slowest.unwrap_or_default(),
    }
}

/// The middle one of an odd number of figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn client(port: u16, requests: usize, request: &[u8]) -> Duration {
    let mut kept: Option<Client> = None;
    let mut slowest = Duration::ZERO;
    for _ in 0..requests {
        let begun = Instant::now();
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
        slowest = slowest.max(begun.elapsed());
        assert_eq!(response.status, 200, "{}", response.text());
        let ends =
            response.field("Connection").is_some_and(|option| option.eq_ignore_ascii_case("close"));
        kept = (!ends).then_some(client);
    }
    slowest
}
