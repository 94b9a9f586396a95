//! Sets up the identity provider that the configuration names.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::config::Config;
use crate::{
    domain::address::AddressGuard,
    engine::Clock,
    sender::{Addresses, HttpSender, SystemResolver},
    service::auth::IdentityProvider,
};

/// The provider, if there is one. With `--dev` nobody's credentials are looked at.
pub(super) async fn open(
    config: &Config,
    sender: &HttpSender,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<IdentityProvider>>, String> {
    let Some(settings) = config.provider()?.filter(|_| !config.dev) else { return Ok(None) };
    // The operator chose its address, which is inside for many, unlike those of webhooks.
    let everywhere = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    let guard = AddressGuard { local: true, allowed: everywhere.to_vec() };
    let sender = Arc::new(sender.to(Addresses::new(guard, Arc::new(SystemResolver))));
    let provider = IdentityProvider::open(settings, sender, Arc::clone(clock)).await;
    provider
        .map(|provider| Some(Arc::new(provider)))
        .map_err(|fault| format!("configuration: jwt_key_set: {fault}"))
}
