//! Statistics of deliveries, webhook by webhook.

use std::time::Duration;

use uuid::Uuid;

use super::{event_logs::EventLogs, scope::Scope, webhooks};
use crate::{
    domain::{
        delivery_times::window_start,
        error::{Error, Faults, Reason, Result},
        id::WebhookId,
        limits,
        time::Timestamp,
    },
    store::Stats,
};

/// What is looked at where the request does not say.
const DEFAULT_SPAN: Duration = Duration::from_secs(30 * 24 * 3600);
/// Webhooks that one query is about.
const CHUNK: usize = 100;
/// Single deliveries that one request may read, at the ends of its range.
const ROWS: usize = 500_000;

/// Which deliveries are counted.
#[derive(Clone, Debug, Default)]
pub struct StatsQuery {
    /// Only these webhooks; all of the tenant when empty.
    pub webhook_ids: Vec<String>,
    /// Ingested at or after.
    pub start_time: Option<Timestamp>,
    /// Ingested before. Where both are absent: the last 30 days, from whole tens of
    /// minutes on.
    pub end_time: Option<Timestamp>,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
}

/// Statistics of one webhook that had deliveries.
pub struct WebhookStats {
    /// Which webhook.
    pub webhook_id: WebhookId,
    /// Its counts and times.
    pub stats: Stats,
    /// Age of the oldest delivery that is not settled.
    pub oldest_age: Option<Duration>,
}

impl EventLogs {
    /// Counts and times deliveries.
    ///
    /// # Errors
    ///
    /// Faults of the query, also where a range begins or ends where too many deliveries
    /// would have to be read one by one; `WEBHOOK_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn stats(&self, scope: &Scope, query: StatsQuery) -> Result<Vec<WebhookStats>> {
        let StatsQuery { webhook_ids, start_time, end_time, mut faults } = query;
        if webhook_ids.len() > limits::FILTER_VALUES {
            let message = format!("must have at most {} values", limits::FILTER_VALUES);
            faults.invalid("webhook_ids", message);
        }
        let now = self.clock.now();
        let start = match (start_time, end_time) {
            (None, None) => window_start(now.minus(DEFAULT_SPAN)),
            (start, _) => start.unwrap_or(Timestamp::MIN),
        };
        if end_time.is_some_and(|end| end <= start) {
            faults.invalid("ingest_time.end_time", "must be after start_time");
        }
        faults.check()?;
        // Nothing is ingested later than now.
        let end = end_time.filter(|end| *end <= now).unwrap_or(Timestamp::MAX);
        scope.config.refresh_if_stale(&self.store).await?;
        let mut webhooks = scope.config.webhooks();
        if !webhook_ids.is_empty() {
            let found = webhook_ids.iter().map(|id| webhooks::find(scope, id));
            webhooks = found.collect::<Result<_>>()?;
            webhooks.sort_unstable_by_key(|webhook| webhook.key);
            webhooks.dedup_by_key(|webhook| webhook.key);
        }
        let _turn = self.stats_turns.acquire().await.map_err(|_| Error::draining())?;
        let (mut all, mut rows) = (Vec::new(), ROWS);
        for chunk in webhooks.chunks(CHUNK) {
            let keys: Vec<_> = chunk.iter().map(|webhook| webhook.key).collect();
            let mut stats = self.store.stats(&keys, (start, end), &mut rows).await?;
            for webhook in chunk {
                let Some(stats) = stats.remove(&webhook.key).filter(|s| s.total() > 0) else {
                    continue;
                };
                let oldest_age = stats.oldest.map(|oldest| now.since(oldest));
                all.push(WebhookStats { webhook_id: webhook.webhook_id, stats, oldest_age });
            }
        }
        Ok(all)
    }

    /// Counts and times the deliveries of a consumer group: those of its webhook. The
    /// query's own webhooks do not matter.
    ///
    /// # Errors
    ///
    /// Those of [`Self::stats`]; `WEBHOOK_NOT_FOUND` where no webhook has this group.
    pub async fn group_stats(
        &self,
        scope: &Scope,
        group: Uuid,
        query: StatsQuery,
    ) -> Result<Stats> {
        scope.config.refresh_if_stale(&self.store).await?;
        let webhooks = scope.config.webhooks();
        let webhook = webhooks.iter().find(|webhook| webhook.consumer_group_id == group);
        let missing = || Error::new(Reason::WebhookNotFound, "no such consumer group");
        let webhook_ids = vec![webhook.ok_or_else(missing)?.webhook_id.to_string()];
        let found = self.stats(scope, StatsQuery { webhook_ids, ..query }).await?;
        Ok(found.into_iter().next().map(|found| found.stats).unwrap_or_default())
    }
}
