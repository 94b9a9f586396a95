//! Diverted events: read, listed, and what replay and discard refuse.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use tidings::grpc::proto::{
    DiscardDivertedEventsRequest, DivertReason, DivertedEvent, DivertedEventJob,
    DivertedEventJobState, DivertedEventSelector, DivertedEventState, GetDivertedEventJobRequest,
    GetDivertedEventRequest, ListDivertedEventJobsRequest, ListDivertedEventsRequest,
    ReplayDivertedEventsRequest, RetryDeliveryRequest, TimeRange, View, Webhook, event::Payload,
};
use tonic::Code;

use super::support::{
    api::{event, no_retries, webhook},
    receiver::{Receiver, Reply},
    refusal::refused,
    server::TestServer,
};

/// A server with a webhook that does not retry, at a receiver whose status can be set.
pub(crate) async fn failing(name: &str) -> (TestServer, Receiver, Arc<AtomicU16>, Webhook) {
    let server = TestServer::start().await;
    let status = Arc::new(AtomicU16::new(500));
    let told = Arc::clone(&status);
    let receiver = Receiver::with(move |_| Reply::status(told.load(Ordering::SeqCst))).await;
    let mut hook = webhook(name, &receiver.url(), &["*"]);
    hook.retry_policy = Some(no_retries());
    let hook = server.create(hook).await;
    (server, receiver, status, hook)
}

