//! API keys: rows that are added and revoked, never deleted.

use sea_orm::{DbErr, Value};

use super::{
    Store,
    failure::{Failure, corrupt},
    rows::Row,
    writer::Lock,
};
use crate::domain::{
    api_key::{ApiKey, ApiKeyId, Realm},
    credential::TokenHash,
    error::{Error, Reason, Result},
    limits,
    permission::Permissions,
    time::Timestamp,
};

const COLUMNS: &str =
    "api_key_key, api_key_id, realm, actor, permissions, create_time, expire_time, revoke_time";

/// The place of a key in lists: its age.
pub type ApiKeyCursor = i64;

/// A number for a realm, as locks have one.
fn number(realm: &str) -> i64 {
    realm.bytes().fold(0, |sum: i64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

fn read(row: &Row<'_>) -> std::result::Result<ApiKey, DbErr> {
    let permissions = Permissions::from_bits(row.get("permissions")?);
    Ok(ApiKey {
        id: row.id("api_key_id")?,
        realm: row.id("realm")?,
        actor: row.json("actor")?,
        permissions: permissions.ok_or_else(|| corrupt("permissions"))?,
        create_time: row.time("create_time")?,
        expire_time: row.optional_time("expire_time")?,
        revoke_time: row.optional_time("revoke_time")?,
    })
}

impl Store {
    /// Stores a new key with the hash of its token.
    ///
    /// # Errors
    ///
    /// `QUOTA_EXCEEDED` where the realm has 1,000 keys that are not revoked,
    /// `STORE_UNAVAILABLE`.
    pub async fn create_api_key(&self, key: &ApiKey, token: TokenHash) -> Result<()> {
        Ok(self.insert_api_key(key, token).await?)
    }

    async fn insert_api_key(
        &self,
        key: &ApiKey,
        token: TokenHash,
    ) -> std::result::Result<(), Failure> {
        let tx = self.begin().await?;
        let realm = key.realm.to_string();
        tx.alone(Lock::ApiKeys, number(&realm)).await?;
        let sql = "SELECT COUNT(*) AS keys FROM api_keys WHERE realm = $1 AND revoke_time IS NULL";
        let rows = tx.query(sql, [realm.as_str().into()]).await?;
        let keys: i64 = rows.first().map(|row| Row(row).get("keys")).transpose()?.unwrap_or(0);
        if keys >= limits::API_KEYS {
            let message = format!("there are {keys} keys already; revoke some");
            return Err(Error::new(Reason::QuotaExceeded, message).into());
        }
        let sql = "INSERT INTO api_keys (api_key_id, realm, token_hash, actor, permissions,
                   create_time, expire_time) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let actor = serde_json::to_string(&key.actor).map_err(|e| DbErr::Json(e.to_string()))?;
        let values: [Value; 7] = [
            key.id.to_string().into(),
            realm.into(),
            token.hex().into(),
            actor.into(),
            key.permissions.bits().into(),
            key.create_time.micros().into(),
            key.expire_time.map(Timestamp::micros).into(),
        ];
        tx.execute(sql, values).await?;
        tx.commit().await
    }

    /// The key that a token belongs to, revoked or not.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn api_key_of_token(&self, token: TokenHash) -> Result<Option<ApiKey>> {
        self.find_api_key("token_hash", token.hex()).await
    }

    /// A key by its id, revoked or not.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        self.find_api_key("api_key_id", id.to_string()).await
    }

    async fn find_api_key(&self, column: &str, value: String) -> Result<Option<ApiKey>> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE {column} = $1");
        let rows = self.query(&sql, [value.into()]).await?;
        Ok(rows.first().map(|row| read(&Row(row))).transpose().map_err(Failure::from)?)
    }

    /// Up to `limit` keys after `after`, oldest first: those of a realm, or all.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn api_keys(
        &self,
        realm: Option<&Realm>,
        after: ApiKeyCursor,
        limit: usize,
    ) -> Result<Vec<(ApiKeyCursor, ApiKey)>> {
        let mut values: Vec<Value> = vec![after.into()];
        let mut of_realm = "";
        if let Some(realm) = realm {
            values.push(realm.to_string().into());
            of_realm = "AND realm = $2";
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM api_keys WHERE api_key_key > $1 {of_realm}
             ORDER BY api_key_key LIMIT {limit}"
        );
        let rows = self.query(&sql, values).await?;
        let read = |row| -> std::result::Result<_, DbErr> {
            let row = Row(row);
            Ok((row.get("api_key_key")?, read(&row)?))
        };
        let keys: std::result::Result<_, DbErr> = rows.iter().map(read).collect();
        Ok(keys.map_err(Failure::from)?)
    }

    /// Revokes a key, of this realm where one is named. Gives the key as it is now;
    /// one that was revoked before keeps its time.
    ///
    /// # Errors
    ///
    /// `API_KEY_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn revoke_api_key(
        &self,
        id: ApiKeyId,
        realm: Option<&Realm>,
        now: Timestamp,
    ) -> Result<ApiKey> {
        let missing = || Error::new(Reason::ApiKeyNotFound, "no such key");
        let found = self.api_key(id).await?.ok_or_else(missing)?;
        if realm.is_some_and(|realm| *realm != found.realm) {
            return Err(missing());
        }
        self.write_revocation(id, now).await?;
        self.api_key(id).await?.ok_or_else(missing)
    }

    async fn write_revocation(
        &self,
        id: ApiKeyId,
        now: Timestamp,
    ) -> std::result::Result<(), Failure> {
        let tx = self.begin().await?;
        let sql =
            "UPDATE api_keys SET revoke_time = $1 WHERE api_key_id = $2 AND revoke_time IS NULL";
        tx.execute(sql, [now.micros().into(), id.to_string().into()]).await?;
        tx.commit().await
    }
}
