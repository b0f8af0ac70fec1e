//! The eager loop: thirty lines that poll each future once before queueing it.
//!
//! No acknowledgements, no failures, one task; the least that keeps 64 in flight.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Runtime;

use crate::case::{Case, Job};
use crate::message::{Counts, Message, Tally, source};
use crate::runtime::on_worker;
use crate::service::{BATCH, IN_FLIGHT, ready, yields_once};

pub(super) const CASES: [Case; 2] = [
    Case {
        job: Job::Batched,
        contender: "eager-loop",
        run: batched,
    },
    Case {
        job: Job::Yielding,
        contender: "eager-loop",
        run: yielding,
    },
];

fn batched(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, eager(messages, ready))
}

fn yielding(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, eager(messages, yields_once))
}

async fn eager<F>(messages: u32, handler: impl Fn(Message) -> F) -> Counts
where
    F: Future<Output = Message>,
{
    let tally = Tally::default();
    let mut batch = Vec::with_capacity(BATCH);
    let mut waiting = FuturesUnordered::new();
    for message in source(messages) {
        if waiting.len() == IN_FLIGHT
            && let Some(done) = waiting.next().await
        {
            add(&mut batch, done, &tally);
        }
        let mut future = Box::pin(handler(message));
        match poll_once(future.as_mut()).await {
            Poll::Ready(done) => add(&mut batch, done, &tally),
            Poll::Pending => waiting.push(future),
        }
    }
    while let Some(done) = waiting.next().await {
        add(&mut batch, done, &tally);
    }
    tally.settle(&batch);
    tally.counts()
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

fn add(batch: &mut Vec<Message>, message: Message, tally: &Tally) {
    batch.push(message);
    if batch.len() == BATCH {
        tally.settle(batch);
        batch.clear();
    }
}
