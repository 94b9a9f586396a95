//! Idempotency keys: a repeated call gets the first answer (AIP-155).

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Store, WriteTx,
    failure::Failure,
    rows::Row,
    secrets::{Place, SecretKeys},
};
use crate::domain::{error::Result, id::TenantKey, limits, time::Timestamp};

/// What a call is remembered under.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The operation: keys of different ones do not meet.
    pub operation: &'static str,
    /// The caller's key.
    pub key: &'a str,
    /// Digest of the request: another one under the same key is a fault.
    pub request_digest: &'a str,
}

/// What an earlier call of that key was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered<T> {
    /// Digest of the earlier request.
    pub request_digest: String,
    /// The answer.
    pub answer: T,
}

impl Store {
    /// The answer of an earlier call of that key, if there was one within 24 hours.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn answered<T: DeserializeOwned>(
        &self,
        tenant: TenantKey,
        key: &Key<'_>,
        now: Timestamp,
    ) -> Result<Option<Answered<T>>> {
        let sql = "SELECT request_digest, answer FROM idempotency_keys WHERE tenant_key = $1
                   AND operation = $2 AND idempotency_key = $3 AND create_time > $4";
        let oldest = now.minus(limits::IDEMPOTENCY_SPAN);
        let values =
            [tenant.0.into(), key.operation.into(), key.key.into(), oldest.micros().into()];
        let rows = self.query(sql, values).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let (row, keys) = (Row(row), &self.secret_keys);
            let digest = Place::digest(tenant, key.operation, key.key);
            let answer = Place::answer(tenant, key.operation, key.key);
            Ok(Answered {
                request_digest: keys.open(&digest, row.get("request_digest")?)?,
                answer: keys.open_json(&answer, row.get("answer")?)?,
            })
        };
        Ok(rows.first().map(read).transpose()?)
    }
}

/// Remembers an answer, in the transaction that made it true. Of two calls at
/// once the second fails on the key, is looked up again and gets the first's answer.
pub(super) async fn remember<T: Serialize>(
    tx: &WriteTx,
    keys: &SecretKeys,
    tenant: TenantKey,
    key: &Key<'_>,
    answer: &T,
    now: Timestamp,
) -> std::result::Result<(), Failure> {
    let oldest = now.minus(limits::IDEMPOTENCY_SPAN);
    // What another node deletes at this moment is left to it.
    let sql = format!(
        "DELETE FROM idempotency_keys WHERE (tenant_key, operation, idempotency_key) IN (
           SELECT tenant_key, operation, idempotency_key FROM idempotency_keys
           WHERE create_time <= $1 {})",
        tx.dialect().skip_locked()
    );
    tx.execute(&sql, [oldest.micros().into()]).await?;
    let sql = "INSERT INTO idempotency_keys
               (tenant_key, operation, idempotency_key, request_digest, answer, create_time)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let digest = Place::digest(tenant, key.operation, key.key);
    let place = Place::answer(tenant, key.operation, key.key);
    let values = [
        tenant.0.into(),
        key.operation.into(),
        key.key.into(),
        keys.seal(&digest, key.request_digest.to_owned())?.into(),
        keys.seal_json(&place, answer)?.into(),
        now.micros().into(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}
