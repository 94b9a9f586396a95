//! Which database, as the configuration names it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sea_orm::sqlx::postgres::PgConnectOptions;
use url::Url;

/// What the query of a PostgreSQL URL may have, as libpq calls it.
const PARAMETERS: [&str; 10] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "application_name",
];

/// Which database, and how much of it one node uses. Its texts never show a password.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(super) place: Place,
    pub(super) usage: Usage,
}

/// Where the database is.
#[derive(Clone)]
pub(super) enum Place {
    /// An SQLite file.
    File(PathBuf),
    /// A PostgreSQL server. Its own `Debug` would show the password.
    Server(Box<PgConnectOptions>),
}

/// How much of a PostgreSQL server one node uses. SQLite needs no limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Connections: two write in turn, the others read.
    pub(super) connections: u32,
    /// How long a statement may take.
    pub(super) timeout: Duration,
}

impl Usage {
    const DEFAULT: Self = Self { connections: 10, timeout: Duration::from_secs(10) };
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// `sqlite:PATH`, as in `sqlite:tidings.db` or `sqlite:///var/lib/tidings.db`;
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with the parameters of libpq, such as
    /// `?sslmode=verify-full&sslrootcert=ca.pem`. No message has the password in it.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            return file(rest.strip_prefix("//").unwrap_or(rest));
        }
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return server(text);
        }
        Err("must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE".to_owned())
    }
}

fn file(path: &str) -> Result<DatabaseUrl, String> {
    if path.is_empty() || path.contains(['?', '\0']) || path.starts_with(':') {
        return Err("must name a file, as in sqlite:tidings.db".to_owned());
    }
    Ok(DatabaseUrl::file(path))
}

fn server(text: &str) -> Result<DatabaseUrl, String> {
    let url = Url::parse(text).map_err(|e| format!("is no URL: {e}"))?;
    if url.cannot_be_a_base() || url.path().trim_start_matches('/').is_empty() {
        return Err("must name a database, as in postgres://HOST/DATABASE".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a #: in passwords write %23".to_owned());
    }
    for (name, _) in url.query_pairs() {
        if !PARAMETERS.contains(&&*name) {
            let known = PARAMETERS.join(", ");
            return Err(format!("has the unknown parameter {name:?}; these are known: {known}"));
        }
    }
    let options = PgConnectOptions::from_str(text).map_err(|e| match e {
        sea_orm::sqlx::Error::Configuration(what) => format!("has a bad parameter: {what}"),
        _ => "cannot be read".to_owned(),
    })?;
    let options = match options.get_application_name() {
        None => options.application_name("tidings"),
        Some(_) => options,
    };
    Ok(DatabaseUrl { place: Place::Server(Box::new(options)), usage: Usage::DEFAULT })
}

impl DatabaseUrl {
    /// Of a database file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::File(path.into()), usage: Usage::DEFAULT }
    }

    /// Limits what this node uses of a PostgreSQL server: connections, of which two write
    /// in turn and the others read (at least one), and the time of a statement.
    #[must_use]
    pub fn with_limits(mut self, connections: u32, timeout: Duration) -> Self {
        self.usage = Usage { connections, timeout };
        self
    }

    /// The directory of a database file; none of a server.
    pub fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => path.parent(),
            Place::Server(_) => None,
        }
    }

    /// How long the answer to a statement is waited for: longer than a server lets it take.
    pub(super) fn patience(&self) -> Option<Duration> {
        let server = matches!(self.place, Place::Server(_));
        server.then(|| self.usage.timeout + self.usage.timeout / 2)
    }
}

/// For people: the file, or user, host, port and name of the database.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => path.display().fmt(f),
            Place::Server(options) => {
                let host = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => options.get_host().to_owned(),
                };
                let database = options.get_database().unwrap_or_default();
                let (user, port) = (options.get_username(), options.get_port());
                write!(f, "postgres://{user}@{host}:{port}/{database}")
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        url.parse::<DatabaseUrl>().expect_err(url)
    }

    #[test]
    fn urls_name_a_file_or_a_database_of_a_server() {
        let path = |url: &str| {
            url.parse::<DatabaseUrl>().map(|url| match url.place {
                Place::File(path) => Some(path),
                Place::Server(_) => None,
            })
        };
        assert_eq!(path("sqlite:tidings.db"), Ok(Some("tidings.db".into())));
        assert_eq!(path("sqlite:///var/lib/t.db"), Ok(Some("/var/lib/t.db".into())));
        assert_eq!(path("postgres://h/d"), Ok(None));
        assert_eq!(path("postgresql:///d?host=/run/postgresql"), Ok(None));
        for bad in ["", "tidings.db", "sqlite:", "sqlite::memory:", "sqlite:a?mode=ro", "mysql:a"] {
            refused(bad);
        }
    }

    #[test]
    fn faults_of_a_server_are_named() {
        for (url, what) in [
            ("postgres://h", "name a database"),
            ("postgres:d", "name a database"),
            ("postgres://u:s3cret@h:port/d", "invalid port number"),
            ("postgres://u:s3cret@h/d?sslmod=require", "\"sslmod\"; these are known: sslmode"),
            ("postgres://u:s3cret@h/d?sslmode=maybe", "maybe"),
            ("postgres://u:s3#cret@h/d", "port"),
            ("postgres://h/d#s3cret", "%23"),
        ] {
            let fault = refused(url);
            assert!(fault.contains(what) && !fault.contains("s3"), "{url}: {fault}");
        }
    }

    #[test]
    fn no_text_has_the_password() {
        let shown = "postgres://anna@db.example:5433/tidings";
        for url in [
            "postgres://anna:s3cret@db.example:5433/tidings",
            "postgresql://db.example:5433/tidings?user=anna&password=s3cret&sslmode=require",
        ] {
            let url: DatabaseUrl = url.parse().expect("a URL");
            assert_eq!((url.to_string().as_str(), format!("{url:?}").as_str()), (shown, shown));
        }
        let socket: DatabaseUrl = "postgres://anna@%2Frun%2Fpg:5433/t".parse().expect("a URL");
        assert_eq!(socket.to_string(), "postgres://anna@/run/pg:5433/t");
    }
}
