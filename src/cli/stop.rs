//! Being told to stop: Ctrl-C, SIGTERM, a closed terminal.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the process is told to stop. Asked for before there is anything to clean
/// up, it misses no signal.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let on = |kind| signal(kind).map_err(|e| format!("signals: {e}"));
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut hangup = on(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
