//! What it costs to find the webhooks that want an event, among 10,000 of one tenant.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use tidings::{
    cli::bench::{Site, payload, webhook},
    domain::{
        actor::{Actor, Attribution},
        event::Event,
        event_filter::{EventFilter, FilterOperator},
        id::{EventId, TenantKey, WebhookId, WebhookKey},
        time::Timestamp,
        webhook::{Webhook, WebhookSpec},
    },
    service::matcher::Matcher,
};
use uuid::Uuid;

use super::{
    load::{Cost, Load, cost_of, median_of, register, topic},
    report::{Report, median},
    support::Server,
};

const WEBHOOKS: usize = 10_000;
/// Event names that these subscribe to, and what the names begin with.
const NAMES: usize = 1_000;
const AREAS: usize = 100;
const EVENTS: usize = 50_000;
/// Events that are timed together: a clock is too coarse for one.
const TIMED: usize = 50;
const LIMIT_US: f64 = 20.0;
const TARGET: &str = "at most 20 us";

fn name(n: usize) -> String {
    format!("area{}.kind{n}", n % AREAS)
}

/// The patterns of a webhook. A tenth want all of an area, a tenth five names, the others one.
fn patterns(n: usize) -> Vec<String> {
    match n % 10 {
        0 => vec![format!("area{}.*", n / 10 % AREAS)],
        1 => (0..5).map(|i| name((n / 10 * 5 + i) % NAMES)).collect(),
        _ => vec![exact(n)],
    }
}

fn exact(n: usize) -> String {
    name(n * 7 % NAMES)
}

/// Payloads are told apart by their numbers.
fn filter(n: usize) -> EventFilter {
    let values = vec![(n % 100).into()];
    EventFilter { path: "/n".to_owned(), operator: FilterOperator::Equals, values }
}

/// In this process: the part of the service that matches, and nothing else.
pub(crate) fn alone(report: &mut Report) {
    report.title(&format!("an event against {WEBHOOKS} webhooks of one tenant"));
    let no_filters = |_| Vec::new();
    let some_filters = |n: usize| if n.is_multiple_of(3) { vec![filter(n)] } else { Vec::new() };
    measure(report, "exact names", |n| vec![exact(n)], no_filters);
    measure(report, "exact names, prefix.*, lists", patterns, no_filters);
    measure(report, "the same, a third with a filter on the payload", patterns, some_filters);
    measure(report, "the same, all with a filter on the payload", patterns, |n| vec![filter(n)]);
}

fn measure(
    report: &mut Report,
    what: &str,
    patterns: impl Fn(usize) -> Vec<String>,
    filters: impl Fn(usize) -> Vec<EventFilter>,
) {
    let mut matcher = Matcher::default();
    for n in 0..WEBHOOKS {
        matcher.insert(Arc::new(stored(n, patterns(n), filters(n))));
    }
    let events: Vec<_> = (0..NAMES).map(event).collect();
    let (mut took, mut matched) = (Vec::with_capacity(EVENTS / TIMED), 0);
    for first in (0..EVENTS).step_by(TIMED) {
        let began = Instant::now();
        for n in first..first + TIMED {
            // Neighbours have nothing in common.
            let event = &events[n * 37 % NAMES];
            matched += black_box(matcher.candidates(event).that_want(&event.payload)).len();
        }
        took.push(began.elapsed().as_secs_f64() * 1e6 / TIMED as f64);
    }
    let median = median(took);
    let matched = matched as f64 / EVENTS as f64;
    let figure = format!("{median:.2} us, {matched:.1} match");
    report.target(what, figure, TARGET, median <= LIMIT_US);
}

fn stored(n: usize, event_names: Vec<String>, event_filters: Vec<EventFilter>) -> Webhook {
    let made = Timestamp::from_micros(0);
    Webhook {
        key: WebhookKey(n as i64),
        tenant_key: TenantKey(1),
        webhook_id: WebhookId::new(made, n.to_be_bytes()),
        number: n as i32,
        consumer_group_id: Uuid::nil(),
        spec: WebhookSpec { event_names, event_filters, ..WebhookSpec::default() },
        suspension: None,
        holds: Vec::new(),
        version: 1,
        attribution: Attribution::new(made, Actor::default()),
        delete_time: None,
    }
}

fn event(n: usize) -> Event {
    Event {
        event_id: EventId(Uuid::nil()),
        event_name: name(n),
        ref_id: String::new(),
        request_id: String::new(),
        payload: payload(n, 0).into(),
        enrichments: None,
        occur_time: None,
        ingest_time: Timestamp::from_micros(0),
        ordering_key: String::new(),
        attributes: std::collections::BTreeMap::new(),
    }
}

/// At a server: what a publish costs where one webhook wants it and nobody else is there, and
/// where there are 10,000 others.
pub(crate) async fn served(
    site: &Site,
    report: &mut Report,
    rounds: usize,
    during: Duration,
) -> Result<(), String> {
    report.title("a publish and its one delivery, CPU of the server");
    let (mut few, mut many) = (Vec::new(), Vec::new());
    let mut registering = Duration::ZERO;
    for _ in 0..rounds {
        for (costs, others) in [(&mut few, 0), (&mut many, WEBHOOKS)] {
            let load = async |server: &Server| {
                let began = Instant::now();
                others_of(server, others).await;
                registering = began.elapsed();
                Load::in_turns(server, vec![topic("scale.wanted")]).await
            };
            costs.push(cost_of(site, during, load).await?);
        }
    }
    let [few, many] = [few, many].map(|costs| median_of(&costs, Cost::cpu_us));
    report.figure("with one webhook", format!("{few:.1} us"));
    let figure = format!("{many:.1} us ({:+.1} us)", many - few);
    report.target("with 10,000 others", figure, "at most 20 us more", many - few <= LIMIT_US);
    let rate = WEBHOOKS as f64 / registering.as_secs_f64();
    report.figure("making 10,000 webhooks", format!("{rate:.0} per second"));
    Ok(())
}

async fn others_of(server: &Server, count: usize) {
    let nowhere = "http://127.0.0.1:1/".to_owned();
    let definitions = (0..count).map(|n| {
        let event_names = patterns(n);
        let webhook = webhook(&format!("other {n}"), nowhere.clone(), "", 1);
        tidings::grpc::proto::Webhook { event_names, ..webhook }
    });
    register(server, definitions.collect()).await;
}
