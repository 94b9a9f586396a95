//! How fast events get from publishers to receivers, beside the bare limit of the
//! machine: `cargo bench --bench delivery`. It fails when a delivery is missing,
//! never because of a figure.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tidings::domain::address::AddressGuard;
use tidings::sender::{Addresses, Connection, HttpSender, Limits, Request, SystemResolver, Target};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::rustls::RootCertStore;

use self::support::{
    arrivals::Arrivals,
    directory,
    figures::{Sample, machine, mebibytes, millis, rate},
    is_asked_to_measure, payload,
    publishers::Publishers,
    receiver::{Behaviour, Receiver},
    server::Server,
    within,
};

const EVENT_NAME: &str = "bench.event";
/// Publishers, and connections of each webhook.
const CONCURRENCY: usize = 64;
/// Requests of the bare loops.
const REQUESTS: usize = 200_000;
/// Events before the measured ones.
const WARM_UP: usize = 2_000;
/// Events per second when latency is measured.
const RATE: u32 = 200;
const PHASE: Duration = Duration::from_secs(25);

fn main() {
    if !is_asked_to_measure() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("tokio").block_on(measure());
}

async fn measure() {
    println!("{}", machine(directory().path()));
    println!();
    println!(
        "{:<34}{:>13}{:>10}{:>13}{:>15}{:>10}",
        "", "deliveries/s", "of limit", "publishes/s", "CPU s per 1000", "peak RSS"
    );
    let limit = within(PHASE, "the bare loop", bare_limit()).await;
    row(&format!("hyper alone, {CONCURRENCY} connections"), limit, limit, "");
    let sender = within(PHASE, "the sender's loop", sender_limit()).await;
    row("the sender alone", sender, limit, "");
    for (webhooks, events) in [(1, 50_000), (10, 15_000)] {
        let what = format!("{webhooks} webhook{}", if webhooks > 1 { "s" } else { "" });
        let load = load(webhooks, events).await;
        let rest = format!("{:>13.0}{:>15.3}{:>10}", load.publishes, load.cpu, load.peak);
        row(&format!("{what}, {CONCURRENCY} publishers"), load.deliveries, limit, &rest);
        println!("{:<34}{}", "    answer to a publish", quantiles(&load.answers));
    }
    println!();
    let latency = latency(2_000).await;
    println!("{:<34}{}", format!("arrival at {RATE} events/s, since due"), quantiles(&latency));
}

fn row(what: &str, deliveries: f64, limit: f64, rest: &str) {
    println!("{what:<34}{deliveries:>13.0}{:>10.3}{rest}", deliveries / limit);
}

fn quantiles(sample: &Sample) -> String {
    let of = |part| millis(sample.quantile(part));
    let max = millis(sample.max());
    format!("p50 {}, p90 {}, p99 {}, max {max}", of(0.5), of(0.9), of(0.99))
}

