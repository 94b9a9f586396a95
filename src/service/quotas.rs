//! What a tenant may take: webhooks, publishes per second, deliveries that wait.
//!
//! The rate is this process's own. Waiting deliveries are not counted on each publish: what is
//! known is a count and what this process has added since. Only when that reaches the quota it is
//! counted again, at most once in a second, and no further than the quota. So a tenant may have
//! more than its quota by what is published at one moment, or through other processes; and what
//! was delivered within the last second may still count.

use std::time::Duration;

use parking_lot::Mutex;

use super::scope::Scope;
use crate::{
    domain::{
        error::{Error, Reason, Result},
        event_rate::EventRate,
        tenant::TenantSettings,
        time::Timestamp,
    },
    store::Store,
};

/// How often waiting deliveries are counted, at most; and when to try again.
const RECOUNT: Duration = Duration::from_secs(1);
/// When to try again to make a webhook: others have to be deleted.
const WEBHOOKS_RETRY: Duration = Duration::from_secs(60);

/// The quotas of tenants that have none of their own; 0 means no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quotas {
    /// Webhooks at a time.
    pub max_webhooks: u32,
    /// Published events per second, by this process.
    pub max_events_per_second: f64,
    /// Deliveries that are not settled.
    pub max_waiting_deliveries: u64,
}

impl Quotas {
    /// Those of a tenant.
    pub(super) fn of(self, settings: &TenantSettings) -> Self {
        let rate = settings.max_events_per_second;
        let (webhooks, waiting) = (settings.max_webhooks, settings.max_waiting_deliveries);
        Self {
            max_webhooks: if webhooks > 0 { webhooks } else { self.max_webhooks },
            max_events_per_second: if rate > 0.0 { rate } else { self.max_events_per_second },
            max_waiting_deliveries: if waiting > 0 { waiting } else { self.max_waiting_deliveries },
        }
    }
}

/// What a tenant has taken, as far as it is known here.
#[derive(Default)]
pub(super) struct Taken {
    rate: Mutex<EventRate>,
    waiting: Mutex<Waiting>,
    /// Of several that find it full at once, one counts.
    counting: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Default)]
struct Waiting {
    known: u64,
    counted: Option<Timestamp>,
}

/// Refuses one webhook too many.
pub(super) fn check_webhooks(scope: &Scope) -> Result<()> {
    let most = scope.quotas().max_webhooks as usize;
    if most > 0 && scope.config.webhook_count() >= most {
        let message = format!("the tenant may have {most} webhooks and has them");
        return Err(exceeded(message, WEBHOOKS_RETRY));
    }
    Ok(())
}

/// Refuses events that come too fast, or while too much waits.
pub(super) async fn check_events(
    store: &Store,
    scope: &Scope,
    events: usize,
    now: Timestamp,
) -> Result<()> {
    let quotas = scope.quotas();
    let taken = &scope.config.taken;
    if quotas.max_waiting_deliveries > 0 {
        check_waiting(store, scope, quotas.max_waiting_deliveries, now).await?;
    }
    if quotas.max_events_per_second > 0.0 {
        let room = taken.rate.lock().take(events, quotas.max_events_per_second, now);
        room.map_err(|wait| {
            let rate = quotas.max_events_per_second;
            exceeded(format!("the tenant may publish {rate} events per second"), wait)
        })?;
    }
    Ok(())
}

async fn check_waiting(store: &Store, scope: &Scope, most: u64, now: Timestamp) -> Result<()> {
    let full = || exceeded(format!("{most} deliveries of the tenant wait already"), RECOUNT);
    let taken = &scope.config.taken;
    let Waiting { known, counted } = *taken.waiting.lock();
    if counted.is_some() && known < most {
        return Ok(());
    }
    if counted.is_some_and(|at| at <= now && now.since(at) < RECOUNT) {
        return Err(full());
    }
    // The others are let through meanwhile.
    let Ok(_one) = taken.counting.try_lock() else { return Ok(()) };
    let count = store.waiting_deliveries(scope.tenant_key, most).await?;
    let mut waiting = taken.waiting.lock();
    let meanwhile = waiting.known.saturating_sub(known);
    *waiting = Waiting { known: count.saturating_add(meanwhile), counted: Some(now) };
    if count < most { Ok(()) } else { Err(full()) }
}

/// Takes note of deliveries that were accepted.
pub(super) fn add_waiting(scope: &Scope, deliveries: usize) {
    let mut waiting = scope.config.taken.waiting.lock();
    waiting.known = waiting.known.saturating_add(deliveries as u64);
}

fn exceeded(message: String, retry_after: Duration) -> Error {
    Error { retry_after: Some(retry_after), ..Error::new(Reason::QuotaExceeded, message) }
}
