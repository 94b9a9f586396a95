//! Sealing again, with the current key, what is in clear or sealed with an older one.

use sea_orm::{ConnectionTrait, DbErr};

use super::{Place, SecretKeys, admission};
use crate::{
    domain::{
        error::Result,
        id::{TenantKey, WebhookKey},
    },
    store::{Store, dialect::Dialect, failure::Failure, query, rows::Row},
};

/// Rows looked at in one transaction.
const PAGE: i64 = 50;

/// How far [`Store::reseal`] has come; it begins with the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResealCursor(At);

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    SessionKey,
    Webhooks { after: WebhookKey },
    Answers { after: (TenantKey, String, String) },
}

impl Default for ResealCursor {
    fn default() -> Self {
        Self(At::SessionKey)
    }
}

impl Store {
    /// Seals one page of what is not sealed with the current key, and says where to
    /// go on. With the last page the database needs no other key any more.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`; `INTERNAL` where a value does not open.
    pub async fn reseal(&self, at: ResealCursor) -> Result<Option<ResealCursor>> {
        Ok(self.reseal_page(at).await?)
    }

    /// Empties the write-ahead log, in which clear text that was sealed since may still be.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn empty_log(&self) -> Result<()> {
        Ok(self.writer.empty_log().await?)
    }

    async fn reseal_page(
        &self,
        at: ResealCursor,
    ) -> std::result::Result<Option<ResealCursor>, Failure> {
        let tx = self.begin().await?;
        let next = page(tx.sql().driver()?, &self.secret_keys, at).await?;
        tx.commit().await?;
        Ok(next)
    }
}

/// As [`Store::reseal`], in a transaction of the caller's. Whoever writes meanwhile
/// seals with the same key: a database has one server.
pub(in crate::store) async fn page(
    on: &impl ConnectionTrait,
    keys: &SecretKeys,
    ResealCursor(at): ResealCursor,
) -> std::result::Result<Option<ResealCursor>, DbErr> {
    let Some(current) = keys.current_id() else { return Ok(None) };
    if admission::is_settled(on, keys).await? {
        return Ok(None);
    }
    // What was in clear shall not stay behind in free space, either.
    let dialect = Dialect::from(on.get_database_backend());
    if dialect == Dialect::Sqlite {
        query(on, "PRAGMA secure_delete = ON", []).await?;
    }
    let next = match at {
        At::SessionKey => {
            session_key(on, keys).await?;
            Some(At::Webhooks { after: WebhookKey(0) })
        }
        At::Webhooks { after } => Some(match webhooks(on, keys, after).await? {
            Some(after) => At::Webhooks { after },
            None => At::Answers { after: (TenantKey(0), String::new(), String::new()) },
        }),
        At::Answers { after } => answers(on, keys, after).await?.map(|after| At::Answers { after }),
    };
    if next.is_none() {
        admission::settle(on, current).await?;
    }
    if dialect == Dialect::Sqlite {
        query(on, "PRAGMA secure_delete = FAST", []).await?;
    }
    Ok(next.map(ResealCursor))
}

async fn session_key(
    on: &impl ConnectionTrait,
    keys: &SecretKeys,
) -> std::result::Result<(), DbErr> {
    for row in query(on, "SELECT session_key FROM database_identity", []).await? {
        let stored = Row(&row).get("session_key")?;
        if let Some(sealed) = resealed(keys, &Place::session_key(), stored)? {
            query(on, "UPDATE database_identity SET session_key = $1", [sealed.into()]).await?;
        }
    }
    Ok(())
}

async fn webhooks(
    on: &impl ConnectionTrait,
    keys: &SecretKeys,
    after: WebhookKey,
) -> std::result::Result<Option<WebhookKey>, DbErr> {
    let sql = format!(
        "SELECT webhook_key, tenant_key, webhook_id, spec FROM webhooks
         WHERE webhook_key > $1 ORDER BY webhook_key LIMIT $2 {}",
        Dialect::from(on.get_database_backend()).locking("webhooks")
    );
    let mut last = None;
    for row in query(on, &sql, [after.0.into(), PAGE.into()]).await? {
        let row = Row(&row);
        let key = WebhookKey(row.get("webhook_key")?);
        last = Some(key);
        let place = Place::spec(TenantKey(row.get("tenant_key")?), row.id("webhook_id")?);
        if let Some(sealed) = resealed(keys, &place, row.get("spec")?)? {
            let sql = "UPDATE webhooks SET spec = $1 WHERE webhook_key = $2";
            query(on, sql, [sealed.into(), key.0.into()]).await?;
        }
    }
    Ok(last)
}

async fn answers(
    on: &impl ConnectionTrait,
    keys: &SecretKeys,
    after: (TenantKey, String, String),
) -> std::result::Result<Option<(TenantKey, String, String)>, DbErr> {
    let sql = format!(
        "SELECT tenant_key, operation, idempotency_key, request_digest, answer
         FROM idempotency_keys WHERE (tenant_key, operation, idempotency_key) > ($1, $2, $3)
         ORDER BY tenant_key, operation, idempotency_key LIMIT $4 {}",
        Dialect::from(on.get_database_backend()).locking("idempotency_keys")
    );
    let values = [after.0.0.into(), after.1.into(), after.2.into(), PAGE.into()];
    let mut last = None;
    for row in query(on, &sql, values).await? {
        let row = Row(&row);
        let tenant = TenantKey(row.get("tenant_key")?);
        let (operation, key): (String, String) =
            (row.get("operation")?, row.get("idempotency_key")?);
        let digest = Place::digest(tenant, &operation, &key);
        let digest = resealed(keys, &digest, row.get("request_digest")?)?;
        let answer = Place::answer(tenant, &operation, &key);
        let answer = resealed(keys, &answer, row.get("answer")?)?;
        if let (Some(digest), Some(answer)) = (digest, answer) {
            let sql = "UPDATE idempotency_keys SET request_digest = $1, answer = $2
                       WHERE tenant_key = $3 AND operation = $4 AND idempotency_key = $5";
            let at = [tenant.0.into(), operation.as_str().into(), key.as_str().into()];
            let values = [digest.into(), answer.into()].into_iter().chain(at);
            query(on, sql, values).await?;
        }
        last = Some((tenant, operation, key));
    }
    Ok(last)
}

/// Absent where the value is sealed with the current key already.
fn resealed(
    keys: &SecretKeys,
    place: &Place,
    stored: String,
) -> std::result::Result<Option<String>, DbErr> {
    if keys.is_current(&stored) {
        return Ok(None);
    }
    let clear = keys.open(place, stored)?;
    keys.seal(place, clear).map(Some)
}
