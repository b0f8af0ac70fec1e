//! Towpath in the latency probes: a message is settled when its source has been told.

use std::convert::Infallible;
use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tower_service::Service;
use towpath::core::{Acknowledger, Intake, Producer, Received, Settled};
use towpath::{Batch, Batcher, BoxError, Delivery, Flow, Outcome, Processor, Source, write};

use crate::latency::work::WORKERS;
use crate::latency::{Contender, Feed, Samples, Setup, Stamped, Work};

/// As the hand-written peer: more than arrives within `max_wait`, so that age decides.
const MAX_MESSAGES: usize = 1000;

pub(super) const CONTENDER: Contender = Contender {
    name: "towpath",
    pipeline: |feed, samples, setup| Box::pin(pipeline(feed, samples, setup)),
};

async fn pipeline(feed: Feed, samples: Arc<Samples>, setup: Setup) {
    let handler = Handler::new(setup.work, Arc::clone(&samples));
    let flow = Flow::from(Source::new("feed", Fed { feed, samples })).process(
        Processor::service("work", handler)
            .unordered(WORKERS)
            .workers(WORKERS),
    );
    let pipeline = match setup.max_wait {
        None => flow.acknowledge(),
        Some(max_wait) => flow
            .batch(
                Batcher::new("batch")
                    .max_messages(MAX_MESSAGES)
                    .max_wait(max_wait),
            )
            .sink(write("sink", |_: Batch<Stamped>| {
                future::ready(Ok::<_, BoxError>(()))
            })),
    };
    pipeline
        .run()
        .await
        .expect("nothing in this pipeline fails");
}

/// The feed as a source that is told when its messages are settled.
struct Fed {
    feed: Feed,
    samples: Arc<Samples>,
}

struct Listener(Arc<Samples>);

/// The handler; each clone that is called takes the next number, as the workers of a peer do.
struct Handler {
    work: Work,
    samples: Arc<Samples>,
    numbers: Arc<AtomicUsize>,
    number: Option<usize>,
}

// === impl Fed ===

impl Producer for Fed {
    type Payload = Stamped;
    type Acknowledger = Listener;

    async fn receive(
        &mut self,
        intake: &mut Intake<Stamped, Stamped>,
    ) -> Result<Received, BoxError> {
        let Ok(first) = self.feed.recv().await else {
            return Ok(Received::End);
        };
        intake.push(Delivery::new(first, first));
        while intake.room() > 0 {
            let Ok(message) = self.feed.try_recv() else {
                break;
            };
            intake.push(Delivery::new(message, message));
        }
        Ok(Received::More)
    }

    fn acknowledger(&mut self) -> Option<Listener> {
        Some(Listener(Arc::clone(&self.samples)))
    }
}

// === impl Listener ===

impl Acknowledger for Listener {
    type Token = Stamped;

    async fn settle(&mut self, run: &mut Vec<(Stamped, Outcome)>) -> Result<Settled, BoxError> {
        let settled: Vec<_> = run.drain(..).map(|(message, _)| message).collect();
        self.0.settle(&settled);
        Ok(Settled::confirmed(settled.len()))
    }
}

// === impl Handler ===

impl Handler {
    fn new(work: Work, samples: Arc<Samples>) -> Self {
        Self {
            work,
            samples,
            numbers: Arc::default(),
            number: None,
        }
    }

    fn number(&mut self) -> usize {
        let numbers = &self.numbers;
        *self
            .number
            .get_or_insert_with(|| numbers.fetch_add(1, Ordering::Relaxed))
    }
}

impl Clone for Handler {
    fn clone(&self) -> Self {
        Self {
            work: self.work,
            samples: Arc::clone(&self.samples),
            numbers: Arc::clone(&self.numbers),
            number: None,
        }
    }
}

impl Service<Stamped> for Handler {
    type Response = Stamped;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Stamped, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: Stamped) -> Self::Future {
        let (work, number, samples) = (self.work, self.number(), Arc::clone(&self.samples));
        Box::pin(async move { Ok(work.handle(number, message, &samples).await) })
    }
}
