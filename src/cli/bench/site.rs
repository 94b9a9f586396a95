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
pub struct Site {
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
pub struct Database {
    /// With its password, if it has one.
    pub url: String,
    /// Where its server is started.
    pub directory: PathBuf,
}

impl Site {
    /// The site that the options name.
    pub(super) fn open(options: &BenchOptions) -> Result<Self, String> {
        let program = env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        if let Some(url) = &options.target {
            let token = env::var("TIDINGS_TOKEN").ok().filter(|token| !token.is_empty());
            let access = Access::new(url, token.as_deref())?;
            let place = Place::Target { url: url.clone(), access };
            return Self::at(place, program, &env::temp_dir());
        }
        Self::of_databases(options.database.as_deref(), program, &env::temp_dir())
    }

    /// Databases beside that one, else files in `folder`, with servers of `program`.
    ///
    /// # Errors
    ///
    /// Where that is no database, or where there can be no directory.
    pub fn of_databases(
        database: Option<&str>,
        program: PathBuf,
        folder: &Path,
    ) -> Result<Self, String> {
        let Some(text) = database else { return Self::at(Place::Files, program, folder) };
        let url: DatabaseUrl = text.parse().map_err(|e| format!("--database {e}"))?;
        let Some(directory) = url.directory() else {
            let place = Place::Postgres { text: text.to_owned(), url: Box::new(url) };
            return Self::at(place, program, folder);
        };
        let folder = path::absolute(Path::new(".").join(directory));
        Self::at(Place::Files, program, &folder.map_err(|e| format!("--database: {e}"))?)
    }

    fn at(place: Place, program: PathBuf, folder: &Path) -> Result<Self, String> {
        let directory = ThrowAway::create(folder, PREFIX)?;
        Ok(Self { program, directory, place, made: Mutex::default() })
    }

    /// What its servers are started from.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// In words, without a password.
    pub fn name(&self) -> String {
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
    ///
    /// # Errors
    ///
    /// Where it cannot be made.
    pub async fn database(&self) -> Result<Option<Database>, String> {
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
    ///
    /// # Errors
    ///
    /// Says the first thing that cannot be removed.
    pub async fn clear(&self) -> Result<(), String> {
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
    ///
    /// # Errors
    ///
    /// As [`Self::clear`].
    pub async fn close(self) -> Result<(), String> {
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
