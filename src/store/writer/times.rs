//! Sums of delivery times: a few rows per batch, whatever the number of deliveries.

use std::collections::BTreeMap;

use sea_orm::Value;

use super::{record::Settlement, transaction::WriteTx};
use crate::{
    domain::{
        delivery_times::{class, window_start},
        time::micros,
    },
    store::{
        bulk::{Bulk, Kind::Number},
        failure::Failure,
    },
};

// In the order of the keys: whoever else adds to them waits, and nobody for each other.
static ADD_TIMES: Bulk = Bulk::insert(
    "delivery_times",
    &[
        ("webhook_key", Number),
        ("window_start", Number),
        ("class", Number),
        ("deliveries", Number),
        ("micros", Number),
    ],
)
.on_conflict(
    "ON CONFLICT (webhook_key, window_start, class) DO UPDATE SET
     deliveries = delivery_times.deliveries + excluded.deliveries,
     micros = delivery_times.micros + excluded.micros",
);

/// Adds the first successes among settlements.
pub(super) async fn add(tx: &WriteTx, settlements: &[&Settlement]) -> Result<(), Failure> {
    let mut sums: BTreeMap<(i64, i64, i32), (i64, i64)> = BTreeMap::new();
    for settlement in settlements {
        let Some(ingest) = settlement.delivered_from else { continue };
        let Some(end) = settlement.state.end_time else { continue };
        let taken = end.since(ingest);
        let key = (settlement.webhook_key.0, window_start(ingest).micros(), class(taken));
        let (count, sum) = sums.entry(key).or_default();
        *count += 1;
        *sum = sum.saturating_add(micros(taken));
    }
    if sums.is_empty() {
        return Ok(());
    }
    let mut values: Vec<Value> = Vec::with_capacity(sums.len() * 5);
    for ((webhook, window, class), (count, sum)) in sums {
        values.extend([
            webhook.into(),
            window.into(),
            class.into(),
            count.into(),
            Value::from(sum),
        ]);
    }
    ADD_TIMES.run(tx.sql(), values).await?;
    Ok(())
}
