//! The one writer of the database. Publishes and records share commits: while
//! one transaction commits, the next batch gathers; nobody waits for a timer, so
//! at low load each has a commit of its own. Tenants take turns (`gather`). A batch that
//! fails on data is split until the guilty unit stands alone, and only that one's caller
//! is told.

mod admission;
mod arrival;
mod checkpoint;
mod doubt;
mod expansion;
mod filing;
mod gather;
mod known;
mod news;
mod opening;
mod place;
mod publish;
mod record;
mod syncer;
mod times;
mod transaction;

use std::{collections::BTreeSet, sync::Arc, thread, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio::{
    runtime::Handle,
    sync::{
        Mutex, Notify,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
};

use self::{
    admission::Admission,
    checkpoint::Checkpointer,
    filing::Filing,
    gather::Waiting,
    known::Known,
    news::Told,
    publish::PublishUnit,
    record::{RecordUnit, Reply},
    syncer::{Progress, Synced, Syncer},
    transaction::{Committed, FileState, WriterState},
};
pub use self::{
    arrival::{Arrival, Commit, NewDelivery},
    publish::{NewEvent, Published, Target},
    record::Settlement,
};
pub(super) use self::{
    doubt::Verdict,
    expansion::{OF_EVENT as AT_ONCE, read as read_targets},
    news::Audience,
    place::Entry,
    publish::{Accepted, accept},
    transaction::{Lock, WriteTx},
};
use super::{NodeKey, connect::OfFile, dialect::Dialect, failure::Failure, timed::Timed};
use crate::domain::{error::Error, id::TenantKey};

/// Units that wait for the writer, beyond which callers wait to get in.
const QUEUE_UNITS: usize = 4_096;
/// Rows that take longer to be written than a sync does, so that they do not wait for one.
const MUCH: usize = 256;
/// How often a batch is tried that meets other nodes' transactions, or loses its connection.
const TRIES: usize = 4;
/// Wait before outcomes in doubt are looked at again.
const DOUBT_WAIT: Duration = Duration::from_millis(50);

/// A handle to the writer.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Unit>,
    admission: Admission,
    expansions: Arc<Notify>,
    /// Absent where the database syncs a commit before it says that it is done.
    progress: Option<Progress>,
    state: Arc<Mutex<WriterState>>,
}

enum Unit {
    Publish(PublishUnit),
    Record(RecordUnit),
}

impl Writer {
    /// Starts the writer: as a task, or, where its statements run where they are called,
    /// on a thread of its own.
    pub(super) async fn start(
        connection: Timed<DatabaseConnection>,
        of_file: Option<OfFile>,
        audience: Audience,
    ) -> Result<Self, DbErr> {
        let expansions = Arc::clone(&audience.expansions);
        let audience = Arc::new(audience);
        let syncer = of_file.as_ref().map(|file| Syncer::start(&file.log, Arc::clone(&audience)));
        let syncer = syncer.transpose().map_err(|e| DbErr::Custom(format!("its log: {e}")))?;
        let progress = syncer.as_ref().map(Syncer::progress);
        let file = match &of_file {
            Some(OfFile { direct, .. }) => {
                let filing = Filing::read(&connection).await?;
                Some(FileState { direct: direct.clone(), filing, known: Known::default() })
            }
            None => None,
        };
        let told = Told { audience, syncer };
        let state = Arc::new(Mutex::new(WriterState { connection, file, doubt: None, told }));
        let (queue, units) = mpsc::channel(QUEUE_UNITS);
        if let Some(OfFile { direct, checkpointer, .. }) = of_file {
            let checkpoints = Checkpointer::start(checkpointer, direct, Arc::downgrade(&state));
            let run = run(Arc::clone(&state), units, Some(checkpoints));
            let runtime = Handle::current();
            thread::spawn(move || runtime.block_on(run));
        } else {
            tokio::spawn(run(Arc::clone(&state), units, None));
        }
        Ok(Self { queue, admission: Admission::default(), expansions, progress, state })
    }

    /// Hears when deliveries were left for later.
    pub(super) fn expansions(&self) -> &Notify {
        &self.expansions
    }

    /// Waits until everything that was committed is synced: what was read stays then.
    pub(super) async fn catch_up(&self) {
        if let Some(progress) = &self.progress {
            progress.catch_up().await;
        }
    }

    /// Begins a transaction of the caller's own.
    pub(super) async fn begin(&self) -> Result<WriteTx, Failure> {
        WriteTx::begin(Arc::clone(&self.state)).await
    }

    /// Copies the log back and empties its file, while nothing is written. Where a
    /// reader takes too long it stays until the next checkpoint.
    pub(super) async fn empty_log(&self) -> Result<(), Failure> {
        let state = self.state.lock().await;
        Ok(empty_log(&state.connection).await?)
    }

    /// Publishes events of one tenant, all or none.
    pub(super) async fn publish(
        &self,
        tenant_key: TenantKey,
        config_version: i64,
        events: Vec<NewEvent>,
    ) -> Result<Published, Error> {
        let room = self.admission.enter(tenant_key, &events).await?;
        let (reply, answer) = oneshot::channel();
        let unit = PublishUnit { tenant_key, config_version, events, reply, _room: room };
        self.send(Unit::Publish(unit)).await?;
        answer.await.unwrap_or_else(|_| Err(Error::draining()))
    }

    /// Notes how many deliveries came lately and wait for their first attempt.
    pub(super) fn note_waiting(&self, deliveries: usize) {
        self.admission.note_waiting(deliveries);
    }

    /// Records the outcomes of attempts, all or none, and calls `reply` then.
    pub(super) fn record(&self, node: NodeKey, settlements: Arc<Vec<Settlement>>, reply: Reply) {
        let unit = Unit::Record(RecordUnit { node, settlements, reply, doubt: None });
        if let Err(TrySendError::Full(unit)) = self.queue.try_send(unit) {
            let queue = self.queue.clone();
            tokio::spawn(async move {
                let _ = queue.send(unit).await;
            });
        }
    }

    async fn send(&self, unit: Unit) -> Result<(), Error> {
        self.queue.send(unit).await.map_err(|_| Error::draining())
    }
}

/// Leaves nothing of replaced pages in the write-ahead log of a file.
pub(super) async fn empty_log(writer: &impl ConnectionTrait) -> Result<(), DbErr> {
    if Dialect::from(writer.get_database_backend()) == Dialect::Sqlite {
        writer.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    }
    Ok(())
}

/// The loop: it ends when all handles are gone. Errors go to who waits for the
/// unit; the loop itself survives them all.
async fn run(
    state: Arc<Mutex<WriterState>>,
    mut units: mpsc::Receiver<Unit>,
    mut checkpoints: Option<Checkpointer>,
) {
    let mut waiting = Waiting::default();
    loop {
        if waiting.is_empty() {
            let Some(unit) = units.recv().await else { return };
            waiting.push(unit);
        }
        while let Ok(unit) = units.try_recv() {
            waiting.push(unit);
        }
        let batch = waiting.next_batch();
        let much_waits = || {
            while let Ok(unit) = units.try_recv() {
                waiting.push(unit);
            }
            waiting.rows() >= MUCH
        };
        let in_doubt = write(&state, batch, much_waits).await;
        if !in_doubt.is_empty() {
            tokio::time::sleep(DOUBT_WAIT).await;
            in_doubt.into_iter().for_each(|unit| waiting.push(Unit::Record(unit)));
        }
        if let Some(checkpoints) = &mut checkpoints {
            checkpoints.after_commit();
        }
    }
}

#[derive(Default)]
struct Batch {
    publishes: Vec<PublishUnit>,
    records: Vec<RecordUnit>,
}

/// Writes a batch and answers its units. What fails on data is split in halves. Returns
/// outcomes of which it is not known whether they are recorded; of a publish its caller is
/// told so. While much waits, the next transaction does not wait for the disk.
async fn write(
    state: &Arc<Mutex<WriterState>>,
    batch: Batch,
    mut much_waits: impl FnMut() -> bool,
) -> Vec<RecordUnit> {
    let mut waiting = vec![batch];
    let mut in_doubt = Vec::new();
    while let Some(batch) = waiting.pop() {
        match attempts(state, &batch).await {
            Ok((outcomes, committed)) => {
                let sync = if much_waits() { Synced::Behind } else { Synced::Now };
                committed.tell(sync, Box::new(move || batch.done(outcomes))).await;
            }
            Err(Failure::Data(error)) if batch.len() > 1 => {
                tracing::debug!(%error, units = batch.len(), "splitting a batch");
                let (first, second) = batch.halves();
                // Last in, first out: the order of publishing stays.
                waiting.push(second);
                waiting.push(first);
            }
            Err(Failure::Fenced) => {
                // Publishes need no lease.
                for unit in batch.records {
                    (unit.reply)(Err(Failure::Fenced.into()));
                }
                if !batch.publishes.is_empty() {
                    waiting.push(Batch { publishes: batch.publishes, records: Vec::new() });
                }
            }
            Err(failure) => in_doubt.extend(batch.fail(failure)),
        }
    }
    in_doubt
}

/// Tries again where that may help at once. A commit is never tried again.
async fn attempts(
    state: &Arc<Mutex<WriterState>>,
    batch: &Batch,
) -> Result<(Vec<Published>, Committed), Failure> {
    for _ in 1..TRIES {
        match attempt(state, batch).await {
            Err(failure) if failure.is_passing() => {
                tracing::debug!(?failure, "trying a batch again");
            }
            done => return done,
        }
    }
    attempt(state, batch).await
}

async fn attempt(
    state: &Arc<Mutex<WriterState>>,
    batch: &Batch,
) -> Result<(Vec<Published>, Committed), Failure> {
    let mut tx = WriteTx::begin_here(Arc::clone(state)).await?;
    let tenants: BTreeSet<_> = batch.publishes.iter().map(|unit| unit.tenant_key).collect();
    tx.hold(tenants.iter().copied(), batch.records.iter().map(|unit| unit.node)).await?;
    if !tenants.is_empty() {
        // In a statement after that of the lock: what was acknowledged before is seen.
        let events = batch.publishes.iter().map(|unit| unit.events.len()).sum();
        tx.read(tenants, events).await?;
    }
    let outcomes = publish::apply(&mut tx, &batch.publishes).await?;
    record::apply(&mut tx, &batch.records).await?;
    Ok((outcomes, tx.commit_untold().await?))
}

impl Batch {
    /// Answers that it is written.
    fn done(self, outcomes: Vec<Published>) {
        // A caller that went away meanwhile misses its answer, no more.
        for (unit, outcome) in self.publishes.into_iter().zip(outcomes) {
            let _ = unit.reply.send(Ok(outcome));
        }
        for unit in self.records {
            (unit.reply)(Ok(()));
        }
    }

    /// Answers that it failed, but for the outcomes that may be recorded all the same: these
    /// are given back.
    fn fail(self, failure: Failure) -> Vec<RecordUnit> {
        let verdict = match &failure {
            Failure::InDoubt(_, verdict) => verdict.clone(),
            _ => None,
        };
        let error = Error::from(failure);
        for unit in self.publishes {
            let _ = unit.reply.send(Err(error.clone()));
        }
        let mut in_doubt = Vec::new();
        for mut unit in self.records {
            unit.doubt = verdict.clone().or(unit.doubt.filter(Verdict::is_open));
            if unit.doubt.is_some() {
                in_doubt.push(unit);
            } else {
                (unit.reply)(Err(error.clone()));
            }
        }
        in_doubt
    }

    fn len(&self) -> usize {
        self.publishes.len() + self.records.len()
    }

    /// Records apart from publishes first, then each in halves.
    fn halves(mut self) -> (Self, Self) {
        if !self.publishes.is_empty() && !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            return (self, Self { records, ..Self::default() });
        }
        let publishes = self.publishes.split_off(self.publishes.len() / 2);
        let records = self.records.split_off(self.records.len() / 2);
        (self, Self { publishes, records })
    }
}
