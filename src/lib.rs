//! Tidings, an event-notification service: publish over gRPC, deliver to
//! webhooks, follow every delivery live. ARCHITECTURE.md shows the way of the data.

pub mod cli;
pub mod domain;
pub mod engine;
pub mod grpc;
pub mod http;
pub mod sender;
pub mod server;
pub mod service;
pub mod store;
