//! Which events have arrived at which webhook, and when.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// One slot for each event at each webhook: nanoseconds since `began`, 0 before it arrives.
pub(crate) struct Arrivals {
    slots: Vec<AtomicU64>,
    webhooks: usize,
    began: Instant,
    arrived: AtomicUsize,
    repeated: AtomicUsize,
    /// Told when `arrived` reaches `wanted`.
    enough: Notify,
    wanted: AtomicUsize,
}

impl Arrivals {
    /// Of events `0..events` at webhooks `0..webhooks`.
    pub(crate) fn new(webhooks: usize, events: usize) -> Self {
        Self {
            slots: std::iter::repeat_with(AtomicU64::default).take(webhooks * events).collect(),
            webhooks,
            began: Instant::now(),
            arrived: AtomicUsize::new(0),
            repeated: AtomicUsize::new(0),
            enough: Notify::new(),
            wanted: AtomicUsize::new(usize::MAX),
        }
    }

    pub(crate) fn note(&self, webhook: usize, event: usize) {
        let slot = &self.slots[event * self.webhooks + webhook];
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        // Only one thread notes arrivals.
        if slot.load(Ordering::Relaxed) != 0 {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            return;
        }
        slot.store(nanos, Ordering::Relaxed);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 >= self.wanted.load(Ordering::Acquire) {
            self.enough.notify_one();
        }
    }

    /// How many different ones have arrived.
    pub(crate) fn count(&self) -> usize {
        self.arrived.load(Ordering::Acquire)
    }

    /// How many arrived more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// When an event arrived at a webhook.
    pub(crate) fn time(&self, webhook: usize, event: usize) -> Option<Instant> {
        let nanos = self.slots[event * self.webhooks + webhook].load(Ordering::Relaxed);
        (nanos > 0).then(|| self.began + Duration::from_nanos(nanos))
    }

    /// Waits until `wanted` different ones have arrived; panics, and says how many are
    /// missing, when that takes longer than `limit`.
    pub(crate) async fn wait_for(&self, wanted: usize, limit: Duration) {
        self.wanted.store(wanted, Ordering::Release);
        let wait = async {
            while self.count() < wanted {
                // A permit is kept where the last one arrives right here.
                self.enough.notified().await;
            }
        };
        if tokio::time::timeout(limit, wait).await.is_err() {
            panic!("{} of {wanted} deliveries are missing after {limit:?}", wanted - self.count());
        }
    }
}
