//! Integration tests, one file per behaviour.

mod crash;
mod database_away;
mod delivery;
mod demo;
mod event_logs;
mod event_types;
mod fields_not_available;
mod lanes;
mod layers;
mod publish_streams;
mod publishing;
mod retries;
mod retry_delivery;
mod sender;
mod sender_failures;
mod sender_tls;
mod sla;
mod store;
mod support;
mod tail;
mod tail_slow;
mod webhook_holds;
mod webhook_lists;
mod webhook_updates;
mod webhooks;
