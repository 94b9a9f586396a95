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
