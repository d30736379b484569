//! Why an exchange failed: the reason that is counted, and the words for the error log.

use std::io;

use rustls::CertificateError as Certificate;
use ureq::Error;

use crate::outcome::Failure;

use super::pace::Deadline;
use super::tunnel::Refused;

/// A failed exchange. Its words never hold a part of a message.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// What is counted.
    pub(super) failure: Failure,
    /// What failed, and how: `connect to 127.0.0.1:1: Connection refused (os error 111)`.
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(failure: Failure, what: impl Into<String>) -> Fault {
        Fault { failure, what: what.into() }
    }

    /// A connection that was not made.
    pub(super) fn connecting(error: Error, deadline: &Deadline) -> Fault {
        if let Some(wrong) = tls(&error) {
            return Fault::new(Failure::Tls, wrong);
        }
        if let Some(Refused(failure, what)) = by_proxy(&error) {
            let late = deadline.left().is_none();
            let failure = if late { Failure::Timeout } else { *failure };
            return Fault::new(failure, format!("connect: {what}"));
        }
        let failure = match kind(&error) {
            Some(io::ErrorKind::ConnectionRefused) => Failure::Refused,
            _ if deadline.left().is_none() => Failure::Timeout,
            _ => Failure::Connect,
        };
        Fault::new(failure, format!("connect to {}", words(error)))
    }

    /// A connection that broke, or took too long, while `doing` something over it.
    pub(super) fn talking(doing: &str, error: Error, deadline: &Deadline) -> Fault {
        if let Some(wrong) = tls(&error) {
            return Fault::new(Failure::Tls, format!("{doing}: {wrong}"));
        }
        match kind(&error) {
            Some(io::ErrorKind::TimedOut) if deadline.left().is_none() => {
                Fault::late(doing, deadline)
            }
            // The kernel gave the connection up.
            Some(io::ErrorKind::TimedOut) => {
                Fault::new(Failure::Timeout, format!("{doing}: {}", words(error)))
            }
            Some(_) => Fault::new(Failure::Reset, format!("{doing}: {}", words(error))),
            None => Fault::new(Failure::Protocol, format!("{doing}: {}", words(error))),
        }
    }

    /// An exchange whose time ended while `doing` something.
    pub(super) fn late(doing: &str, deadline: &Deadline) -> Fault {
        Fault::new(Failure::Timeout, format!("{doing}: not done within {:?}", deadline.span()))
    }
}

/// What a proxy did not do, if it was one.
fn by_proxy(error: &Error) -> Option<&Refused> {
    let Error::Io(error) = error else { return None };
    error.get_ref()?.downcast_ref()
}

/// What TLS complains of, if it does.
fn tls(error: &Error) -> Option<String> {
    let Error::Io(error) = error else { return None };
    let error: &rustls::Error = error.get_ref()?.downcast_ref()?;
    Some(match error {
        rustls::Error::InvalidCertificate(wrong) => certificate(wrong),
        rustls::Error::AlertReceived(alert) => format!("staging refused it: {alert:?}"),
        rustls::Error::InvalidMessage(_) => "what came back is not TLS".to_owned(),
        error => error.to_string(),
    })
}

fn certificate(wrong: &Certificate) -> String {
    let wrong = match wrong {
        Certificate::Expired | Certificate::ExpiredContext { .. } => "has expired",
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "is not valid yet",
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "is for another name"
        }
        Certificate::UnknownIssuer => "is signed by no CA that is known",
        other => return format!("staging's certificate is not accepted: {other}"),
    };
    format!("staging's certificate {wrong}")
}

/// Whether a wait ended, and nothing is wrong with the connection.
pub(super) fn is_timeout(error: &Error) -> bool {
    match error {
        Error::Timeout(_) => true,
        Error::Io(error) => inner(error).is_some_and(is_timeout),
        _ => false,
    }
}

/// The kind of an error of the connection itself; `None` where a layer above it complains.
fn kind(error: &Error) -> Option<io::ErrorKind> {
    match error {
        Error::Timeout(_) => Some(io::ErrorKind::TimedOut),
        Error::Io(error) => inner(error).map_or(Some(error.kind()), kind),
        _ => None,
    }
}

/// What the socket's transport reported, where a layer over it has wrapped it.
fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn words(error: Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
