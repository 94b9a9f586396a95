//! Reading the delivery log: single records and lists.

use std::{collections::HashSet, time::Duration};

use tidings::grpc::proto::{
    AttemptOutcome, BatchPublishEventsRequest, DeliveryStatus, EventLog, EventLogFilter,
    GetEventLogRequest, GetEventLogResponse, HttpHeader, ListEventLogsRequest,
    ListEventLogsResponse, SuspendWebhookRequest, TimeRange, View, Webhook,
};
use tonic::{Code, Status};

use super::support::{
    api::{event, header, http, no_retries, quick_retries, seconds, update, webhook},
    clock::ManualClock,
    receiver::{Receiver, Reply},
    refusal::refused,
    server::TestServer,
};

async fn get(
    server: &TestServer,
    event_id: &str,
    webhook_id: &str,
    view: View,
) -> Result<GetEventLogResponse, Status> {
    let request = GetEventLogRequest {
        event_id: event_id.into(),
        webhook_id: webhook_id.into(),
        view: view.into(),
        ..Default::default()
    };
    server.event_logs().get_event_log(request).await.map(|found| found.into_inner())
}

async fn list(server: &TestServer, request: ListEventLogsRequest) -> ListEventLogsResponse {
    server.event_logs().list_event_logs(request).await.expect("a page").into_inner()
}

async fn settled(server: &TestServer, event_id: &str, webhook: &Webhook) -> EventLog {
    let at = |log: &EventLog| log.webhook_id == webhook.webhook_id && log.end_time.is_some();
    server.wait_log(event_id, "its end", at).await
}

async fn suspend(server: &TestServer, hook: &Webhook) {
    let webhook_id = hook.webhook_id.clone();
    let request = SuspendWebhookRequest { webhook_id, ..Default::default() };
    server.webhooks().suspend_webhook(request).await.expect("suspended");
}

fn millis(time: Option<prost_types::Timestamp>) -> i64 {
    let time = time.expect("a time");
    time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000
}

#[tokio::test]
async fn a_record_shows_its_attempts_with_secrets_masked() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| match r.index {
        0 => Reply::status(503).body("busy"),
        _ => Reply::status(201).body("thanks"),
    })
    .await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.retry_policy = Some(quick_retries(3));
    http(&mut hook).headers = vec![
        HttpHeader { sensitive: true, ..header("X-Key", "k1") },
        header("Authorization", "Basic c2VjcmV0"),
        header("X-Open", "1"),
    ];
    let hook = server.create(hook).await;
    let mut sent = event("pointsIssued", "{}");
    (sent.ref_id, sent.request_id) = ("50074_1".into(), "r1".into());
    let published = server.publish(sent).await;
    settled(&server, &published.event_id, &hook).await;

    let found = get(&server, &published.event_id, "", View::Unspecified).await.expect("found");
    assert_eq!(found.total_size, 1);
    let log = found.event_log.expect("the record");
    assert_eq!((log.status(), log.attempt_count), (DeliveryStatus::Succeeded, 2));
    assert_eq!((log.event_name.as_str(), log.tenant_id.as_str()), ("pointsIssued", "default"));
    assert_eq!((log.ref_id.as_str(), log.request_id.as_str()), ("50074_1", "r1"));
    assert_eq!(
        (&log.webhook_id, &log.consumer_group_id),
        (&hook.webhook_id, &hook.consumer_group_id)
    );
    assert_eq!((log.ingest_time, log.next_attempt_time), (published.ingest_time, None));
    assert_eq!((log.last_outcome(), log.last_error.as_str()), (AttemptOutcome::Success, ""));
    assert_eq!((log.sla_breach_time, log.diverted_event_id.as_str()), (None, ""));
    let response = log.consumer_response.clone().expect("an answer");
    assert_eq!((response.http_status, response.body_excerpt.as_str()), (201, "thanks"));
    assert!(response.time_taken.is_some());

    let told: Vec<_> = (log.attempts.iter())
        .map(|attempt| {
            let response = attempt.response.as_ref().expect("an answer");
            (
                attempt.attempt_number,
                attempt.outcome(),
                response.http_status,
                &*response.body_excerpt,
            )
        })
        .collect();
    let failed = (1, AttemptOutcome::HttpError, 503, "busy");
    assert_eq!(told, [failed, (2, AttemptOutcome::Success, 201, "thanks")]);
    assert_eq!(log.attempts[0].error_message, "answered 503");
    assert_eq!(
        (log.start_time, log.end_time),
        (log.attempts[0].start_time, log.attempts[1].end_time)
    );
    assert!(log.attempts.iter().all(|a| millis(a.start_time) <= millis(a.end_time)));
    let sent: Vec<_> = (log.attempts[1].request_headers.iter())
        .map(|h| (h.name.to_lowercase(), h.values.join(",")))
        .collect();
    for (name, value) in
        [("x-key", "***"), ("authorization", "***"), ("x-open", "1"), ("tidings-attempt", "2")]
    {
        assert!(sent.contains(&(name.into(), value.into())), "{sent:?}");
    }

    let basic = get(&server, &published.event_id, "", View::Basic).await.expect("found");
    let mut expected = EventLog { attempts: Vec::new(), ..log };
    expected.consumer_response.as_mut().expect("an answer").body_excerpt.clear();
    assert_eq!(basic.event_log, Some(expected));
}

