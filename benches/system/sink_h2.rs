//! A staging that speaks HTTP/2, served as the others are: a turn at a time, by whoever runs the load.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::Response;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::yield_now;
use tokio::time::sleep;

const ANSWER: Bytes = Bytes::from_static(b"ok");

/// The server; it ends when dropped.
pub struct Http2 {
    runtime: Runtime,
    pub address: SocketAddr,
    read: Arc<AtomicU64>,
}

impl Http2 {
    /// One that answers each request so long after it has read it.
    pub fn after(latency: Duration) -> Http2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, read) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&read);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, latency, Arc::clone(&counted)));
            }
        });
        Http2 { runtime, address, read }
    }

    /// Answers what is due of what has arrived, and looks what has arrived since.
    pub fn serve(&self) {
        self.runtime.block_on(yield_now());
    }

    /// How many requests were read whole.
    pub fn requests(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

async fn serve(stream: TcpStream, latency: Duration, read: Arc<AtomicU64>) {
    let greeted = Builder::new().max_concurrent_streams(1000).handshake(stream).await;
    let Ok(mut connection) = greeted else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(exchange(request.into_body(), respond, latency, Arc::clone(&read)));
    }
}

async fn exchange(
    mut content: RecvStream,
    mut respond: SendResponse<Bytes>,
    latency: Duration,
    read: Arc<AtomicU64>,
) {
    while let Some(Ok(piece)) = content.data().await {
        content.flow_control().release_capacity(piece.len()).unwrap();
    }
    read.fetch_add(1, Ordering::Relaxed);
    if !latency.is_zero() {
        sleep(latency).await;
    }
    let answer = Response::builder().header("content-type", "text/plain").body(()).unwrap();
    // Who is gone needs no answer.
    if let Ok(mut stream) = respond.send_response(answer, false) {
        let _ = stream.send_data(ANSWER, true);
    }
}
