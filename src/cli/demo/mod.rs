//! `tidings demo`: the main job, end to end, in one process.
//!
//! Starts the real service on a throw-away database and a receiver beside it, and
//! talks to the service as any client would, over gRPC. The story is told in
//! `story`; what is published is in `samples`. Whatever happens, the database is
//! removed: also on a failure, a panic, Ctrl-C, SIGTERM and a closed terminal.

mod client;
mod expected;
mod invitation;
mod output;
mod receiver;
mod samples;
mod story;
mod tail;

use std::{env, future::Future, path::Path, sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    time::{error::Elapsed, timeout},
};

use self::{client::Client, output::Output, receiver::Receiver, story::Story};
use super::{directory::ThrowAway, logging, stop::stop_signal};
use crate::server::{Server, SystemClock, config::Config};

/// Longest time that the story may take; it takes about two seconds, but each commit waits
/// for a disk that may have much to write for others.
const STORY_LIMIT: Duration = Duration::from_secs(60);
/// How long the service may take to finish what is in flight.
const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// And to end altogether.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Shows the main job, then stays up until Ctrl-C, or ends at once with `exit`.
pub(super) async fn demo(exit: bool) -> Result<(), String> {
    let stop = stop_signal()?;
    let directory = ThrowAway::create(&env::temp_dir(), "tidings-demo")?;
    let config = Config {
        database: format!("sqlite:{}", directory.path().join("tidings.db").display()),
        dev: true,
        log: "warn".to_owned(),
        drain_grace: DRAIN_GRACE,
        ..Config::default()
    };
    logging::start(&config)?;
    let result = Box::pin(run(config, directory.path(), exit, stop)).await;
    let removed = directory.remove().await;
    result.and(removed)
}

async fn run(
    config: Config,
    directory: &Path,
    exit: bool,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let output = Output::new();
    let receiver = Receiver::start().await?;
    let server = timeout(STORY_LIMIT, bind(config)).await.map_err(too_slow)??;
    let address = server.address();
    let (quit, quitting) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(quitting.await) }));

    let tell = async {
        let client = Client::connect(address).await?;
        let mut story = Story::new(&output, &receiver, client);
        story.introduce(address, directory)?;
        story.tell().await?;
        Ok(story)
    };
    tokio::pin!(stop);
    let told = tokio::select! {
        told = timeout(STORY_LIMIT, tell) => told.map_err(too_slow).flatten(),
        () = &mut stop => Err("interrupted before the end".to_owned()),
    };
    let shown = match told {
        Ok(mut story) if !exit => tokio::select! {
            shown = story.stay(address) => shown,
            () = stop => output.line("\nStopping ..."),
        },
        told => told.map(drop),
    };
    drop(quit);
    let stopped = match timeout(STOP_LIMIT, running).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(panic)) => Err(format!("the service failed: {panic}")),
        Err(_) => Err(format!("the service did not stop within {STOP_LIMIT:?}")),
    };
    shown.and(stopped)
}

fn too_slow(_: Elapsed) -> String {
    format!("it did not end within {STORY_LIMIT:?}")
}

/// Binds the usual port where it is free, any other one where it is not.
async fn bind(config: Config) -> Result<Server, String> {
    let clock = Arc::new(SystemClock);
    match Server::bind(config.clone(), clock.clone()).await {
        Ok(server) => Ok(server),
        // Where it was not the port, this fails for the same reason.
        Err(_) => Server::bind(Config { listen: "127.0.0.1:0".to_owned(), ..config }, clock).await,
    }
}