#[tokio::test]
async fn an_attempt_is_shown_with_the_headers_that_it_had() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    http(&mut hook).headers = vec![header("X-Version", "old")];
    let mut hook = server.create(hook).await;
    let published = server.publish(event("a", "{}")).await;
    settled(&server, &published.event_id, &hook).await;
    http(&mut hook).headers = vec![header("X-Version", "new")];
    server.update(update(hook, &["destination"])).await;
    let log = server.log(&published.event_id).await;
    assert_eq!(log.attempts[0].request_headers[0].values, ["old"]);
}

#[tokio::test]
async fn of_several_webhooks_the_last_to_finish_is_shown() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = gate.clone();
    let slow = Receiver::with(move |_| Reply::status(200).held_by(held.clone())).await;
    let first = server.create(webhook("slow", &slow.url(), &["*"])).await;
    let second = server.create(webhook("quick", &receiver.url(), &["*"])).await;
    let id = server.publish(event("a", "{}")).await.event_id;

    settled(&server, &id, &second).await;
    let found = get(&server, &id, "", View::Full).await.expect("found");
    assert_eq!(found.total_size, 2);
    assert_eq!(found.event_log.expect("the record").webhook_id, second.webhook_id);
    gate.close();
    settled(&server, &id, &first).await;
    let found = get(&server, &id, "", View::Full).await.expect("found");
    assert_eq!(found.event_log.expect("the record").webhook_id, first.webhook_id);
    let found = get(&server, &id, &second.webhook_id, View::Full).await.expect("found");
    assert_eq!(found.total_size, 2);
    assert_eq!(found.event_log.expect("the record").webhook_id, second.webhook_id);
}

#[tokio::test]
async fn what_is_not_in_the_log_is_not_found() {
    let server = TestServer::start().await;
    let unheard = server.publish(event("a", "{}")).await.event_id;
    let hook = server.create(webhook("w", "http://127.0.0.1:9/", &["b"])).await;
    for id in ["ccc983c2-df7a-4ece-b5cc-e574cec66fc1", "no id"] {
        let missing = refused(get(&server, id, "", View::Full).await);
        assert_eq!(missing.what(), (Code::NotFound, "EVENT_NOT_FOUND"));
    }
    for webhook_id in ["", &hook.webhook_id, "no id"] {
        let missing = refused(get(&server, &unheard, webhook_id, View::Full).await);
        assert_eq!(missing.what(), (Code::NotFound, "EVENT_LOG_NOT_FOUND"));
    }
    let request = GetEventLogRequest { view: 7, ..Default::default() };
    let bad = refused(server.event_logs().get_event_log(request).await);
    assert_eq!(bad.fields(), ["event_id", "view"]);
}

