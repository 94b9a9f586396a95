//! Sums of delivery times: a few rows per batch, whatever the number of deliveries.

use std::collections::BTreeMap;

use sea_orm::Value;

use super::record::Settlement;
use crate::{
    domain::{
        delivery_times::{class, window_start},
        time::micros,
    },
    store::bulk::{Bulk, Kind::Number},
};

// In the order of the keys: whoever else adds to them waits, and nobody for each other.
pub(super) static ADD_TIMES: Bulk = Bulk::insert(
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

/// What a transaction adds to the sums.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<(i64, i64, i32), (i64, i64)>);

impl Sums {
    /// Adds the first successes among settlements.
    pub(super) fn add(&mut self, settlements: &[&Settlement]) {
        for settlement in settlements {
            let Some(ingest) = settlement.delivered_from else { continue };
            let Some(end) = settlement.state.end_time else { continue };
            let taken = end.since(ingest);
            let key = (settlement.webhook_key.0, window_start(ingest).micros(), class(taken));
            let (count, sum) = self.0.entry(key).or_default();
            *count += 1;
            *sum = sum.saturating_add(micros(taken));
        }
    }

    /// The rows of [`ADD_TIMES`].
    pub(super) fn rows(self) -> Vec<Value> {
        let rows = self.0.into_iter().flat_map(|((webhook, window, class), (count, sum))| {
            [webhook.into(), window.into(), Value::from(class), count.into(), sum.into()]
        });
        rows.collect()
    }
}
