//! A real HTTP/2 client, of the `h2` crate: over cleartext with prior knowledge, or over TLS with ALPN.

mod message;
mod tls;
mod upgraded;

use std::future::{Future, poll_fn};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, PushPromises, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::wait::PATIENCE;

pub use message::{Request, Response};
pub use upgraded::upgrade;

/// What speaks HTTP/2 with production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Cleartext, with prior knowledge.
    Plain,
    /// TLS, with `h2` agreed on by ALPN.
    Tls,
}

/// One connection.
pub struct Session {
    transport: Transport,
    port: u16,
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    scheme: &'static str,
}

/// A request under way, whose content is not at its end.
pub struct Upload {
    response: ResponseFuture,
    stream: SendStream<Bytes>,
}

/// The two ends of an extended CONNECT (RFC 8441).
pub struct Tunnel {
    up: SendStream<Bytes>,
    down: RecvStream,
}

impl Session {
    pub fn connect(transport: Transport, port: u16) -> Session {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let connect = async {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.set_nodelay(true).unwrap();
            match transport {
                Transport::Plain => handshake(stream).await,
                Transport::Tls => handshake(tls::connect(stream).await).await,
            }
        };
        let sender = runtime.block_on(within(PATIENCE, connect));
        let scheme = if transport == Transport::Tls { "https" } else { "http" };
        Session { transport, port, runtime, sender, scheme }
    }

    /// Sends a whole request and reads its response; again, if the server let go of the connection
    /// before it took the request up (RFC 9113 section 6.8): else there would be two copies.
    pub fn exchange(&mut self, request: &Request) -> Response {
        loop {
            let exchange = exchange(self.sender.clone(), request.clone(), self.scheme);
            match self.runtime.block_on(within(PATIENCE, exchange)) {
                Ok(response) => return response,
                Err(error) if error.is_go_away() && error.is_remote() => {
                    *self = Session::connect(self.transport, self.port);
                }
                Err(error) => panic!("port {}: {error:?}: {request:?}", self.port),
            }
        }
    }

    /// As [`exchange`](Session::exchange), and the request targets of what the server pushed with it.
    pub fn exchange_with_pushes(&mut self, request: &Request) -> (Response, Vec<String>) {
        let (sender, scheme) = (self.sender.clone(), self.scheme);
        self.runtime.block_on(within(PATIENCE, async {
            let Upload { mut response, stream } =
                begin(sender, request, scheme, true).await.unwrap();
            let pushed = response.push_promises();
            drop(stream);
            // The pushes are announced before the response that they are for has ended.
            let response = read(response).await.unwrap();
            (response, pushes(pushed).await)
        }))
    }

    /// Sends all these requests, so many of them at a time; the responses in the requests' order.
    pub fn concurrently(&mut self, requests: &[Request], at_a_time: usize) -> Vec<Response> {
        let mut responses = Vec::new();
        for group in requests.chunks(at_a_time) {
            let begun: Vec<_> = group
                .iter()
                .map(|request| exchange(self.sender.clone(), request.clone(), self.scheme))
                .map(|exchange| self.runtime.spawn(exchange))
                .collect();
            for task in begun {
                responses.push(self.runtime.block_on(within(PATIENCE, task)).unwrap().unwrap());
            }
        }
        responses
    }

    /// Sends a request's head and the beginning of its content, which stays open; the server has begun to read it.
    pub fn upload(&mut self, request: &Request) -> Upload {
        // More than its windows take until it reads.
        const BEGINNING: Bytes = Bytes::from_static(&[b'x'; 400_000]);
        let (sender, scheme) = (self.sender.clone(), self.scheme);
        self.runtime.block_on(within(PATIENCE, async {
            let mut upload = begin(sender, request, scheme, false).await.unwrap();
            send(&mut upload.stream, BEGINNING, false).await;
            upload
        }))
    }

    /// Ends an upload by RST_STREAM.
    pub fn reset(&mut self, mut upload: Upload) {
        upload.stream.send_reset(Reason::CANCEL);
    }

    /// Ends an upload where it is; the response's status, or how the stream ended.
    pub fn end(&mut self, upload: Upload) -> Result<u16, String> {
        let Upload { response, mut stream } = upload;
        self.runtime.block_on(within(PATIENCE, async {
            send(&mut stream, Bytes::new(), true).await;
            response.await.map(|head| head.status().as_u16()).map_err(|error| error.to_string())
        }))
    }

