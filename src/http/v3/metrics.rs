//! `/v3/events/consumer-groups/{id}/metrics`: what became of a webhook's events, in figures.

use axum::{Extension, extract::State, response::Response};
use http::{StatusCode, Uri};
use serde::Serialize;
use uuid::Uuid;

use super::{codes::Code, envelope, envelope::Remark, refusal::Refusal, segment::Segment, time};
use crate::{
    domain::{
        error::{Error, Faults, Reason},
        time::Timestamp,
    },
    http::{Facades, parameters::Parameters},
    service::{delivery_stats::GroupStats, scope::Scope},
};

/// Where they are.
pub(super) const PATH: &str = "/v3/events/consumer-groups/{consumerGroupId}/metrics";

/// The documented members, in their order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    total_events: u64,
    delivered_events: u64,
    failed_events: u64,
    retrying_events: u64,
    pending_events: u64,
    /// In milliseconds, from ingestion to success; null where nothing was delivered.
    average_delivery_time: Option<f64>,
    /// In milliseconds since the epoch, as the end is.
    start_date: i64,
    end_date: i64,
}

pub(super) async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Segment(group): Segment,
    uri: Uri,
) -> Result<Response, Refusal> {
    let missing = |_| Error::new(Reason::WebhookNotFound, "no such consumer group");
    let group: Uuid = group.parse().map_err(missing)?;
    let mut parameters = Parameters::of(uri.query());
    let mut faults = Faults::default();
    let mut date = |name| read_date(name, &mut parameters, &mut faults);
    let asked = (date("startDate"), date("endDate"));
    let found = facades.services.event_logs.group_stats(&scope, group, asked, faults).await?;
    let mut warnings = envelope::ignored(&parameters);
    if found.widened {
        let message = "too many events to count in a part of ten minutes; \
                       startDate and endDate are of whole tens of minutes";
        warnings.push(Remark::warning(Code::RangeWidened, message));
    }
    Ok(envelope::done(StatusCode::OK, Metrics::of(&found), warnings))
}

fn read_date(name: &str, parameters: &mut Parameters, faults: &mut Faults) -> Option<Timestamp> {
    let millis: i64 = parameters.one(name, "a number of milliseconds since 1970", faults)?;
    let read = time::from_millis(millis);
    if read.is_none() {
        faults.invalid(name, "must lie in the years 1 to 9999");
    }
    read
}

impl Metrics {
    fn of(GroupStats { stats, range: (start, end), .. }: &GroupStats) -> Self {
        Self {
            total_events: stats.total(),
            delivered_events: stats.times.count(),
            failed_events: stats.failed,
            retrying_events: stats.retrying,
            pending_events: stats.pending,
            average_delivery_time: stats.times.mean().map(|mean| mean.as_micros() as f64 / 1_000.0),
            start_date: start.millis(),
            end_date: end.millis(),
        }
    }
}
