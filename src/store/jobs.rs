//! Jobs: made, read, cancelled, forgotten. `job_batch` does their work.

use sea_orm::DbErr;
use uuid::Uuid;

use super::{
    Store, WriteTx,
    failure::{Failure, corrupt},
    idempotency::{self, Key},
    rows::Row,
    writer::Lock,
};
use crate::domain::{
    actor::Attribution,
    diverted::{DivertedAt, Job, JobKind, JobState, Selection},
    error::{Error, Reason, Result},
    id::TenantKey,
    limits,
    time::Timestamp,
};

/// A job to be made.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its public id.
    pub job_id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// To what.
    pub selection: Selection,
    /// How many these are.
    pub selected: u64,
    /// Most per second; 0 means no limit.
    pub max_per_second: f64,
    /// Who makes it, and when: it covers what was diverted until then.
    pub attribution: Attribution,
}

/// A job that runs, as the one who does its work sees it.
#[derive(Clone, Debug)]
pub struct RunningJob {
    /// Its key.
    pub key: i64,
    /// Its tenant.
    pub tenant: TenantKey,
    /// What it does.
    pub kind: JobKind,
    /// To what.
    pub selection: Selection,
    /// The last diverted event that it has looked at.
    pub cursor: DivertedAt,
    /// Most per second; 0 means no limit.
    pub max_per_second: f64,
    /// Who made it, and when.
    pub attribution: Attribution,
}

const COLUMNS: &str = "job_key, job_id, kind, state, selected_count, done_count, skipped_count, \
    max_per_second, attribution, end_time";

impl Store {
    /// Makes a job, and remembers it as the answer to a call.
    ///
    /// # Errors
    ///
    /// `OVERLOADED` where too many of the tenant's run, `STORE_UNAVAILABLE`.
    pub async fn create_job(
        &self,
        tenant: TenantKey,
        new: NewJob,
        answer_to: Option<&Key<'_>>,
    ) -> Result<Job> {
        Ok(self.make_job(tenant, new, answer_to).await?)
    }

    async fn make_job(
        &self,
        tenant: TenantKey,
        new: NewJob,
        answer_to: Option<&Key<'_>>,
    ) -> std::result::Result<Job, Failure> {
        let tx = self.begin().await?;
        let now = new.attribution.create_time;
        let job = insert(&tx, tenant, new).await?;
        if let Some(key) = answer_to {
            let keys = &self.secret_keys;
            idempotency::remember(&tx, keys, tenant, key, &job.job_id, now).await?;
        }
        tx.commit().await?;
        Ok(job)
    }

    /// A job.
    ///
    /// # Errors
    ///
    /// `JOB_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn job(&self, tenant: TenantKey, id: Uuid) -> Result<Job> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE tenant_key = $1 AND job_id = $2");
        let rows = self.query(&sql, [tenant.0.into(), id.into()]).await?;
        let row = rows.first().map(Row).ok_or_else(not_found)?;
        Ok(read(&row).map_err(Failure::from)?)
    }

    /// The tenant's jobs before a key, newest first.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn jobs_before(&self, tenant: TenantKey, key: i64, limit: usize) -> Result<Vec<Job>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE tenant_key = $1 AND job_key < $2
             ORDER BY job_key DESC LIMIT {limit}"
        );
        let rows = self.query(&sql, [tenant.0.into(), key.into()]).await?;
        let jobs = rows.iter().map(|row| read(&Row(row)));
        Ok(jobs.collect::<std::result::Result<_, DbErr>>().map_err(Failure::from)?)
    }

    /// Ends a job that runs; one that has ended stays as it is.
    ///
    /// # Errors
    ///
    /// `JOB_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn cancel_job(
        &self,
        tenant: TenantKey,
        id: Uuid,
        attribution: &Attribution,
    ) -> Result<Job> {
        Ok(self.end_job(tenant, id, attribution).await?)
    }

    async fn end_job(
        &self,
        tenant: TenantKey,
        id: Uuid,
        attribution: &Attribution,
    ) -> std::result::Result<Job, Failure> {
        let tx = self.begin().await?;
        let sql = "UPDATE jobs SET state = 3, end_time = $1, attribution = $2
                   WHERE tenant_key = $3 AND job_id = $4 AND end_time IS NULL";
        let values = [
            attribution.update_time.micros().into(),
            json(attribution)?.into(),
            tenant.0.into(),
            id.into(),
        ];
        tx.execute(sql, values).await?;
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE tenant_key = $1 AND job_id = $2");
        let rows = tx.query(&sql, [tenant.0.into(), id.into()]).await?;
        let job = read(&rows.first().map(Row).ok_or_else(not_found)?)?;
        tx.commit().await?;
        Ok(job)
    }

    /// The job after that key which runs, of any tenant.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn running_job_after(&self, key: i64) -> Result<Option<RunningJob>> {
        let sql = "SELECT job_key, tenant_key, kind, selection, cursor, max_per_second, attribution
                   FROM jobs WHERE end_time IS NULL AND job_key > $1 ORDER BY job_key LIMIT 1";
        let rows = self.query(sql, [key.into()]).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let row = Row(row);
            Ok(RunningJob {
                key: row.get("job_key")?,
                tenant: TenantKey(row.get("tenant_key")?),
                kind: row.number("kind", JobKind::from_number)?,
                selection: row.json("selection")?,
                cursor: row.optional_json("cursor")?.unwrap_or(BEGINNING),
                max_per_second: row.get("max_per_second")?,
                attribution: row.json("attribution")?,
            })
        };
        Ok(rows.first().map(read).transpose()?)
    }

    /// Forgets up to `limit` jobs of a tenant that ended before `cutoff`.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn prune_jobs(
        &self,
        tenant: TenantKey,
        cutoff: Timestamp,
        limit: usize,
    ) -> Result<u64> {
        let tx = self.begin().await?;
        let sql = format!(
            "DELETE FROM jobs WHERE job_key IN (SELECT job_key FROM jobs WHERE tenant_key = $1
             AND end_time IS NOT NULL AND end_time < $2 LIMIT {limit})"
        );
        let deleted = tx.execute(&sql, [tenant.0.into(), cutoff.micros().into()]).await;
        let deleted = deleted.map_err(Failure::from)?;
        tx.commit().await?;
        Ok(deleted)
    }
}

