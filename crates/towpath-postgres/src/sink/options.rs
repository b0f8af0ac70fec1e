//! The options of a sink.

use std::time::Duration;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use towpath_options::{InvalidOptions, Problems, bytes, duration};

use crate::{PostgresOptions, Table, table::check_name};

const PATIENCE: Duration = Duration::from_secs(5 * 60);
const MAX_ROW_BYTES: u64 = 64 << 20;
const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A table of PostgreSQL has no more columns.
const MOST_COLUMNS: usize = 1_600;
/// The table of positions that is not named.
const APPLIED: &str = "towpath_applied";

/// Where a sink writes to, and how.
///
/// ```
/// use towpath_postgres::{Once, PostgresSinkOptions};
///
/// let options: PostgresSinkOptions = serde_json::from_str(
///     r#"{ "server": "postgres://localhost/shop",
///          "target": { "upsert": { "table": "orders", "columns": ["id", "total"], "key": ["id"] } },
///          "once": "orders from kafka" }"#,
/// )?;
/// let columns = ["id", "total"];
/// let same = PostgresSinkOptions::upsert("postgres://localhost/shop", "orders", columns, ["id"])
///     .once(Once::new("orders from kafka"));
/// assert_eq!(format!("{options:?}"), format!("{same:?}"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PostgresSinkOptions {
    /// The server.
    pub server: PostgresOptions,
    /// What is written to, and with which statement.
    pub target: Target,
    /// Writes each message once, even if it comes several times.
    #[serde(default)]
    pub once: Option<Once>,
    /// How long a batch waits for the server before it is given back to its source; nothing
    /// more is taken meanwhile. 5 minutes unless set.
    #[serde(default = "patience", with = "duration")]
    pub patience: Duration,
    /// A row that takes more bytes is rejected. 64 MiB unless set.
    #[serde(default = "max_row_bytes", with = "bytes")]
    pub max_row_bytes: u64,
}

/// What a sink writes to, and with which statement.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Target {
    /// With `COPY`: the fastest.
    Copy {
        /// The table.
        table: Table,
        /// Its columns, in the order of the values of a row.
        columns: Vec<String>,
    },
    /// With `INSERT` of many rows at once: for tables and views that `COPY` does not fill.
    Insert {
        /// The table.
        table: Table,
        /// Its columns, in the order of the values of a row.
        columns: Vec<String>,
    },
    /// With `INSERT .. ON CONFLICT DO UPDATE`: a row whose key is there takes its place.
    Upsert {
        /// The table.
        table: Table,
        /// Its columns, in the order of the values of a row; those of the key too.
        columns: Vec<String>,
        /// The columns of the key: of a primary key or a unique index.
        key: Vec<String>,
    },
    /// With a statement of your own for each message.
    Statement {
        /// One statement with parameters: `$1`, `$2`..
        sql: String,
    },
}

/// How each message is written once, even if it comes several times.
///
/// The identity of each message goes into a table of its own, in the transaction that writes
/// the message; one that is there already is not written again. In options a text, which is the
/// scope, or a table with `scope` and what else is set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Once {
    /// Keeps the messages of different pipelines apart: one name for each source and sink.
    pub scope: String,
    /// How long identities are kept. What comes again later is written again. 7 days unless
    /// set.
    pub keep: Duration,
    /// The table of identities; `towpath_applied` unless set.
    pub table: Table,
}

fn patience() -> Duration {
    PATIENCE
}

fn max_row_bytes() -> u64 {
    MAX_ROW_BYTES
}

fn keep() -> Duration {
    KEEP
}

fn applied() -> Table {
    Table::new(APPLIED)
}

// === impl PostgresSinkOptions ===

impl PostgresSinkOptions {
    /// Writes to a target.
    pub fn new(server: impl Into<PostgresOptions>, target: Target) -> Self {
        Self {
            server: server.into(),
            target,
            once: None,
            patience: PATIENCE,
            max_row_bytes: MAX_ROW_BYTES,
        }
    }

    /// Copies rows into the columns of a table.
    pub fn copy_into<C: Into<String>>(
        server: impl Into<PostgresOptions>,
        table: impl Into<Table>,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        let (table, columns) = (table.into(), texts(columns));
        Self::new(server, Target::Copy { table, columns })
    }

