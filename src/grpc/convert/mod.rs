//! Contract types to domain types (`read_…`, which notes faults) and back
//! (`show_…`, which cannot fail).
//!
//! Messages are taken apart field by field without `..`: a field that is added to
//! the contract does not compile until somebody says what becomes of it. What has
//! no effect yet is refused where it is set.

pub(super) mod actor;
pub(super) mod api_key;
pub(super) mod delivery_stats;
pub(super) mod diverted_event;
pub(super) mod enrichment;
pub(super) mod event;
mod event_filter;
pub(super) mod event_log;
pub(super) mod event_metadata;
pub(super) mod failure_handling;
pub(super) mod filter;
pub(super) mod headers;
pub(super) mod json;
mod place;
pub(super) mod retry_policy;
pub(super) mod signing;
pub(super) mod tail;
pub(super) mod tenant;
pub(super) mod time;
pub(super) mod value;
pub(super) mod webhook;