/// Before the first diverted event.
pub(super) const BEGINNING: DivertedAt = DivertedAt {
    divert_time: Timestamp::MIN,
    event: crate::domain::id::EventKey(0),
    webhook: crate::domain::id::WebhookKey(0),
};

/// Makes a job in a transaction.
pub(super) async fn insert(
    tx: &WriteTx,
    tenant: TenantKey,
    new: NewJob,
) -> std::result::Result<Job, Failure> {
    tx.alone(Lock::Jobs, tenant.0).await?;
    let sql = format!(
        "SELECT COUNT(*) AS running FROM (SELECT 1 FROM jobs WHERE end_time IS NULL
         AND tenant_key = $1 LIMIT {}) AS counted",
        limits::RUNNING_JOBS
    );
    let rows = tx.query(&sql, [tenant.0.into()]).await?;
    let running: i64 = rows.first().map_or(Ok(0), |row| Row(row).get("running"))?;
    if usize::try_from(running).unwrap_or(0) >= limits::RUNNING_JOBS {
        let message = format!("{} jobs of the tenant run already", limits::RUNNING_JOBS);
        return Err(Error::overloaded(message).into());
    }
    let sql = "INSERT INTO jobs (tenant_key, job_id, kind, state, selection, max_per_second,
               selected_count, attribution, create_time)
               VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8) RETURNING job_key";
    let values = [
        tenant.0.into(),
        new.job_id.into(),
        new.kind.number().into(),
        json(&new.selection)?.into(),
        new.max_per_second.into(),
        i64::try_from(new.selected).unwrap_or(i64::MAX).into(),
        json(&new.attribution)?.into(),
        new.attribution.create_time.micros().into(),
    ];
    let rows = tx.query(sql, values).await?;
    let row = rows.first().map(Row).ok_or_else(|| corrupt("job: it has no key"))?;
    Ok(Job {
        key: row.get("job_key")?,
        job_id: new.job_id,
        kind: new.kind,
        state: JobState::Running,
        selected: new.selected,
        done: 0,
        skipped: 0,
        max_per_second: new.max_per_second,
        attribution: new.attribution,
        end_time: None,
    })
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> std::result::Result<String, DbErr> {
    serde_json::to_string(value).map_err(|e| DbErr::Json(e.to_string()))
}

fn not_found() -> Error {
    Error::new(Reason::JobNotFound, "no such job")
}

fn read(row: &Row<'_>) -> std::result::Result<Job, DbErr> {
    let count =
        |column: &str| Ok::<_, DbErr>(u64::try_from(row.get::<i64>(column)?).unwrap_or_default());
    Ok(Job {
        key: row.get("job_key")?,
        job_id: row.get("job_id")?,
        kind: row.number("kind", JobKind::from_number)?,
        state: row.number("state", JobState::from_number)?,
        selected: count("selected_count")?,
        done: count("done_count")?,
        skipped: count("skipped_count")?,
        max_per_second: row.get("max_per_second")?,
        attribution: row.json("attribution")?,
        end_time: row.optional_time("end_time")?,
    })
}
