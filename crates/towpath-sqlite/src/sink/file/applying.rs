//! One transaction that applies rows.

use rusqlite::{ErrorCode, Transaction, TransactionBehavior, params_from_iter};

use super::{Row, Store};
use crate::sink::statement::quoted;

/// How many identities are forgotten in one go.
const FORGOTTEN: i64 = 1000;

/// A transaction that has the only right to write.
pub(super) struct Applying<'s> {
    transaction: Transaction<'s>,
    store: &'s Store,
    now: i64,
}

/// What makes the table of what was applied.
pub(super) fn table(name: &str) -> String {
    let (table, index) = (quoted(name), quoted(&format!("{name}_at")));
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (identity TEXT PRIMARY KEY, at INTEGER NOT NULL)
         WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS {index} ON {table} (at);"
    )
}

/// Whether an error may be that of a row.
pub(super) fn is_about_a_row(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::Unknown
        ),
        rusqlite::Error::ToSqlConversionFailure(_) => true,
        _ => false,
    }
}

impl<'s> Applying<'s> {
    pub(super) fn begin(store: &'s Store) -> rusqlite::Result<Self> {
        let behavior = TransactionBehavior::Immediate;
        Ok(Self {
            transaction: Transaction::new_unchecked(&store.connection, behavior)?,
            store,
            now: store.clock.now(),
        })
    }

    pub(super) fn run_all(&self, statements: &str) -> rusqlite::Result<()> {
        self.transaction.execute_batch(statements)
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.transaction.commit()
    }

    /// Applies a row; the inner error is that of the row alone, which has changed nothing.
    pub(super) fn apply(&self, row: &Row) -> rusqlite::Result<rusqlite::Result<()>> {
        let applied = match (&self.store.script.applied, &row.identity) {
            (Some(table), Some(identity)) => self.apply_once(table, identity, row),
            _ => self.execute(row),
        };
        match applied {
            Err(error) if self.is_about_this_row(&error) => Ok(Err(error)),
            applied => applied.map(Ok),
        }
    }

    /// SQLite undoes a statement that fails, and nothing else.
    fn execute(&self, row: &Row) -> rusqlite::Result<()> {
        let mut statement = self
            .transaction
            .prepare_cached(&self.store.script.statement)?;
        let mut rows = statement.query(params_from_iter(&row.values))?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    fn apply_once(&self, table: &str, identity: &str, row: &Row) -> rusqlite::Result<()> {
        let table = quoted(table);
        let remember = format!("INSERT OR IGNORE INTO {table} VALUES (?1, ?2)");
        let mut remember = self.transaction.prepare_cached(&remember)?;
        if remember.execute((identity, self.now))? == 0 {
            return Ok(());
        }
        let applied = self.execute(row);
        if applied.is_err() && !self.transaction.is_autocommit() {
            let forget = format!("DELETE FROM {table} WHERE identity = ?1");
            self.transaction
                .prepare_cached(&forget)?
                .execute([identity])?;
        }
        applied
    }

    /// Whether only this row was wrong: it has not taken the transaction with it.
    fn is_about_this_row(&self, error: &rusqlite::Error) -> bool {
        !self.transaction.is_autocommit() && self.store.blames_a_row(error)
    }

    /// Forgets what was applied long ago, but not very much at once.
    pub(super) fn forget(&self) -> rusqlite::Result<()> {
        let Some(table) = &self.store.script.applied else {
            return Ok(());
        };
        let table = quoted(table);
        let forget = format!(
            "DELETE FROM {table} WHERE identity IN
             (SELECT identity FROM {table} WHERE at < ?1 ORDER BY at LIMIT ?2)"
        );
        let age = i64::try_from(self.store.remember_for.as_millis()).unwrap_or(i64::MAX);
        let mut forget = self.transaction.prepare_cached(&forget)?;
        forget.execute((self.now.saturating_sub(age), FORGOTTEN))?;
        Ok(())
    }
}
