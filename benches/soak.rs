//! What dead destinations with a long backlog do to the rest: `scripts/soak.sh`.
//! It fails when a healthy delivery is missing, a restart takes a second, or a replay
//! that is killed midway loses or repeats work, never because of any other figure. All
//! traffic stays on this machine.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "support/dead.rs"]
mod dead;
mod support;

use std::{
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use prost_types::FieldMask;
use tidings::{
    cli::bench::{Arrivals, Database, Publishers, Receiver, Sample, Site, Usage, payload, webhook},
    grpc::proto::{
        BatchPublishEventsRequest, DivertedEventJob, DivertedEventSelector, Event,
        GetDivertedEventJobRequest, ReplayDivertedEventsRequest, UpdateWebhookRequest, Webhook,
        diverted_event_service_client::DivertedEventServiceClient, event::Payload,
        event_service_client::EventServiceClient, publish_outcome::Outcome,
        webhook_service_client::WebhookServiceClient,
    },
};

use self::{
    dead::{Behaviour, Dead},
    support::{
        PROGRAM, Server, directory, is_asked_to_measure, machine, mebibytes, millis, within,
    },
};

const HEALTHY: &str = "soak.healthy";
const DEAD: &str = "soak.dead";
const DIVERTED: &str = "soak.diverted";
/// Deliveries that wait for one that is dead, and for each of several.
const BACKLOG: usize = 1_000_000;
const BACKLOG_OF_EACH: usize = 20_000;
/// Diverted events that are replayed.
const REPLAY: usize = 100_000;
const BATCH: usize = 1_000;
/// Events for the healthy webhook per second, and for how long in one round.
const RATE: u32 = 150;
const ROUND: Duration = Duration::from_secs(15);
const WARM_UP: Duration = Duration::from_secs(1);
/// Publishers that warm up, and connections of each webhook.
const CONCURRENCY: i32 = 10;
const PHASE: Duration = Duration::from_secs(120);
/// How long the server is watched while nobody asks it for anything.
const REST: Duration = Duration::from_secs(5);
const RESTART: Duration = Duration::from_secs(1);
/// Nothing listens there.
const REFUSING: &str = "http://127.0.0.1:1/";

/// What dead destinations with a long backlog do to the rest.
#[derive(Parser)]
struct Options {
    /// Where databases are made for it: sqlite:PATH, in the folder of PATH, or
    /// postgres://USER@HOST/NAME, on that server [default: SQLite below target]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if !is_asked_to_measure() {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("tokio").block_on(async {
        let folder = directory();
        let site = Site::of_databases(options.database.as_deref(), PROGRAM.into(), folder.path());
        let site = site.expect("a place for databases");
        println!("{}, {}", site.name(), machine(folder.path()));
        let measured = tokio::select! {
            () = Box::pin(all(&site)) => ExitCode::SUCCESS,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("interrupted before the end");
                ExitCode::FAILURE
            }
        };
        site.close().await.expect("nothing is left");
        measured
    })
}

async fn all(site: &Site) {
    let silent = Dead::start(Behaviour::Silent);
    println!("\none webhook that is never answered, {BACKLOG} deliveries waiting");
    soak(site, &[silent.url(0)], BACKLOG).await;

    println!("\nfive that are never answered, {BACKLOG_OF_EACH} deliveries waiting for each");
    let five: Vec<_> = (1..=5).map(|n| silent.url(n)).collect();
    soak(site, &five, BACKLOG_OF_EACH).await;

    let dripping = Dead::start(Behaviour::Drips);
    let resetting = Dead::start(Behaviour::Resets);
    println!(
        "\none that drips, one that resets, two that refuse, {BACKLOG_OF_EACH} deliveries \
         waiting for each"
    );
    let refusing = [REFUSING.to_owned(), REFUSING.to_owned()];
    let dead: Vec<_> = [dripping.url(0), resetting.url(0)].into_iter().chain(refusing).collect();
    soak(site, &dead, BACKLOG_OF_EACH).await;

    println!("\na replay of {REPLAY} diverted events, killed midway");
    replay(site, &silent.url(6)).await;
}

