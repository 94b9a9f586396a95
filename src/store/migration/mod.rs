//! The schema, as a list of migrations. A migration that was released never changes.

mod m0001_initial;
mod words;

use sea_orm_migration::prelude::*;

/// All migrations, oldest first.
pub(super) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_initial::Migration)]
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectOptions, ConnectionTrait, Database};

    use super::*;

    #[tokio::test]
    async fn a_migration_is_made_whole_or_not_at_all() {
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.max_connections(1).sqlx_logging(false);
        let file = Database::connect(options).await.expect("opens");
        let execute = async |sql: &str| file.execute_unprepared(sql).await;
        // Stops the first migration at its last table.
        execute("CREATE TABLE journal (entry)").await.expect("made");
        Migrator::up(&file, None).await.expect_err("the table is there");
        execute("SELECT 1 FROM tenants").await.expect_err("nothing was made");

        execute("DROP TABLE journal").await.expect("removed");
        Migrator::up(&file, None).await.expect("made");
        execute("SELECT 1 FROM tenants").await.expect("made");
    }
}
