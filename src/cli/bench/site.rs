//! Where it is measured: databases and servers of the benchmark's own, or a server that runs
//! already. Whatever is made there is noted first, and removed in the end.

use std::{
    env, fs, io,
    path::{self, Path, PathBuf},
};

use parking_lot::Mutex;
use url::Url;
use uuid::Uuid;

use super::{
    access::Access,
    options::BenchOptions,
    served::{Guest, Own, Served},
};
use crate::{cli::directory::ThrowAway, store::DatabaseUrl};

/// What names of databases and directories of ours begin with.
const PREFIX: &str = "tidings_bench";

/// Where it is measured.
pub(super) struct Site {
    program: PathBuf,
    directory: ThrowAway,
    place: Place,
    made: Mutex<Vec<Made>>,
}

enum Place {
    /// SQLite files in the directory.
    Files,
    /// Databases on the server of this one.
    Postgres { text: String, url: Box<DatabaseUrl> },
    /// A server that runs already.
    Target { url: String, access: Access },
}

/// What has to be removed.
enum Made {
    Directory(PathBuf),
    Database(String),
    Guest(Guest),
}

/// An empty database of the benchmark's own, and a directory that goes with it.
pub(super) struct Database {
    pub(super) url: String,
    pub(super) directory: PathBuf,
}

impl Site {
    /// The site that the options name.
    pub(super) fn open(options: &BenchOptions) -> Result<Self, String> {
        let program = env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let mut parent = env::temp_dir();
        let place = match (&options.target, &options.database) {
            (Some(url), _) => {
                let token = env::var("TIDINGS_TOKEN").ok().filter(|token| !token.is_empty());
                Place::Target { url: url.clone(), access: Access::new(url, token.as_deref())? }
            }
            (None, None) => Place::Files,
            (None, Some(text)) => {
                let url: DatabaseUrl = text.parse().map_err(|e| format!("--database {e}"))?;
                match url.directory() {
                    Some(directory) => {
                        let directory = Path::new(".").join(directory);
                        parent =
                            path::absolute(directory).map_err(|e| format!("--database: {e}"))?;
                        Place::Files
                    }
                    None => Place::Postgres { text: text.clone(), url: Box::new(url) },
                }
            }
        };
        let directory = ThrowAway::create(&parent, PREFIX)?;
        Ok(Self { program, directory, place, made: Mutex::default() })
    }

    /// In words, without a password.
    pub(super) fn name(&self) -> String {
        match &self.place {
            Place::Files => {
                let parent = self.directory.path().parent().unwrap_or(Path::new("/"));
                format!("SQLite in {}", parent.display())
            }
            Place::Postgres { url, .. } => format!("PostgreSQL, beside {url}"),
            Place::Target { url, .. } => format!("the server at {url}"),
        }
    }

    /// An empty database; none where the server has its own.
    pub(super) async fn database(&self) -> Result<Option<Database>, String> {
        let name = format!("{PREFIX}_{}", Uuid::new_v4().simple());
        let directory = self.directory.path().join(&name);
        let url = match &self.place {
            Place::Target { .. } => return Ok(None),
            Place::Files => format!("sqlite:{}", directory.join("tidings.db").display()),
            Place::Postgres { text, url } => {
                self.made.lock().push(Made::Database(name.clone()));
                url.create_beside(&name).await?;
                let mut text = Url::parse(text).map_err(|e| format!("--database: {e}"))?;
                text.set_path(&name);
                text.into()
            }
        };
        self.made.lock().push(Made::Directory(directory.clone()));
        fs::create_dir(&directory)
            .map_err(|e| format!("cannot make {}: {e}", directory.display()))?;
        Ok(Some(Database { url, directory }))
    }

    /// A server that answers.
    pub(super) async fn serve(&self) -> Result<Served, String> {
        match (&self.place, self.database().await?) {
            (_, Some(database)) => Own::start(&self.program, &database).await,
            (Place::Target { access, .. }, None) => {
                let guest = Guest::new(access.clone());
                self.made.lock().push(Made::Guest(guest.clone()));
                Served::of_others(guest).await
            }
            (_, None) => Err("there is no server".to_owned()),
        }
    }

    /// Removes what was made there, of which nothing may be in use any more.
    pub(super) async fn clear(&self) -> Result<(), String> {
        let mut result = Ok(());
        loop {
            let Some(made) = self.made.lock().pop() else { return result };
            let removed = match (made, &self.place) {
                (Made::Directory(path), _) => remove(&path),
                (Made::Database(name), Place::Postgres { url, .. }) => url.drop_beside(&name).await,
                (Made::Database(_), _) => Ok(()),
                (Made::Guest(guest), _) => guest.leave().await,
            };
            result = result.and(removed);
        }
    }

    /// Removes everything.
    pub(super) async fn close(self) -> Result<(), String> {
        let cleared = self.clear().await;
        cleared.and(self.directory.remove().await)
    }
}

fn remove(directory: &Path) -> Result<(), String> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {e}", directory.display()))
        }
        _ => Ok(()),
    }
}
