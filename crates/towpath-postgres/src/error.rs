//! What went wrong with a server, in words that hold no secret.

use std::{error::Error as _, time::Duration};

use tokio_postgres::error::{DbError, SqlState};

use crate::PostgresOptions;

/// A server could not be reached, or refused what it was asked.
///
/// The text says all that is known and names the setting that would help; it never holds a
/// password. There is no other error below it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct PostgresError {
    kind: Kind,
    state: Option<SqlState>,
    message: String,
    /// The line of a `COPY` that the server has complained of; the first is 0.
    line: Option<usize>,
}

/// What may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Another attempt, later: the server is away, full, or starts just now; a setting is
    /// wrong, a table is missing.
    Later,
    /// Another attempt, at once: somebody else was in the way.
    Conflict,
    /// Another row: the server will never take this one.
    Row,
}

// === impl PostgresError ===

impl PostgresError {
    /// The code of the error by the SQL standard, where the server has said one: `23505` for
    /// a key that is there already.
    pub fn sqlstate(&self) -> Option<&str> {
        self.state.as_ref().map(SqlState::code)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn line(&self) -> Option<usize> {
        self.line
    }

    /// Whether the server may have done what it was asked, although it has not said so.
    pub(crate) fn leaves_doubt(&self) -> bool {
        let code = self.sqlstate().and_then(|code| code.get(..2));
        self.kind == Kind::Later && matches!(code, None | Some("08" | "57" | "58" | "XX"))
    }

    pub(crate) fn later(message: String) -> Self {
        Self {
            kind: Kind::Later,
            state: None,
            message,
            line: None,
        }
    }

    /// The login did not succeed.
    pub(crate) fn login(server: &PostgresOptions, error: &tokio_postgres::Error) -> Self {
        let why = words(error);
        let setting = match error.code() {
            Some(code) if code.code().starts_with("28") => "user and password in `url`",
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => "the database in `url`",
            Some(_) => "the server",
            None if why.contains("password") => "user and password in `url`",
            None if why.contains("TLS") => "`ca`, and at `sslmode` in `url`",
            None => "host and port in `url`",
        };
        Self {
            kind: Kind::Later,
            state: error.code().cloned(),
            message: format!("cannot connect to {server}: {why}; look at {setting}"),
            line: None,
        }
    }

    /// Nothing was said for too long.
    pub(crate) fn silent(server: &PostgresOptions, within: Duration) -> Self {
        Self::later(format!("{server} gave no answer within {within:?}"))
    }

    /// A statement failed. `setting` is what to look at when something that it names is not
    /// there; `lost` what the connection has said as it ended.
    pub(crate) fn statement(
        server: &PostgresOptions,
        setting: &str,
        error: &tokio_postgres::Error,
        lost: Option<String>,
    ) -> Self {
        let Some(db) = error.as_db_error() else {
            let why = lost.unwrap_or_else(|| chain(error));
            return Self::later(format!("lost {server}: {why}"));
        };
        let kind = kind_of(db);
        let help = match db.code().code().get(..2) {
            Some("42" | "3F") if kind == Kind::Later => format!("; look at `{setting}`"),
            _ => String::new(),
        };
        Self {
            kind,
            state: Some(db.code().clone()),
            message: format!("{}{help}", told(db)),
            line: db.where_().and_then(copied_line),
        }
    }

    /// The same, with more to know.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.message.push_str(more);
        self
    }
}

/// What the server says, or else the client.
pub(crate) fn words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| chain(error), told)
}

/// What the server says, without the detail: that may hold whole rows.
fn told(db: &DbError) -> String {
    let named = [
        ("table", db.table()),
        ("column", db.column()),
        ("constraint", db.constraint()),
    ];
    let named = named.into_iter().filter_map(|(name, value)| {
        // Mostly the message names them already.
        let value = value.filter(|value| !db.message().contains(value))?;
        Some(format!(", {name} {value}"))
    });
    let named: String = named.collect();
    format!("{} (SQLSTATE {}{named})", db.message(), db.code().code())
}

/// What a client says, with its causes.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Reads `COPY orders, line 7, column total`, counted from 1 there. Other words, as in other
/// languages, name no line.
fn copied_line(context: &str) -> Option<usize> {
    let line = context.lines().rfind(|line| line.starts_with("COPY "))?;
    let (_, number) = line.rsplit_once(", line ")?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse::<usize>().ok()?.checked_sub(1)
}

/// Reads the code of an error by the classes of PostgreSQL.
fn kind_of(db: &DbError) -> Kind {
    let code = db.code().code();
    let class = code.get(..2).unwrap_or_default();
    match class {
        "40" => Kind::Conflict,
        // Wrong data, broken constraints, what triggers and functions have to say.
        "09" | "21" | "22" | "23" | "27" | "38" | "39" | "44" | "54" | "P0" => Kind::Row,
        // A policy for rows refuses this one; anything else of this code concerns all.
        "42" if db.routine() == Some("ExecWithCheckOptions") => Kind::Row,
        _ => Kind::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_copy_is_read_where_one_is_named() {
        for (context, line) in [
            ("COPY orders, line 7, column total", Some(6)),
            (
                "PL/pgSQL function f() line 3 at RAISE\nCOPY orders, line 12",
                Some(11),
            ),
            ("COPY a, line 3, line 5, column x", Some(4)),
            ("COPY orders, Zeile 7", None),
            ("COPY orders, line 0", None),
            ("PL/pgSQL function f(), line 3", None),
            ("", None),
        ] {
            assert_eq!(copied_line(context), line, "{context}");
        }
    }
}