    /// Inserts rows into the columns of a table.
    pub fn insert<C: Into<String>>(
        server: impl Into<PostgresOptions>,
        table: impl Into<Table>,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        let (table, columns) = (table.into(), texts(columns));
        Self::new(server, Target::Insert { table, columns })
    }

    /// Inserts rows, or updates those whose key is there.
    pub fn upsert<C: Into<String>, K: Into<String>>(
        server: impl Into<PostgresOptions>,
        table: impl Into<Table>,
        columns: impl IntoIterator<Item = C>,
        key: impl IntoIterator<Item = K>,
    ) -> Self {
        let target = Target::Upsert {
            table: table.into(),
            columns: texts(columns),
            key: texts(key),
        };
        Self::new(server, target)
    }

    /// Runs a statement for each message, with the values of its row as parameters.
    pub fn statement(server: impl Into<PostgresOptions>, sql: impl Into<String>) -> Self {
        Self::new(server, Target::Statement { sql: sql.into() })
    }

    /// Writes each message once, even if it comes several times.
    #[must_use]
    pub fn once(mut self, once: impl Into<Once>) -> Self {
        self.once = Some(once.into());
        self
    }

    /// How long a batch waits for the server before it is given back to its source.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A row that takes more bytes is rejected.
    #[must_use]
    pub fn max_row_bytes(mut self, bytes: u64) -> Self {
        self.max_row_bytes = bytes;
        self
    }

    /// Checks the options.
    ///
    /// # Errors
    /// Fails with everything that is wrong.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        self.server.check(&mut problems, "server");
        problems.within("target", |problems| self.target.check(problems));
        if let Some(once) = &self.once {
            problems.within("once", |problems| once.check(problems));
        }
        problems.expect_time("patience", self.patience);
        problems.expect_some("max_row_bytes", self.max_row_bytes);
        problems.into_result()
    }
}

fn texts<C: Into<String>>(names: impl IntoIterator<Item = C>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

// === impl Target ===

impl Target {
    /// The table, unless it is in a statement.
    pub(super) fn table(&self) -> Option<&Table> {
        match self {
            Self::Copy { table, .. } | Self::Insert { table, .. } | Self::Upsert { table, .. } => {
                Some(table)
            }
            Self::Statement { .. } => None,
        }
    }

    /// What to look at when the server does not know a name.
    pub(super) fn setting(&self) -> &'static str {
        match self {
            Self::Copy { .. } | Self::Insert { .. } => "table` and `columns",
            Self::Upsert { .. } => "table`, `columns` and `key",
            Self::Statement { .. } => "sql",
        }
    }

    fn check(&self, problems: &mut Problems) {
        match self {
            Self::Copy { table, columns } => check_columns(problems, "copy", table, columns),
            Self::Insert { table, columns } => check_columns(problems, "insert", table, columns),
            Self::Upsert {
                table,
                columns,
                key,
            } => {
                check_columns(problems, "upsert", table, columns);
                problems.within("upsert", |problems| check_key(problems, columns, key));
            }
            Self::Statement { sql } if sql.trim().is_empty() => {
                problems.add("statement.sql", "must not be empty");
            }
            Self::Statement { .. } => {}
        }
    }
}

fn check_columns(problems: &mut Problems, path: &str, table: &Table, columns: &[String]) {
    problems.within(path, |problems| {
        table.check(problems, "table");
        if columns.is_empty() {
            problems.add("columns", "must name at least one");
        }
        if columns.len() > MOST_COLUMNS {
            problems.add("columns", format!("must name at most {MOST_COLUMNS}"));
        }
        for (index, column) in columns.iter().enumerate() {
            let path = format!("columns[{index}]");
            check_name(problems, &path, "a column", column);
            if columns[..index].contains(column) {
                problems.add(&path, format!("names {column:?} once more"));
            }
        }
    });
}

fn check_key(problems: &mut Problems, columns: &[String], key: &[String]) {
    if key.is_empty() {
        problems.add("key", "must name at least one");
    }
    for (index, column) in key.iter().enumerate() {
        if !columns.contains(column) {
            let path = format!("key[{index}]");
            problems.add(&path, format!("{column:?} is none of the columns"));
        }
    }
}