/// Webhooks that succeed, fail for good, and cannot be reached; one event each of their own.
async fn history(server: &TestServer) -> (Receiver, Vec<Webhook>, Vec<EventLog>) {
    let receiver = Receiver::with(|r| match r.path.as_str() {
        "/bad" => Reply::status(404).after(Duration::from_millis(60)),
        _ => Reply::status(200),
    })
    .await;
    let (mut hooks, mut logs) = (Vec::new(), Vec::new());
    for (i, (name, url)) in [
        ("good", receiver.url()),
        ("bad", receiver.url_at("/bad")),
        ("dead", "http://127.0.0.1:1/".into()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut hook = webhook(name, &url, &[&format!("order.{name}")]);
        hook.retry_policy = Some(no_retries());
        let hook = server.create(hook).await;
        let mut sent = event(&format!("order.{name}"), "{}");
        sent.ref_id = format!("ref{i}");
        sent.request_id = format!("request{}", i / 2);
        sent.attributes.insert("till".into(), format!("{i}"));
        sent.attributes.insert("shop".into(), "s".into());
        let id = server.publish(sent).await.event_id;
        logs.push(settled(server, &id, &hook).await);
        hooks.push(hook);
    }
    (receiver, hooks, logs)
}

#[tokio::test]
async fn each_filter_takes_what_it_names() {
    let server = TestServer::start().await;
    let (_receiver, hooks, logs) = history(&server).await;
    let d = EventLogFilter::default;
    let till = |n: &str| [("till".to_owned(), n.to_owned())].into();
    let outcome = |outcome: AttemptOutcome| vec![outcome.into()];
    let cases: Vec<(EventLogFilter, &[usize])> = vec![
        (d(), &[0, 1, 2]),
        (EventLogFilter { webhook_ids: vec![hooks[1].webhook_id.clone()], ..d() }, &[1]),
        (
            EventLogFilter {
                webhook_ids: vec![hooks[2].webhook_id.clone(), hooks[0].webhook_id.clone()],
                ..d()
            },
            &[0, 2],
        ),
        (EventLogFilter { event_names: vec!["order.good".into()], ..d() }, &[0]),
        (EventLogFilter { event_names: vec!["order.*".into()], ..d() }, &[0, 1, 2]),
        (EventLogFilter { event_names: vec!["order".into(), "order.d".into()], ..d() }, &[]),
        (EventLogFilter { statuses: vec![DeliveryStatus::Diverted.into()], ..d() }, &[1, 2]),
        (EventLogFilter { statuses: vec![1, 2, 3, 5], ..d() }, &[0]),
        (EventLogFilter { event_id: logs[1].event_id.to_uppercase(), ..d() }, &[1]),
        (EventLogFilter { ref_id: "ref2".into(), ..d() }, &[2]),
        (EventLogFilter { request_id: "request0".into(), ..d() }, &[0, 1]),
        (EventLogFilter { sla_breached: Some(false), ..d() }, &[0, 1, 2]),
        (EventLogFilter { sla_breached: Some(true), ..d() }, &[]),
        (EventLogFilter { http_statuses: vec![200, 500], ..d() }, &[0]),
        (EventLogFilter { http_statuses: vec![0, 404], ..d() }, &[1, 2]),
        (
            EventLogFilter {
                min_time_taken: Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 }),
                http_statuses: vec![404],
                ..d()
            },
            &[1],
        ),
        (
            EventLogFilter {
                min_time_taken: Some(prost_types::Duration { seconds: 99, nanos: 0 }),
                ..d()
            },
            &[],
        ),
        (EventLogFilter { outcomes: outcome(AttemptOutcome::ConnectionError), ..d() }, &[2]),
        (EventLogFilter { outcomes: outcome(AttemptOutcome::HttpError), ..d() }, &[1]),
        (EventLogFilter { consumer_group_id: hooks[2].consumer_group_id.clone(), ..d() }, &[2]),
        (EventLogFilter { attributes: till("1"), ..d() }, &[1]),
        (EventLogFilter { attributes: [("shop".into(), "s".into())].into(), ..d() }, &[0, 1, 2]),
        (
            EventLogFilter {
                request_id: "request0".into(),
                statuses: vec![DeliveryStatus::Succeeded.into()],
                ..d()
            },
            &[0],
        ),
    ];
    for (filter, expected) in cases {
        let found = server.logs(filter.clone()).await;
        let found: Vec<_> = found.iter().map(|log| &log.event_log_id).collect();
        let expected: Vec<_> = expected.iter().map(|&i| &logs[i].event_log_id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn broken_slas_are_found() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |_| {}).await;
    for (name, sla) in [("strict", 10), ("lax", 1000), ("none", 0)] {
        let mut hook = webhook(name, "http://127.0.0.1:9/", &["a"]);
        hook.sla = Some(seconds(sla));
        suspend(&server, &server.create(hook).await).await;
    }
    let id = server.publish(event("a", "{}")).await.event_id;
    clock.advance(Duration::from_secs(11));
    let late = server.wait_log(&id, "a breach", |log| log.sla_breach_time.is_some()).await;
    assert_eq!(millis(late.sla_breach_time) - millis(late.ingest_time), 10_000);
    for (sla_breached, count) in [(Some(true), 1), (Some(false), 2), (None, 3)] {
        let found = server.logs(EventLogFilter { sla_breached, ..Default::default() }).await;
        assert_eq!(found.len(), count, "{sla_breached:?}");
    }
}

