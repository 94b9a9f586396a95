//! Which publishes get in, and when: those of a tenant that floods the writer wait for their
//! own, and all of them leave the CPU to deliveries that wait for it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::NewEvent;
use crate::domain::{error::Error, id::TenantKey};

/// KiB of events that may wait for the writer, and of one tenant's.
const QUEUE_KIB: u32 = 32 * 1024;
const TENANT_KIB: u32 = 8 * 1024;
/// Targets of events that count as one of them.
const TARGETS_PER_KIB: usize = 16;
/// How long a publish waits for room before it is refused.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Deliveries that wait, for each turn of the CPU that a publish leaves to others, and so many
/// turns at most.
const WAITING_PER_TURN: usize = 1_024;
const TURNS: usize = 16;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Admission {
    room: Arc<Semaphore>,
    /// Of each tenant that has published.
    tenant_rooms: Arc<parking_lot::Mutex<HashMap<TenantKey, Arc<Semaphore>>>>,
    /// Deliveries that came lately and wait for their first attempt.
    waiting: Arc<AtomicUsize>,
}

/// The room that a publish takes, until it is written.
pub(super) type Admitted = [OwnedSemaphorePermit; 2];

impl Default for Admission {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(QUEUE_KIB as usize));
        Self { room, tenant_rooms: Arc::default(), waiting: Arc::default() }
    }
}

impl Admission {
    pub(super) fn note_waiting(&self, deliveries: usize) {
        self.waiting.store(deliveries, Ordering::Relaxed);
    }

    /// Waits to be let in.
    ///
    /// # Errors
    ///
    /// `OVERLOADED` where there is no room for too long.
    pub(super) async fn enter(
        &self,
        tenant: TenantKey,
        events: &[NewEvent],
    ) -> Result<Admitted, Error> {
        self.give_way().await;
        match tokio::time::timeout(TIMEOUT, self.room(tenant, events)).await {
            Ok(Ok(admitted)) => Ok(admitted),
            _ => Err(Error::overloaded("too many events wait for the database")),
        }
    }

    /// Lets other tasks go first, the more often the more deliveries wait. Where the CPU is all
    /// used, publishers would else outrun them, and what is in memory no more is to be read
    /// back. It waits for nothing: where the CPU is free, or what waits is for a destination
    /// that is slow, it costs a few polls.
    async fn give_way(&self) {
        for turn in 1..=TURNS {
            if self.waiting.load(Ordering::Relaxed) < turn * WAITING_PER_TURN {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits for room among what waits. A tenant that floods the writer waits for its own
    /// events first, and the others do not stand behind all of them.
    async fn room(&self, tenant: TenantKey, events: &[NewEvent]) -> Result<Admitted, AcquireError> {
        let kib =
            |new: &NewEvent| new.event.bytes() / 1024 + new.targets.len() / TARGETS_PER_KIB + 1;
        let kib = events.iter().map(kib).sum::<usize>();
        let kib = u32::try_from(kib).unwrap_or(TENANT_KIB).min(TENANT_KIB);
        let of_tenant = {
            let mut rooms = self.tenant_rooms.lock();
            let room = rooms.entry(tenant);
            Arc::clone(room.or_insert_with(|| Arc::new(Semaphore::new(TENANT_KIB as usize))))
        };
        let first = of_tenant.acquire_many_owned(kib).await?;
        Ok([first, Arc::clone(&self.room).acquire_many_owned(kib).await?])
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_publish_leaves_the_more_turns_the_more_deliveries_wait() {
        let admission = Admission::default();
        let tenant = TenantKey(1);
        let turns = async |waiting| {
            admission.note_waiting(waiting);
            let mut entering = Box::pin(admission.enter(tenant, &[]));
            let mut turns = 0;
            while entering.as_mut().now_or_never().is_none() {
                turns += 1;
            }
            turns
        };
        assert_eq!(turns(0).await, 0);
        assert_eq!(turns(WAITING_PER_TURN - 1).await, 0);
        assert_eq!(turns(3 * WAITING_PER_TURN).await, 3);
        assert_eq!(turns(usize::MAX).await, TURNS, "it waits for nothing else");
    }
}
