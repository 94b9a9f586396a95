//! What is still to be sent to people: an outbox, filled in the transactions of its causes.

use super::{Store, WriteTx, failure::Failure, rows::Row};
use crate::domain::{
    alert::Alert,
    error::Result,
    id::WebhookKey,
    state_change::{Mail, StateChange},
    time::Timestamp,
};

const COLUMNS: &str =
    "notice_key, webhook_key, address, subject, content, create_time, attempt_count";

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Names it, and no other one of this database.
    pub key: i64,
    /// The webhook that it is about.
    pub webhook_key: WebhookKey,
    /// Whom a mail goes to; empty in alerts, whose URL is the webhook's.
    pub address: String,
    /// Of a mail; empty in alerts.
    pub subject: String,
    /// Text or body.
    pub content: String,
    /// When its cause was.
    pub create_time: Timestamp,
    /// How often sending it has failed.
    pub attempt_count: u32,
}

pub(super) async fn insert_mail(
    tx: &WriteTx,
    change: &StateChange<'_>,
    address: &str,
    mail: &Mail,
) -> std::result::Result<(), Failure> {
    let sql = "INSERT INTO notices
               (webhook_key, kind, address, subject, content, create_time, due_time)
               VALUES ($1, 1, $2, $3, $4, $5, $5)";
    let values = [
        change.webhook_key().0.into(),
        address.into(),
        mail.subject.as_str().into(),
        mail.text.as_str().into(),
        change.time().micros().into(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

pub(super) async fn insert_alert(
    tx: &WriteTx,
    webhook: WebhookKey,
    alert: &Alert,
    now: Timestamp,
) -> std::result::Result<(), Failure> {
    let sql = "INSERT INTO notices
               (webhook_key, kind, address, subject, content, create_time, due_time)
               VALUES ($1, 2, '', '', $2, $3, $3)";
    let values = [webhook.0.into(), alert.body.as_str().into(), now.micros().into()];
    tx.execute(sql, values).await?;
    Ok(())
}

fn read(row: &Row<'_>) -> std::result::Result<Notice, Failure> {
    Ok(Notice {
        key: row.get("notice_key")?,
        webhook_key: WebhookKey(row.get("webhook_key")?),
        address: row.get("address")?,
        subject: row.get("subject")?,
        content: row.get("content")?,
        create_time: row.time("create_time")?,
        attempt_count: row.count("attempt_count")?,
    })
}

impl Store {
    /// The mails that are due, those that have waited longest first.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn due_mails(&self, now: Timestamp, limit: usize) -> Result<Vec<Notice>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM notices WHERE kind = 1 AND due_time <= $1
             ORDER BY due_time, notice_key LIMIT {limit}"
        );
        let rows = self.query(&sql, [now.micros().into()]).await?;
        let notices = rows.iter().map(|row| read(&Row(row)));
        Ok(notices.collect::<std::result::Result<_, _>>()?)
    }

    /// Notes that sending a mail failed, and when it is tried again.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn put_off_mail(&self, key: i64, until: Timestamp) -> Result<()> {
        let sql = "UPDATE notices SET due_time = $1, attempt_count = attempt_count + 1
                   WHERE notice_key = $2";
        Ok(self.write_notice(sql, vec![until.micros().into(), key.into()]).await?)
    }

    /// Forgets a notice: it was sent, or never will be.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn forget_notice(&self, key: i64) -> Result<()> {
        let sql = "DELETE FROM notices WHERE notice_key = $1";
        Ok(self.write_notice(sql, vec![key.into()]).await?)
    }

    async fn write_notice(
        &self,
        sql: &str,
        values: Vec<sea_orm::Value>,
    ) -> std::result::Result<(), Failure> {
        let tx = self.begin().await?;
        tx.execute(sql, values).await?;
        tx.commit().await
    }

    /// The oldest alert of the next webhook after `after` that has one, those of `busy`
    /// left out. Webhooks take turns so, however many alerts one of them has.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn next_alert(
        &self,
        after: WebhookKey,
        busy: &[WebhookKey],
    ) -> Result<Option<Notice>> {
        let mut after = after;
        loop {
            let sql = "SELECT MIN(webhook_key) AS webhook_key FROM notices
                       WHERE kind = 2 AND webhook_key > $1";
            let rows = self.query(sql, [after.0.into()]).await?;
            let next = rows.first().map(|row| Row(row).get::<Option<i64>>("webhook_key"));
            let Some(next) = next.transpose().map_err(Failure::from)?.flatten() else {
                return Ok(None);
            };
            after = WebhookKey(next);
            if busy.contains(&after) {
                continue;
            }
            let sql = format!(
                "SELECT {COLUMNS} FROM notices WHERE kind = 2 AND webhook_key = $1
                 ORDER BY notice_key LIMIT 1"
            );
            let rows = self.query(&sql, [next.into()]).await?;
            return Ok(rows.first().map(|row| read(&Row(row))).transpose()?);
        }
    }
}
