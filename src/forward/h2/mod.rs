//! Copies over HTTP/2: many on one connection, each on a stream of its own.
//!
//! ```text
//! carrier.rs    the target's one thread: takes copies, has at most `max` under way
//! links.rs      the connection in use, made once for all who wait for it
//! link.rs       one connection
//! gathered.rs   its socket, written once a turn
//! dial.rs       its socket, made in a thread of its own that ends with it
//! exchange.rs   one copy over one stream
//! words.rs      a copy in HTTP/2's words
//! wrong.rs      what an error means, and whether the copy may be sent again
//! ```
//!
//! Beside these, all is as for HTTP/1.1: the queue, the hand that sees a copy to its one outcome, the breaker,
//! masks, names, sockets, the allowance for long answers, and what the log is told.
//!
//! **One thread, one connection.** HTTP/1.1 takes a connection for each copy under way, and so threads that
//! share them ([`pool`](super::pool)). Here one thread has all copies of the target in this child under way,
//! up to `max`, on a runtime of its own: none waits for another's answer. It sleeps until something can go on;
//! who offers a copy wakes it by a [bell](crate::bell), at most once for each sleep, and while copies come close
//! upon each other it looks by itself.
//!
//! **Many take less than one each.** What all streams say in a turn goes by one write ([`gathered`]), and tasks are
//! kept for the next copies. Where many are under way and more come close upon each other, the thread is not woken for
//! each that sets out and each answer, but looks every two milliseconds: none of so many is in a hurry, and a
//! latency is told longer by that much, or a few times that where hundreds of answers come at once.
//!
//! **A copy is bounded** by its deadline, whatever it waits for: a connection, a stream, a window, the answer.
//! When that is over its stream is reset, and the others go on. A connection over which nothing was heard
//! since the late copy began is used no more. No more copies are taken from the queue than staging lets streams
//! be open (`SETTINGS_MAX_CONCURRENT_STREAMS`), so none waits for a stream with its time running.
//!
//! **Windows.** What comes is read as it comes, and the window given back, so no answer keeps another waiting.
//! An answer that is longer than the allowance bears, or than is read of any, has its stream reset, and counts
//! as delivered, as for HTTP/1.1. Content is sent as staging's windows let it; a copy without content needs none.
//!
//! **Sent again** is only what staging says it has not looked at: a stream above the last one that GOAWAY names,
//! or reset by `REFUSED_STREAM`; and, as for HTTP/1.1, a safe request that met a connection used before, which
//! closed without another word. Once anything of its answer has come, an interim one (1xx) included, no copy is,
//! whatever staging says.
//!
//! **Memory.** A copy's content lies where it was captured until a window takes a part of it; so many bytes of each
//! stream at most wait for the socket ([`link`]), and the connection's window is what may come and not be read yet.
//! No window bounds interim (1xx) answers. The one that is too many ends its stream, as for HTTP/1.1; those that the
//! connection reads in one turn are kept until the copy's turn comes, right after it.

mod carrier;
mod dial;
mod exchange;
mod gathered;
mod link;
mod links;
mod words;
mod wrong;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::queue::Offers;
use crate::stats::Account;
use crate::target::Target;
use crate::tls::Tls;

use super::Makings;

/// The protocol's name where TLS agrees on one (RFC 7301).
const ALPN: &[u8] = b"h2";

/// Starts the thread that carries a target's copies; what it takes them from.
///
/// It inherits the caller's signal mask.
pub(super) fn start(
    target: Arc<Target>,
    account: Account,
    makings: Makings,
    tls: Option<&Tls>,
) -> io::Result<Offers> {
    carrier::start(target, account, makings, tls.map(speaking_h2))
}

/// The same, and HTTP/2 over it.
fn speaking_h2(tls: &Tls) -> Tls {
    let mut config = ClientConfig::clone(&tls.config);
    config.alpn_protocols = vec![ALPN.to_vec()];
    Tls { config: Arc::new(config), name: tls.name.clone() }
}
