//! What the measurements share: a receiver that costs little, the server as a
//! process of its own, publishers, and figures.

#![allow(dead_code, reason = "each measurement uses its part of this")]

pub(crate) mod arrivals;
pub(crate) mod figures;
pub(crate) mod publishers;
pub(crate) mod receiver;
pub(crate) mod server;

use std::{future::Future, path::PathBuf, time::Duration};

/// Bytes of each published payload.
pub(crate) const PAYLOAD_BYTES: usize = 500;

/// Whether `cargo bench` runs this; `cargo test --all-targets` only wants to see it built.
pub(crate) fn is_asked_to_measure() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Ends the measurement where something takes longer than it ever should.
pub(crate) async fn within<T>(limit: Duration, what: &str, wanted: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, wanted).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {limit:?}"),
    }
}

/// A directory that is removed in the end. Below the build's directory and not the
/// system's for temporary files, which may be in memory, where syncing costs nothing.
pub(crate) fn directory() -> tempfile::TempDir {
    let parent = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&parent).expect("a directory");
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).expect("a directory")
}

/// The payload of event `n`: a JSON object of [`PAYLOAD_BYTES`].
pub(crate) fn payload(n: usize) -> String {
    let mut payload = format!("{{\"n\":{n},\"filler\":\"");
    let filler = PAYLOAD_BYTES - payload.len() - "\"}".len();
    payload.extend(std::iter::repeat_n('x', filler));
    payload + "\"}"
}
