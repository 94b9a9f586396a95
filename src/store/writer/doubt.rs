//! A commit whose answer was lost with the connection: the server knows whether it was done.
//!
//! Its name of the transaction does not say enough. A server that crashes forgets the names of
//! transactions of which nothing was synced, and gives them once more: what became of one may
//! then be what became of another. So the name says when all is over, and a row that only this
//! transaction can have written says how it ended.

use std::sync::{Arc, OnceLock};

use sea_orm::{ConnectionTrait, DbErr};

use super::{news::News, place::Mark};
use crate::store::{
    failure::{Failure, corrupt, is_refusal, is_unknown_transaction},
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
    mark: Mark,
    /// Who else waits for the answer.
    pub(super) verdict: Verdict,
    /// What is told of if it was committed.
    pub(super) news: News,
}

impl Doubt {
    /// What is in doubt after a commit that failed so.
    pub(super) fn after(error: &DbErr, mark: Mark, news: News) -> Option<Self> {
        (!is_refusal(error)).then(|| Self { mark, verdict: Verdict::default(), news })
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
        let Mark { transaction, tenant, last, entries } = &self.mark;
        let sql = "SELECT pg_xact_status($1::xid8) AS status";
        let rows = match query(on, sql, [transaction.as_str().into()]).await {
            Err(error) if is_unknown_transaction(&error) => return Ok(false),
            rows => rows?,
        };
        let row = rows.first().map(Row).ok_or_else(|| corrupt("status of a transaction"))?;
        if row.get::<Option<String>>("status")?.as_deref() == Some("in progress") {
            let what = "it is not known yet whether the last transaction was committed";
            return Err(Failure::Unavailable(DbErr::Custom(what.to_owned())));
        }
        let sql = "SELECT 1 FROM journal
                   WHERE tenant_key = $1 AND last_position = $2 AND entries = $3";
        let row = [tenant.0.into(), last.0.into(), entries.clone()];
        Ok(!query(on, sql, row).await?.is_empty())
    }
}
