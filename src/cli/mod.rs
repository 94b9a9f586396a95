//! The command line.

pub mod bench;
mod demo;
mod directory;
mod health;
mod keys;
mod logging;
mod options;
mod refusal;
mod serve;
mod stop;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use self::{
    bench::BenchOptions,
    health::HealthOptions,
    keys::KeysCommand,
    options::{MigrateOptions, ServeOptions},
};
use crate::store::Store;

/// An event-notification service: publish over gRPC, deliver to webhooks, follow
/// every delivery live.
#[derive(Parser)]
#[command(name = "tidings", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What is no option: everybody on a machine sees the arguments of processes.
const SECRET_KEY: &str = "\
TIDINGS_SECRET_KEY, or secret_key in the file, has the keys that secrets are encrypted with in the
database: 32 bytes each in base64 (openssl rand -base64 32), separated by commas. The first one
encrypts, all decrypt. Without it secrets are stored in clear.";

#[derive(Subcommand)]
enum Command {
    /// Serve. The first line on standard output is `listening on HOST:PORT`.
    #[command(after_help = SECRET_KEY)]
    Serve(Box<ServeOptions>),
    /// Show the main job, end to end, in one process.
    Demo {
        /// End at once instead of staying up; 0 only if all went well.
        #[arg(long)]
        exit: bool,
    },
    /// Measure how fast this machine and its database are.
    #[command(after_help = bench::HELP)]
    Bench(BenchOptions),
    /// Bring a database's schema up to date, and its secrets under the current key.
    #[command(after_help = SECRET_KEY)]
    Migrate(MigrateOptions),
    /// Make, list and revoke credentials; a server may be running meanwhile.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Ask a server how it is: 0 and SERVING where it takes requests, anything else is not 0.
    Health(HealthOptions),
}

/// How long the end of the process waits for look-ups of names, which cannot be stopped.
const LOOK_UPS_END: Duration = Duration::from_secs(1);

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let cli = Cli::parse();
    let mut runtime = match cli.command {
        // Publishers share one core, so that the server has the others.
        Command::Bench(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let result = match runtime.enable_all().build() {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli.command));
            runtime.shutdown_timeout(LOOK_UPS_END);
            result
        }
        Err(e) => Err(format!("cannot start: {e}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tidings: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Serve(options) => serve::serve(&options).await,
        Command::Demo { exit } => demo::demo(exit).await,
        Command::Bench(options) => bench::bench(options).await,
        Command::Keys(command) => keys::keys(command).await,
        Command::Migrate(options) => migrate(&options).await,
        Command::Health(options) => health::health(&options).await,
    }
}

async fn migrate(options: &MigrateOptions) -> Result<(), String> {
    let config = options.database.config()?;
    let database = config.database()?;
    let keys = config.secret_keys()?;
    Store::migrate(&database, &keys).await?;
    eprintln!("{database} is up to date");
    if let Some(key) = keys.current_id() {
        eprintln!("every secret is encrypted with key {key}; no other one is needed");
    }
    if options.restored {
        Store::rename(&database).await?;
        eprintln!("{database} has a new id; resume tokens from before are refused");
    }
    Ok(())
}
