//! The figures of a benchmark, as the JSON has them, and medians of several runs.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{figures::Quantiles, limits::Limits};

/// What a benchmark found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    /// Of Tidings.
    pub(super) version: String,
    /// Where it was measured, in words.
    pub(super) site: String,
    pub(super) cores: usize,
    pub(super) payload_bytes: usize,
    /// How long each load was kept up, seconds.
    pub(super) duration_seconds: f64,
    /// The figures are medians of so many runs.
    pub(super) runs: usize,
    #[serde(flatten)]
    pub(super) run: Run,
}

/// What one run found, or the medians of several.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) limits: Limits,
    /// Absent where the server ran before.
    pub(super) start: Option<StartFigures>,
    pub(super) phases: Vec<Figures>,
}

/// A server that has just been started on an empty database.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StartFigures {
    /// From the start of the process to the answer to its first call.
    pub(super) first_answer_ms: f64,
    /// Resident memory while nobody asks for anything.
    pub(super) idle_mib: f64,
}

/// What was measured under one load.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) name: String,
    pub(super) webhooks: usize,
    pub(super) events: usize,
    pub(super) deliveries: usize,
    /// From the first publish to the last arrival.
    pub(super) deliveries_per_second: f64,
    /// Of the requests of the bare loop.
    pub(super) share_of_bare_loop: f64,
    /// While events were published.
    pub(super) events_per_second: f64,
    /// Transactions that wrote; absent where the database is not known.
    pub(super) commits_per_second: Option<f64>,
    /// From when an event was due, or asked to be published, to its arrival.
    pub(super) arrival_ms: Quantiles,
    /// From when an event, or its batch, was sent to the answer.
    pub(super) answer_ms: Quantiles,
    /// Absent where the server ran before.
    pub(super) server: Option<ServerFigures>,
    /// The part of the machine's CPU that publishers, receivers and tails used.
    pub(super) bench_cpu_share: f64,
    /// Absent where there are no tails.
    pub(super) tails: Option<TailFigures>,
}

/// What the server used under one load.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ServerFigures {
    pub(super) cpu_us_per_delivery: f64,
    pub(super) deliveries_per_cpu_second: f64,
    /// The part of the machine's CPU that it used.
    pub(super) cpu_share: f64,
    /// Most resident memory since its start.
    pub(super) peak_mib: f64,
}

/// What tails beside a load saw.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TailFigures {
    pub(super) tails: usize,
    /// Seen by all tails together.
    pub(super) changes: usize,
    /// From the time of a change to when a client had it.
    pub(super) lag_ms: Quantiles,
    /// The part of deliveries per second that the same load without tails had more.
    pub(super) slowed_by: f64,
}

impl Run {
    /// The medians of some runs, figure by figure.
    pub(super) fn median(runs: &[Self]) -> Result<Self, String> {
        median_of(runs).map_err(|e| format!("medians: {e}"))
    }
}

fn median_of<T: Serialize + DeserializeOwned>(all: &[T]) -> serde_json::Result<T> {
    let values: Vec<_> = all.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    serde_json::from_value(median(&values.iter().collect::<Vec<_>>()))
}

/// The median of numbers wherever they stand; of all else, the first.
fn median(values: &[&Value]) -> Value {
    match values.first() {
        Some(Value::Number(_)) => median_number(values),
        Some(Value::Object(members)) => {
            let median_of = |key: &String| median(&members_of(values, |v| v.get(key)));
            members.keys().map(|key| (key.clone(), median_of(key))).collect::<Map<_, _>>().into()
        }
        Some(Value::Array(items)) => {
            (0..items.len()).map(|i| median(&members_of(values, |v| v.get(i)))).collect()
        }
        Some(other) => (*other).clone(),
        None => Value::Null,
    }
}

fn members_of<'a>(
    values: &[&'a Value],
    member: impl Fn(&'a Value) -> Option<&'a Value>,
) -> Vec<&'a Value> {
    values.iter().filter_map(|value| member(value)).collect()
}

/// Of an even number of them, the mean of those in the middle.
fn median_number(values: &[&Value]) -> Value {
    let mut numbers: Vec<_> = values.iter().filter_map(|value| value.as_f64()).collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let median = match numbers.len() % 2 {
        0 => f64::midpoint(numbers[middle - 1], numbers[middle]),
        _ => numbers[middle],
    };
    if values.iter().all(|value| value.is_u64()) {
        return (median as u64).into();
    }
    median.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let runs = [
            json!({"name": "a", "count": 1, "rate": 3.5, "list": [{"x": 1.0}], "none": null}),
            json!({"name": "a", "count": 5, "rate": 1.5, "list": [{"x": 9.0}], "none": null}),
            json!({"name": "a", "count": 2, "rate": 2.5, "list": [{"x": 4.0}], "none": null}),
        ];
        let all: Vec<_> = runs.iter().collect();
        let expected =
            json!({"name": "a", "count": 2, "rate": 2.5, "list": [{"x": 4.0}], "none": null});
        assert_eq!(median(&all), expected);
        assert_eq!(median(&all[..2])["count"], json!(3));
        assert_eq!(median(&all[..2])["rate"], json!(2.5));
        assert_eq!(median(&all[..1]), runs[0]);
    }
}
