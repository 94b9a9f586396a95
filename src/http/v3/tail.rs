//! `/v3/webHooks/eventLog/tail`: the live log as server-sent events.
//!
//! Each change of a record is an event of its own, and its id is the token that resumes
//! right after it: a browser sends the last one as `Last-Event-ID` when it connects again.
//! What moves on without a change, as a filter lets nothing through, moves the id on too,
//! by an event without data, which no client hears of.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio_stream::wrappers::ReceiverStream;

use super::{record::Record, refusal, refusal::Refusal, tail_query, time, zone};
use crate::{
    domain::{
        delivery::{Change, ChangeKind},
        error::{Error, Faults, Reason, Result},
        tail::{GapCause, Lag, TailBody, TailMessage},
    },
    http::{Facades, gate::QUERY_TOKEN, parameters::Parameters, tenant::QUERY_TENANT},
    service::{Services, auth::Caller, scope::Scope},
};

/// What a client that was cut off waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);
/// Longest silence on the line.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Asks proxies not to hold answers back.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) async fn follow(
    State(facades): State<Facades>,
    Extension(caller): Extension<Caller>,
    Extension(scope): Extension<Scope>,
    headers: HeaderMap,
    uri: Uri,
) -> std::result::Result<Response, Refusal> {
    let mut parameters = Parameters::of(uri.query());
    // Read at the gate. Taken out, they are in no message.
    parameters.texts(QUERY_TOKEN);
    parameters.texts(QUERY_TENANT);
    let Services { auth, event_logs, .. } = facades.services;
    let mut faults = Faults::default();
    let request = tail_query::read(&headers, &mut parameters, &mut faults);
    let messages = event_logs.tail(&scope, request, faults).await?;
    let zone = zone(&scope);
    let told = ReceiverStream::new(messages).flat_map(move |message| {
        stream::iter(tell(message, &zone).into_iter().map(Ok::<_, Infallible>))
    });
    // A client whose credentials have ceased to be good hears why when it comes again.
    let told = told.take_until(async move { auth.until_revoked(&caller).await });
    let silence = KeepAlive::new().interval(HEARTBEAT).text("keep-alive");
    let mut response = Sse::new(told).keep_alive(silence).into_response();
    response.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// A change, as the record that it left and what it was.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownChange {
    #[serde(flatten)]
    record: Record,
    change: &'static str,
    change_timestamp: String,
    sequence: i64,
}

/// What is said beside changes. What does not apply is null.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    timestamp: Option<String>,
    lag_changes: Option<i64>,
    lag_seconds: Option<u64>,
    cause: Option<&'static str>,
    skipped: Option<u64>,
    start_timestamp: Option<String>,
    end_timestamp: Option<String>,
}

/// The events that a message makes.
fn tell(message: Result<TailMessage>, zone: &TimeZone) -> Vec<Event> {
    let TailMessage { token, body } = match message {
        Ok(message) => message,
        Err(error) => return vec![farewell(error)],
    };
    let show = |at| time::show(at, zone);
    let said = |name: &str, said: Said| vec![named(name, &said).id(&token)];
    match body {
        TailBody::Opened { .. } => vec![Event::default().retry(RETRY).id(token)],
        TailBody::Progress { .. } => vec![Event::default().comment("keep-alive").id(token)],
        TailBody::Changes(picked) => {
            let tell = |change| data(&ShownChange::of(change, zone)).id(&token);
            picked.iter().map(tell).collect()
        }
        TailBody::CaughtUp { server_time } => {
            said("caughtUp", Said { timestamp: Some(show(server_time)), ..Said::default() })
        }
        TailBody::FellBehind(Lag { changes, time }) => {
            let (lag_changes, lag_seconds) = (Some(changes), Some(time.as_secs()));
            said("fellBehind", Said { lag_changes, lag_seconds, ..Said::default() })
        }
        TailBody::Gap { cause, skipped, start_time, end_time } => {
            let cause = match cause {
                GapCause::SlowConsumer => "SLOW_CONSUMER",
                GapCause::Retention => "RETENTION",
            };
            let gap = Said {
                cause: Some(cause),
                skipped: Some(skipped).filter(|skipped| *skipped > 0),
                start_timestamp: start_time.map(show),
                end_timestamp: end_time.map(show),
                ..Said::default()
            };
            said("gap", gap)
        }
    }
}

impl ShownChange {
    fn of(change: &Change, zone: &TimeZone) -> Self {
        let kind = match change.kind {
            ChangeKind::Accepted => "ACCEPTED",
            ChangeKind::AttemptFailed => "ATTEMPT_FAILED",
            ChangeKind::Settled => "SETTLED",
            ChangeKind::SlaBreached => "SLA_BREACHED",
            ChangeKind::Requeued => "REQUEUED",
        };
        Self {
            record: Record::of(&change.record, zone),
            change: kind,
            change_timestamp: time::show(change.time, zone),
            sequence: change.position.0,
        }
    }
}

/// The last event. A server that goes away only says when to come again.
fn farewell(error: Error) -> Event {
    match error.reason {
        Reason::ServerDraining => Event::default().retry(RETRY),
        // Not `error`, which is what browsers call an end of the connection.
        _ => named("failure", &refusal::remarks(error)).retry(RETRY),
    }
}

fn named(name: &str, said: &impl Serialize) -> Event {
    data(said).event(name)
}

/// JSON has no line breaks of its own, so that it stays one line.
fn data(said: &impl Serialize) -> Event {
    Event::default().data(serde_json::to_string(said).unwrap_or_default())
}
