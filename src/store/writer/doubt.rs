//! A commit whose answer was lost with the connection: the server knows whether it was done.

use std::sync::{Arc, OnceLock};

use sea_orm::{ConnectionTrait, DbErr};

use super::news::News;
use crate::store::{
    failure::{Failure, corrupt, is_refusal},
    query,
    rows::Row,
};

/// Whether a commit that was in doubt was done, once that is known.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Verdict(Arc<OnceLock<bool>>);

impl Verdict {
    /// Whether it is known that it was done.
    pub(super) fn committed(&self) -> bool {
        self.0.get().copied().unwrap_or(false)
    }

    /// Whether it is not known yet.
    pub(super) fn is_open(&self) -> bool {
        self.0.get().is_none()
    }
}

/// See the module.
pub(super) struct Doubt {
    /// The server's name of the transaction.
    name: String,
    /// Who else waits for the answer.
    pub(super) verdict: Verdict,
    /// What is told of if it was committed.
    pub(super) news: News,
}

impl Doubt {
    /// What is in doubt after a commit that failed so.
    pub(super) fn after(error: &DbErr, name: String, news: News) -> Option<Self> {
        (!is_refusal(error)).then(|| Self { name, verdict: Verdict::default(), news })
    }

    /// Asks the server. It may need a moment to see that the connection is gone; until then
    /// nothing is written.
    pub(super) async fn is_committed(&self, on: &impl ConnectionTrait) -> Result<bool, Failure> {
        let committed = self.ask(on).await?;
        tracing::warn!(committed, "a commit was in doubt");
        let _ = self.verdict.0.set(committed);
        Ok(committed)
    }

    async fn ask(&self, on: &impl ConnectionTrait) -> Result<bool, Failure> {
        let sql = "SELECT pg_xact_status($1::xid8) AS status";
        let rows = query(on, sql, [self.name.as_str().into()]).await?;
        let row = rows.first().map(Row).ok_or_else(|| corrupt("status of a transaction"))?;
        match row.get::<Option<String>>("status")?.as_deref() {
            Some("committed") => Ok(true),
            Some("in progress") => {
                let what = "it is not known yet whether the last transaction was committed";
                Err(Failure::Unavailable(DbErr::Custom(what.to_owned())))
            }
            _ => Ok(false),
        }
    }
}
