//! What stands at any address of this machine, and passes on what comes to a staging server of the tests.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use socket2::{Domain, SockAddr, Socket, Type};

/// The relay, as long as the test runs.
pub struct Relay {
    address: SockAddr,
    clients: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Relay {
    /// At this address, with a port of its own where that is 0, to the port on loopback.
    pub fn at(address: &str, port: u16) -> Relay {
        let address: SocketAddr = address.parse().unwrap();
        Relay::listen(&address.into(), port)
    }

    /// At this path.
    pub fn by(path: &Path, port: u16) -> Relay {
        let relay = Relay::listen(&SockAddr::unix(path).unwrap(), port);
        // httpd's children run as another user where the tests run as root.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        relay
    }

    fn listen(address: &SockAddr, port: u16) -> Relay {
        let listener = Socket::new(address.domain(), Type::STREAM, None).unwrap();
        listener.bind(address).unwrap();
        listener.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let relay = Relay { address, clients: Arc::default() };
        let clients = Arc::clone(&relay.clients);
        thread::spawn(move || {
            loop {
                let (client, from) = listener.accept().unwrap();
                clients.lock().unwrap().extend(from.as_socket());
                let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                let staging = SocketAddr::from(([127, 0, 0, 1], port));
                if server.connect(&staging.into()).is_ok() {
                    join(Arc::new(client), Arc::new(server));
                }
            }
        });
        relay
    }

    pub fn port(&self) -> u16 {
        self.address.as_socket().unwrap().port()
    }

    /// Whom its connections came from.
    pub fn clients(&self) -> Vec<SocketAddr> {
        self.clients.lock().unwrap().clone()
    }
}

/// Passes on what comes from each side to the other.
pub fn join(one: Arc<Socket>, other: Arc<Socket>) {
    pass_on(Arc::clone(&one), Arc::clone(&other));
    pass_on(other, one);
}

fn pass_on(from: Arc<Socket>, to: Arc<Socket>) {
    thread::spawn(move || {
        // However it ends, both sides are to know.
        let _ = io::copy(&mut &*from, &mut &*to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
