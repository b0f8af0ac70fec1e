//! A connection of a sink, with what it has prepared, and the transactions on it.

mod copy;
mod insert;

use std::{collections::HashMap, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture, future::join};
use tokio_postgres::{Client, Error, Statement, types::ToSql, types::Type};

use super::{
    identity::Note,
    options::{Once, PostgresSinkOptions, Target},
    row::{Columns, Rows},
    schema, statements,
};
use crate::{
    PostgresError,
    link::{Dialer, Link},
    queue::seconds,
};

use copy::Copy;
use insert::Insert;

/// How many old identities one batch forgets at most.
const FORGET_AT_ONCE: i64 = 10_000;

/// The statements around a piece of work: it counts as a whole, or not at all.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    open: &'static str,
    close: &'static str,
    undo: &'static str,
}

/// A transaction of its own.
pub(super) const TRANSACTION: Frame = Frame {
    open: "BEGIN",
    close: "COMMIT",
    undo: "ROLLBACK",
};
/// A part of a transaction.
pub(super) const PART: Frame = Frame {
    open: "SAVEPOINT towpath",
    close: "RELEASE SAVEPOINT towpath",
    undo: "ROLLBACK TO SAVEPOINT towpath; RELEASE SAVEPOINT towpath",
};

/// Messages on their way into the server.
pub(super) struct Work {
    pub(super) rows: Rows,
    /// Who the messages are, by their place in the batch; empty unless that is needed.
    pub(super) notes: Vec<Option<Note>>,
}

/// Why a piece of work was not done, and which of its rows the server has complained of.
pub(super) struct Refused {
    pub(super) error: PostgresError,
    pub(super) hint: Option<usize>,
}

/// A connection of a sink, with what it has prepared.
#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    setting: &'static str,
    pub(super) columns: Columns,
    way: Way,
    note: Option<(Statement, String)>,
}

/// How rows go into the server.
#[derive(Debug)]
enum Way {
    Copy(Copy),
    Insert(Insert),
    Each(Statement),
}

// === impl Session ===