/// A healthy webhook alone, beside dead ones, and after a crash.
async fn soak(site: &Site, dead: &[String], backlog: usize) {
    let database = database(site).await;
    let arrivals = Arc::new(Arrivals::new(1));
    let receiver = Receiver::start(Arc::clone(&arrivals)).expect("a receiver");
    let server = start(&database).await;
    let healthy = create(&server, "healthy", receiver.url(0), HEALTHY).await;
    let publishers = Publishers::new(&server.access, HEALTHY, Arc::clone(&arrivals));
    let warm = publishers.unary(CONCURRENCY as usize, Instant::now() + WARM_UP);
    within(PHASE, "warming up", warm).await.expect("published");
    arrivals.wait_for(publishers.published()).await.expect("all arrive");
    arrivals.take_sample();
    show("healthy, alone", &latency(&publishers, &arrivals).await);

    let before = usage(&server);
    for (i, url) in dead.iter().enumerate() {
        create(&server, &format!("dead {i}"), url.clone(), DEAD).await;
    }
    let began = Instant::now();
    publish_backlog(&server, DEAD, backlog).await;
    line("backlog", &format!("published in {:.1} s", began.elapsed().as_secs_f64()));
    show("healthy, beside the backlog", &latency(&publishers, &arrivals).await);
    let after = usage(&server);
    let memory = [before.resident, after.resident, after.peak].map(mebibytes);
    line("RSS before, with backlog, peak", &memory.join(", "));
    rest("CPU at rest", &server).await;

    server.process.kill().await.expect("killed");
    let server = start(&database).await;
    server.get_webhook(&healthy.webhook_id).await;
    let answered = server.process.age();
    let listening = millis(server.process.time_to_listen);
    let restart = format!("{listening}, first answer {}", millis(answered));
    line("restart: listening", &restart);
    let publishers = publishers.at(&server.access);
    show("healthy, from the first answer on", &latency(&publishers, &arrivals).await);
    let usage = usage(&server);
    line("RSS, peak", &[usage.resident, usage.peak].map(mebibytes).join(", "));
    rest("CPU at rest", &server).await;
    if arrivals.repeated() > 0 {
        line("delivered twice", &arrivals.repeated().to_string());
    }
    assert!(answered < RESTART, "the first answer came {answered:?} after the restart");
    end(site, server).await;
}

async fn database(site: &Site) -> Database {
    site.database().await.expect("a database").expect("of its own")
}

async fn start(database: &Database) -> Server {
    Server::start(Path::new(PROGRAM), database).await
}

async fn end(site: &Site, server: Server) {
    server.process.kill().await.expect("killed");
    site.clear().await.expect("removed");
}

/// Makes a webhook for the events of one name.
async fn create(server: &Server, name: &str, url: String, event_name: &str) -> Webhook {
    server.create_webhook(webhook(name, url, event_name, CONCURRENCY)).await
}

fn line(what: &str, figures: &str) {
    println!("  {what:<40}{figures}");
}

fn show(what: &str, sample: &Sample) {
    let (median, late) = (millis(sample.quantile(0.5)), millis(sample.quantile(0.99)));
    line(what, &format!("p50 {median}, p99 {late}, max {}", millis(sample.max())));
}

/// From when each event was due until it arrived.
async fn latency(publishers: &Publishers, arrivals: &Arrivals) -> Sample {
    let published = publishers.at_rate(RATE, ROUND);
    within(PHASE, "publishing", published).await.expect("published");
    arrivals.wait_for(publishers.published()).await.expect("all arrive");
    arrivals.take_sample()
}

fn event(name: &str, n: usize) -> Event {
    let payload = Some(Payload::Json(payload(n, 0)));
    Event { event_name: name.to_owned(), payload, ..Default::default() }
}

async fn publish_backlog(server: &Server, name: &str, events: usize) {
    let mut client = EventServiceClient::new(server.channel());
    for first in (0..events).step_by(BATCH) {
        let batch = first..(first + BATCH).min(events);
        let events = batch.map(|n| event(name, n)).collect();
        let request = BatchPublishEventsRequest { events, ..Default::default() };
        let answer = within(PHASE, "a batch", client.batch_publish_events(request)).await;
        for outcome in answer.expect("published").into_inner().outcomes {
            assert!(matches!(outcome.outcome, Some(Outcome::Result(_))), "{outcome:?}");
        }
    }
}

fn usage(server: &Server) -> Usage {
    server.process.usage().expect("it runs")
}

/// What the server uses while nobody asks it for anything.
async fn rest(what: &str, server: &Server) {
    let before = usage(server).cpu;
    tokio::time::sleep(REST).await;
    let used = usage(server).cpu - before;
    line(what, &format!("{:.1} %", 100.0 * used.as_secs_f64() / REST.as_secs_f64()));
}

