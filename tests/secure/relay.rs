//! What passes on what it is sent, or swallows it: a staging that never ends its handshakes.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A relay on loopback, as long as the test runs.
pub struct Relay {
    port: u16,
    swallows: Arc<AtomicBool>,
}

impl Relay {
    /// One to the port on loopback.
    pub fn to(port: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay { port: listener.local_addr().unwrap().port(), swallows: Arc::default() };
        let swallows = Arc::clone(&relay.swallows);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if swallows.load(Ordering::SeqCst) {
                    // Reads to the end, and never says a word.
                    thread::spawn(move || io::copy(&mut &client, &mut io::sink()));
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (client, server) = (Arc::new(client), Arc::new(server));
                pass_on(Arc::clone(&client), Arc::clone(&server));
                pass_on(server, client);
            }
        });
        relay
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether connections to come are swallowed.
    pub fn swallow(&self, swallow: bool) {
        self.swallows.store(swallow, Ordering::SeqCst);
    }
}

fn pass_on(from: Arc<TcpStream>, to: Arc<TcpStream>) {
    thread::spawn(move || {
        // However it ends, both sides are to know.
        let _ = io::copy(&mut &*from, &mut &*to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