impl TestServer {
    /// Publishes events that get diverted; their ids.
    pub(crate) async fn divert(&self, name: &str, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(self.publish(event(name, &format!(r#"{{"n":{n}}}"#))).await.event_id);
        }
        for id in &ids {
            self.wait_log(id, "diverted", |log| log.status == 4).await;
        }
        ids
    }

    pub(crate) async fn diverted(&self, request: ListDivertedEventsRequest) -> Vec<DivertedEvent> {
        let page = self.diverted_events().list_diverted_events(request).await.expect("a page");
        page.into_inner().diverted_events
    }

    pub(crate) async fn job(&self, id: &str) -> DivertedEventJob {
        let request = GetDivertedEventJobRequest { job_id: id.into(), ..Default::default() };
        let job = self.diverted_events().get_diverted_event_job(request).await.expect("a job");
        job.into_inner().job.expect("the job")
    }

    /// Waits until a job has ended.
    pub(crate) async fn ended(&self, id: &str) -> DivertedEventJob {
        let ended = async {
            loop {
                let job = self.job(id).await;
                if job.state() != DivertedEventJobState::Running {
                    return job;
                }
                tokio::task::yield_now().await;
            }
        };
        let patience = std::time::Duration::from_secs(30);
        tokio::time::timeout(patience, ended).await.expect("the job ends")
    }

    pub(crate) async fn replay(&self, selector: DivertedEventSelector) -> DivertedEventJob {
        let request =
            ReplayDivertedEventsRequest { selector: Some(selector), ..Default::default() };
        let made = self.diverted_events().replay_diverted_events(request).await.expect("a job");
        made.into_inner().job.expect("the job")
    }
}

pub(crate) fn of(webhook: &Webhook) -> DivertedEventSelector {
    DivertedEventSelector { webhook_ids: vec![webhook.webhook_id.clone()], ..Default::default() }
}

fn event_ids(diverted: &[DivertedEvent]) -> Vec<String> {
    diverted.iter().filter_map(|d| d.event.as_ref()).map(|e| e.event_id.clone()).collect()
}

#[tokio::test]
async fn a_diverted_event_is_shown_with_its_attempt_and_payload() {
    let (server, _receiver, _, hook) = failing("w").await;
    let ids = server.divert("a", 1).await;
    let log = server.log(&ids[0]).await;
    let id = log.diverted_event_id.clone();
    let request = GetDivertedEventRequest { diverted_event_id: id.clone(), ..Default::default() };
    let got = server.diverted_events().get_diverted_event(request).await.expect("found");
    let got = got.into_inner().diverted_event.expect("the event");
    assert_eq!((&got.diverted_event_id, &got.event_log_id), (&id, &log.event_log_id));
    assert_eq!(got.webhook_id, hook.webhook_id);
    assert_eq!(got.reason(), DivertReason::RetriesExhausted);
    assert_eq!((got.state(), got.attempt_count), (DivertedEventState::Pending, 1));
    assert_eq!((got.divert_time, got.resolution.as_ref()), (log.end_time, None));
    let month = got.expire_time.expect("a time").seconds - got.divert_time.expect("set").seconds;
    assert_eq!(month, 30 * 24 * 3600);
    assert_eq!(got.last_attempt, log.attempts.last().cloned());
    let shown = got.event.expect("the event");
    assert_eq!(shown.payload, Some(Payload::Json(r#"{"n":0}"#.into())));

    let basic = server.diverted(ListDivertedEventsRequest::default()).await;
    let attempt = basic[0].last_attempt.as_ref().expect("an attempt");
    assert_eq!((attempt.attempt_number, attempt.request_headers.len()), (1, 0));
    assert_eq!(basic[0].event.as_ref().expect("the event").payload, None);
}

#[tokio::test]
async fn a_list_has_pages_filters_and_states() {
    let (server, _receiver, status, hook) = failing("w").await;
    let mut ids = server.divert("a", 3).await;
    ids.extend(server.divert("b", 2).await);

    let mut request = ListDivertedEventsRequest { page_size: 2, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = server.diverted_events().list_diverted_events(request.clone()).await;
        let page = page.expect("a page").into_inner();
        assert!(page.diverted_events.len() <= 2);
        seen.extend(event_ids(&page.diverted_events));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let mut wanted = ids.clone();
    wanted.sort();
    seen.sort();
    assert_eq!(seen, wanted);
    request.page_size = 1;
    request.states = vec![2];
    let refusal = refused(server.diverted_events().list_diverted_events(request).await);
    assert_eq!(refusal.what(), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));

    let all = server.diverted(ListDivertedEventsRequest::default()).await;
    let time = all[1].divert_time;
    let d = DivertedEventSelector::default;
    let range = |start_time, end_time| Some(TimeRange { start_time, end_time });
    for (selector, count) in [
        (DivertedEventSelector { event_names: vec!["b".into()], ..d() }, 2),
        (DivertedEventSelector { reasons: vec![1], ..of(&hook) }, 5),
        (DivertedEventSelector { reasons: vec![2, 3, 4, 5], ..d() }, 0),
        (DivertedEventSelector { divert_time: range(None, time), ..d() }, 1),
        (DivertedEventSelector { divert_time: range(time, None), ..d() }, 4),
        (DivertedEventSelector { webhook_ids: vec!["671f45d8760af000077b19f8".into()], ..d() }, 0),
    ] {
        let request = ListDivertedEventsRequest {
            selector: Some(selector.clone()),
            view: View::Full.into(),
            ..Default::default()
        };
        assert_eq!(server.diverted(request).await.len(), count, "{selector:?}");
    }

    // One that somebody puts back by hand has been replayed.
    status.store(200, Ordering::SeqCst);
    let retried = all[0].event_log_id.clone();
    let request = RetryDeliveryRequest { event_log_id: retried.clone(), ..Default::default() };
    server.event_logs().retry_delivery(request).await.expect("retried");
    let ids = vec![retried, all[1].diverted_event_id.clone()];
    let selector = Some(DivertedEventSelector { diverted_event_ids: ids, ..d() });
    let request = ListDivertedEventsRequest { selector, states: vec![1, 2], ..Default::default() };
    let both = server.diverted(request).await;
    let states: Vec<_> = both.iter().map(|diverted| diverted.state).collect();
    assert_eq!(states, [2, 1]);
    let resolution = both[0].resolution.clone().expect("resolved");
    assert_eq!(resolution.updated_by.expect("somebody").code, "dev");
    assert_eq!(server.diverted(ListDivertedEventsRequest::default()).await.len(), 4);
    let request = ListDivertedEventsRequest { states: vec![2], ..Default::default() };
    assert_eq!(server.diverted(request).await.len(), 1);
}

#[tokio::test]
async fn all_faults_come_at_once() {
    let server = TestServer::start().await;
    let mut client = server.diverted_events();
    let selector = DivertedEventSelector {
        diverted_event_ids: vec!["x".into()],
        reasons: vec![9],
        ..Default::default()
    };
    let list = ListDivertedEventsRequest {
        page_size: -1,
        selector: Some(selector.clone()),
        states: vec![0],
        view: 7,
        ..Default::default()
    };
    let refusal = refused(client.list_diverted_events(list).await);
    assert_eq!(
        refusal.fields(),
        ["selector.diverted_event_ids[0]", "selector.reasons[0]", "states[0]", "view", "page_size"]
    );
    let replay = ReplayDivertedEventsRequest {
        selector: Some(selector),
        max_per_second: f64::NAN,
        idempotency_key: "k".into(),
        ..Default::default()
    };
    let refusal = refused(client.replay_diverted_events(replay).await);
    assert_eq!(
        refusal.fields(),
        [
            "selector.diverted_event_ids[0]",
            "selector.reasons[0]",
            "max_per_second",
            "idempotency_key"
        ]
    );
    for selector in [None, Some(DivertedEventSelector::default())] {
        let discard = DiscardDivertedEventsRequest { selector, ..Default::default() };
        let refusal = refused(client.discard_diverted_events(discard).await);
        assert_eq!(refusal.reasons(), [("selector", "FIELD_REQUIRED")]);
    }
    let request = ListDivertedEventJobsRequest { page_size: -1, ..Default::default() };
    let refusal = refused(client.list_diverted_event_jobs(request).await);
    assert_eq!(refusal.fields(), ["page_size"]);
}

#[tokio::test]
async fn what_another_tenant_has_does_not_exist() {
    let (server, _receiver, _, hook) = failing("w").await;
    server.divert("a", 1).await;
    let id = server.diverted(Default::default()).await[0].diverted_event_id.clone();
    let job = server.replay(of(&hook)).await;
    let mut client = server.diverted_events();
    for (tenant_id, id, job) in [
        ("other", id.clone(), job.job_id.clone()),
        ("", "no-id".into(), "no-id".into()),
        ("", format!("{}.{}", uuid::Uuid::nil(), hook.webhook_id), uuid::Uuid::nil().to_string()),
    ] {
        let request =
            GetDivertedEventRequest { tenant_id: tenant_id.into(), diverted_event_id: id.clone() };
        let refusal = refused(client.get_diverted_event(request).await);
        assert_eq!(refusal.what(), (Code::NotFound, "DIVERTED_EVENT_NOT_FOUND"));
        let request = GetDivertedEventJobRequest { tenant_id: tenant_id.into(), job_id: job };
        let refusal = refused(client.get_diverted_event_job(request).await);
        assert_eq!(refusal.what(), (Code::NotFound, "JOB_NOT_FOUND"));
    }
    let ids = DivertedEventSelector { diverted_event_ids: vec![id], ..Default::default() };
    for (selector, reason) in [(ids, "DIVERTED_EVENT_NOT_FOUND"), (of(&hook), "WEBHOOK_NOT_FOUND")]
    {
        let request = ReplayDivertedEventsRequest {
            tenant_id: "other".into(),
            selector: Some(selector.clone()),
            ..Default::default()
        };
        let refusal = refused(client.replay_diverted_events(request).await);
        assert_eq!(refusal.what(), (Code::NotFound, reason));
        let request = ListDivertedEventsRequest {
            tenant_id: "other".into(),
            selector: Some(selector),
            ..Default::default()
        };
        assert!(server.diverted(request).await.is_empty());
    }
}
