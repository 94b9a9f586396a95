//! The configuration, a value: defaults, then a file, then the environment, then
//! flags. Read once, checked once; faults name the key.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
    value::Value,
};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::origin::Origin;
use crate::{
    domain::{claims::ClaimNames, limits, secret::Secret},
    service::auth::ProviderSettings,
    store::{DatabaseUrl, SecretKeys},
};

/// The file that is read where there is one and no other is named.
const DEFAULT_FILE: &str = "tidings.toml";
/// What names of environment variables begin with.
const ENV_PREFIX: &str = "TIDINGS_";
/// Names a configuration file, and so is no key of one.
const ENV_CONFIG: &str = "TIDINGS_CONFIG";
/// What configures no server: where its file is, and the key of a client.
const ENV_OTHERS: [&str; 2] = ["config", "token"];

/// How a server runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `HOST:PORT` to listen on; port 0 picks one.
    pub listen: String,
    /// The server's certificate in PEM, followed by those that lead to a root. With it the
    /// listener speaks TLS and nothing else.
    pub tls_cert: Option<PathBuf>,
    /// Its private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// Roots in PEM: every client needs a certificate that leads to one of them.
    pub tls_client_ca: Option<PathBuf>,
    /// The database, as in `sqlite:tidings.db` or `postgres://user:password@host/name`.
    pub database: String,
    /// Connections to a PostgreSQL server that this node holds: two write in turn, the others
    /// read.
    pub database_connections: u32,
    /// How long a statement may take there.
    #[serde(with = "humantime_serde")]
    pub database_timeout: Duration,
    /// Keys that secrets are encrypted with in the database, 32 bytes each in base64,
    /// separated by commas: the first encrypts, all decrypt. Without it secrets are
    /// stored in clear. Not a flag: everybody on a machine sees the arguments of processes.
    #[serde(deserialize_with = "secret")]
    pub secret_key: Option<Secret>,
    /// No credentials, local callers only; destinations may be local and private.
    pub dev: bool,
    /// What is logged: a level, or directives as in `info,tidings::engine=debug`.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Limit on one attempt of a webhook that does not say.
    #[serde(with = "humantime_serde")]
    pub attempt_timeout: Duration,
    /// How long events and the log are kept.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How long what is in flight may take to finish at the end.
    #[serde(with = "humantime_serde")]
    pub drain_grace: Duration,
    /// How long the database may not answer before the node says that it is NOT_SERVING.
    #[serde(with = "humantime_serde")]
    pub health_grace: Duration,
    /// The mail server for notices of suspensions; without it none are sent. It holds a
    /// password.
    #[serde(deserialize_with = "secret")]
    pub smtp_url: Option<Secret>,
    /// The sender's address of these mails.
    pub mail_from: String,
    /// Attempts in flight at once, over all webhooks; a tenant alone gets about half.
    pub max_attempts: usize,
    /// Tails that may be open at once; a tenant alone gets seven of eight.
    pub max_tails: usize,
    /// Changes that a live tail may lag behind before its client counts as slow.
    pub max_tail_lag: i64,
    /// Deliveries that statistics may read one by one, at the ends of a range.
    pub max_stats_rows: usize,
    /// Webhooks of a tenant that has no quota of its own; 0 means no limit.
    pub max_webhooks: u32,
    /// Events per second of such a tenant; 0 means no limit.
    pub max_events_per_second: f64,
    /// Deliveries of such a tenant that are not settled; 0 means no limit.
    pub max_waiting_deliveries: u64,
    /// Ranges of addresses that deliveries may go to though they are not public.
    #[serde(with = "super::ranges")]
    pub allow_destination: Vec<IpNet>,
    /// The issuer (`iss`) whose tokens are taken beside keys; it needs `jwt_audience` and
    /// `jwt_key_set`.
    pub jwt_issuer: Option<String>,
    /// What its tokens name as their audience (`aud`) where they are meant for this server.
    pub jwt_audience: Option<String>,
    /// Its public keys as a JSON Web Key Set: a file, or a URL of https.
    pub jwt_key_set: Option<String>,
    /// The claim that names the tenant, or a JSON Pointer to it; `*` in it means all tenants.
    pub jwt_tenant_claim: String,
    /// The claim that names permissions, in a list or a text with blanks; or a JSON Pointer to it.
    pub jwt_permissions_claim: String,
    /// Origins of web pages that may call the v3 facade from a browser.
    #[serde(with = "super::origin")]
    pub cors_origins: Vec<Origin>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:50051".to_owned(),
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            database: "sqlite:tidings.db".to_owned(),
            database_connections: 10,
            database_timeout: Duration::from_secs(10),
            secret_key: None,
            dev: false,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            attempt_timeout: limits::DEFAULT_TIMEOUT,
            retention: Duration::from_secs(30 * 24 * 3600),
            drain_grace: Duration::from_secs(10),
            health_grace: Duration::from_secs(10),
            smtp_url: None,
            mail_from: String::new(),
            max_attempts: 4_096,
            max_tails: 1_000,
            max_tail_lag: 10_000,
            max_stats_rows: 500_000,
            max_webhooks: limits::DEFAULT_MAX_WEBHOOKS,
            max_events_per_second: 0.0,
            max_waiting_deliveries: 0,
            allow_destination: Vec::new(),
            jwt_issuer: None,
            jwt_audience: None,
            jwt_key_set: None,
            jwt_tenant_claim: "tenant_id".to_owned(),
            jwt_permissions_claim: "permissions".to_owned(),
            cors_origins: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the configuration. `flags` are those that were given.
    ///
    /// # Errors
    ///
    /// Names the key and what is wrong with it.
    pub fn load(file: Option<&Path>, flags: &impl Serialize) -> Result<Self, String> {
        let named = file.map(Path::to_owned).or_else(|| Env::var(ENV_CONFIG).map(PathBuf::from));
        if let Some(missing) = named.as_deref().filter(|path| !path.is_file()) {
            return Err(format!("configuration file {} does not exist", missing.display()));
        }
        let default = Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file());
        let mut sources = Figment::new();
        if let Some(path) = named.or(default) {
            sources = sources.merge(Toml::file_exact(path));
        }
        let env = Env::prefixed(ENV_PREFIX).ignore(&ENV_OTHERS);
        Self::extract(sources.merge(env).merge(Serialized::defaults(flags)))
    }

    fn extract(sources: Figment) -> Result<Self, String> {
        let all = Figment::from(Serialized::defaults(Self::default())).merge(sources);
        let config: Self = all.extract().map_err(|errors| {
            let shown = errors.into_iter().map(|e| without_source(&format!("configuration: {e}")));
            shown.collect::<Vec<_>>().join("\n")
        })?;
        config.check()?;
        config.secret_keys()?;
        config.provider()?;
        Ok(config)
    }

    /// The database with its limits.
    ///
    /// # Errors
    ///
    /// Says what is wrong with `database`; the password in it is not shown.
    pub fn database(&self) -> Result<DatabaseUrl, String> {
        let url: DatabaseUrl = self.database.parse().map_err(|e| format!("database {e}"))?;
        Ok(url.with_limits(self.database_connections, self.database_timeout))
    }

    /// The keys of secrets at rest; none where none are configured.
    ///
    /// # Errors
    ///
    /// Names the key of the configuration and what is wrong with its value, which is
    /// not shown.
    pub fn secret_keys(&self) -> Result<SecretKeys, String> {
        let keys = self.secret_key.as_ref().map(|keys| keys.expose().parse());
        keys.transpose()
            .map(Option::unwrap_or_default)
            .map_err(|fault: String| format!("configuration: secret_key: {fault}"))
    }

    /// The identity provider whose tokens are taken; none where none is configured.
    ///
    /// # Errors
    ///
    /// Names the key of the configuration and what is wrong with its value.
    pub(super) fn provider(&self) -> Result<Option<ProviderSettings>, String> {
        let given = (&self.jwt_issuer, &self.jwt_audience, &self.jwt_key_set);
        let (issuer, audience, keys) = match given {
            (None, None, None) => return Ok(None),
            (Some(issuer), Some(audience), Some(keys)) => (issuer, audience, keys),
            _ => {
                let fault = "jwt_issuer, jwt_audience and jwt_key_set need each other";
                return Err(format!("configuration: {fault}"));
            }
        };
        let keys = keys.parse().map_err(|fault| format!("configuration: jwt_key_set: {fault}"))?;
        let claims = ClaimNames {
            tenant: self.jwt_tenant_claim.clone(),
            permissions: self.jwt_permissions_claim.clone(),
        };
        let (issuer, audience) = (issuer.clone(), audience.clone());
        Ok(Some(ProviderSettings { issuer, audience, keys, claims }))
    }

    fn check(&self) -> Result<(), String> {
        let second = Duration::from_secs(1);
        let faults = [
            (self.attempt_timeout.is_zero() || self.attempt_timeout > limits::LONGEST_TIMEOUT)
                .then_some("attempt_timeout must be more than 0 and at most 2 minutes"),
            (self.tls_cert.is_some() != self.tls_key.is_some())
                .then_some("tls_cert and tls_key need each other"),
            (self.tls_client_ca.is_some() && self.tls_cert.is_none())
                .then_some("tls_client_ca needs tls_cert and tls_key"),
            (self.database_connections < 3)
                .then_some("database_connections must be at least 3: two write, one reads"),
            (self.database_timeout < second).then_some("database_timeout must be at least 1s"),
            (self.health_grace.is_zero()).then_some("health_grace must be more than 0"),
            (self.retention < second).then_some("retention must be at least 1s"),
            (self.smtp_url.is_some() && self.mail_from.is_empty())
                .then_some("smtp_url needs mail_from, the sender's address"),
            (self.max_attempts < 1).then_some("max_attempts must be at least 1"),
            (!(0.0..=limits::MAX_EVENT_RATE).contains(&self.max_events_per_second))
                .then_some("max_events_per_second must be 0 to 1000000"),
            (self.max_tail_lag < 1).then_some("max_tail_lag must be at least 1"),
        ];
        match faults.into_iter().flatten().next() {
            Some(fault) => Err(format!("configuration: {fault}")),
            None => Ok(()),
        }
    }
}

