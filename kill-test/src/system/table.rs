//! A table in a PostgreSQL of the run's own, as a store.

use towpath::BoxError;
use towpath::postgres::{Once, applied_schema};
use towpath_test_servers::Postgres;

use super::{Part, StorePart, psql};
use crate::payload::Row;

/// Under which rows that were written `once` are known.
pub(crate) const SCOPE: &str = "killtest";

pub(crate) struct Table(Postgres);

// === impl Table ===

impl Table {
    pub(super) fn create(create: &str) -> Result<Self, BoxError> {
        let table = Self(Postgres::start()?);
        psql(&table.0, create)?;
        psql(&table.0, &applied_schema(&Once::new(SCOPE).table))?;
        Ok(table)
    }
}

impl Part for Table {
    fn address(&self) -> String {
        self.0.url()
    }

    fn is_server(&self) -> bool {
        true
    }

    fn kill(&mut self) -> Result<(), BoxError> {
        self.0.kill();
        Ok(())
    }

    fn restart(&mut self) -> Result<(), BoxError> {
        Ok(self.0.restart()?)
    }
}

impl StorePart for Table {
    fn rows(&self) -> Result<Vec<Row>, BoxError> {
        let lines = psql(&self.0, "select number, text from delivered")?;
        lines.lines().map(row).collect()
    }
}

fn row(line: &str) -> Result<Row, BoxError> {
    let (number, text) = line.split_once('|').ok_or("psql: a row without a text")?;
    Ok(Row {
        number: number.parse()?,
        text: text.to_owned(),
    })
}