impl Session {
    /// Connects and prepares everything.
    pub(super) async fn open(
        dialer: &mut Dialer,
        options: &PostgresSinkOptions,
    ) -> Result<Self, PostgresError> {
        let mut link = dialer.connect().await?;
        let client = link.client.clone();
        let setting = options.target.setting();
        let (columns, way) = link
            .call(setting, prepare(&client, &options.target))
            .await?;
        let note = match &options.once {
            Some(once) => {
                let statement = schema::note(&once.table);
                let note = link.call("once.table", client.prepare(&statement)).await?;
                Some((note, once.scope.clone()))
            }
            None => None,
        };
        Ok(Self {
            link,
            setting,
            columns,
            way,
            note,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// Sends what stands before the rows of a transaction, where that can be known before they
    /// are: the server gets ready while they are written down.
    pub(super) async fn begin(&mut self) {
        if let (Way::Copy(copy), None) = (&mut self.way, &self.note) {
            copy.begin(&mut self.link, TRANSACTION.open).await;
        }
    }

    /// Whether a transaction has begun that is to be ended.
    pub(super) fn has_begun(&self) -> bool {
        matches!(&self.way, Way::Copy(copy) if copy.has_begun())
    }

    /// Runs a statement that changes nothing.
    pub(super) async fn say(&mut self, statement: &str) -> Result<(), PostgresError> {
        let client = self.link.client.clone();
        let setting = self.setting;
        self.link
            .call(setting, client.batch_execute(statement))
            .await
    }

    /// Writes these rows, all or none, and leaves out those that were written before.
    pub(super) async fn put(
        &mut self,
        work: &Work,
        rows: &[usize],
        frame: Frame,
    ) -> Result<(), Refused> {
        let result = self.try_put(work, rows, frame).await;
        let Err(refused) = result else {
            return Ok(());
        };
        // Where nobody answers any more, the server undoes it by itself.
        if refused.error.sqlstate().is_some() && !self.is_closed() {
            self.say(frame.undo).await.map_err(Refused::all)?;
        }
        Err(refused)
    }

    async fn try_put(&mut self, work: &Work, rows: &[usize], frame: Frame) -> Result<(), Refused> {
        if self.note.is_none() {
            return self.write(work, rows, frame, true).await;
        }
        let fresh = self.take_note(work, rows, frame.open).await?;
        if fresh.is_empty() {
            return self.say(frame.close).await.map_err(Refused::all);
        }
        let written = self.write(work, &fresh, frame, false).await;
        // The place among those that are new is not that among all.
        written.map_err(|refused| {
            refused.map_hint(|hint| {
                let row = fresh.get(hint)?;
                rows.iter().position(|other| other == row)
            })
        })
    }

    /// Notes who the messages are, and returns the rows of those that are new.
    async fn take_note(
        &mut self,
        work: &Work,
        rows: &[usize],
        open: &str,
    ) -> Result<Vec<usize>, Refused> {
        let Some((note, scope)) = &self.note else {
            return Ok(rows.to_vec());
        };
        let mut first = HashMap::new();
        for row in rows {
            if let Some(note) = work.notes.get(*row).and_then(Option::as_ref) {
                first.entry(note.identity.as_str()).or_insert((*row, note));
            }
        }
        let identities: Vec<_> = first.keys().copied().collect();
        let partitions: Vec<_> = first.values().map(|(_, note)| note.partition).collect();
        let positions: Vec<_> = first.values().map(|(_, note)| note.position).collect();
        let params: [&(dyn ToSql + Sync); 4] = [scope, &identities, &partitions, &positions];
        let client = self.link.client.clone();
        let noted = async {
            let opened = client.batch_execute(open);
            let (opened, noted) = join(opened, client.query(note, &params)).await;
            opened.and(noted)
        };
        let noted = self
            .link
            .call("once.table", noted)
            .await
            .map_err(Refused::all)?;
        let mut fresh = Vec::with_capacity(noted.len());
        for row in &noted {
            let identity: &str = row
                .try_get(0)
                .map_err(|error| Refused::all(self.link.failed("once.table", &error)))?;
            fresh.extend(first.get(identity).map(|(row, _)| *row));
        }
        fresh.sort_unstable();
        Ok(fresh)
    }

    async fn write(
        &mut self,
        work: &Work,
        rows: &[usize],
        frame: Frame,
        opens: bool,
    ) -> Result<(), Refused> {
        let open = opens.then_some(frame.open);
        match &mut self.way {
            Way::Copy(copy) => {
                let runs = work.rows.runs(rows);
                copy.write(&mut self.link, self.setting, runs, open, frame.close)
                    .await
            }
            Way::Each(statement) => {
                let client = self.link.client.clone();
                let calls = rows.iter().map(|row| {
                    let cells: Vec<_> = work.rows.cells(*row).collect();
                    client.execute_raw(&*statement, cells).boxed()
                });
                let calls = framed(&client, open, calls.collect(), frame.close);
                let done = self.link.pipeline(self.setting, calls).await;
                done.map_err(|(place, error)| {
                    let hint = place.checked_sub(usize::from(opens));
                    Refused { error, hint }
                })
            }
            Way::Insert(insert) => {
                let (link, columns) = (&mut self.link, &self.columns);
                insert
                    .write(link, self.setting, columns, work, rows, open, frame)
                    .await
            }
        }
    }

    /// Forgets old identities; whether there may be more.
    pub(super) async fn forget(&mut self, once: &Once) -> Result<bool, PostgresError> {
        let client = self.link.client.clone();
        let statement = schema::forget(&once.table);
        let keep = seconds(once.keep);
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&once.scope, Type::TEXT),
            (&keep, Type::FLOAT8),
            (&FORGET_AT_ONCE, Type::INT8),
        ];
        let work = client.execute_typed(&statement, &params);
        let forgotten = self.link.call("once.table", work).await?;
        Ok(i64::try_from(forgotten).unwrap_or(i64::MAX) >= FORGET_AT_ONCE)
    }
}

async fn prepare(client: &Client, target: &Target) -> Result<(Columns, Way), Error> {
    let (table, names) = match target {
        Target::Statement { sql } => {
            let statement = client.prepare(sql).await?;
            let types = statement.params().to_vec();
            let names = (1..=types.len())
                .map(|number| format!("${number}"))
                .collect();
            return Ok((Columns { names, types }, Way::Each(statement)));
        }
        Target::Copy { table, columns }
        | Target::Insert { table, columns }
        | Target::Upsert { table, columns, .. } => (table, columns),
    };
    let described = client.prepare(&statements::describe(table, names)).await?;
    let types = described
        .columns()
        .iter()
        .map(|column| column.type_().clone());
    let columns = Columns {
        names: names.clone(),
        types: types.collect(),
    };
    let way = match target {
        Target::Copy { .. } => Way::Copy(Copy::new(
            client.prepare(&statements::copy(table, names)).await?,
        )),
        Target::Upsert { key, .. } => Way::Insert(Insert::new(table, names, key)),
        _ => Way::Insert(Insert::new(table, names, &[])),
    };
    Ok((columns, way))
}

/// Statements between those that open and close their frame.
fn framed<'a>(
    client: &'a Client,
    open: Option<&'static str>,
    calls: Vec<BoxFuture<'a, Result<u64, Error>>>,
    close: &'static str,
) -> Vec<BoxFuture<'a, Result<u64, Error>>> {
    let say = |statement| {
        client
            .batch_execute(statement)
            .map(|said| said.map(|()| 0))
            .boxed()
    };
    let open = open.map(say);
    open.into_iter().chain(calls).chain([say(close)]).collect()
}

// === impl Refused ===

impl Refused {
    /// The server has complained of no row more than of the others.
    pub(super) fn all(error: PostgresError) -> Self {
        Self { error, hint: None }
    }

    fn map_hint(self, map: impl FnOnce(usize) -> Option<usize>) -> Self {
        Self {
            hint: self.hint.and_then(map),
            error: self.error,
        }
    }
}

/// How long to wait before old identities are looked for again.
pub(super) fn forget_again(more: bool) -> Duration {
    if more {
        Duration::from_secs(1)
    } else {
        Duration::from_secs(60)
    }
}