/// Reads a secret; a fault does not show what was there instead of a text.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None => Ok(None),
        Some(Value::String(_, text)) => Ok(Some(Secret::new(text))),
        Some(_) => Err(D::Error::custom("must be a text")),
    }
}

/// A message without the lines of a file that it quotes: they may hold a secret.
fn without_source(message: &str) -> String {
    let quoted = |line: &&str| {
        !line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|')
    };
    message.lines().filter(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_environment_over_the_file_over_defaults() {
        let sources = Figment::new()
            .merge(Toml::string("listen = 'file:1'\nretention = '2days'\nmax_tails = 5"))
            .merge(Serialized::default("listen", "env:2"))
            .merge(Serialized::default("retention", "3days"))
            .merge(Serialized::default("listen", "flag:3"));
        let config = Config::extract(sources).expect("a configuration");
        assert_eq!(config.listen, "flag:3");
        assert_eq!(config.retention, Duration::from_secs(3 * 24 * 3600));
        assert_eq!((config.max_tails, config.max_tail_lag), (5, 10_000));
    }

    #[test]
    fn ranges_are_a_list_or_a_text_and_replace_those_of_a_weaker_source() {
        let read = |sources: Figment| {
            let config = Config::extract(sources).expect("a configuration");
            config.allow_destination.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let file =
            Figment::new().merge(Toml::string("allow_destination = ['10.0.0.0/8', 'fd00::/8']"));
        assert_eq!(read(file.clone()), ["10.0.0.0/8", "fd00::/8"]);
        let variable = Serialized::default("allow_destination", "192.168.0.0/16, ::1/128");
        let environment = file.merge(variable);
        assert_eq!(read(environment.clone()), ["192.168.0.0/16", "::1/128"]);
        let flags = Serialized::default("allow_destination", ["127.0.0.1/32"]);
        assert_eq!(read(environment.merge(flags)), ["127.0.0.1/32"]);
    }

    #[test]
    fn faults_name_the_key() {
        for (toml, key) in [
            ("max_tails = 'many'", "max_tails"),
            ("retention = '1 fortnight'", "retention"),
            ("attempt_timeout = '1h'", "attempt_timeout"),
            ("max_attempts = 0", "max_attempts"),
            ("max_tial_lag = 1", "max_tial_lag"),
            ("allow_destination = '10.0.0.1'", "allow_destination"),
            ("allow_destination = 7", "allow_destination"),
            ("cors_origins = '*'", "cors_origins"),
            ("jwt_issuer = 'https://id.example'", "jwt_audience"),
            (
                "jwt_issuer = 'i'\njwt_audience = 'a'\njwt_key_set = 'http://id.example'",
                "jwt_key_set",
            ),
            ("tls_cert = 'a.pem'", "tls_key"),
            ("tls_key = 'a.key'", "tls_cert"),
            ("tls_client_ca = 'ca.pem'", "tls_client_ca"),
        ] {
            let error = Config::extract(Figment::new().merge(Toml::string(toml))).expect_err(toml);
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn faults_show_nothing_of_a_secret() {
        for toml in [
            "secret_key = 's3cret'",
            "secret_key = s3cret",
            "secret_key = 's3cret\nlisten = 'x'",
            "secret_key = ['s3cret']",
            "secret_key = { s3cret = 's3cret' }",
            "secret_key = ''",
            "secret_key = 5353535353",
            "smtp_url = smtp://u:s3cret@h",
            "smtp_url = ['s3cret']",
            "smtp_url = 'smtp://u:s3cret@h'",
        ] {
            let error = Config::extract(Figment::new().merge(Toml::string(toml))).expect_err(toml);
            assert!(error.starts_with("configuration: "), "{error}");
            assert!(!error.contains("s3cret") && !error.contains("53535"), "{error}");
        }
    }
}
