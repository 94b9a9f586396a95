//! Statistics of deliveries, webhook by webhook.

use std::time::Duration;

use tokio::sync::SemaphorePermit;
use uuid::Uuid;

use super::{event_logs::EventLogs, scope::Scope, webhooks};
use crate::{
    domain::{
        delivery_times::{Range, widen, window_start},
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

/// Statistics of one consumer group.
pub struct GroupStats {
    /// Its counts and times.
    pub stats: Stats,
    /// The range that they are of.
    pub range: Range,
    /// Whether that is more than was asked for.
    pub widened: bool,
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
        let range = range((start, end_time), now, faults)?;
        scope.config.refresh_if_stale(&self.store).await?;
        let mut webhooks = scope.config.webhooks();
        if !webhook_ids.is_empty() {
            let found = webhook_ids.iter().map(|id| webhooks::find(scope, id));
            webhooks = found.collect::<Result<_>>()?;
            webhooks.sort_unstable_by_key(|webhook| webhook.key);
            webhooks.dedup_by_key(|webhook| webhook.key);
        }
        let _turn = self.stats_turn().await?;
        let (mut all, mut rows) = (Vec::new(), self.stats_rows);
        for chunk in webhooks.chunks(CHUNK) {
            let keys: Vec<_> = chunk.iter().map(|webhook| webhook.key).collect();
            let stats = self.store.stats(&keys, range, &mut rows).await?;
            let mut stats = stats.ok_or_else(too_many)?;
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

    /// Counts and times the deliveries of a consumer group, which are those of its webhook,
    /// ingested from a time on (where absent, 30 days before the end, from whole tens of
    /// minutes on) and before another (now where absent). Where too many deliveries would
    /// have to be read one by one, the range is widened to whole tens of minutes.
    ///
    /// # Errors
    ///
    /// Faults of the query; `WEBHOOK_NOT_FOUND` where no webhook has this group;
    /// `STORE_UNAVAILABLE`.
    pub async fn group_stats(
        &self,
        scope: &Scope,
        group: Uuid,
        (start_time, end_time): (Option<Timestamp>, Option<Timestamp>),
        mut faults: Faults,
    ) -> Result<GroupStats> {
        let now = self.clock.now();
        let end = end_time.unwrap_or(now);
        let start = start_time.unwrap_or_else(|| window_start(end.minus(DEFAULT_SPAN)));
        if end_time.is_none() && start > now {
            faults.invalid("ingest_time.start_time", "must not be in the future");
        }
        let asked = range((start, end_time), now, faults)?;
        scope.config.refresh_if_stale(&self.store).await?;
        let webhooks = scope.config.webhooks();
        let webhook = webhooks.iter().find(|webhook| webhook.consumer_group_id == group);
        let missing = || Error::new(Reason::WebhookNotFound, "no such consumer group");
        let key = webhook.ok_or_else(missing)?.key;
        let _turn = self.stats_turn().await?;
        let read = async |range| {
            let mut rows = self.stats_rows;
            self.store.stats(&[key], range, &mut rows).await
        };
        let (found, range, widened) = match read(asked).await? {
            Some(found) => (found, (start, end), false),
            None => {
                let found = read(widen(asked)).await?.ok_or_else(too_many)?;
                (found, widen((start, end)), true)
            }
        };
        Ok(GroupStats { stats: found.into_values().next().unwrap_or_default(), range, widened })
    }

    /// Waits until one may read: the log has readers of its own to serve.
    async fn stats_turn(&self) -> Result<SemaphorePermit<'_>> {
        self.stats_turns.acquire().await.map_err(|_| Error::draining())
    }
}

/// What is read for a range, whose end may be absent.
fn range(
    (start, end): (Timestamp, Option<Timestamp>),
    now: Timestamp,
    mut faults: Faults,
) -> Result<Range> {
    if end.is_some_and(|end| end <= start) {
        faults.invalid("ingest_time.end_time", "must be after the start");
    }
    faults.check()?;
    // Nothing is ingested later than now.
    Ok((start, end.filter(|end| *end <= now).unwrap_or(Timestamp::MAX)))
}

fn too_many() -> Error {
    let message = "begins or ends in the middle of ten minutes that have too many deliveries; \
                   choose whole tens of minutes";
    Error::field("ingest_time", Reason::FieldInvalid, message)
}
