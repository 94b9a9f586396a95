//! The options of the commands. Each is also a key of the file and, in capitals
//! after `TIDINGS_`, an environment variable.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::server::config::{Config, LogFormat};

/// Options of `tidings serve`.
#[derive(Args, Serialize)]
pub(super) struct ServeOptions {
    /// Configuration file [env: TIDINGS_CONFIG; default: tidings.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// For development: no credentials are asked, everybody is administrator of all
    /// tenants, which come into being on first use, as do event types; private
    /// and loopback destinations are allowed; only local callers are served [env: TIDINGS_DEV]
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,

    /// Address to listen on; port 0 picks one [env: TIDINGS_LISTEN; default: 127.0.0.1:50051]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,

    /// The server's certificate in PEM, followed by those that lead to a root: with it the
    /// listener speaks TLS only. Files are read again when they change
    /// [env: TIDINGS_TLS_CERT; default: no TLS]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<PathBuf>,

    /// Its private key in PEM [env: TIDINGS_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,

    /// Roots in PEM: with them every client needs a certificate that leads to one of them, beside
    /// its credentials [env: TIDINGS_TLS_CLIENT_CA; default: none]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_ca: Option<PathBuf>,

    /// The database: sqlite:PATH, or postgres://USER@HOST/NAME with the parameters of libpq,
    /// such as ?sslmode=verify-full; a password is better given by the variable, since other
    /// users of the machine see flags [env: TIDINGS_DATABASE; default: sqlite:tidings.db]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,

    /// Connections to PostgreSQL that this node holds: two write in turn, the others read
    /// [env: TIDINGS_DATABASE_CONNECTIONS; default: 10]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_connections: Option<u32>,

    /// How long a statement may take on PostgreSQL [env: TIDINGS_DATABASE_TIMEOUT; default: 10s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_timeout: Option<String>,

    /// What is logged on standard error: a level, or directives such as
    /// info,tidings::engine=debug [env: TIDINGS_LOG; default: info]
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,

    /// How it is logged [env: TIDINGS_LOG_FORMAT; default: text]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,

    /// Limit on one attempt of a webhook that does not say, at most 2min
    /// [env: TIDINGS_ATTEMPT_TIMEOUT; default: 15s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_timeout: Option<String>,

    /// How long events and the delivery log are kept [env: TIDINGS_RETENTION; default: 30days]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<String>,

    /// How long attempts and calls in flight may take to finish when the server is
    /// told to stop [env: TIDINGS_DRAIN_GRACE; default: 10s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_grace: Option<String>,

    /// How long the database may not answer before the health is NOT_SERVING
    /// [env: TIDINGS_HEALTH_GRACE; default: 10s]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    health_grace: Option<String>,

    /// Mail server for notices of suspensions, as in smtps://user:password@host or
    /// smtp://host:587?tls=required; better given as a variable, since other users of
    /// the machine see flags [env: TIDINGS_SMTP_URL; default: none]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_url: Option<String>,

    /// Sender's address of these mails [env: TIDINGS_MAIL_FROM]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_from: Option<String>,

    /// Attempts in flight at once, over all webhooks; a tenant alone gets about half
    /// [env: TIDINGS_MAX_ATTEMPTS; default: 4096]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<usize>,

    /// Tails that may be open at once [env: TIDINGS_MAX_TAILS; default: 1000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tails: Option<usize>,

    /// Changes that a live tail may lag behind before its client counts as slow
    /// [env: TIDINGS_MAX_TAIL_LAG; default: 10000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tail_lag: Option<i64>,

    /// Deliveries that statistics may read one by one, at the ends of a range
    /// [env: TIDINGS_MAX_STATS_ROWS; default: 500000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_stats_rows: Option<usize>,

    /// Webhooks of a tenant that has no quota of its own; 0 means no limit
    /// [env: TIDINGS_MAX_WEBHOOKS; default: 100000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_webhooks: Option<u32>,

    /// Events that such a tenant may publish per second; 0 means no limit
    /// [env: TIDINGS_MAX_EVENTS_PER_SECOND; default: 0]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_events_per_second: Option<f64>,

    /// Deliveries of such a tenant that may wait; 0 means no limit
    /// [env: TIDINGS_MAX_WAITING_DELIVERIES; default: 0]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_waiting_deliveries: Option<u64>,

    /// A range of addresses that deliveries may go to though it is not public, such as
    /// 10.1.0.0/16; may be given more than once, the variable has commas
    /// [env: TIDINGS_ALLOW_DESTINATION; default: none, with --dev loopback and private ranges]
    #[arg(long, value_name = "CIDR")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow_destination: Vec<String>,

    /// Issuer (iss) whose JSON Web Tokens are taken beside keys; needs --jwt-audience and
    /// --jwt-key-set [env: TIDINGS_JWT_ISSUER; default: none]
    #[arg(long, value_name = "ISSUER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_issuer: Option<String>,

    /// Audience (aud) of its tokens that are meant for this server [env: TIDINGS_JWT_AUDIENCE]
    #[arg(long, value_name = "AUDIENCE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_audience: Option<String>,

    /// Its public keys as a JSON Web Key Set: a file, or a URL of https
    /// [env: TIDINGS_JWT_KEY_SET]
    #[arg(long, value_name = "FILE|URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_key_set: Option<String>,

    /// Claim with the tenant, or a JSON Pointer to it
    /// [env: TIDINGS_JWT_TENANT_CLAIM; default: tenant_id]
    #[arg(long, value_name = "CLAIM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_tenant_claim: Option<String>,

    /// Claim with the permissions, or a JSON Pointer to it
    /// [env: TIDINGS_JWT_PERMISSIONS_CLAIM; default: permissions]
    #[arg(long, value_name = "CLAIM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_permissions_claim: Option<String>,

    /// Origin of web pages that may call the v3 facade from a browser, such as
    /// `https://console.example`; may be given more than once, the variable has commas
    /// [env: TIDINGS_CORS_ORIGINS; default: none]
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cors_origins: Vec<String>,
}

impl ServeOptions {
    pub(super) fn config(&self) -> Result<Config, String> {
        Config::load(self.config.as_deref(), self)
    }
}

/// Options of `tidings migrate`.
#[derive(Args)]
pub(super) struct MigrateOptions {
    /// Also give the database a new id, since it was restored from a backup: what it says
    /// from now on is not what it said before. Resume tokens of tails from before are
    /// refused. The servers must be stopped
    #[arg(long)]
    pub(super) restored: bool,

    #[command(flatten)]
    pub(super) database: DatabaseOption,
}

/// Options of commands that work on a database.
#[derive(Args, Serialize)]
pub(super) struct DatabaseOption {
    /// Configuration file [env: TIDINGS_CONFIG; default: tidings.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// The database: sqlite:PATH or postgres://USER@HOST/NAME
    /// [env: TIDINGS_DATABASE; default: sqlite:tidings.db]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
}

impl DatabaseOption {
    pub(super) fn config(&self) -> Result<Config, String> {
        Config::load(self.config.as_deref(), self)
    }
}
