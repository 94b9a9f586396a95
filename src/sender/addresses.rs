//! From a host to the addresses that are connected to, each checked by the address guard.
//!
//! Every address that is connected to comes from here, once per connection: nothing is looked up
//! again between the check and the connection, so a name that changes its mind changes nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::lookup_host;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::failure::{Fault, plain};
use super::target::{HostName, Origin, Target};
use crate::domain::address::{AddressGuard, is_local_name};

/// How long [`Addresses::check`] waits for a name.
const CHECK_TIME: Duration = Duration::from_secs(2);
/// Look-ups that checks may have under way at once, those included that nobody waits for any more.
const CHECKS: usize = 32;

/// Finds the addresses of names.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of a name, each with that port, in the order in which they are to be tried.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The operating system's way: its `hosts` file, its name servers.
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((name, port)).await?.collect())
    }
}

/// Finds the addresses of hosts, and lets no request go to one that the guard refuses. Cheap to
/// clone.
#[derive(Clone)]
pub struct Addresses {
    guard: Arc<AddressGuard>,
    resolver: Arc<dyn Resolver>,
    checks: Arc<Semaphore>,
}

/// A host may not be sent to: an address of it is refused by the guard. Which one is not said, so
/// that nobody learns the addresses of a network he cannot see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not allowed: its host has a private, local or reserved address")]
pub struct ForbiddenDestination;

impl Addresses {
    /// Resolves names with `resolver` and judges every address by `guard`.
    pub fn new(guard: AddressGuard, resolver: Arc<dyn Resolver>) -> Self {
        Self { guard: Arc::new(guard), resolver, checks: Arc::new(Semaphore::new(CHECKS)) }
    }

    /// See [`HttpSender::check`](super::HttpSender::check).
    pub(super) async fn check(&self, target: &Target) -> Result<(), ForbiddenDestination> {
        if !self.may_permit(&target.origin.host) {
            return Err(ForbiddenDestination);
        }
        if let HostName::Address(_) = target.origin.host {
            return Ok(());
        }
        match timeout(CHECK_TIME, self.look_up(target.origin.clone())).await {
            Ok(Some(Err(fault))) if fault.is_forbidden() => Err(ForbiddenDestination),
            _ => Ok(()),
        }
    }

    /// Looks a name up in a task of its own. The operating system cannot be stopped in the middle
    /// of a look-up, so the permit is held until it ends, however long the caller waits.
    async fn look_up(&self, origin: Origin) -> Option<Result<Vec<SocketAddr>, Fault>> {
        let permit = Arc::clone(&self.checks).acquire_owned().await.ok()?;
        let addresses = self.clone();
        let looking = tokio::spawn(async move {
            let _permit = permit;
            addresses.of(&origin).await
        });
        looking.await.ok()
    }

    /// The addresses of a host, in the order in which they are to be tried; never empty, and all
    /// permitted. One that is not forbids the host as a whole: names of honest destinations do not
    /// have such addresses beside others.
    pub(super) async fn of(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Fault> {
        if !self.may_permit(&origin.host) {
            return Err(Fault::forbidden(origin));
        }
        let name = match &origin.host {
            HostName::Address(address) => return Ok(vec![SocketAddr::new(*address, origin.port)]),
            HostName::Name(name) => name.as_str(),
        };
        let found = self.resolver.resolve(name, origin.port).await.map_err(|error| {
            Fault::connection(format_args!("cannot resolve {name}: {}", plain(&error)))
        })?;
        if found.is_empty() {
            return Err(Fault::connection(format_args!(
                "cannot resolve {name}: it has no address"
            )));
        }
        if let Some(refused) = found.iter().find(|address| !self.guard.permits(address.ip())) {
            tracing::debug!(name, address = %refused.ip(), "destination refused");
            return Err(Fault::forbidden(origin));
        }
        Ok(found)
    }

    /// What can be said without a look-up: `false` for addresses that are refused, and for names
    /// of the machine itself where it is closed.
    fn may_permit(&self, host: &HostName) -> bool {
        match host {
            HostName::Address(address) => self.guard.permits(*address),
            HostName::Name(name) if is_local_name(name) => {
                [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
                    .into_iter()
                    .any(|address| self.guard.permits(address))
            }
            HostName::Name(_) => true,
        }
    }
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
