//! TLS in front of staging: what ends it, or never ends its handshake.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use tokio::io::{copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::certified;

/// A server of TLS on loopback, as long as the measurement runs.
pub struct Front {
    port: u16,
    swallows: watch::Sender<bool>,
}

impl Front {
    /// One that passes on to this address what it is sent.
    ///
    /// Its one thread has the niceness of the caller.
    pub fn before(staging: SocketAddr) -> Front {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (swallows, swallowing) = watch::channel(false);
        let runtime = runtime::Builder::new_current_thread().enable_io().build().unwrap();
        thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let acceptor = TlsAcceptor::from(certified::config());
                while let Ok((client, _)) = listener.accept().await {
                    let connection = serve(client, acceptor.clone(), staging, swallowing.clone());
                    tokio::spawn(connection);
                }
            });
        });
        Front { port, swallows }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether handshakes never end from now on. Connections of before are closed.
    pub fn swallow(&self, swallow: bool) {
        self.swallows.send_replace(swallow);
    }
}

/// Serves a connection until it ends, or the front changes its ways.
async fn serve(
    client: TcpStream,
    acceptor: TlsAcceptor,
    staging: SocketAddr,
    mut swallowing: watch::Receiver<bool>,
) {
    let serving = if *swallowing.borrow_and_update() {
        tokio::spawn(swallow(client))
    } else {
        tokio::spawn(pass_on(client, acceptor, staging))
    };
    let _ = swallowing.changed().await;
    serving.abort();
}

/// Reads to the end, and never says a word.
async fn swallow(mut client: TcpStream) -> io::Result<()> {
    copy(&mut client, &mut sink()).await.map(drop)
}

async fn pass_on(client: TcpStream, acceptor: TlsAcceptor, staging: SocketAddr) -> io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(staging).await?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
