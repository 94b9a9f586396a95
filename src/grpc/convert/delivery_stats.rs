//! Statistics of deliveries.

use super::time::{read_timestamp, show_duration};
use crate::{
    domain::error::Faults,
    grpc::proto,
    service::delivery_stats::{StatsQuery, WebhookStats},
};

/// Reads which deliveries are to be counted.
pub(crate) fn read_stats_query(request: proto::GetDeliveryStatsRequest) -> StatsQuery {
    let proto::GetDeliveryStatsRequest { tenant_id: _, webhook_ids, ingest_time } = request;
    let proto::TimeRange { start_time, end_time } = ingest_time.unwrap_or_default();
    let mut faults = Faults::default();
    StatsQuery {
        webhook_ids,
        start_time: read_timestamp(start_time.as_ref(), "ingest_time.start_time", &mut faults),
        end_time: read_timestamp(end_time.as_ref(), "ingest_time.end_time", &mut faults),
        faults,
    }
}

/// The sum of one webhook.
pub(crate) fn show_stats(found: WebhookStats) -> proto::DeliveryStats {
    let WebhookStats { webhook_id, stats, oldest_age } = found;
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    proto::DeliveryStats {
        webhook_id: webhook_id.to_string(),
        total_count: count(stats.total()),
        succeeded_count: count(stats.times.count()),
        failed_count: count(stats.failed),
        retrying_count: count(stats.retrying),
        pending_count: count(stats.pending),
        sla_breached_count: count(stats.breached),
        delivery_time_p50: stats.times.percentile(50).map(show_duration),
        delivery_time_p99: stats.times.percentile(99).map(show_duration),
        oldest_pending_age: oldest_age.map(show_duration),
        delivery_time_mean: stats.times.mean().map(show_duration),
    }
}
