//! The connection in use: one at a time, made when it is needed, once for all who wait for it.

use std::cell::{OnceCell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{AlertDescription, ClientConfig, PeerMisbehaved};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use ureq::Error;

use crate::outcome::Failure;
use crate::target::Limits;
use crate::tls::Tls;

use super::super::Makings;
use super::super::fault::Fault;
use super::super::pace::Deadline;
use super::dial::{Dialled, dial, is_to};
use super::link::Link;
use super::{ALPN, wrong};

/// What makes connections, and the one in use.
pub(super) struct Links {
    makings: Arc<Makings>,
    tls: Option<Tls>,
    state: RefCell<State>,
}

enum State {
    None,
    Making(Rc<Attempt>),
    Made(Rc<Link>),
}

/// A connection that is being made.
#[derive(Default)]
struct Attempt {
    made: OnceCell<Result<Rc<Link>, Fault>>,
    ended: Notify,
}

impl Links {
    pub(super) fn new(makings: Makings, tls: Option<Tls>) -> Links {
        Links { makings: Arc::new(makings), tls, state: RefCell::new(State::None) }
    }

    /// The connection; made within the limits of the first who needs it, if there is none.
    ///
    /// Who gives up waiting leaves it to be made for the others.
    pub(super) async fn link(self: &Rc<Links>, limits: &Limits) -> Result<Rc<Link>, Fault> {
        let attempt = match &*self.state.borrow() {
            State::Made(link) if self.may_use(link) => return Ok(Rc::clone(link)),
            State::Making(attempt) => Some(Rc::clone(attempt)),
            _ => None,
        };
        let attempt = attempt.unwrap_or_else(|| self.attempt(*limits));
        let ended = attempt.ended.notified();
        if attempt.made.get().is_none() {
            ended.await;
        }
        let nothing = || Err(Fault::new(Failure::Internal, "connect: given up"));
        attempt.made.get().cloned().unwrap_or_else(nothing)
    }

    /// Whether another copy may go over it: it lives, and the target's name still means its address.
    fn may_use(&self, link: &Link) -> bool {
        link.is_usable() && is_to(&self.makings, link.peer())
    }

    /// Begins to make a connection.
    fn attempt(self: &Rc<Links>, limits: Limits) -> Rc<Attempt> {
        let attempt = Rc::new(Attempt::default());
        self.state.replace(State::Making(Rc::clone(&attempt)));
        let end = End { links: Rc::clone(self), attempt: Rc::clone(&attempt), made: None };
        spawn_local(end.make(limits));
        attempt
    }

    /// How many streams staging lets be open, as far as is known.
    pub(super) fn streams(&self) -> usize {
        match &*self.state.borrow() {
            State::Made(link) => link.streams(),
            _ => usize::MAX,
        }
    }

    /// Lets go of the connection; what is under way over it goes on.
    pub(super) fn hang_up(&self) {
        let mut state = self.state.borrow_mut();
        if let State::Made(_) = &*state {
            *state = State::None;
        }
    }

    async fn make(&self, limits: &Limits) -> Result<Link, Fault> {
        let deadline = Deadline::new(Instant::now(), limits.timeout);
        let Dialled { socket, peer } = dial(&self.makings, *limits).await?;
        let left = deadline.left().unwrap_or_default().min(limits.connect_timeout);
        let failed = |error| Fault::connecting(Error::Io(error), &deadline);
        let stream = asynchronous(socket).map_err(failed)?;
        let begun = match &self.tls {
            None => Link::over(stream, peer).await,
            Some(tls) => Link::over(greet(stream, tls, left, &deadline).await?, peer).await,
        };
        begun.map_err(|error| wrong::fault("begin", &error))
    }
}

/// Tells those who wait how it ended, come what may.
struct End {
    links: Rc<Links>,
    attempt: Rc<Attempt>,
    made: Option<Result<Rc<Link>, Fault>>,
}

impl End {
    async fn make(mut self, limits: Limits) {
        self.made = Some(self.links.make(&limits).await.map(Rc::new));
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let made = self.made.take();
        let made = made.unwrap_or_else(|| Err(Fault::new(Failure::Internal, "connect: a panic")));
        let state = made.as_ref().map_or(State::None, |link| State::Made(Rc::clone(link)));
        self.links.state.replace(state);
        let _ = self.attempt.made.set(made);
        self.attempt.ended.notify_waiters();
    }
}

fn asynchronous(socket: std::net::TcpStream) -> io::Result<TcpStream> {
    // What it was given to wait at most was for others.
    socket.set_nonblocking(true)?;
    TcpStream::from_std(socket)
}

/// The handshake of TLS, at whose end both are to speak HTTP/2.
async fn greet(
    stream: TcpStream,
    tls: &Tls,
    left: Duration,
    deadline: &Deadline,
) -> Result<TlsStream<TcpStream>, Fault> {
    let peer = stream.peer_addr().map_or_else(|error| error.to_string(), |peer| peer.to_string());
    let config: Arc<ClientConfig> = Arc::clone(&tls.config);
    let greeting = TlsConnector::from(config).connect(tls.name.clone(), stream);
    let greeted = timeout(left, greeting).await;
    let greeted =
        greeted.unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "not done in time")));
    let greeted = greeted.map_err(|error| {
        if is_of_alpn(&error) {
            return Fault::new(Failure::Tls, NO_H2);
        }
        let of_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let error = match of_tls {
            true => error,
            false => io::Error::new(error.kind(), format!("{peer}: the handshake of TLS: {error}")),
        };
        Fault::connecting(Error::Io(error), deadline)
    })?;
    let (_, session) = greeted.get_ref();
    match session.alpn_protocol() {
        Some(ALPN) => Ok(greeted),
        _ => Err(Fault::new(Failure::Tls, NO_H2)),
    }
}

const NO_H2: &str = "staging does not offer HTTP/2 (ALPN h2)";

/// Whether TLS failed over the protocol: staging hung up, or chose one that it was not offered.
fn is_of_alpn(error: &io::Error) -> bool {
    let said = [
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol),
        rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol),
    ];
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    error.is_some_and(|error| said.contains(error))
}