#[tokio::test]
async fn a_list_is_by_ingestion_within_a_range_and_full_where_asked() {
    let server = TestServer::start().await;
    let (_receiver, _, logs) = history(&server).await;
    let ids = |page: ListEventLogsResponse| -> Vec<_> {
        page.event_logs.into_iter().map(|log| log.event_log_id).collect()
    };
    let expected: Vec<_> = logs.iter().map(|log| log.event_log_id.clone()).collect();
    let newest_first = ids(list(&server, ListEventLogsRequest::default()).await);
    assert_eq!(newest_first.iter().rev().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    let ascending = ListEventLogsRequest { ascending: true, ..Default::default() };
    assert_eq!(ids(list(&server, ascending.clone()).await), expected);

    // From the second on, up to but without the third.
    let within = |start: usize, end: Option<usize>| ListEventLogsRequest {
        ingest_time: Some(TimeRange {
            start_time: logs[start].ingest_time,
            end_time: end.and_then(|end| logs[end].ingest_time),
        }),
        ..ascending.clone()
    };
    assert_eq!(ids(list(&server, within(1, Some(2))).await), expected[1..2]);
    assert_eq!(ids(list(&server, within(1, None)).await), expected[1..]);

    let basic = list(&server, ascending.clone()).await.event_logs;
    assert!(basic.iter().all(|log| log.attempts.is_empty() && log.attempt_count == 1));
    let full = ListEventLogsRequest { view: View::Full.into(), ..ascending };
    let full = list(&server, full).await.event_logs;
    assert!(full.iter().all(|log| log.attempts.len() == 1));

    let elsewhere = ListEventLogsRequest { tenant_id: "acme".into(), ..Default::default() };
    assert!(ids(list(&server, elsewhere).await).is_empty());
}

#[tokio::test]
async fn pages_have_every_record_once_and_their_tokens_are_bound_to_the_query() {
    let server = TestServer::start().await;
    for name in ["w", "v"] {
        let hook = server.create(webhook(name, "http://127.0.0.1:9/", &["even", "odd"])).await;
        suspend(&server, &hook).await;
    }
    // In one batch they have one ingest time: the order within it has to hold, too.
    for n in [30, 1, 29] {
        let request = BatchPublishEventsRequest {
            events: (0..n).map(|i| event(["even", "odd"][i % 2], "{}")).collect(),
            ..Default::default()
        };
        server.events().batch_publish_events(request).await.expect("published");
    }
    let even = EventLogFilter { event_names: vec!["even".into()], ..Default::default() };
    for (filter, ascending, total) in [
        (None, false, 120),
        (None, true, 120),
        (Some(even.clone()), false, 62),
        (Some(even), true, 62),
    ] {
        let query = ListEventLogsRequest { filter, ascending, page_size: 7, ..Default::default() };
        let (mut seen, mut order, mut token) = (HashSet::new(), Vec::new(), String::new());
        loop {
            let page = ListEventLogsRequest { page_token: token, ..query.clone() };
            let page = list(&server, page).await;
            assert!(page.event_logs.len() <= 7);
            for log in page.event_logs {
                order.push(log.ingest_time.map(|t| (t.seconds, t.nanos)));
                assert!(seen.insert(log.event_log_id), "repeated");
            }
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen.len(), total);
        assert!(if ascending { order.is_sorted() } else { order.is_sorted_by(|a, b| a >= b) });
    }

    let query = ListEventLogsRequest { page_size: 7, ..Default::default() };
    let token = list(&server, query.clone()).await.next_page_token;
    let query = ListEventLogsRequest { page_token: token.clone(), ..query };
    let fuller = ListEventLogsRequest { page_size: 9, view: View::Full.into(), ..query.clone() };
    assert_eq!(list(&server, fuller).await.event_logs.len(), 9, "size and view may change");
    let range = TimeRange { start_time: Some(prost_types::Timestamp::default()), end_time: None };
    let ref_id = EventLogFilter { ref_id: "r".into(), ..Default::default() };
    for other in [
        ListEventLogsRequest { ascending: true, ..query.clone() },
        ListEventLogsRequest { filter: Some(ref_id), ..query.clone() },
        ListEventLogsRequest { ingest_time: Some(range), ..query.clone() },
        ListEventLogsRequest { tenant_id: "acme".into(), ..query.clone() },
        ListEventLogsRequest { page_token: token[1..].into(), ..query },
    ] {
        let bad = refused(server.event_logs().list_event_logs(other).await);
        assert_eq!(bad.what(), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
    }
}
