//! Production's clients: kept-alive connections, each in a thread that sleeps while it waits, on production's core.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, request_with};
use crate::cores;

/// Client connections, all in use at saturation.
const CONNECTIONS: u32 = 8;

/// How fast.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as production answers.
    Saturate,
    /// So many requests per second, evenly spread, whatever production does.
    Rate(f64),
}

/// What a load came to.
pub struct Done {
    /// Requests per second.
    pub rate: f64,
    /// What 99 of 100 requests took at most, from when they were due.
    pub p99: Duration,
}

/// A POST of 4 KiB.
pub fn post(path: &str) -> Vec<u8> {
    request_with("POST", path, &[b'x'; 4096])
}

/// Loads production for this time; every answer has to be 200.
pub fn run(port: u16, path: &str, pace: Pace, time: Duration) -> Done {
    let post = &post(path);
    let (mut latencies, took) = cores::on_productions(|| {
        let begun = Instant::now();
        let latencies = thread::scope(|scope| {
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|number| scope.spawn(move || client(port, post, pace, time, number)))
                .collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        (latencies, begun.elapsed())
    });
    latencies.sort_unstable();
    Done {
        rate: latencies.len() as f64 / took.as_secs_f64(),
        p99: latencies[latencies.len() * 99 / 100],
    }
}

fn client(port: u16, post: &[u8], pace: Pace, time: Duration, number: u32) -> Vec<Duration> {
    let mut client = Client::connect(port);
    let (begun, mut latencies) = (Instant::now(), Vec::new());
    let mut due = Duration::ZERO;
    let step = match pace {
        Pace::Saturate => None,
        Pace::Rate(rate) => {
            let step = Duration::from_secs_f64(f64::from(CONNECTIONS) / rate);
            due = step * number / CONNECTIONS;
            Some(step)
        }
    };
    while due < time {
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            thread::sleep(early);
        }
        let response = client.exchange(post);
        assert_eq!(response.status, 200, "{}", response.text());
        let now = begun.elapsed();
        latencies.push(now - due);
        due = step.map_or(now, |step| due + step);
    }
    latencies
}
