//! `buffer_unordered(64)` and `ready_chunks(100)` of futures, as one task on a worker.

use futures_util::{StreamExt, future, stream};
use tokio::runtime::Runtime;

use crate::case::{Case, Job};
use crate::message::{Counts, Message, Tally, rows, source};
use crate::runtime::on_worker;
use crate::service::{BATCH, IN_FLIGHT, decode_map_filter, ready, yields_once};

pub(super) const CASES: [Case; 3] = [
    Case {
        job: Job::Batched,
        contender: "buffer_unordered",
        run: batched,
    },
    Case {
        job: Job::Yielding,
        contender: "buffer_unordered",
        run: yielding,
    },
    Case {
        job: Job::Decoded,
        contender: "stream",
        run: decoded,
    },
];

fn batched(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, buffered(messages, ready))
}

fn yielding(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, buffered(messages, yields_once))
}

async fn buffered<F>(messages: u32, handler: impl Fn(Message) -> F) -> Counts
where
    F: Future<Output = Message>,
{
    let tally = Tally::default();
    let mut batches = stream::iter(source(messages))
        .map(handler)
        .buffer_unordered(IN_FLIGHT)
        .ready_chunks(BATCH);
    while let Some(batch) = batches.next().await {
        tally.settle(&batch);
    }
    tally.counts()
}

fn decoded(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, async move {
        let tally = Tally::default();
        let mut batches = stream::iter(rows(messages))
            .filter_map(|row| future::ready(decode_map_filter(&row)))
            .ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            tally.settle(&batch);
        }
        tally.counts()
    })
}
