//! The gRPC transport: converts requests, calls a use case, converts back.
//!
//! Handlers hold no rules of their own. What a request means is read by
//! `convert` and `mask`; what a failure looks like is decided in `status` alone;
//! errors that tonic itself makes get their details in `fault_details`.

mod access;
mod api_keys;
mod authorize;
mod convert;
mod diverted_events;
mod drain;
mod ending;
mod event_log_batch;
mod event_logs;
mod event_types;
mod events;
mod fault_details;
mod mask;
mod publish_stream;
mod routes;
mod scoped;
mod status;
mod tenants;
mod webhooks;

pub use access::ACCESS;
pub use routes::{MOUNTED, routes};
pub use scoped::Handlers;

/// The contract as Rust types, generated from `proto/tidings/v1`.
pub mod proto {
    #![allow(
        missing_docs,
        unreachable_pub,
        elided_lifetimes_in_paths,
        clippy::all,
        clippy::unwrap_used,
        clippy::uninlined_format_args,
        clippy::large_futures,
        reason = "generated"
    )]

    tonic::include_proto!("tidings.v1");

    pub use super::event_log_batch::EventLogBatch;
}

/// The contract as an encoded `FileDescriptorSet`, comments and HTTP options included.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
