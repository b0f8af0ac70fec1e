//! datum-core: `map_async_unordered(64).grouped(100)`, on its own threads.

use std::sync::Arc;

use datum::{Sink, Source, StreamError};
use tokio::runtime::Runtime;

use crate::case::{Case, Job};
use crate::message::{Counts, Message, Tally, rows, source};
use crate::service::{BATCH, IN_FLIGHT, decode_map_filter, ready, yields_once};

pub(super) const CASES: [Case; 3] = [
    Case {
        job: Job::Batched,
        contender: "datum-core",
        run: batched,
    },
    Case {
        job: Job::Yielding,
        contender: "datum-core",
        run: yielding,
    },
    Case {
        job: Job::Decoded,
        contender: "datum-core",
        run: decoded,
    },
];

fn batched(_: &Runtime, messages: u32) -> Counts {
    pipeline(messages, ready)
}

fn yielding(_: &Runtime, messages: u32) -> Counts {
    pipeline(messages, yields_once)
}

fn pipeline<H, F>(messages: u32, handler: H) -> Counts
where
    H: Fn(Message) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Message> + Send + 'static,
{
    let stream = Source::from_fn_iter(move || source(messages))
        .map_async_unordered(IN_FLIGHT, move |message| async move {
            Ok::<_, StreamError>(handler(message).await)
        });
    in_batches(stream)
}

fn decoded(_: &Runtime, messages: u32) -> Counts {
    let rows = Source::from_fn_iter(move || rows(messages));
    in_batches(rows.filter_map(|row| decode_map_filter(&row)))
}

fn in_batches<M: Send + 'static>(handled: Source<Message, M>) -> Counts {
    let tally = Tally::shared();
    let sink = Arc::clone(&tally);
    handled
        .grouped(BATCH)
        .run_with(Sink::foreach(move |batch: Vec<Message>| {
            sink.settle(&batch);
        }))
        .and_then(datum::StreamCompletion::wait)
        .expect("no stage of this stream fails");
    tally.counts()
}
