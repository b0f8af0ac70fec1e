//! A table of PostgreSQL as a queue, as a source.

use std::io::Write as _;
use std::process::{Command, Stdio};

use towpath::BoxError;
use towpath::postgres::{Table, queue_schema};
use towpath_test_servers::Postgres;

use super::{Part, SourcePart, psql};
use crate::feed::Feed;
use crate::payload::Row;

/// The table of the queue.
pub(crate) const TABLE: &str = "jobs";

pub(crate) struct Jobs(Postgres);

// === impl Jobs ===

impl Jobs {
    pub(super) fn create() -> Result<Self, BoxError> {
        let jobs = Self(Postgres::start()?);
        psql(&jobs.0, &queue_schema(&Table::new(TABLE)))?;
        Ok(jobs)
    }
}

impl Part for Jobs {
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

impl SourcePart for Jobs {
    fn feed(&self) -> Result<Box<dyn Feed>, BoxError> {
        let mut psql = self.0.psql_command("");
        psql.args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Box::new(Inserter(psql)))
    }

    fn left(&mut self) -> Result<u64, BoxError> {
        let count = psql(&self.0, &format!("select count(*) from {TABLE}"))?;
        Ok(count.trim().parse()?)
    }
}

/// A `psql` for each batch, which reads its statement.
struct Inserter(Command);

// === impl Inserter ===

impl Inserter {
    fn insert(&mut self, rows: &[Row]) -> Result<bool, BoxError> {
        let values = rows.iter().map(|row| {
            // Of letters, digits and the signs of JSON: nothing to escape.
            let payload = String::from_utf8(row.encoded())?;
            Ok(format!("(convert_to('{payload}', 'UTF8'))"))
        });
        let values: Vec<_> = values.collect::<Result<_, BoxError>>()?;
        let statement = format!(
            "insert into {TABLE} (payload) values {};",
            values.join(", ")
        );
        let mut psql = self.0.spawn()?;
        if let Some(mut input) = psql.stdin.take() {
            input.write_all(statement.as_bytes())?;
        }
        Ok(psql.wait()?.success())
    }
}

impl Feed for Inserter {
    fn send(&mut self, rows: &[Row]) -> Vec<bool> {
        let are_in = self.insert(rows).unwrap_or(false);
        vec![are_in; rows.len()]
    }
}
