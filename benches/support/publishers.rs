//! Publishing: as fast as answers come back, or at a fixed rate whatever they do.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tidings::grpc::proto::{
    Event, PublishEventRequest, event::Payload, event_service_client::EventServiceClient,
};
use tokio::{sync::mpsc, task::JoinSet};
use tonic::transport::Channel;

use super::{payload, server::Server};

/// HTTP/2 connections that the publishers share.
const CHANNELS: usize = 4;

/// Event number `n` of that name.
pub(crate) fn event(name: &str, n: usize) -> Event {
    Event {
        event_name: name.to_owned(),
        payload: Some(Payload::Json(payload(n))),
        ..Default::default()
    }
}

/// Clients that publish events of one name.
pub(crate) struct Publishers {
    clients: Vec<EventServiceClient<Channel>>,
    event_name: Arc<str>,
}

impl Publishers {
    pub(crate) fn new(server: &Server, event_name: &str) -> Self {
        let client = || EventServiceClient::new(server.channel());
        let clients = std::iter::repeat_with(client).take(CHANNELS).collect();
        Self { clients, event_name: event_name.into() }
    }

    /// Publishes events one by one, `publishers` at a time, each as soon as the one
    /// before is answered. Returns how long each answer took.
    pub(crate) async fn publish_all(
        &self,
        publishers: usize,
        events: Range<usize>,
    ) -> Vec<Duration> {
        let next = Arc::new(AtomicUsize::new(events.start));
        let mut tasks = JoinSet::new();
        for publisher in 0..publishers {
            let mut client = self.clients[publisher % CHANNELS].clone();
            let (next, name) = (Arc::clone(&next), Arc::clone(&self.event_name));
            tasks.spawn(async move {
                let mut took = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= events.end {
                        return took;
                    }
                    let asked = Instant::now();
                    publish(&mut client, &name, n).await;
                    took.push(asked.elapsed());
                }
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Publishes events at times that do not depend on the answers. Returns when each
    /// was due.
    pub(crate) async fn publish_at_rate(
        &self,
        per_second: u32,
        events: Range<usize>,
    ) -> Vec<Instant> {
        let (due, mut dues) = mpsc::unbounded_channel();
        let began = Instant::now() + Duration::from_millis(5);
        let count = events.len();
        // The runtime's timers are as coarse as a millisecond.
        std::thread::spawn(move || {
            for i in 0..count {
                let at =
                    began + Duration::from_secs(1) * u32::try_from(i).expect("few") / per_second;
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                // Where the measurement has failed, nobody listens any more.
                let _ = due.send(at);
            }
        });
        let mut tasks = JoinSet::new();
        let mut due_times = Vec::with_capacity(count);
        while let Some(at) = dues.recv().await {
            let n = events.start + due_times.len();
            due_times.push(at);
            let mut client = self.clients[n % CHANNELS].clone();
            let name = Arc::clone(&self.event_name);
            tasks.spawn(async move { publish(&mut client, &name, n).await });
        }
        tasks.join_all().await;
        due_times
    }
}

async fn publish(client: &mut EventServiceClient<Channel>, name: &str, n: usize) {
    let request = PublishEventRequest { event: Some(event(name, n)), ..Default::default() };
    client.publish_event(request).await.expect("published");
}
