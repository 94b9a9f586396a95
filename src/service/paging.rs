//! Pages (AIP-158).

use crate::domain::{error::Faults, limits};

/// How many entries a page has: 50 where the request does not say, at most 1000.
pub(super) fn page_size(requested: i32, faults: &mut Faults) -> usize {
    match usize::try_from(requested) {
        Ok(0) => limits::DEFAULT_PAGE,
        Ok(size) => size.min(limits::MAX_PAGE),
        Err(_) => {
            faults.invalid("page_size", "must not be negative");
            limits::DEFAULT_PAGE
        }
    }
}