// === impl Once ===

impl Once {
    /// Each message once within a scope: a name for this source and this sink.
    pub fn new(scope: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            keep: KEEP,
            table: applied(),
        }
    }

    /// How long identities are kept.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// The table of identities.
    #[must_use]
    pub fn table(mut self, table: impl Into<Table>) -> Self {
        self.table = table.into();
        self
    }

    fn check(&self, problems: &mut Problems) {
        if self.scope.is_empty() || self.scope.contains('\0') {
            problems.add("scope", "must be a text, and hold no zero byte");
        }
        problems.expect_time("keep", self.keep);
        self.table.check(problems, "table");
    }
}

impl From<&str> for Once {
    fn from(scope: &str) -> Self {
        Self::new(scope)
    }
}

impl From<String> for Once {
    fn from(scope: String) -> Self {
        Self::new(scope)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnceParts {
    scope: String,
    #[serde(default = "keep", with = "duration")]
    keep: Duration,
    #[serde(default = "applied")]
    table: Table,
}

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a scope, or a map with `scope`")
    }

    fn visit_str<E>(self, scope: &str) -> Result<Once, E> {
        Ok(Once::new(scope))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Once, M::Error> {
        let parts = OnceParts::deserialize(MapAccessDeserializer::new(map))?;
        let OnceParts { scope, keep, table } = parts;
        Ok(Once { scope, keep, table })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://h/d";

    #[test]
    fn every_kind_of_target_is_read_as_the_builder_makes_it() {
        let (table, columns) = ("t", ["a", "b"]);
        for (target, built) in [
            (
                r#"{"copy": {"table": "t", "columns": ["a", "b"]}}"#,
                PostgresSinkOptions::copy_into(URL, table, columns),
            ),
            (
                r#"{"insert": {"table": "t", "columns": ["a", "b"]}}"#,
                PostgresSinkOptions::insert(URL, table, columns),
            ),
            (
                r#"{"upsert": {"table": "t", "columns": ["a", "b"], "key": ["a"]}}"#,
                PostgresSinkOptions::upsert(URL, table, columns, ["a"]),
            ),
            (
                r#"{"statement": {"sql": "SELECT $1"}}"#,
                PostgresSinkOptions::statement(URL, "SELECT $1"),
            ),
        ] {
            let text = format!(
                r#"{{"server": "{URL}", "target": {target}, "patience": "1m",
                "max_row_bytes": "1MiB", "once": {{"scope": "s", "keep": "1h", "table": "x"}}}}"#
            );
            let read: PostgresSinkOptions = serde_json::from_str(&text).unwrap();
            let once = Once::new("s").keep(Duration::from_secs(3_600)).table("x");
            let built = built
                .patience(Duration::from_secs(60))
                .max_row_bytes(1 << 20)
                .once(once);
            assert_eq!(format!("{read:?}"), format!("{built:?}"));
            read.validate().unwrap();
        }
    }

    #[test]
    fn all_problems_are_reported_at_once_each_with_its_path() {
        let options = PostgresSinkOptions::upsert("", "", ["a", "a", ""], ["b"])
            .once(Once::new("").keep(Duration::ZERO).table(""))
            .patience(Duration::ZERO)
            .max_row_bytes(0);
        let error = options.validate().unwrap_err();
        let paths: Vec<_> = error.problems().iter().map(|p| p.path.as_str()).collect();
        let expected = [
            "server.url",
            "target.upsert.table",
            "target.upsert.columns[1]",
            "target.upsert.columns[2]",
            "target.upsert.key[0]",
            "once.scope",
            "once.keep",
            "once.table",
            "patience",
            "max_row_bytes",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_target_without_columns_key_or_sql_is_refused() {
        let none: [&str; 0] = [];
        for (options, path) in [
            (
                PostgresSinkOptions::copy_into(URL, "t", none),
                "target.copy.columns",
            ),
            (
                PostgresSinkOptions::upsert(URL, "t", ["a"], none),
                "target.upsert.key",
            ),
            (
                PostgresSinkOptions::statement(URL, " "),
                "target.statement.sql",
            ),
        ] {
            let error = options.validate().unwrap_err();
            assert_eq!(error.problems()[0].path, path);
        }
    }
}
