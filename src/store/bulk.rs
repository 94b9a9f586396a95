//! Statements over many rows, in a few fixed sizes, so that each is prepared once.

use std::sync::OnceLock;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, Value};

use super::failure::Failure;

/// Rows per statement, largest first. The last is 1, so any number can be made up.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// A statement of the form `{before} VALUES (…), (…), … {after}`.
///
/// Its parameters have no numbers: SQLite keeps `$1` as a name, and the driver looks up
/// the name of each parameter from the first on, which takes the square of their number.
pub(super) struct Bulk {
    before: &'static str,
    after: &'static str,
    columns: usize,
    texts: [OnceLock<String>; SIZES.len()],
}

impl Bulk {
    pub(super) const fn new(before: &'static str, columns: usize, after: &'static str) -> Self {
        let texts = [const { OnceLock::new() }; SIZES.len()];
        Self { before, after, columns, texts }
    }

    fn text(&self, size: usize) -> &str {
        self.texts[size].get_or_init(|| {
            let mut text = format!("{} VALUES ", self.before);
            for row in 0..SIZES[size] {
                text.push_str(if row == 0 { "(" } else { "), (" });
                for column in 0..self.columns {
                    text.push_str(if column == 0 { "?" } else { ", ?" });
                }
            }
            text.push_str(") ");
            text.push_str(self.after);
            text
        })
    }

    /// Runs it over all rows, whose values stand one after the other in `values`.
    /// Returns the number of rows that the database says it changed.
    pub(super) async fn run(
        &self,
        tx: &DatabaseTransaction,
        values: Vec<Value>,
    ) -> Result<u64, Failure> {
        debug_assert_eq!(values.len() % self.columns, 0, "whole rows");
        let mut rows = values.len() / self.columns;
        let mut values = values.into_iter();
        let mut changed = 0;
        for (size, &count) in SIZES.iter().enumerate() {
            while rows >= count {
                let chunk: Vec<Value> = values.by_ref().take(count * self.columns).collect();
                let statement = Statement::from_sql_and_values(
                    tx.get_database_backend(),
                    self.text(size),
                    chunk,
                );
                changed += tx.execute_raw(statement).await?.rows_affected();
                rows -= count;
            }
        }
        Ok(changed)
    }
}
