//! Hand-written loops over tokio's mpsc: one queue per worker, one queue to the batcher.
//!
//! `mpsc-loops` sends message by message, as such loops are usually written; `mpsc-runs`
//! reserves room for a whole run at a time, which is the most that the channel offers.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use crate::case::{Case, Job};
use crate::cases::batcher::batch;
use crate::message::{Counts, Message, Tally, source};
use crate::runtime::on_worker;
use crate::service::{IN_FLIGHT, ready, yields_once};

const WORKERS: usize = 4;
const QUEUE: usize = 256;

/// Messages sent or taken together.
const RUN: usize = 64;

pub(super) const CASES: [Case; 4] = [
    Case {
        job: Job::Batched,
        contender: "mpsc-runs",
        run: batched_in_runs,
    },
    Case {
        job: Job::Batched,
        contender: "mpsc-loops",
        run: batched,
    },
    Case {
        job: Job::Yielding,
        contender: "mpsc-runs",
        run: yielding_in_runs,
    },
    Case {
        job: Job::Yielding,
        contender: "mpsc-loops",
        run: yielding,
    },
];

fn batched(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(
        runtime,
        pipeline(move |queues| send_each(messages, queues), handle_each),
    )
}

fn batched_in_runs(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(
        runtime,
        pipeline(move |queues| send_runs(messages, queues), handle_runs),
    )
}

fn yielding(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(
        runtime,
        pipeline(move |queues| send_each(messages, queues), handle_several),
    )
}

fn yielding_in_runs(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(
        runtime,
        pipeline(move |queues| send_runs(messages, queues), handle_several),
    )
}

async fn pipeline<P, W>(
    produce: impl FnOnce(Vec<Sender<Message>>) -> P,
    work: impl Fn(Receiver<Message>, Sender<Message>) -> W,
) -> Counts
where
    P: Future<Output = ()> + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let tally = Tally::shared();
    let mut tasks = JoinSet::new();
    let (results, arriving) = channel(QUEUE);
    let (queues, waiting): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| channel(QUEUE)).unzip();
    for queue in waiting {
        tasks.spawn(work(queue, results.clone()));
    }
    drop(results);
    tasks.spawn(produce(queues));
    tasks.spawn(batch(arriving, Arc::clone(&tally)));
    tasks.join_all().await;
    tally.counts()
}

async fn send_each(messages: u32, queues: Vec<Sender<Message>>) {
    for (message, queue) in source(messages).zip((0..WORKERS).cycle()) {
        if queues[queue].send(message).await.is_err() {
            return;
        }
    }
}

async fn send_runs(messages: u32, queues: Vec<Sender<Message>>) {
    let mut messages = source(messages).peekable();
    for queue in queues.iter().cycle() {
        if messages.peek().is_none() {
            return;
        }
        let Ok(permits) = queue.reserve_many(RUN).await else {
            return;
        };
        permits
            .zip(messages.by_ref())
            .for_each(|(permit, message)| permit.send(message));
    }
}

async fn handle_each(mut queue: Receiver<Message>, results: Sender<Message>) {
    let mut taken = Vec::with_capacity(RUN);
    while queue.recv_many(&mut taken, RUN).await > 0 {
        for message in taken.drain(..) {
            if results.send(ready(message).await).await.is_err() {
                return;
            }
        }
    }
}

async fn handle_runs(mut queue: Receiver<Message>, results: Sender<Message>) {
    let mut taken = Vec::with_capacity(RUN);
    while queue.recv_many(&mut taken, RUN).await > 0 {
        let Ok(permits) = results.reserve_many(taken.len()).await else {
            return;
        };
        for (permit, message) in permits.zip(taken.drain(..)) {
            permit.send(ready(message).await);
        }
    }
}

async fn handle_several(mut queue: Receiver<Message>, results: Sender<Message>) {
    let mut handled = stream::poll_fn(move |context| queue.poll_recv(context))
        .map(yields_once)
        .buffer_unordered(IN_FLIGHT / WORKERS);
    while let Some(message) = handled.next().await {
        if results.send(message).await.is_err() {
            return;
        }
    }
}
