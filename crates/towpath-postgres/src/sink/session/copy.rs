//! Rows by `COPY`.

use std::{fmt, pin::pin};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{
    FutureExt as _, SinkExt as _,
    future::{BoxFuture, join},
};
use tokio_postgres::{CopyInSink, Error, Statement};

use super::Refused;
use crate::link::{Link, Started};

/// What stands before and behind the rows of a binary `COPY`.
const BEGIN: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;
/// The most that is handed to the connection at once.
const SLICE: usize = 1 << 20;

/// `COPY` into a table.
pub(super) struct Copy {
    statement: Statement,
    /// Sent already, with a statement before it.
    begun: Option<Started<Taker>>,
}

/// What takes rows.
type Taker = CopyInSink<Bytes>;

impl Copy {
    pub(super) fn new(statement: Statement) -> Self {
        let begun = None;
        Self { statement, begun }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Sends the statement, behind one that opens its frame.
    pub(super) async fn begin(&mut self, link: &mut Link, open: &'static str) {
        let taking = self.taker(link, Some(open));
        self.begun = Some(link.start(taking).await);
    }

    fn taker(
        &self,
        link: &Link,
        open: Option<&'static str>,
    ) -> BoxFuture<'static, Result<Taker, Error>> {
        let (client, statement) = (link.client.clone(), self.statement.clone());
        let taking = async move {
            let opening = async {
                match open {
                    Some(open) => client.batch_execute(open).await,
                    None => Ok(()),
                }
            };
            let (opened, taker) = join(opening, client.copy_in(&statement)).await;
            opened.and(taker)
        };
        taking.boxed()
    }

    /// Copies rows, and closes their frame; opens it unless it [has begun](Self::begin).
    pub(super) async fn write(
        &mut self,
        link: &mut Link,
        setting: &str,
        runs: Vec<Bytes>,
        open: Option<&'static str>,
        close: &'static str,
    ) -> Result<(), Refused> {
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => link.start(self.taker(link, open)).await,
        };
        let taker = link.call(setting, begun.answer()).await;
        let mut taker = pin!(taker.map_err(Refused::all)?);
        for slice in slices(runs) {
            let taking = link.call(setting, taker.feed(slice));
            taking.await.map_err(Refused::all)?;
        }
        // The server says that rows were copied before it has committed them: only the answer
        // to the second statement is the one that counts.
        let client = link.client.clone();
        let ended = async {
            let (copied, closed) = join(taker.finish(), client.batch_execute(close)).await;
            copied.and(closed)
        };
        link.call(setting, ended).await.map_err(|error| Refused {
            hint: error.line(),
            error,
        })
    }
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy")
            .field("has_begun", &self.has_begun())
            .finish_non_exhaustive()
    }
}

/// What a binary `COPY` takes, in slices that do not keep a connection from anything else.
fn slices(runs: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    let mut end = BytesMut::with_capacity(2);
    end.put_i16(END);
    let cut = runs.into_iter().flat_map(|mut run| {
        std::iter::from_fn(move || (!run.is_empty()).then(|| run.split_to(run.len().min(SLICE))))
    });
    std::iter::once(Bytes::from_static(BEGIN))
        .chain(cut)
        .chain([end.freeze()])
}
