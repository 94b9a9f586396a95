//! What commands that call a server say of a call that failed.

use tonic::Status;

/// Says which call failed and how.
pub(super) fn refused(call: &str, status: &Status) -> String {
    format!("{call} failed with {:?}: {}", status.code(), status.message())
}
