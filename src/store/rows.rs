//! Reading rows into the domain's types.

use std::{sync::Arc, time::Duration};

use sea_orm::{DbErr, QueryResult, TryGetable};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::failure::corrupt;
use crate::domain::{
    delivery::{
        AttemptOutcome, AttemptSummary, DeliveryState, DeliveryStatus, EventLabel, LogRecord,
        WebhookLabel,
    },
    enrichment::Blocks,
    event::Event,
    id::{EventId, EventKey, WebhookKey},
    time::Timestamp,
};

/// A row, by column name.
pub(super) struct Row<'a>(pub(super) &'a QueryResult);

impl Row<'_> {
    pub(super) fn get<T: TryGetable>(&self, column: &str) -> Result<T, DbErr> {
        self.0.try_get("", column)
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, DbErr> {
        self.get(column).map(Timestamp::from_micros)
    }

    pub(super) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, DbErr> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, DbErr> {
        serde_json::from_str(&self.get::<String>(column)?)
            .map_err(|e| corrupt(&format!("{column}: {e}")))
    }

    pub(super) fn optional_json<T: DeserializeOwned>(
        &self,
        column: &str,
    ) -> Result<Option<T>, DbErr> {
        let text: Option<String> = self.get(column)?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|e| corrupt(&format!("{column}: {e}")))
        };
        text.map(read).transpose()
    }

    pub(super) fn id<T: std::str::FromStr>(&self, column: &str) -> Result<T, DbErr> {
        self.get::<String>(column)?.parse().map_err(|_| corrupt(column))
    }

    pub(super) fn number<T>(&self, column: &str, from: fn(i32) -> Option<T>) -> Result<T, DbErr> {
        from(self.get(column)?).ok_or_else(|| corrupt(column))
    }

    pub(super) fn count(&self, column: &str) -> Result<u32, DbErr> {
        u32::try_from(self.get::<i64>(column)?).map_err(|_| corrupt(column))
    }

    /// The event, payload included.
    pub(super) fn event(&self) -> Result<Event, DbErr> {
        Ok(Event {
            event_id: EventId(self.get::<Uuid>("event_id")?),
            event_name: self.get("event_name")?,
            ref_id: self.get("ref_id")?,
            request_id: self.get("request_id")?,
            payload: Arc::from(self.get::<String>("payload")?),
            enrichments: self.get::<Option<String>>("enrichments")?.map(Blocks::stored),
            occur_time: self.optional_time("occur_time")?,
            ingest_time: self.time("ingest_time")?,
            ordering_key: self.get::<Option<String>>("ordering_key")?.unwrap_or_default(),
            attributes: self.optional_json("attributes")?.unwrap_or_default(),
        })
    }

    pub(super) fn event_label(&self) -> Result<EventLabel, DbErr> {
        Ok(EventLabel {
            key: EventKey(self.get("event_key")?),
            event_id: EventId(self.get::<Uuid>("event_id")?),
            event_name: self.get("event_name")?,
            ref_id: self.get("ref_id")?,
            request_id: self.get("request_id")?,
            ingest_time: self.time("ingest_time")?,
            attributes: self.optional_json("attributes")?.unwrap_or_default(),
        })
    }

    pub(super) fn webhook_label(&self) -> Result<WebhookLabel, DbErr> {
        Ok(WebhookLabel {
            key: WebhookKey(self.get("webhook_key")?),
            webhook_id: self.id("webhook_id")?,
            consumer_group_id: self.get("consumer_group_id")?,
        })
    }

    pub(super) fn state(&self) -> Result<DeliveryState, DbErr> {
        Ok(DeliveryState {
            status: self.number("status", DeliveryStatus::from_number)?,
            attempt_count: self.count("attempt_count")?,
            due_time: self.optional_time("due_time")?,
            start_time: self.optional_time("start_time")?,
            end_time: self.optional_time("end_time")?,
            sla_breach_time: self.optional_time("sla_breach_time")?,
            last: self.last_attempt()?,
        })
    }

    fn last_attempt(&self) -> Result<Option<AttemptSummary>, DbErr> {
        let Some(outcome) = self.get::<Option<i32>>("outcome")? else { return Ok(None) };
        let status: Option<i32> = self.get("http_status")?;
        Ok(Some(AttemptSummary {
            outcome: AttemptOutcome::from_number(outcome).ok_or_else(|| corrupt("outcome"))?,
            http_status: u16::try_from(status.unwrap_or(0)).unwrap_or(0),
            time_taken: duration(self.get::<Option<i64>>("time_taken")?.unwrap_or(0)),
            error: self.get::<Option<String>>("error_text")?.unwrap_or_default(),
        }))
    }

    /// A record of the log without its attempts.
    pub(super) fn record(&self) -> Result<LogRecord, DbErr> {
        Ok(LogRecord {
            event: Arc::new(self.event_label()?),
            webhook: self.webhook_label()?,
            state: self.state()?,
            attempts: Vec::new(),
        })
    }
}

pub(super) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
