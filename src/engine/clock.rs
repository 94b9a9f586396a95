//! The time, as everything but `main` gets it.

use std::{future::Future, pin::Pin};

use crate::domain::time::Timestamp;

/// Tells the time and waits for it. The implementation of a running server asks
/// the system; tests move theirs by hand.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits until it is `at`. May return early; callers look at the time again.
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