/// Requests per second of hyper and nothing else.
async fn bare_limit() -> f64 {
    let arrivals = Arc::new(Arrivals::new(1, REQUESTS));
    let receiver = Receiver::start(Behaviour::Answers(Arc::clone(&arrivals)));
    let mut connections = Vec::new();
    for _ in 0..CONCURRENCY {
        let tcp = TcpStream::connect(receiver.address()).await.expect("a connection");
        tcp.set_nodelay(true).expect("no delay");
        let (requests, connection) =
            http1::handshake::<_, Full<Bytes>>(TokioIo::new(tcp)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        connections.push(requests);
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (first, mut requests) in connections.into_iter().enumerate() {
        tasks.spawn(async move {
            for n in (first..REQUESTS).step_by(CONCURRENCY) {
                let request = http::Request::post("/0")
                    .header("host", "127.0.0.1")
                    .body(Full::from(payload(n)))
                    .expect("a request");
                requests.ready().await.expect("an open connection");
                let answer = requests.send_request(request).await.expect("an answer");
                assert!(answer.status().is_success(), "{}", answer.status());
            }
        });
    }
    tasks.join_all().await;
    rate(arrivals.count(), began.elapsed())
}

/// The same by way of Tidings' own sender.
async fn sender_limit() -> f64 {
    let arrivals = Arc::new(Arrivals::new(1, REQUESTS));
    let receiver = Receiver::start(Behaviour::Answers(Arc::clone(&arrivals)));
    let guard = AddressGuard { local: true, allowed: Vec::new() };
    let local = Addresses::new(guard, Arc::new(SystemResolver));
    let sender = Arc::new(HttpSender::with_roots(local, RootCertStore::empty()).expect("TLS"));
    let target = Arc::new(Target::parse(&receiver.url(0)).expect("a URL"));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for first in 0..CONCURRENCY {
        let (sender, target) = (Arc::clone(&sender), Arc::clone(&target));
        tasks.spawn(async move {
            let mut connection = Connection::new(sender);
            for n in (first..REQUESTS).step_by(CONCURRENCY) {
                let request = Request {
                    method: http::Method::POST,
                    headers: http::HeaderMap::new(),
                    body: payload(n).into(),
                };
                let answer = connection.send(&target, request, &Limits::default()).await;
                assert_eq!(answer.expect("an answer").status, 200);
            }
        });
    }
    tasks.join_all().await;
    rate(arrivals.count(), began.elapsed())
}

/// What a server did under full load.
struct Load {
    /// Per second.
    deliveries: f64,
    publishes: f64,
    /// Seconds of the server per 1000 deliveries.
    cpu: f64,
    peak: String,
    /// How long answers to publishes took.
    answers: Sample,
}

/// From the first publish until all deliveries have arrived.
async fn load(webhooks: usize, events: usize) -> Load {
    let directory = directory();
    let arrivals = Arc::new(Arrivals::new(webhooks, WARM_UP + events));
    let receiver = Receiver::start(Behaviour::Answers(Arc::clone(&arrivals)));
    let server = Server::start(directory.path());
    let publishers = Box::pin(prepare(&server, &receiver, &arrivals, webhooks)).await;

    let (before, began) = (server.usage(), Instant::now());
    let published = publishers.publish_all(CONCURRENCY, WARM_UP..WARM_UP + events);
    let answers = within(PHASE, "publishing", published).await;
    let publishing = began.elapsed();
    arrivals.wait_for((WARM_UP + events) * webhooks, PHASE).await;
    let (time, after) = (began.elapsed(), server.usage());
    assert_eq!(arrivals.repeated(), 0, "nothing failed, so nothing is delivered twice");
    let deliveries = events * webhooks;
    Load {
        deliveries: rate(deliveries, time),
        publishes: rate(events, publishing),
        cpu: (after.cpu - before.cpu).as_secs_f64() * 1000.0 / deliveries as f64,
        peak: mebibytes(after.peak),
        answers: Sample::new(answers),
    }
}

/// From when each event was due until it arrived.
async fn latency(events: usize) -> Sample {
    let directory = directory();
    let arrivals = Arc::new(Arrivals::new(1, WARM_UP + events));
    let receiver = Receiver::start(Behaviour::Answers(Arc::clone(&arrivals)));
    let server = Server::start(directory.path());
    let publishers = Box::pin(prepare(&server, &receiver, &arrivals, 1)).await;

    let published = publishers.publish_at_rate(RATE, WARM_UP..WARM_UP + events);
    let due = within(PHASE, "publishing", published).await;
    arrivals.wait_for(WARM_UP + events, PHASE).await;
    let took = due.iter().enumerate().map(|(i, due)| {
        let arrived = arrivals.time(0, WARM_UP + i).expect("it arrived");
        arrived.saturating_duration_since(*due)
    });
    Sample::new(took.collect())
}

/// Makes the webhooks and has all parts work once.
async fn prepare(
    server: &Server,
    receiver: &Receiver,
    arrivals: &Arrivals,
    webhooks: usize,
) -> Publishers {
    for webhook in 0..webhooks {
        let (name, connections) = (format!("webhook {webhook}"), CONCURRENCY as i32);
        server.create_webhook(&name, receiver.url(webhook), EVENT_NAME, connections).await;
    }
    let publishers = Publishers::new(server, EVENT_NAME);
    within(PHASE, "warming up", publishers.publish_all(CONCURRENCY, 0..WARM_UP)).await;
    arrivals.wait_for(WARM_UP * webhooks, PHASE).await;
    publishers
}
