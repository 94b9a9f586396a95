//! Statements over many rows, in a few fixed sizes, so that each is prepared once.

use std::sync::OnceLock;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, Value};

use super::failure::Failure;

/// Rows per statement, largest first. The last is 1, so any number can be made up; each
/// is half of the one before, so few statements do, which is what counts: each is a
/// turn to the connection's thread and back.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A statement of the form `{before} VALUES {row}, {row}, … {after}`.
///
/// Its parameters have no numbers: SQLite keeps `$1` as a name, and the driver looks up
/// the name of each parameter from the first on, which takes the square of their number.
pub(super) struct Bulk {
    before: &'static str,
    row: &'static str,
    after: &'static str,
    /// Values per row.
    parameters: usize,
    texts: [OnceLock<String>; SIZES.len()],
}

impl Bulk {
    /// `row` is a row as SQL has it, with a `?` for each value that differs from row to row.
    pub(super) const fn new(before: &'static str, row: &'static str, after: &'static str) -> Self {
        let texts = [const { OnceLock::new() }; SIZES.len()];
        let (mut parameters, mut at) = (0, 0);
        while at < row.len() {
            parameters += (row.as_bytes()[at] == b'?') as usize;
            at += 1;
        }
        Self { before, row, after, parameters, texts }
    }

    fn text(&self, size: usize) -> &str {
        self.texts[size].get_or_init(|| {
            let rows = [self.row; SIZES[0]];
            format!("{} VALUES {} {}", self.before, rows[..SIZES[size]].join(", "), self.after)
        })
    }

    /// Runs it over all rows, whose values stand one after the other in `values`.
    /// Returns the number of rows that the database says it changed.
    pub(super) async fn run(
        &self,
        tx: &DatabaseTransaction,
        values: Vec<Value>,
    ) -> Result<u64, Failure> {
        debug_assert_eq!(values.len() % self.parameters, 0, "whole rows");
        let mut rows = values.len() / self.parameters;
        let mut values = values.into_iter();
        let mut changed = 0;
        for (size, &count) in SIZES.iter().enumerate() {
            while rows >= count {
                let chunk: Vec<Value> = values.by_ref().take(count * self.parameters).collect();
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
