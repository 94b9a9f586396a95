//! Statements over many rows, each prepared once: SQLite takes rows of parameters, in a few
//! fixed sizes; PostgreSQL takes one array per column, of any length.

use std::sync::OnceLock;

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value, sea_query::ArrayType};

use super::{
    failure::{Failure, corrupt},
    sql::Sql,
};

/// Rows per statement on SQLite, smallest first. What there is goes into the smallest that
/// holds it, whose other rows are NULL and left out: one statement is one turn to the
/// connection's thread and back, which costs more than they do.
const SIZES: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Stand in arrays for NULL, which the driver cannot put there. No number of ours is this
/// small, and no text that may be absent is empty.
const NO_NUMBER: i64 = i64::MIN;
const NO_TEXT: &str = "";

/// What a column of the rows holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    OptionalNumber,
    Text,
    OptionalText,
    Uuid,
    Bytes,
}

/// A column of the rows: its name, and what it holds.
pub(super) type Column = (&'static str, Kind);

/// A statement over rows that the caller gives.
pub(super) struct Bulk {
    action: Action,
    columns: &'static [Column],
    /// The statement for each size of SQLite's, then that for PostgreSQL.
    texts: [OnceLock<String>; SIZES.len() + 1],
}

#[derive(Clone, Copy)]
enum Action {
    Insert {
        table: &'static str,
        /// Columns that are the same in all rows, and their values.
        fixed: (&'static str, &'static str),
        after: &'static str,
    },
    /// A statement with a table `new` to be read from: the rows.
    Update(&'static str),
}

impl Bulk {
    /// Inserts rows into a table.
    pub(super) const fn insert(table: &'static str, columns: &'static [Column]) -> Self {
        Self::new(Action::Insert { table, fixed: ("", ""), after: "" }, columns)
    }

    /// Runs `UPDATE … FROM new WHERE …`; the rows are the table `new`.
    pub(super) const fn update(sql: &'static str, columns: &'static [Column]) -> Self {
        Self::new(Action::Update(sql), columns)
    }

    const fn new(action: Action, columns: &'static [Column]) -> Self {
        let texts = [const { OnceLock::new() }; SIZES.len() + 1];
        Self { action, columns, texts }
    }

    /// Inserts these columns with the same values in all rows, too.
    pub(super) const fn with(mut self, columns: &'static str, values: &'static str) -> Self {
        if let Action::Insert { table, after, .. } = self.action {
            self.action = Action::Insert { table, fixed: (columns, values), after };
        }
        self
    }

    /// What an insertion does where the row is there already: `ON CONFLICT …`.
    pub(super) const fn on_conflict(mut self, after: &'static str) -> Self {
        if let Action::Insert { table, fixed, .. } = self.action {
            self.action = Action::Insert { table, fixed, after };
        }
        self
    }

    /// Runs it over all rows, whose values stand one after the other in `values`.
    /// Returns the number of rows that the database says it changed.
    pub(super) async fn run(&self, tx: &Sql, values: Vec<Value>) -> Result<u64, Failure> {
        debug_assert_eq!(values.len() % self.columns.len(), 0, "whole rows");
        if values.is_empty() {
            return Ok(0);
        }
        match tx {
            Sql::Direct(tx) => {
                let text = self.text(0);
                Ok(tx.run_each(text, &values, self.columns.len())?)
            }
            Sql::Driver(on) if on.get_database_backend() == DbBackend::Postgres => {
                self.run_arrays(on, values).await
            }
            Sql::Driver(on) => self.run_rows(on, values).await,
        }
    }

    async fn run_rows(
        &self,
        tx: &impl ConnectionTrait,
        values: Vec<Value>,
    ) -> Result<u64, Failure> {
        let mut values = values.into_iter();
        let mut changed = 0;
        while values.len() > 0 {
            let rows = values.len() / self.columns.len();
            let size = SIZES.iter().position(|size| *size >= rows).unwrap_or(SIZES.len() - 1);
            let text = self.text(size);
            let chunk = values.by_ref().take(SIZES[size] * self.columns.len()).collect();
            changed += execute(tx, text, chunk).await?;
        }
        Ok(changed)
    }

    /// The statement of a size of SQLite's: the first is for one row, which needs no table to
    /// read from.
    fn text(&self, size: usize) -> &str {
        self.texts[size].get_or_init(|| match SIZES[size] {
            1 => self.over_one(),
            rows => self.over_rows(rows),
        })
    }

    async fn run_arrays(
        &self,
        tx: &impl ConnectionTrait,
        values: Vec<Value>,
    ) -> Result<u64, Failure> {
        let text = self.texts[SIZES.len()].get_or_init(|| match self.action {
            Action::Insert { .. } => self.part(1, "", |_| None),
            Action::Update(sql) => {
                let (given, from) = self.given(1, |_| None);
                format!("WITH new({}) AS (SELECT {given} {from}) {sql}", self.names())
            }
        });
        execute(tx, text, self.arrays(values)?).await
    }

    /// The values of all rows as one array per column, as PostgreSQL takes them.
    pub(super) fn arrays(&self, values: Vec<Value>) -> Result<Vec<Value>, Failure> {
        let rows = values.len() / self.columns.len();
        let mut arrays: Vec<Vec<Value>> =
            self.columns.iter().map(|_| Vec::with_capacity(rows)).collect();
        for (value, at) in values.into_iter().zip((0..self.columns.len()).cycle()) {
            arrays[at].push(self.columns[at].1.element(value)?);
        }
        let arrays = arrays.into_iter().zip(self.columns);
        Ok(arrays.map(|(values, (_, kind))| kind.array(values)).collect())
    }

    /// How many arrays it takes.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// An insertion over arrays, the first of which is parameter `first`, as a part of a
    /// larger statement: the rows are called `given`, `join` follows them, and `reads` may
    /// say how a column is read.
    pub(super) fn part(
        &self,
        first: usize,
        join: &str,
        reads: fn(&str) -> Option<&'static str>,
    ) -> String {
        let Action::Insert { table, fixed: (_, values), after } = self.action else {
            return String::new();
        };
        let (mut given, from) = self.given(first, reads);
        if !values.is_empty() {
            given = format!("{given}, {values}");
        }
        format!("INSERT INTO {table} ({}) SELECT {given} {from} {join} {after}", self.inserted())
    }

    /// The columns as they are read from arrays, and the arrays as a table.
    fn given(&self, first: usize, reads: fn(&str) -> Option<&'static str>) -> (String, String) {
        let arrays =
            (first..).zip(self.columns).map(|(n, (_, kind))| format!("${n}::{}[]", kind.sql()));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        let given = self.columns.iter().map(|(name, kind)| match reads(name) {
            Some(read) => read.to_owned(),
            None => kind.read(name),
        });
        let given = given.collect::<Vec<_>>().join(", ");
        (given, format!("FROM unnest({arrays}) AS given({})", self.names()))
    }

    /// The text for up to so many rows of parameters: those that are not bound are NULL.
    /// They have no numbers: SQLite keeps `$1` as a name, and the driver looks up the name of
    /// each parameter from the first on, which takes the square of their number.
    fn over_rows(&self, count: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let rows =
            format!("WITH new({}) AS (VALUES {})", self.names(), vec![row; count].join(", "));
        match self.action {
            Action::Insert { table, fixed: (_, values), after } => {
                let (into, given, first) = (self.inserted(), self.names(), self.columns[0].0);
                let comma = if values.is_empty() { "" } else { ", " };
                format!(
                    "{rows} INSERT INTO {table} ({into}) SELECT {given}{comma}{values}
                     FROM new WHERE {first} IS NOT NULL {after}"
                )
            }
            // It compares with keys: none is NULL.
            Action::Update(sql) => format!("{rows} {sql}"),
        }
    }

    /// The text for one row, without a table of rows to read from.
    fn over_one(&self) -> String {
        match self.action {
            Action::Insert { table, fixed: (_, values), after } => {
                let given = vec!["?"; self.columns.len()].join(", ");
                let comma = if values.is_empty() { "" } else { ", " };
                let into = self.inserted();
                format!("INSERT INTO {table} ({into}) VALUES ({given}{comma}{values}) {after}")
            }
            Action::Update(sql) => {
                let mut columns: Vec<_> = (1..).zip(self.columns).collect();
                // No name is to be taken for the beginning of another.
                columns.sort_by_key(|(_, (name, _))| std::cmp::Reverse(name.len()));
                let one = sql.replace("FROM new", "");
                columns.iter().fold(one, |sql, (at, (name, _))| {
                    sql.replace(&format!("new.{name}"), &format!("?{at}"))
                })
            }
        }
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn inserted(&self) -> String {
        match self.action {
            Action::Insert { fixed: (columns, _), .. } if !columns.is_empty() => {
                format!("{}, {columns}", self.names())
            }
            _ => self.names(),
        }
    }
}

async fn execute(
    tx: &impl ConnectionTrait,
    text: &str,
    values: Vec<Value>,
) -> Result<u64, Failure> {
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), text, values);
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

impl Kind {
    /// What PostgreSQL calls it.
    fn sql(self) -> &'static str {
        match self {
            Self::Number | Self::OptionalNumber => "bigint",
            Self::Text | Self::OptionalText => "text",
            Self::Uuid => "uuid",
            Self::Bytes => "bytea",
        }
    }

    /// The column as it is read from the arrays.
    fn read(self, name: &str) -> String {
        match self {
            Self::Number | Self::Text | Self::Uuid | Self::Bytes => format!("given.{name}"),
            Self::OptionalNumber => format!("NULLIF(given.{name}, '{NO_NUMBER}'::bigint)"),
            Self::OptionalText => format!("NULLIF(given.{name}, '{NO_TEXT}')"),
        }
    }

    /// A value as an element of the array.
    fn element(self, value: Value) -> Result<Value, Failure> {
        let element = match (self, value) {
            (Self::Number | Self::OptionalNumber, Value::BigInt(Some(n))) => n.into(),
            (Self::Number | Self::OptionalNumber, Value::Int(Some(n))) => i64::from(n).into(),
            (Self::OptionalNumber, Value::BigInt(None) | Value::Int(None)) => NO_NUMBER.into(),
            (Self::Text | Self::OptionalText, value @ Value::String(Some(_))) => value,
            (Self::OptionalText, Value::String(None)) => NO_TEXT.into(),
            (Self::Uuid, value @ Value::Uuid(Some(_))) => value,
            (Self::Bytes, value @ Value::Bytes(Some(_))) => value,
            _ => return Err(corrupt("row of a bulk statement").into()),
        };
        Ok(element)
    }

    fn array(self, values: Vec<Value>) -> Value {
        let kind = match self {
            Self::Number | Self::OptionalNumber => ArrayType::BigInt,
            Self::Text | Self::OptionalText => ArrayType::String,
            Self::Uuid => ArrayType::Uuid,
            Self::Bytes => ArrayType::Bytes,
        };
        Value::Array(kind, Some(Box::new(values)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_for_one_row_names_its_parameters_by_their_columns() {
        let update = Bulk::update(
            "UPDATE t SET a = new.a, b = t.b FROM new WHERE t.k = new.k AND t.a = new.a_before",
            &[("k", Kind::Number), ("a", Kind::Number), ("a_before", Kind::Number)],
        );
        let one = update.over_one();
        assert_eq!(one, "UPDATE t SET a = ?2, b = t.b  WHERE t.k = ?1 AND t.a = ?3");
        let insert = Bulk::insert("t", &[("k", Kind::Number), ("a", Kind::Number)])
            .with("b", "1")
            .on_conflict("ON CONFLICT DO NOTHING");
        let one = insert.over_one();
        assert_eq!(one, "INSERT INTO t (k, a, b) VALUES (?, ?, 1) ON CONFLICT DO NOTHING");
    }
}
