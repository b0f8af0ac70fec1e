//! `INSERT` of many rows at once.

use std::collections::BTreeSet;

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio_postgres::{
    Client, Error,
    types::{ToSql, Type},
};

use super::{Frame, Refused, Work, framed};
use crate::{
    Table,
    link::Link,
    sink::{
        row::{Cell, Columns, Rows},
        statements::{self, Kept, MOST_PARAMETERS, rows_per_statement},
    },
};

/// `INSERT` of many rows.
#[derive(Debug)]
pub(super) struct Insert {
    table: Table,
    end: String,
    /// Where the columns of the key are, where a row may take the place of another one.
    key: Vec<usize>,
    kept: Kept,
}

// === impl Insert ===

impl Insert {
    pub(super) fn new(table: &Table, columns: &[String], key: &[String]) -> Self {
        let end = match key {
            [] => String::new(),
            key => statements::on_conflict(columns, key),
        };
        let key = key
            .iter()
            .filter_map(|name| columns.iter().position(|column| column == name));
        Self {
            table: table.clone(),
            end,
            key: key.collect(),
            kept: Kept::default(),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a part of the session, which lends them"
    )]
    pub(super) async fn write(
        &mut self,
        link: &mut Link,
        setting: &str,
        columns: &Columns,
        work: &Work,
        rows: &[usize],
        open: Option<&'static str>,
        frame: Frame,
    ) -> Result<(), Refused> {
        let rows = self.last_of_each_key(&work.rows, rows);
        let most = rows_per_statement(columns.types.len());
        for chunk in rows.chunks(most) {
            self.keep(link, setting, columns, chunk.len()).await?;
        }
        let client = link.client.clone();
        let calls = rows.chunks(most).map(|chunk| {
            let cells: Vec<Cell<'_>> = chunk.iter().flat_map(|row| work.rows.cells(*row)).collect();
            self.call(&client, columns, chunk.len(), cells)
        });
        let calls = framed(&client, open, calls.collect(), frame.close);
        let done = link.pipeline(setting, calls).await;
        done.map_err(|(_, error)| Refused::all(error))
    }

    /// Of rows with the same key the last: one statement changes a row only once.
    fn last_of_each_key(&self, all: &Rows, rows: &[usize]) -> Vec<usize> {
        if self.key.is_empty() {
            return rows.to_vec();
        }
        let mut seen = BTreeSet::new();
        let mut last: Vec<_> = rows
            .iter()
            .rev()
            .filter(|row| {
                let cells: Vec<_> = all.cells(**row).collect();
                let key: Vec<_> = self.key.iter().map(|place| cells[*place]).collect();
                // A key with a null in it is like no other.
                key.iter().any(Cell::is_null) || seen.insert(key)
            })
            .copied()
            .collect();
        last.reverse();
        last
    }

    /// Prepares the statement for so many rows where it is used again and again.
    async fn keep(
        &mut self,
        link: &mut Link,
        setting: &str,
        columns: &Columns,
        rows: usize,
    ) -> Result<(), Refused> {
        if !self.kept.is_wanted(rows) {
            return Ok(());
        }
        let sql = statements::insert(&self.table, &columns.names, rows, &self.end);
        let types = repeated(&columns.types, rows);
        let client = link.client.clone();
        let prepared = link.call(setting, client.prepare_typed(&sql, &types)).await;
        self.kept.keep(rows, prepared.map_err(Refused::all)?);
        Ok(())
    }

    fn call<'a>(
        &self,
        client: &'a Client,
        columns: &Columns,
        rows: usize,
        cells: Vec<Cell<'a>>,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        debug_assert!(cells.len() <= MOST_PARAMETERS);
        if let Some(statement) = self.kept.get(rows) {
            return async move { client.execute_raw(&statement, cells).await }.boxed();
        }
        let sql = statements::insert(&self.table, &columns.names, rows, &self.end);
        let types = repeated(&columns.types, rows);
        async move {
            let cells = cells.iter().map(|cell| cell as &(dyn ToSql + Sync));
            let params: Vec<_> = cells.zip(types).collect();
            client.execute_typed(&sql, &params).await
        }
        .boxed()
    }
}

fn repeated(types: &[Type], rows: usize) -> Vec<Type> {
    let all = types.iter().cycle().take(types.len() * rows);
    all.cloned().collect()
}