/// What waits for a webhook that is stopped is diverted; replayed to where it is answered,
/// it arrives, though the server is killed in the middle.
async fn replay(site: &Site, silent: &str) {
    let database = database(site).await;
    let arrivals = Arc::new(Arrivals::new(1));
    let receiver = Receiver::start(Arc::clone(&arrivals)).expect("a receiver");
    let server = start(&database).await;
    let hook = create(&server, "replayed", silent.to_owned(), DIVERTED).await;
    publish_backlog(&server, DIVERTED, REPLAY).await;

    let began = Instant::now();
    change(
        &server,
        Webhook { enabled: Some(false), etag: String::new(), ..hook.clone() },
        "enabled",
    )
    .await;
    let ready = async {
        // Counts only. What was being attempted when it was stopped ends first.
        while start_replay(&server, true).await.selected_count < REPLAY as i64 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    within(PHASE, "diverting", ready).await;
    line("diverted", &format!("in {:.1} s", began.elapsed().as_secs_f64()));

    let mut destination = hook.destination.clone();
    if let Some(tidings::grpc::proto::destination::Kind::Http(http)) =
        destination.as_mut().and_then(|destination| destination.kind.as_mut())
    {
        http.url = receiver.url(0);
    }
    let hook = Webhook { destination, enabled: Some(true), etag: String::new(), ..hook };
    change(&server, hook.clone(), "destination.http.url").await;
    change(&server, hook, "enabled").await;

    let began = Instant::now();
    let job = start_replay(&server, false).await;
    let mut progress = Vec::new();
    let halfway = async {
        loop {
            let done = job_now(&server, &job.job_id).await.done_count;
            if progress.last() != Some(&done) {
                progress.push(done);
            }
            if done >= REPLAY as i64 / 3 {
                return done;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let done = within(PHASE, "a third of the replay", halfway).await;
    server.process.kill().await.expect("killed");
    let arrived = arrivals.count();
    line("killed", &format!("at {done} of {REPLAY}, {arrived} delivered"));
    let server = start(&database).await;
    let arrived = within(PHASE, "delivering", arrivals.wait_for(REPLAY)).await;
    arrived.expect("all arrive");
    let ended = async {
        loop {
            let job = job_now(&server, &job.job_id).await;
            if job.end_time.is_some() {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let job = within(PHASE, "the end of the replay", ended).await;
    line("replayed and delivered", &format!("in {:.1} s", began.elapsed().as_secs_f64()));
    line("steps of progress seen until the kill", &progress.len().to_string());
    line("delivered twice", &format!("{} (in flight at the kill)", arrivals.repeated()));
    line("RSS, peak", &mebibytes(usage(&server).peak));
    assert_eq!((job.done_count, job.skipped_count), (REPLAY as i64, 0), "each exactly once");
    // What was being attempted, or not yet recorded, when the server was killed.
    assert!(arrivals.repeated() <= 2 * CONCURRENCY as usize, "{}", arrivals.repeated());
    end(site, server).await;
}

async fn change(server: &Server, webhook: Webhook, field: &str) {
    let update_mask = Some(FieldMask { paths: vec![field.to_owned()] });
    let request =
        UpdateWebhookRequest { webhook: Some(webhook), update_mask, ..Default::default() };
    let mut webhooks = WebhookServiceClient::new(server.channel());
    let changed = within(PHASE, "a change", webhooks.update_webhook(request));
    Box::pin(changed).await.expect("a change");
}

async fn start_replay(server: &Server, validate_only: bool) -> DivertedEventJob {
    let event_names = vec![DIVERTED.to_owned()];
    let selector = Some(DivertedEventSelector { event_names, ..Default::default() });
    let request = ReplayDivertedEventsRequest { selector, validate_only, ..Default::default() };
    let mut client = DivertedEventServiceClient::new(server.channel());
    let started = within(PHASE, "a replay", client.replay_diverted_events(request)).await;
    started.expect("a job").into_inner().job.expect("the job")
}

async fn job_now(server: &Server, job_id: &str) -> DivertedEventJob {
    let request = GetDivertedEventJobRequest { job_id: job_id.to_owned(), ..Default::default() };
    let mut client = DivertedEventServiceClient::new(server.channel());
    let read = within(PHASE, "GetDivertedEventJob", client.get_diverted_event_job(request)).await;
    read.expect("the job").into_inner().job.expect("the job")
}
