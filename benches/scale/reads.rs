//! Reading from a long log: one client, one call after the other, at places all over it.

use std::time::{Duration, Instant};

use prost_types::Timestamp;
use tidings::{
    cli::bench::{Sample, ref_id, request_id},
    grpc::proto::{
        EventLog, EventLogFilter, GetEventLogRequest, ListEventLogsRequest, TimeRange, Webhook,
        event_log_service_client::EventLogServiceClient,
    },
};
use tonic::transport::Channel;

use super::{
    log::{BATCH, PUBLISHERS},
    report::Report,
    support::{Server, millis},
};

/// Calls of each kind, and the time that passes from one to the next.
const CALLS: usize = 1_000;
const EVERY: Duration = Duration::from_millis(5);
/// Calls of each kind that are not counted.
const WARM_UP: usize = 20;
const LIMIT: Duration = Duration::from_millis(5);
/// Records of a page that does not say.
const PAGE: usize = 50;
/// Events before this one have no full page of a webhook behind them, or may have none:
/// batches that are published beside each other arrive in any order.
const OLDEST: usize = PAGE + BATCH * PUBLISHERS;

/// An event of the log.
struct Known {
    n: usize,
    event_id: String,
    ingest_time: Option<Timestamp>,
}

/// Reads in every way, and checks each answer.
pub(crate) async fn measure(
    server: &Server,
    webhooks: &[Webhook],
    events: usize,
    report: &mut Report,
) -> Result<(), String> {
    let mut reader = Reader {
        client: EventLogServiceClient::new(server.channel()),
        took: Vec::new(),
        next: Instant::now(),
    };
    let anywhere = || rand::random_range(0..events);
    let any_webhook = || &webhooks[rand::random_range(0..webhooks.len())].webhook_id;

    let mut known = Vec::with_capacity(WARM_UP + CALLS);
    for _ in 0..WARM_UP + CALLS {
        let n = anywhere();
        let request_id = request_id(n);
        let filter = EventLogFilter { request_id: request_id.clone(), ..Default::default() };
        let logs = reader.list(filter, None, |log| log.request_id == request_id).await?;
        let first = logs.into_iter().next().ok_or("a page is empty")?;
        known.push(Known { n, event_id: first.event_id, ingest_time: first.ingest_time });
    }
    reader.report("ListEventLogs by request id", report);
    for _ in &known {
        let ref_id = ref_id(anywhere());
        let filter = EventLogFilter { ref_id: ref_id.clone(), ..Default::default() };
        reader.list(filter, None, |log| log.ref_id == ref_id).await?;
    }
    reader.report("ListEventLogs by ref id", report);
    for _ in &known {
        let id = any_webhook();
        reader.list(of_webhook(id), None, |log| log.webhook_id == *id).await?;
    }
    reader.report("ListEventLogs by webhook, newest", report);
    for known in &known {
        if known.n < OLDEST {
            continue;
        }
        let id = any_webhook();
        let before = Some(TimeRange { end_time: known.ingest_time, ..Default::default() });
        reader.list(of_webhook(id), before, |log| log.webhook_id == *id).await?;
    }
    reader.report("ListEventLogs by webhook, before any time", report);
    for known in &known {
        reader.get(known, "").await?;
    }
    reader.report("GetEventLog of an event", report);
    for known in &known {
        reader.get(known, any_webhook()).await?;
    }
    reader.report("GetEventLog of an event at a webhook", report);
    Ok(())
}

fn of_webhook(webhook_id: &str) -> EventLogFilter {
    EventLogFilter { webhook_ids: vec![webhook_id.to_owned()], ..Default::default() }
}

struct Reader {
    client: EventLogServiceClient<Channel>,
    took: Vec<Duration>,
    next: Instant,
}

impl Reader {
    /// A full page of records, all of which are wanted.
    async fn list(
        &mut self,
        filter: EventLogFilter,
        ingest_time: Option<TimeRange>,
        is_wanted: impl Fn(&EventLog) -> bool,
    ) -> Result<Vec<EventLog>, String> {
        let asked = self.turn().await;
        let filter = Some(filter);
        let request = ListEventLogsRequest { filter, ingest_time, ..Default::default() };
        let answer = self.client.list_event_logs(request).await;
        self.took.push(asked.elapsed());
        let logs = answer.map_err(|status| format!("ListEventLogs: {status}"))?;
        let logs = logs.into_inner().event_logs;
        if logs.len() == PAGE && logs.iter().all(is_wanted) {
            return Ok(logs);
        }
        Err(format!("ListEventLogs answered with {} records, or with wrong ones", logs.len()))
    }

    async fn get(&mut self, known: &Known, webhook_id: &str) -> Result<(), String> {
        let asked = self.turn().await;
        let (event_id, webhook_id) = (known.event_id.clone(), webhook_id.to_owned());
        let request = GetEventLogRequest { event_id, webhook_id, ..Default::default() };
        let answer = self.client.get_event_log(request.clone()).await;
        self.took.push(asked.elapsed());
        let answer = answer.map_err(|status| format!("GetEventLog: {status}"))?.into_inner();
        let log = answer.event_log.ok_or("GetEventLog answered with nothing")?;
        let is_right = log.event_id == request.event_id
            && log.request_id == request_id(known.n)
            && log.ref_id == ref_id(known.n)
            && (request.webhook_id.is_empty() || log.webhook_id == request.webhook_id);
        if is_right { Ok(()) } else { Err(format!("GetEventLog answered with {log:?}")) }
    }

    async fn turn(&mut self) -> Instant {
        tokio::time::sleep_until(self.next.into()).await;
        let now = Instant::now();
        self.next = now + EVERY;
        now
    }

    fn report(&mut self, what: &str, report: &mut Report) {
        let mut took = std::mem::take(&mut self.took);
        let sample = Sample::new(took.split_off(WARM_UP.min(took.len())));
        let (p50, p99) = (sample.quantile(0.5), sample.quantile(0.99));
        let figure = format!("p50 {}, p99 {}", millis(p50), millis(p99));
        let met = sample.count() > 0 && p99 <= LIMIT;
        report.target(what, figure, "p99 at most 5 ms", met);
    }
}
