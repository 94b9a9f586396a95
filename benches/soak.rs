//! What dead destinations with a long backlog do to the rest: `scripts/soak.sh`.
//! It fails when a healthy delivery is missing or a restart takes a second, never
//! because of any other figure. All traffic stays on this machine.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

mod support;

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use tidings::grpc::proto::{
    BatchPublishEventsRequest, event_service_client::EventServiceClient, publish_outcome::Outcome,
};

use self::support::{
    arrivals::Arrivals,
    directory,
    figures::{Sample, machine, mebibytes, millis},
    is_asked_to_measure,
    publishers::{Publishers, event},
    receiver::{Behaviour, Receiver},
    server::Server,
    within,
};

const HEALTHY: &str = "soak.healthy";
const DEAD: &str = "soak.dead";
/// Deliveries that wait for the dead, all together.
const BACKLOG: usize = 200_000;
const BATCH: usize = 1_000;
/// Events for the healthy webhook: per second, and in one round.
const RATE: u32 = 150;
const ROUND: usize = 15 * RATE as usize;
const WARM_UP: usize = 1_000;
/// Publishers that warm up, and connections of each webhook.
const CONCURRENCY: i32 = 10;
const PHASE: Duration = Duration::from_secs(60);
/// How long the server is watched while nobody asks it for anything.
const REST: Duration = Duration::from_secs(5);
const RESTART: Duration = Duration::from_secs(1);
/// Nothing listens there.
const REFUSING: &str = "http://127.0.0.1:1/";

fn main() {
    if !is_asked_to_measure() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("tokio").block_on(async {
        println!("{}", machine(directory().path()));
        let silent = Receiver::start(Behaviour::Silent);
        println!("\none webhook that is never answered, {BACKLOG} deliveries waiting");
        soak(&[silent.url(0)]).await;

        let dripping = Receiver::start(Behaviour::Drips);
        let resetting = Receiver::start(Behaviour::Resets);
        println!(
            "\nthree that are never answered, two refused, one dripping, one reset, \
             {BACKLOG} deliveries waiting"
        );
        let dead = [silent.url(1), silent.url(2), silent.url(3)];
        let dead = dead.into_iter().chain([REFUSING.to_owned(), REFUSING.to_owned()]);
        soak(&dead.chain([dripping.url(0), resetting.url(0)]).collect::<Vec<_>>()).await;
    });
}

/// A healthy webhook alone, beside dead ones, and after a crash.
async fn soak(dead: &[String]) {
    let directory = directory();
    let arrivals = Arc::new(Arrivals::new(1, WARM_UP + 3 * ROUND));
    let receiver = Receiver::start(Behaviour::Answers(Arc::clone(&arrivals)));
    let server = Server::start(directory.path());
    let healthy = server.create_webhook("healthy", receiver.url(0), HEALTHY, CONCURRENCY).await;
    let publishers = Publishers::new(&server, HEALTHY);
    within(PHASE, "warming up", publishers.publish_all(CONCURRENCY as usize, 0..WARM_UP)).await;
    arrivals.wait_for(WARM_UP, PHASE).await;

    let mut next = WARM_UP;
    let mut round = || {
        let first = next;
        next += ROUND;
        first..next
    };
    show("healthy, alone", &latency(&publishers, &arrivals, round()).await);

    let before = server.usage();
    for (i, url) in dead.iter().enumerate() {
        server.create_webhook(&format!("dead {i}"), url.clone(), DEAD, CONCURRENCY).await;
    }
    let began = Instant::now();
    publish_backlog(&server, BACKLOG / dead.len()).await;
    line("backlog", &format!("published in {:.1} s", began.elapsed().as_secs_f64()));
    show("healthy, beside the backlog", &latency(&publishers, &arrivals, round()).await);
    let after = server.usage();
    let memory = [before.resident, after.resident, after.peak].map(mebibytes);
    line("RSS before, with backlog, peak", &memory.join(", "));
    rest("CPU at rest", &server).await;

    drop(publishers);
    server.kill();
    let server = Server::start(directory.path());
    server.get_webhook(&healthy.webhook_id).await;
    let answered = server.age();
    let restart = format!("{}, first answer {}", millis(server.time_to_listen), millis(answered));
    line("restart: listening", &restart);
    let publishers = Publishers::new(&server, HEALTHY);
    show("healthy, from the first answer on", &latency(&publishers, &arrivals, round()).await);
    let usage = server.usage();
    line("RSS, peak", &[usage.resident, usage.peak].map(mebibytes).join(", "));
    rest("CPU at rest", &server).await;
    if arrivals.repeated() > 0 {
        line("delivered twice", &arrivals.repeated().to_string());
    }
    assert!(answered < RESTART, "the first answer came {answered:?} after the restart");
}

fn line(what: &str, figures: &str) {
    println!("  {what:<36}{figures}");
}

fn show(what: &str, sample: &Sample) {
    let (median, late) = (millis(sample.quantile(0.5)), millis(sample.quantile(0.99)));
    line(what, &format!("p50 {median}, p99 {late}, max {}", millis(sample.max())));
}

/// From when each event was due until it arrived.
async fn latency(publishers: &Publishers, arrivals: &Arrivals, events: Range<usize>) -> Sample {
    let published = publishers.publish_at_rate(RATE, events.clone());
    let due = within(PHASE, "publishing", published).await;
    arrivals.wait_for(events.end, PHASE).await;
    let took = events.zip(due).map(|(event, due)| {
        let arrived = arrivals.time(0, event).expect("it arrived");
        arrived.saturating_duration_since(due)
    });
    Sample::new(took.collect())
}

async fn publish_backlog(server: &Server, events: usize) {
    let mut client = EventServiceClient::new(server.channel());
    for first in (0..events).step_by(BATCH) {
        let batch = first..(first + BATCH).min(events);
        let events = batch.map(|n| event(DEAD, n)).collect();
        let request = BatchPublishEventsRequest { events, ..Default::default() };
        let answer = within(PHASE, "a batch", client.batch_publish_events(request)).await;
        for outcome in answer.expect("published").into_inner().outcomes {
            assert!(matches!(outcome.outcome, Some(Outcome::Result(_))), "{outcome:?}");
        }
    }
}

/// What the server uses while nobody asks it for anything.
async fn rest(what: &str, server: &Server) {
    let before = server.usage().cpu;
    tokio::time::sleep(REST).await;
    let used = server.usage().cpu - before;
    line(what, &format!("{:.1} %", 100.0 * used.as_secs_f64() / REST.as_secs_f64()));
}
