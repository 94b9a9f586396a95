//! What processes that share a database tell each other of their commits, by its
//! notifications. Hints only: whoever misses them finds the same in the database.
//!
//! They are sent after the commit, on a connection of their own, and together where several
//! are waiting: inside the transaction one would take a lock across the whole database.

use std::{collections::VecDeque, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, Statement,
    sqlx::postgres::{PgListener, PgPool},
};
use tokio::sync::mpsc;

use super::{Store, heads::Heads};
use crate::domain::id::{Position, TenantKey};

const CHANNEL: &str = "tidings";
/// Bytes of one notification, of which PostgreSQL takes fewer than 8,000.
const LONGEST: usize = 7_900;
/// Hints that are sent together at most.
const TOGETHER: usize = 1_024;
/// Pause after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Something that a process has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It has written these entries of a tenant's journal.
    Entries {
        /// Whose.
        tenant: TenantKey,
        /// The first of them.
        first: Position,
        /// The last of them.
        last: Position,
    },
    /// It has changed a tenant's webhooks or event types.
    Configuration,
    /// Nodes have come or gone, or given shards up.
    Nodes,
    /// Anything: hints may be lost.
    Missed,
}

impl Hint {
    fn write(self) -> String {
        match self {
            Self::Entries { tenant, first, last } => {
                format!("e{}:{}:{}", tenant.0, first.0, last.0)
            }
            Self::Configuration => "c".to_owned(),
            Self::Nodes => "n".to_owned(),
            Self::Missed => "m".to_owned(),
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text {
            "c" => return Some(Self::Configuration),
            "n" => return Some(Self::Nodes),
            "m" => return Some(Self::Missed),
            _ => {}
        }
        let mut numbers = text.strip_prefix('e')?.splitn(3, ':').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self::Entries {
            tenant: TenantKey(next()?),
            first: Position(next()?),
            last: Position(next()?),
        })
    }
}

/// Tells other processes. Cheap to clone.
#[derive(Clone)]
pub(super) struct Announcer {
    /// Under which name its hints go out.
    who: u64,
    /// Absent where there is nobody to tell.
    told: Option<mpsc::UnboundedSender<Hint>>,
}

impl Announcer {
    /// One that tells on that connection; where the database is a file it has nobody to tell.
    pub(super) fn start(on: Option<DatabaseConnection>) -> Self {
        let who = rand::random();
        let told = on.map(|on| {
            let (told, waiting) = mpsc::unbounded_channel();
            tokio::spawn(announce(on, who, waiting));
            told
        });
        Self { who, told }
    }

    pub(super) fn tell(&self, hint: Hint) {
        if let Some(told) = &self.told {
            // It ends with the last handle.
            let _ = told.send(hint);
        }
    }
}

async fn announce(on: DatabaseConnection, who: u64, mut waiting: mpsc::UnboundedReceiver<Hint>) {
    let mut together = Vec::with_capacity(TOGETHER);
    while waiting.recv_many(&mut together, TOGETHER).await > 0 {
        join(&mut together);
        let mut text = String::new();
        for (i, told) in together.iter().enumerate() {
            if text.is_empty() {
                text = format!("{who:x}");
            }
            text.push(' ');
            text.push_str(&told.write());
            if text.len() > LONGEST - 64 || i + 1 == together.len() {
                let sql = "SELECT pg_notify($1, $2)";
                let values = [CHANNEL.into(), std::mem::take(&mut text).into()];
                let notify = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
                if let Err(error) = on.query_one_raw(notify).await {
                    tracing::debug!(%error, "other nodes are not told at once");
                }
            }
        }
        together.clear();
    }
}

/// Makes one of entries that follow each other, and of what is told twice.
fn join(together: &mut Vec<Hint>) {
    together.dedup_by(|next, before| match (next, before) {
        (Hint::Entries { tenant, first, last }, Hint::Entries { tenant: same, last: end, .. })
            if tenant == same && first.0 == end.0 + 1 =>
        {
            *end = *last;
            true
        }
        (next, before) => next == before,
    });
}

/// Hears hints.
pub struct Hints {
    pool: Option<PgPool>,
    listener: Option<PgListener>,
    /// Whose hints are not heard.
    who: u64,
    heard: VecDeque<Hint>,
    heads: Heads,
}

impl Hints {
    /// The next one. Nothing is lost by dropping the call.
    pub async fn next(&mut self) -> Hint {
        let Some(pool) = self.pool.clone() else { return std::future::pending().await };
        loop {
            if let Some(hint) = self.heard.pop_front() {
                if let Hint::Entries { tenant, last, .. } = hint {
                    self.heads.raise(tenant, last);
                }
                return hint;
            }
            let Some(listener) = &mut self.listener else {
                match listen(&pool).await {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => {
                        tracing::debug!(%error, "cannot listen to other nodes");
                        tokio::time::sleep(AFTER_ERROR).await;
                    }
                }
                return Hint::Missed;
            };
            match listener.try_recv().await {
                Ok(Some(notification)) => self.hear(notification.payload()),
                // It connects again by itself.
                Ok(None) => return Hint::Missed,
                Err(_) => self.listener = None,
            }
        }
    }

    fn hear(&mut self, text: &str) {
        let mut words = text.split(' ');
        if words.next().and_then(|who| u64::from_str_radix(who, 16).ok()) != Some(self.who) {
            self.heard.extend(words.filter_map(Hint::read));
        }
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, sea_orm::SqlxError> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

impl Store {
    /// Begins to listen.
    pub async fn hints(&self) -> Hints {
        let pool = self.nodes.as_ref().map(|nodes| nodes.get_postgres_connection_pool().clone());
        let listener = match &pool {
            Some(pool) => listen(pool).await.ok(),
            None => None,
        };
        Hints {
            pool,
            listener,
            who: self.announcer.who,
            heard: VecDeque::new(),
            heads: self.heads.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(tenant: i64, first: i64, last: i64) -> Hint {
        Hint::Entries { tenant: TenantKey(tenant), first: Position(first), last: Position(last) }
    }

    #[test]
    fn what_is_told_is_heard() {
        for told in [entries(7, 1, i64::MAX), Hint::Configuration, Hint::Nodes, Hint::Missed] {
            assert_eq!(Hint::read(&told.write()), Some(told));
        }
        for bad in ["", "e", "e1", "e1:2", "e1:2:x", "x"] {
            assert_eq!(Hint::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn entries_that_follow_each_other_are_told_as_one() {
        let mut together = vec![
            entries(1, 1, 2),
            entries(1, 3, 3),
            entries(2, 4, 4),
            entries(1, 4, 4),
            Hint::Nodes,
            Hint::Nodes,
        ];
        join(&mut together);
        assert_eq!(together, [entries(1, 1, 3), entries(2, 4, 4), entries(1, 4, 4), Hint::Nodes]);
    }
}
