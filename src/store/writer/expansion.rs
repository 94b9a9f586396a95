//! Events for very many webhooks: a transaction writes so many deliveries, what is beyond
//! is noted in the same transaction and made later, a part at a time.
//!
//! A part names its webhooks as they were matched, so it does not matter what becomes of
//! webhooks in between. It goes in the transaction that makes its deliveries, so each is
//! made once.
//!
//! The order of publishing is kept where it counts: while a tenant has parts left, whatever
//! stands in an order of its new events joins them, and parts are taken in the order of
//! their events.

use std::borrow::Cow;

use sea_orm::Value;

use super::{publish::Target, transaction::WriteTx};
use crate::{
    domain::{
        id::{EventKey, TenantKey, WebhookKey},
        order::OrderKey,
        time::Timestamp,
    },
    store::{
        bulk::{
            Bulk,
            Kind::{Number, Text},
        },
        failure::{Failure, corrupt},
    },
};

/// Deliveries of one event that one transaction makes.
pub(in crate::store) const OF_EVENT: usize = 1_000;
/// Deliveries of all events of one tenant that are published in one transaction.
pub(super) const OF_TENANT: usize = 4_000;

static INSERT_PARTS: Bulk = Bulk::insert(
    "expansions",
    &[
        ("tenant_key", Number),
        ("event_key", Number),
        ("part", Number),
        ("target_count", Number),
        ("targets", Text),
    ],
);

/// Which deliveries of an event are made at once, where there is room for so many more, and
/// which later. `behind`: what stands in an order has to wait for earlier events.
pub(super) fn split(
    targets: &[Target],
    room: usize,
    behind: bool,
) -> (Cow<'_, [Target]>, Vec<Target>) {
    let room = room.min(OF_EVENT);
    let waits = |target: &Target| behind && target.order.is_some();
    if targets.len() <= room && !targets.iter().any(waits) {
        return (Cow::Borrowed(targets), Vec::new());
    }
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for target in targets {
        let to = if now.len() < room && !waits(target) { &mut now } else { &mut later };
        to.push(*target);
    }
    (Cow::Owned(now), later)
}

/// Notes the deliveries of events that are made later.
pub(super) async fn defer(
    tx: &mut WriteTx,
    tenant: TenantKey,
    events: &[(EventKey, Vec<Target>)],
) -> Result<(), Failure> {
    let mut values: Vec<Value> = Vec::new();
    for (event, targets) in events {
        for (part, targets) in (0i64..).zip(targets.chunks(OF_EVENT)) {
            values.extend([
                tenant.0.into(),
                event.0.into(),
                part.into(),
                (targets.len() as i64).into(),
                text(targets)?.into(),
            ]);
        }
    }
    if !values.is_empty() {
        INSERT_PARTS.run(tx.sql(), values).await?;
        tx.news.deferred = true;
    }
    Ok(())
}

/// A target as it is stored: webhook, end of the SLA, order.
type Stored = (i64, Option<i64>, Option<i64>);

fn text(targets: &[Target]) -> Result<String, Failure> {
    let stored = |target: &Target| -> Stored {
        let sla = target.sla_due_time.map(Timestamp::micros);
        (target.webhook_key.0, sla, target.order.map(|order| order.0))
    };
    let stored: Vec<Stored> = targets.iter().map(stored).collect();
    Ok(serde_json::to_string(&stored).map_err(|_| corrupt("targets"))?)
}

/// Reads the targets of a part.
pub(in crate::store) fn read(text: &str) -> Result<Vec<Target>, Failure> {
    let stored: Vec<Stored> = serde_json::from_str(text).map_err(|_| corrupt("targets"))?;
    let target = |(key, sla, order): Stored| Target {
        webhook_key: WebhookKey(key),
        sla_due_time: sla.map(Timestamp::from_micros),
        order: order.map(OrderKey),
    };
    Ok(stored.into_iter().map(target).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(count: i64) -> Vec<Target> {
        let target = |key| Target {
            webhook_key: WebhookKey(key),
            sla_due_time: (key % 2 == 0).then(|| Timestamp::from_micros(key)),
            order: (key % 10 == 0).then_some(OrderKey(key)),
        };
        (1..=count).map(target).collect()
    }

    #[test]
    fn no_more_than_there_is_room_for_is_made_at_once_and_nothing_is_left_out() {
        for (count, room, behind, now) in [
            (1_000, 4_000, false, 1_000),
            (1_001, 4_000, false, 1_000),
            (2_500, 4_000, false, 1_000),
            (100, 4_000, true, 90),
            (2_500, 4_000, true, 1_000),
            (100, 30, false, 30),
            (100, 0, false, 0),
            (0, 0, true, 0),
        ] {
            let all = targets(count);
            let (at_once, later) = split(&all, room, behind);
            assert_eq!(at_once.len(), now, "{count} {room} {behind}");
            assert!(!behind || at_once.iter().all(|target| target.order.is_none()));
            let mut both = [at_once.into_owned(), later].concat();
            both.sort_by_key(|target| target.webhook_key);
            assert_eq!(both, all);
        }
    }

    #[test]
    fn targets_are_read_as_they_were_written() {
        let all = targets(50);
        assert_eq!(read(&text(&all).expect("a text")).expect("targets"), all);
        assert!(read("[[1]]").is_err());
    }
}
