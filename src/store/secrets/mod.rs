//! Secrets at rest: what holds secrets is sealed before it is written and opened
//! after it is read, with XChaCha20-Poly1305; in memory everything is clear.
//!
//! Definitions of webhooks are sealed as a whole, not secret by secret: nothing
//! queries them, one text is simpler to get right than many, and what a later member
//! holds is covered without being thought of (a URL may be a secret, too). Answers
//! kept for idempotency keys are sealed for the same reason, and so are the digests
//! of their requests: a short secret could be guessed with one. The key of session tokens is a
//! secret by itself.

mod admission;
mod keys;
mod place;
mod reseal;

pub(super) use self::{admission::admit, place::Place, reseal::page};
pub use self::{keys::SecretKeys, reseal::ResealCursor};
