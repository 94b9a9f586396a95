//! `tidings serve`.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{logging, options::ServeOptions};
use crate::server::{Server, SystemClock};

/// Serves until SIGTERM or Ctrl-C.
#[expect(clippy::print_stdout, reason = "the one line that scripts wait for")]
pub(super) async fn serve(options: &ServeOptions) -> Result<(), String> {
    let config = options.config()?;
    logging::start(&config)?;
    // Before anything is served, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| format!("signals: {e}"))?;
    let server = Server::bind(config, Arc::new(SystemClock)).await?;
    println!("listening on {}", server.address());
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    server.run(stop).await
}
