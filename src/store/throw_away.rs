//! Databases that are made for one purpose on a PostgreSQL server, beside the one that a URL
//! names, and dropped after it. What is in the named one is not looked at.

use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::{
    connect,
    database_url::{DatabaseUrl, Place},
};

impl DatabaseUrl {
    /// Makes an empty database of that name, of letters, digits and `_`, on the server of
    /// this one.
    ///
    /// # Errors
    ///
    /// In words for an operator: the role may not make databases, for example.
    pub async fn create_beside(&self, name: &str) -> Result<(), String> {
        self.run(&format!("CREATE DATABASE {}", quoted(name)?)).await
    }

    /// Drops a database that was made so, whoever is connected to it.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn drop_beside(&self, name: &str) -> Result<(), String> {
        self.run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name)?)).await
    }

    async fn run(&self, sql: &str) -> Result<(), String> {
        let connection: DatabaseConnection = match &self.place {
            Place::File(path) => return Err(format!("{} is a file", path.display())),
            Place::Server(options) => connect::single(options, self.usage),
        };
        let done = connection.execute_unprepared(sql).await;
        done.map(drop).map_err(|e| format!("{self}: {sql}: {e}"))
    }
}

fn quoted(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(plain) {
        Ok(format!("\"{name}\""))
    } else {
        Err(format!("{name:?} is no name for a database"))
    }
}
