//! What an operator is to be warned of at the start.

use std::net::SocketAddr;

use super::config::Config;
use crate::{
    domain::{error::Result, time::Timestamp},
    store::Store,
};

/// Keys read at a time.
const PAGE: usize = 500;

/// Warns where credentials can be read on their way, and where nobody has any.
pub(super) async fn warn(config: &Config, address: SocketAddr, store: &Store, now: Timestamp) {
    // Then there are no credentials, and only local callers.
    if config.dev {
        return;
    }
    if config.tls_cert.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "no TLS: credentials and events can be read on their way; set tls_cert and tls_key, or put this behind a proxy that encrypts"
        );
    }
    if config.jwt_issuer.is_none()
        && let Ok(false) = has_live_key(store, now).await
    {
        tracing::warn!(
            "nobody can call: there is no API key; make one with: tidings keys create --tenant TENANT --permission all --database {}",
            config.database
        );
    }
}

async fn has_live_key(store: &Store, now: Timestamp) -> Result<bool> {
    let mut after = 0;
    loop {
        let page = store.api_keys(None, after, PAGE).await?;
        if page.iter().any(|(_, key)| key.is_live(now)) {
            return Ok(true);
        }
        let Some((last, _)) = page.last() else { return Ok(false) };
        after = *last;
    }
}
