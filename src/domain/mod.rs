//! The domain: what Tidings is about, as plain values, rules and decisions.
//!
//! Nothing here waits, reads a clock, rolls dice or knows a database: time and
//! chance are parameters. Every other layer speaks in these types.

pub mod access;
pub mod actor;
pub mod address;
pub mod alert;
pub mod api_key;
pub mod body;
pub mod catalogue;
pub mod change_page;
pub mod claims;
pub mod credential;
pub mod delivery;
pub mod delivery_times;
pub mod diverted;
pub mod enrichment;
pub mod error;
pub mod event;
pub mod event_filter;
pub mod event_metadata;
pub mod event_rate;
pub mod explanation;
pub mod failed_logins;
pub mod failure_handling;
pub mod header_mask;
pub mod id;
pub mod json;
pub mod limits;
pub mod log_filter;
pub mod members;
pub mod notification;
mod numbered_state;
pub mod order;
pub mod permission;
pub mod retry;
pub mod retry_after;
pub mod schema;
pub mod secret;
pub mod shard;
pub mod signature;
pub mod signing;
pub mod state_change;
pub mod subscription;
pub mod tail;
pub mod tenant;
pub mod text;
pub mod time;
pub mod token;
pub mod unique_name;
pub mod webhook;
pub mod webhook_rules;
