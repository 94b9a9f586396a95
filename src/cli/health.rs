//! `tidings health`: asks a server how it is, for probes that have nothing but this binary.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::Serialize;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::server::config::Config;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Options of `tidings health`.
#[derive(Args, Serialize)]
pub(super) struct HealthOptions {
    /// Configuration file [env: TIDINGS_CONFIG; default: tidings.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// The server [default: this machine, where `listen` of the configuration says]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip)]
    address: Option<String>,

    /// What of it: nothing is whether it should be sent requests, `live` whether its
    /// process works at all
    #[arg(long, value_name = "NAME", default_value = "")]
    #[serde(skip)]
    service: String,

    /// Roots in PEM that the server's certificate leads to: with it TLS is spoken
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    ca: Option<PathBuf>,

    /// The name in the server's certificate [default: the host of the address]
    #[arg(long, value_name = "NAME", requires = "ca")]
    #[serde(skip)]
    server_name: Option<String>,

    /// A client's certificate in PEM, for a server that asks for one
    #[arg(long, value_name = "FILE", requires = "ca", requires = "key")]
    #[serde(skip)]
    cert: Option<PathBuf>,

    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    #[serde(skip)]
    key: Option<PathBuf>,
}

/// Asks, and prints SERVING where that is the answer; anything else is an error.
#[expect(clippy::print_stdout, reason = "what was asked for")]
pub(super) async fn health(options: &HealthOptions) -> Result<(), String> {
    let config = Config::load(options.config.as_deref(), options)?;
    let address = options.address.clone().unwrap_or_else(|| local(&config.listen));
    if options.ca.is_none() && config.tls_cert.is_some() {
        return Err("this server speaks TLS: --ca must name the roots of its certificate".into());
    }
    let endpoint = options.endpoint(&address)?;
    let asked = tokio::time::timeout(PATIENCE, ask(endpoint, &options.service)).await;
    let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
    match answer.map_err(|e| format!("{address}: {e}"))? {
        ServingStatus::Serving => {
            println!("SERVING");
            Ok(())
        }
        other => Err(format!("{address} is {}", other.as_str_name())),
    }
}

/// Where this machine reaches what listens so.
fn local(listen: &str) -> String {
    match listen.parse::<SocketAddr>() {
        Ok(mut address) if address.ip().is_unspecified() => {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
            address.to_string()
        }
        _ => listen.to_owned(),
    }
}

impl HealthOptions {
    fn endpoint(&self, address: &str) -> Result<Endpoint, String> {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        let endpoint = Channel::from_shared(format!("{scheme}://{address}"));
        let endpoint = endpoint.map_err(|e| format!("address {address}: {e}"))?;
        match self.tls()? {
            Some(tls) => endpoint.tls_config(tls).map_err(|e| format!("TLS: {}", why(&e))),
            None => Ok(endpoint),
        }
    }

    fn tls(&self) -> Result<Option<ClientTlsConfig>, String> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
        if let Some(name) = &self.server_name {
            tls = tls.domain_name(name);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(Some(tls))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))
}

async fn ask(endpoint: Endpoint, service: &str) -> Result<ServingStatus, String> {
    let channel = endpoint.connect().await.map_err(|e| why(&e))?;
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => Ok(answer.into_inner().status()),
        Err(status) => Err(format!("{:?}: {}", status.code(), status.message())),
    }
}

/// An error with what caused it: the transport's own words say little.
fn why(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_on_this_machine() {
        for (listen, address) in [
            ("0.0.0.0:50051", "127.0.0.1:50051"),
            ("[::]:50051", "[::1]:50051"),
            ("10.1.2.3:80", "10.1.2.3:80"),
            ("localhost:50051", "localhost:50051"),
        ] {
            assert_eq!(local(listen), address);
        }
    }
}
