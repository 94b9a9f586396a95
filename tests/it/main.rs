//! Integration tests, one file per behaviour.

mod crash;
mod database_away;
mod delivery;
mod demo;
mod lanes;
mod layers;
mod retries;
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
