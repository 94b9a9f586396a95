//! Logs: on standard error, structured.

use tracing_subscriber::EnvFilter;

use crate::server::config::{Config, LogFormat};

/// Starts logging as configured.
pub(super) fn start(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log).map_err(|e| format!("configuration: log: {e}"))?;
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    match config.log_format {
        LogFormat::Text => {
            logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init()
        }
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}
