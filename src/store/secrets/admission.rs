//! Which keys a database needs: it says so itself, in `secret_keys`, and is not
//! opened without them. A key is noted there before anything is sealed with it, and
//! crossed out when nothing is sealed with it any more.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use super::{Place, SecretKeys};
use crate::store::{query, rows::Row};

/// Stands in `secret_keys` for values in clear.
const CLEAR: &str = "";
/// What a key is tried on.
const CANARY: &str = "canary";

/// Checks that the keys open what the database holds, and notes the current one.
/// `Ok(Err(_))` says, for an operator, why not.
pub(in crate::store) async fn admit(
    connection: &DatabaseConnection,
    keys: &SecretKeys,
) -> Result<Result<(), String>, DbErr> {
    // It may write: a lock that is taken only then could fail against another one's.
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = connection.begin_with_options(options).await?;
    let rows = query(&tx, "SELECT key_id, canary FROM secret_keys ORDER BY key_id", []).await?;
    let mut noted = Vec::new();
    for row in &rows {
        let row = Row(row);
        let (id, canary): (String, String) = (row.get("key_id")?, row.get("canary")?);
        if id != CLEAR {
            let known = keys.ids().any(|known| known == id);
            if known && keys.open(&Place::canary(&id), canary).is_err() {
                return Ok(Err(format!("the check value of key {id} does not open with it")));
            }
            noted.push((id, known));
        }
    }
    let missing: Vec<_> = noted.iter().filter(|(_, known)| !known).map(|(id, _)| &**id).collect();
    if !missing.is_empty() {
        let given: Vec<_> = keys.ids().collect();
        let given = if given.is_empty() { "no key".to_owned() } else { given.join(", ") };
        let missing = missing.join(", ");
        return Ok(Err(format!(
            "its secrets are encrypted with key {missing}, and secret_key (TIDINGS_SECRET_KEY) has {given}"
        )));
    }
    let Some(current) = keys.current_id() else { return Ok(Ok(())) };
    if rows.is_empty() {
        note(&tx, CLEAR, String::new()).await?;
    }
    if !noted.iter().any(|(id, _)| id == current) {
        note(&tx, current, keys.seal(&Place::canary(current), CANARY.to_owned())?).await?;
    }
    tx.commit().await?;
    Ok(Ok(()))
}

async fn note(on: &impl ConnectionTrait, id: &str, canary: String) -> Result<(), DbErr> {
    let sql = "INSERT INTO secret_keys (key_id, canary) VALUES ($1, $2)
               ON CONFLICT (key_id) DO NOTHING";
    query(on, sql, [id.into(), canary.into()]).await?;
    Ok(())
}

/// Whether everything is sealed with the current key, or nothing is to be.
pub(super) async fn is_settled(
    on: &impl ConnectionTrait,
    keys: &SecretKeys,
) -> Result<bool, DbErr> {
    let Some(current) = keys.current_id() else { return Ok(true) };
    let sql = "SELECT key_id FROM secret_keys WHERE key_id <> $1";
    Ok(query(on, sql, [current.into()]).await?.is_empty())
}

/// Notes that nothing is in clear or sealed with another key.
pub(super) async fn settle(on: &impl ConnectionTrait, current: &str) -> Result<(), DbErr> {
    query(on, "DELETE FROM secret_keys WHERE key_id <> $1", [current.into()]).await?;
    Ok(())
}
