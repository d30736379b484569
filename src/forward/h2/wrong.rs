//! What an error means to the copy that met it: the reason that is counted, and whether it may be sent again.

use std::io::ErrorKind;

use h2::{Error, Reason};

use crate::outcome::Failure;

use super::super::fault::Fault;

/// A copy that met an error.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) fault: Fault,
    pub(super) left: Left,
}

/// What staging has seen of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing that it has looked at, and the connection takes no more streams.
    Unsent,
    /// Nothing that it has looked at: it refused the stream, and may take another.
    Refused,
    /// Nobody knows: the connection ended.
    Cut,
    /// It has dealt with it.
    Processed,
}

impl Broken {
    /// The connection takes no more streams, whyever: it ends, or has no number left for one.
    pub(super) fn unready(error: &Error) -> Broken {
        Broken { fault: fault("open a stream", error), left: Left::Unsent }
    }

    /// An error before the copy had a stream.
    pub(super) fn unsent(error: &Error) -> Broken {
        let of_the_connection = error.is_io() || error.is_go_away();
        let left = if of_the_connection { Left::Unsent } else { Left::Processed };
        Broken { fault: fault("open a stream", error), left }
    }

    /// An error of the copy's stream while `doing` something.
    pub(super) fn after(doing: &str, error: &Error) -> Broken {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let left = match error.is_remote() {
            // Streams up to the last that GOAWAY names are not told of it.
            true if error.is_go_away() => Left::Unsent,
            true if refused => Left::Refused,
            _ if error.is_io() => Left::Cut,
            _ => Left::Processed,
        };
        Broken { fault: fault(doing, error), left }
    }

    /// An error after something of the answer has come, be it an interim one: whatever staging says now, it has
    /// looked at the copy. It may not say otherwise (RFC 9113 section 8.7), but whom it answers it has read.
    pub(super) fn amid(doing: &str, error: &Error) -> Broken {
        Broken { fault: fault(doing, error), left: Left::Processed }
    }
}

/// The error as it is counted, and told.
pub(super) fn fault(doing: &str, error: &Error) -> Fault {
    if let Some(io) = error.get_io() {
        return match io.kind() {
            // Nobody but TLS says so, in words alone.
            ErrorKind::InvalidData => {
                let said = io.to_string();
                let alert = said.strip_prefix("received fatal alert: ");
                let what =
                    alert.map_or(said.clone(), |alert| format!("staging refused it: {alert}"));
                Fault::new(Failure::Tls, format!("{doing}: {what}"))
            }
            ErrorKind::TimedOut => Fault::new(Failure::Timeout, format!("{doing}: {io}")),
            ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
                Fault::new(Failure::Reset, format!("{doing}: closed by staging"))
            }
            _ => Fault::new(Failure::Reset, format!("{doing}: {io}")),
        };
    }
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    match () {
        () if error.is_remote() && error.is_go_away() => {
            let what = format!("{doing}: staging ends the connection: {reason}");
            Fault::new(of(reason), what)
        }
        () if error.is_remote() => {
            Fault::new(of(reason), format!("{doing}: staging resets the stream: {reason}"))
        }
        () if error.is_reset() || error.is_go_away() => {
            let what = format!("{doing}: what came back is not HTTP/2: {reason}");
            Fault::new(Failure::Protocol, what)
        }
        () => Fault::new(Failure::Internal, format!("{doing}: {error}")),
    }
}

/// What staging's word for it is to us.
fn of(reason: Reason) -> Failure {
    match reason {
        Reason::PROTOCOL_ERROR
        | Reason::FLOW_CONTROL_ERROR
        | Reason::FRAME_SIZE_ERROR
        | Reason::COMPRESSION_ERROR
        | Reason::HTTP_1_1_REQUIRED => Failure::Protocol,
        _ => Failure::Reset,
    }
}
