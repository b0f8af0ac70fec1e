//! A task per message: `tokio::spawn` under a semaphore, results through tokio's mpsc.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Sender, channel};

use crate::case::{Case, Job};
use crate::cases::batcher::batch;
use crate::message::{Counts, Message, Tally, source};
use crate::runtime::on_worker;
use crate::service::{IN_FLIGHT, ready, yields_once};

const QUEUE: usize = 256;

pub(super) const CASES: [Case; 2] = [
    Case {
        job: Job::Batched,
        contender: "spawn",
        run: batched,
    },
    Case {
        job: Job::Yielding,
        contender: "spawn",
        run: yielding,
    },
];

fn batched(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, pipeline(messages, ready))
}

fn yielding(runtime: &Runtime, messages: u32) -> Counts {
    on_worker(runtime, pipeline(messages, yields_once))
}

async fn pipeline<H, F>(messages: u32, handler: H) -> Counts
where
    H: Fn(Message) -> F + Copy + Send + 'static,
    F: Future<Output = Message> + Send + 'static,
{
    let (results, arriving) = channel(QUEUE);
    let tally = Tally::shared();
    let batching = batch(arriving, Arc::clone(&tally));
    tokio::join!(batching, dispatch(messages, handler, results));
    tally.counts()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a detached task per message is this contender"
)]
async fn dispatch<H, F>(messages: u32, handler: H, results: Sender<Message>)
where
    H: Fn(Message) -> F + Copy + Send + 'static,
    F: Future<Output = Message> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    for message in source(messages) {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let results = results.clone();
        tokio::spawn(async move {
            let sent = results.send(handler(message).await).await;
            drop((permit, sent));
        });
    }
}
