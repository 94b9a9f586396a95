//! Outgoing mail ([`Mailer`]), and outgoing HTTP/1.1: one request to one receiver, and what came of it.
//!
//! Who acts here: a delivery worker owns a [`Connection`] and sends one [`Request`] at a time with
//! it. All connections share one [`HttpSender`], which resolves names, connects and speaks TLS. Its
//! [`Addresses`] let no connection lead where the address guard forbids it.
//! Where a request goes is a [`Target`], parsed once per webhook.
//!
//! What is guaranteed:
//!
//! - [`Connection::send`] ends within [`Limits::timeout`], whatever the receiver does: name
//!   resolution, connecting, TLS, headers and body are all inside it.
//! - Memory per connection is bounded by constants and [`Limits`], not by the receiver.
//! - A connection leads to an address that was checked, whatever its name resolves to by then. Proxies
//!   are not used, whatever the environment says.
//! - An answer is an [`Answer`] whatever its status says; redirects are not followed. What counts as
//!   success is decided elsewhere.
//! - A request is written once. It is repeated only on a kept-alive connection that turned out to
//!   be closed before a byte of it was written.
//! - No message of a [`Failure`] contains headers, bodies or the path and query of a URL.
//!
//! Nothing is spawned for a request: the protocol is driven by the task that waits for the answer, so a request
//! costs no wake-up of another task.

mod addresses;
mod connection;
mod failure;
mod http_sender;
mod mail;
mod message;
mod open;
mod stream;
mod target;

pub use addresses::{Addresses, ForbiddenDestination, Resolver, SystemResolver};
pub use connection::Connection;
pub use failure::{Failure, FailureKind};
pub use http_sender::{HttpSender, TlsSetupError};
pub use mail::{Mailer, MailerError, SendError, is_mail_address};
pub use message::{Answer, Limits, Request};
pub use target::{Target, TargetError};
