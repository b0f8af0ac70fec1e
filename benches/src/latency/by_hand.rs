//! The hand-written peer: four tasks share a queue, the batcher `select!`s on age.

use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::latency::work::WORKERS;
use crate::latency::{Contender, Feed, Samples, Setup, Stamped, Work};

/// Closes a batch by count; larger than what arrives within `max_wait`, so that age decides.
const MAX_MESSAGES: usize = 1000;
const QUEUE: usize = 256;

pub(super) const CONTENDER: Contender = Contender {
    name: "by-hand",
    pipeline: |feed, samples, setup| Box::pin(pipeline(feed, samples, setup)),
};

async fn pipeline(feed: Feed, samples: Arc<Samples>, setup: Setup) {
    let mut tasks = JoinSet::new();
    match setup.max_wait {
        None => {
            for worker in 0..WORKERS {
                tasks.spawn(settle(
                    feed.clone(),
                    worker,
                    setup.work,
                    Arc::clone(&samples),
                ));
            }
        }
        Some(max_wait) => {
            let (sender, batches) = bounded(QUEUE);
            for worker in 0..WORKERS {
                let (work, samples) = (setup.work, Arc::clone(&samples));
                tasks.spawn(forward(feed.clone(), worker, work, samples, sender.clone()));
            }
            tasks.spawn(batch(batches, max_wait, samples));
        }
    }
    tasks.join_all().await;
}

async fn settle(feed: Feed, worker: usize, work: Work, samples: Arc<Samples>) {
    while let Ok(message) = feed.recv().await {
        samples.settle(&[work.handle(worker, message, &samples).await]);
    }
}

async fn forward(
    feed: Feed,
    worker: usize,
    work: Work,
    samples: Arc<Samples>,
    batcher: Sender<Stamped>,
) {
    while let Ok(message) = feed.recv().await {
        if batcher
            .send(work.handle(worker, message, &samples).await)
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn batch(messages: Receiver<Stamped>, max_wait: Duration, samples: Arc<Samples>) {
    let mut batch = Vec::with_capacity(MAX_MESSAGES);
    while let Ok(first) = messages.recv().await {
        batch.push(first);
        let deadline = sleep_until(Instant::now() + max_wait);
        tokio::pin!(deadline);
        while batch.len() < MAX_MESSAGES {
            tokio::select! {
                biased;
                () = &mut deadline => break,
                received = messages.recv() => match received {
                    Ok(message) => batch.push(message),
                    Err(_) => break,
                },
            }
        }
        samples.settle(&batch);
        batch.clear();
    }
}
