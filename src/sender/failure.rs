//! Why there was no answer, in words that can be shown to the owner of a webhook.

use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

use tokio_rustls::rustls;

use super::addresses::ForbiddenDestination;
use super::target::Origin;

/// A request that got no complete answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The class of the failure.
    pub kind: FailureKind,
    /// Short, for humans. Contains no secrets: of the URL only host and port.
    pub message: String,
    /// From the call until the failure, connecting included.
    pub time_taken: Duration,
}

/// The class of a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// [`Limits::timeout`](super::Limits::timeout) passed.
    Timeout,
    /// DNS, connecting, a reset, or an answer that is not HTTP/1.
    Connection,
    /// The TLS handshake failed, or TLS was broken later.
    Tls,
    /// An address of the host is not allowed; nothing was sent.
    Forbidden,
}

/// How far a request has come, for the message of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Resolving,
    Connecting,
    Handshake,
    Answer,
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "resolving the host name",
            Self::Connecting => "connecting",
            Self::Handshake => "in the TLS handshake",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the body of the answer",
        })
    }
}

/// A failure whose time is not known yet.
#[derive(Debug)]
pub(super) struct Fault {
    kind: FailureKind,
    message: String,
}

impl Fault {
    pub(super) fn timeout(limit: Duration, phase: Phase) -> Self {
        Self {
            kind: FailureKind::Timeout,
            message: format!("timed out after {limit:?} while {phase}"),
        }
    }

    pub(super) fn connection(what: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Connection, message: what.to_string() }
    }

    pub(super) fn tls(what: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Tls, message: format!("TLS handshake failed: {what}") }
    }

    /// Says nothing of the addresses that were found: they may be those of a network that the
    /// owner of the webhook cannot see.
    pub(super) fn forbidden(origin: &Origin) -> Self {
        let message = format!("{origin} {ForbiddenDestination}");
        Self { kind: FailureKind::Forbidden, message }
    }

    pub(super) fn is_forbidden(&self) -> bool {
        self.kind == FailureKind::Forbidden
    }

    /// What went wrong while a request was sent or its answer read.
    pub(super) fn http(error: &hyper::Error) -> Self {
        let cause = root_cause(error);
        let message = if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return Self { kind: FailureKind::Tls, message: format!("TLS error: {error}") };
        } else if error.is_parse_too_large() {
            "the headers of the answer are too large".to_owned()
        } else if error.is_parse() {
            format!("the answer is not valid HTTP/1: {cause}")
        } else if error.is_incomplete_message() {
            "the connection was closed before the answer was complete".to_owned()
        } else if let Some(error) = cause.downcast_ref::<io::Error>() {
            format!("the connection broke: {}", plain(error))
        } else {
            format!("the connection broke: {cause}")
        };
        Self::connection(message)
    }

    pub(super) fn after(self, time_taken: Duration) -> Failure {
        Failure { kind: self.kind, message: self.message, time_taken }
    }
}

/// An I/O error without the number of the operating system.
pub(super) fn plain(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.find(" (os error") {
        text.truncate(end);
    }
    text
}

/// The innermost error. `io::Error` hides the one it wraps from `source`, hence the detour.
fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    loop {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => cause.source(),
        };
        match next {
            Some(next) => cause = next,
            None => return cause,
        }
    }
}