    /// Sends a request without content, and reads the response's head only.
    pub fn download(&mut self, request: &Request) -> (u16, RecvStream) {
        let (sender, scheme) = (self.sender.clone(), self.scheme);
        self.runtime.block_on(within(PATIENCE, async {
            let Upload { response, .. } = begin(sender, request, scheme, true).await.unwrap();
            let response = response.await.unwrap();
            (response.status().as_u16(), response.into_body())
        }))
    }

    /// Opens a WebSocket's tunnel by extended CONNECT.
    pub fn websocket(&mut self, target: &str) -> Tunnel {
        let (mut sender, scheme) = (self.sender.clone(), self.scheme);
        let uri = format!("{scheme}://www.example.com{target}");
        let request = http::Request::builder()
            .method(Method::CONNECT)
            .uri(uri)
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        self.runtime.block_on(within(PATIENCE, async {
            while !sender.is_extended_connect_protocol_enabled() {
                // The server's settings are on their way.
                tokio::task::yield_now().await;
            }
            poll_fn(|context| sender.poll_ready(context)).await.unwrap();
            let (response, up) = sender.send_request(request, false).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.status(), 200, "{response:?}");
            Tunnel { up, down: response.into_body() }
        }))
    }

    /// Sends bytes through a tunnel, and reads as many back.
    pub fn through(&mut self, tunnel: &mut Tunnel, bytes: &[u8]) -> Vec<u8> {
        self.runtime.block_on(within(PATIENCE, async {
            send(&mut tunnel.up, Bytes::copy_from_slice(bytes), false).await;
            let mut answer = Vec::new();
            while answer.len() < bytes.len() {
                let piece = tunnel.down.data().await.unwrap().unwrap();
                tunnel.down.flow_control().release_capacity(piece.len()).unwrap();
                answer.extend_from_slice(&piece);
            }
            answer
        }))
    }
}

async fn handshake<T>(stream: T) -> SendRequest<Bytes>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection): (_, Connection<T, Bytes>) = h2::client::Builder::new()
        .enable_push(true)
        .initial_connection_window_size(1 << 20)
        .handshake(stream)
        .await
        .unwrap();
    // How the connection ends is of no interest: each request tells its own fate.
    tokio::spawn(async move { drop(connection.await) });
    sender
}

async fn exchange(
    sender: SendRequest<Bytes>,
    request: Request,
    scheme: &'static str,
) -> Result<Response, h2::Error> {
    let ends = request.content.is_none() && request.trailers.is_empty();
    let Upload { response, mut stream } = begin(sender, &request, scheme, ends).await?;
    if let Some(content) = request.content {
        let last = request.trailers.is_empty();
        send(&mut stream, content.into(), last).await;
    }
    if !request.trailers.is_empty() {
        let mut trailers = HeaderMap::new();
        for (name, value) in &request.trailers {
            trailers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        stream.send_trailers(trailers).unwrap();
    }
    read(response).await
}

async fn begin(
    mut sender: SendRequest<Bytes>,
    request: &Request,
    scheme: &str,
    ends: bool,
) -> Result<Upload, h2::Error> {
    poll_fn(|context| sender.poll_ready(context)).await?;
    let (response, stream) = sender.send_request(request.build(scheme), ends)?;
    Ok(Upload { response, stream })
}

/// Sends within the windows that the server grants; a server that wants no more ends it early.
async fn send(stream: &mut SendStream<Bytes>, mut content: Bytes, last: bool) {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let Some(Ok(granted)) = poll_fn(|context| stream.poll_capacity(context)).await else {
            return;
        };
        let piece = content.split_to(granted.min(content.len()));
        let ends = last && content.is_empty();
        if stream.send_data(piece, ends).is_err() {
            return;
        }
        if ends {
            return;
        }
    }
    if last {
        let _ = stream.send_data(Bytes::new(), true);
    }
}

async fn read(response: ResponseFuture) -> Result<Response, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut content = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len()).unwrap();
        content.extend_from_slice(&piece);
    }
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Response {
        status: head.status.as_u16(),
        fields: head.headers.iter().map(field).collect(),
        content,
    })
}

/// Reads what was pushed, each in full.
async fn pushes(mut promises: PushPromises) -> Vec<String> {
    let mut targets = Vec::new();
    while let Some(promise) = promises.push_promise().await {
        let (request, response) = promise.unwrap().into_parts();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200, "{request:?}");
        let mut body = response.into_body();
        while let Some(piece) = body.data().await {
            body.flow_control().release_capacity(piece.unwrap().len()).unwrap();
        }
        targets.push(request.uri().path().to_owned());
    }
    targets
}

async fn within<T>(bound: Duration, what: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(bound, what).await;
    done.unwrap_or_else(|_| panic!("HTTP/2: not within {bound:?}"))
}
