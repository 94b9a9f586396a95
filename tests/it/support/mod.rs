//! What the tests need around the code under test.

pub(crate) mod api;
pub(crate) mod bare_event;
pub(crate) mod clients;
pub(crate) mod clock;
pub(crate) mod database;
pub(crate) mod event_source;
pub(crate) mod http_client;
pub(crate) mod issuer;
pub(crate) mod keys;
pub(crate) mod names;
pub(crate) mod own_postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod raw_grpc;
pub(crate) mod receiver;
pub(crate) mod refusal;
mod reply;
pub(crate) mod samples;
pub(crate) mod secured;
pub(crate) mod sending;
pub(crate) mod server;
pub(crate) mod smtp;
pub(crate) mod tailing;
pub(crate) mod theirs;
