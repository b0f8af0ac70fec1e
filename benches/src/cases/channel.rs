//! async-channel, one message at a time: workers share the queue, the batcher `select!`s.

use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::case::{Case, Job};
use crate::message::{Counts, Message, Tally, source};
use crate::runtime::on_worker;
use crate::service::{BATCH, IN_FLIGHT, ready, yields_once};

const WORKERS: usize = 4;
const QUEUE: usize = 256;
const MAX_WAIT: Duration = Duration::from_millis(50);

pub(super) const CASES: [Case; 3] = [
    Case {
        job: Job::Batched,
        contender: "async-channel",
        run: batched,
    },
    Case {
        job: Job::Yielding,
        contender: "async-channel",
        run: yielding,
    },
    Case {
        job: Job::Single,
        contender: "async-channel",
        run: batched,
    },
];

fn batched(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, pipeline(messages, WORKERS, ready))
}

fn yielding(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, pipeline(messages, IN_FLIGHT, yields_once))
}

async fn pipeline<H, F>(messages: u32, workers: usize, handler: H) -> Counts
where
    H: Fn(Message) -> F + Copy + Send + 'static,
    F: Future<Output = Message> + Send + 'static,
{
    let tally = Tally::shared();
    let (queue, taken) = bounded(QUEUE);
    let (results, arriving) = bounded(QUEUE);
    let mut tasks = JoinSet::new();
    tasks.spawn(produce(messages, queue));
    for _ in 0..workers {
        tasks.spawn(handle(taken.clone(), results.clone(), handler));
    }
    drop((taken, results));
    tasks.spawn(batch(arriving, Arc::clone(&tally)));
    tasks.join_all().await;
    tally.counts()
}

async fn produce(messages: u32, queue: Sender<Message>) {
    for message in source(messages) {
        if queue.send(message).await.is_err() {
            return;
        }
    }
}

async fn handle<H, F>(queue: Receiver<Message>, results: Sender<Message>, handler: H)
where
    H: Fn(Message) -> F,
    F: Future<Output = Message>,
{
    while let Ok(message) = queue.recv().await {
        if results.send(handler(message).await).await.is_err() {
            return;
        }
    }
}

async fn batch(arriving: Receiver<Message>, tally: Arc<Tally>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut age = interval(MAX_WAIT);
    age.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let full = tokio::select! {
            biased;
            received = arriving.recv() => match received {
                Ok(message) => { batch.push(message); batch.len() == BATCH }
                Err(_) => break,
            },
            _ = age.tick() => true,
        };
        if full {
            tally.settle(&batch);
            batch.clear();
        }
    }
    tally.settle(&batch);
}
