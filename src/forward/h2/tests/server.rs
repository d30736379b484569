//! A real HTTP/2 server, of the `h2` crate: for the core's tests, and for those on a real httpd.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

/// Only a failing test waits this long.
const LONG: Duration = Duration::from_secs(20);

/// What came on one stream.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) content: Vec<u8>,
    pub(super) trailers: Vec<(String, String)>,
}

impl Arrived {
    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(found, _)| found == name);
        field.map(|(_, value)| value.as_str())
    }
}

pub(super) struct Staging {
    pub(super) address: SocketAddr,
    /// Requests, as soon as their content was read, or was not asked for.
    pub(super) received: mpsc::Receiver<Arrived>,
    connections: Arc<AtomicUsize>,
    ended: mpsc::Receiver<()>,
    gate: watch::Sender<bool>,
}

impl Staging {
    /// `serve` is given each stream, and its number from 0 over all connections.
    pub(super) fn start<F>(
        serve: impl Fn(usize, Request<Body>, SendResponse<Bytes>) -> F + Send + 'static,
    ) -> Staging
    where
        F: Future<Output = ()> + 'static,
    {
        let (gate, _) = watch::channel(true);
        Staging::with(gate, |_| {}, serve)
    }

    /// Reads every request, and answers while its gate is open. It is closed.
    pub(super) fn gated() -> Staging {
        Staging::gated_with(|_| {})
    }

    pub(super) fn gated_with(settings: impl Fn(&mut Builder) + Send + 'static) -> Staging {
        let (gate, open) = watch::channel(false);
        Staging::with(gate, settings, move |_, request, respond| {
            let mut open = open.clone();
            async move {
                content(request.into_body()).await;
                if open.wait_for(|open| *open).await.is_ok() {
                    answer(respond, b"ok").await;
                }
            }
        })
    }

    fn with<F>(
        gate: watch::Sender<bool>,
        settings: impl Fn(&mut Builder) + Send + 'static,
        serve: impl Fn(usize, Request<Body>, SendResponse<Bytes>) -> F + Send + 'static,
    ) -> Staging
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (arrived, received) = mpsc::channel();
        let (left, ended) = mpsc::channel();
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let serve: Serve = std::rc::Rc::new(move |number, request, respond| {
                Box::pin(serve(number, request, respond))
            });
            let settings = std::rc::Rc::new(settings);
            let numbers = std::rc::Rc::new(std::cell::Cell::new(0));
            let accept = async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    counted.fetch_add(1, Ordering::SeqCst);
                    let mut builder = Builder::new();
                    settings(&mut builder);
                    let (serve, numbers) = (serve.clone(), numbers.clone());
                    let (arrived, left) = (arrived.clone(), left.clone());
                    spawn_local(async move {
                        let mut connection = builder.handshake::<_, Bytes>(stream).await.unwrap();
                        while let Some(Ok((request, respond))) = connection.accept().await {
                            let number = numbers.replace(numbers.get() + 1);
                            let request = Body::of(request, arrived.clone());
                            spawn_local(serve(number, request, respond));
                        }
                        let _ = left.send(());
                    });
                }
            };
            LocalSet::new().block_on(&runtime, accept);
        });
        Staging { address, received, connections, ended, gate }
    }

    pub(super) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    pub(super) fn close_gate(&self) {
        self.gate.send_replace(false);
    }

    /// The next request that arrives.
    pub(super) fn next(&self) -> Arrived {
        self.received.recv_timeout(LONG).unwrap()
    }

    /// Connections accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until a connection has ended.
    pub(super) fn await_end(&self) {
        self.ended.recv_timeout(LONG).unwrap();
    }
}

type Serve = std::rc::Rc<
    dyn Fn(
        usize,
        Request<Body>,
        SendResponse<Bytes>,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()>>>,
>;

/// A request's content, which tells of the request when it is read to its end, or dropped.
pub(super) struct Body {
    pub(super) stream: RecvStream,
    arrived: Option<Arrived>,
    tell: mpsc::Sender<Arrived>,
}

impl Body {
    fn of(request: Request<RecvStream>, tell: mpsc::Sender<Arrived>) -> Request<Body> {
        let (head, stream) = request.into_parts();
        let fields = head.headers.iter().map(text).collect();
        let arrived = Some(Arrived {
            method: head.method.to_string(),
            uri: head.uri.to_string(),
            fields,
            content: Vec::new(),
            trailers: Vec::new(),
        });
        Request::from_parts(head, Body { stream, arrived, tell })
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let _ = self.tell.send(self.arrived.take().unwrap());
    }
}

fn text((name, value): (&http::HeaderName, &http::HeaderValue)) -> (String, String) {
    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Reads all of it.
pub(super) async fn content(mut body: Body) {
    let arrived = body.arrived.as_mut().unwrap();
    while let Some(Ok(piece)) = body.stream.data().await {
        body.stream.flow_control().release_capacity(piece.len()).unwrap();
        arrived.content.extend_from_slice(&piece);
    }
    if let Ok(Some(trailers)) = body.stream.trailers().await {
        arrived.trailers = trailers.iter().map(text).collect();
    }
}

/// Answers `200` with this content.
pub(super) async fn answer(mut respond: SendResponse<Bytes>, content: &'static [u8]) {
    let Ok(mut stream) = respond.send_response(Response::new(()), content.is_empty()) else {
        return;
    };
    if !content.is_empty() {
        let _ = stream.send_data(Bytes::from_static(content), true);
    }
}
