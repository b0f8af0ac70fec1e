//! Towpath itself. Its source is told every outcome, as a broker's would be.
//!
//! `towpath-untold` is the same with a source that nobody reports to, such as an iterator.

use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use towpath::core::{Acknowledger, Intake, Producer, Received, Settled, Stage};
use towpath::{
    Batch, Batcher, BoxError, Delivery, Flow, Outcome, Pipeline, Processor, Report, Sink,
    SinkStage, Source, write,
};

use super::calls;
use crate::case::{Case, Job};
use crate::message::{Counts, Message, Row, Tally, rows, source};
use crate::runtime::on_worker;
use crate::service::{IN_FLIGHT, ready, yields_once};

const WORKERS: usize = 4;

pub(super) const CASES: [Case; 10] = [
    Case {
        job: Job::Bare,
        contender: "towpath",
        run: bare,
    },
    Case {
        job: Job::Bare,
        contender: "towpath-untold",
        run: bare_untold,
    },
    Case {
        job: Job::Batched,
        contender: "towpath",
        run: batched,
    },
    Case {
        job: Job::Batched,
        contender: "towpath-untold",
        run: batched_untold,
    },
    Case {
        job: Job::Yielding,
        contender: "towpath",
        run: yielding,
    },
    Case {
        job: Job::Decoded,
        contender: "towpath",
        run: decoded,
    },
    Case {
        job: Job::Decoded,
        contender: "towpath-tuned",
        run: decoded_tuned,
    },
    Case {
        job: Job::Single,
        contender: "towpath",
        run: single,
    },
    Case {
        job: Job::Policed,
        contender: "towpath",
        run: policed,
    },
    Case {
        job: Job::Policed,
        contender: "no-policies",
        run: batched,
    },
];

fn bare(runtime: &Runtime, messages: u32) -> Counts {
    let told = Told::shared();
    let flow = Flow::from(numbered(source(messages), Some(&told)));
    finish(runtime, flow.process(one_by_one()).acknowledge());
    told.counts()
}

fn bare_untold(runtime: &Runtime, messages: u32) -> Counts {
    let flow = Flow::from(numbered(source(messages), None));
    let report = finish(runtime, flow.process(one_by_one()).acknowledge());
    Counts {
        acknowledged: report.counts.done,
        ..Counts::expected(messages)
    }
}

fn batched(runtime: &Runtime, messages: u32) -> Counts {
    in_batches(runtime, messages, |pipeline| pipeline)
}

fn single(runtime: &Runtime, messages: u32) -> Counts {
    in_batches(runtime, messages, |pipeline| pipeline.max_demand(1))
}

fn policed(runtime: &Runtime, messages: u32) -> Counts {
    policed_by(runtime, messages, |pipeline| pipeline)
}

pub(super) fn policed_by(
    runtime: &Runtime,
    messages: u32,
    tune: impl FnOnce(Pipeline) -> Pipeline,
) -> Counts {
    let (told, tally) = (Told::shared(), Tally::shared());
    let handler = |message| async { Ok::<_, BoxError>(ready(message).await) };
    let handler = Processor::new("handle", handler)
        .rate_limit(calls::limit())
        .retry(calls::retry())
        .circuit_breaker(calls::breaker())
        .timeout(Duration::from_secs(2))
        .unordered(WORKERS)
        .workers(WORKERS);
    let flow = Flow::from(numbered(source(messages), Some(&told))).process(handler);
    finish(
        runtime,
        tune(flow.batch(Batcher::new("batch")).sink(tallying(&tally))),
    );
    told.confirms(&tally)
}

pub(super) fn in_batches(
    runtime: &Runtime,
    messages: u32,
    tune: impl FnOnce(Pipeline) -> Pipeline,
) -> Counts {
    let (told, tally) = (Told::shared(), Tally::shared());
    let flow = Flow::from(numbered(source(messages), Some(&told))).process(one_by_one());
    finish(
        runtime,
        tune(flow.batch(Batcher::new("batch")).sink(tallying(&tally))),
    );
    told.confirms(&tally)
}

fn batched_untold(runtime: &Runtime, messages: u32) -> Counts {
    let tally = Tally::shared();
    let flow = Flow::from(numbered(source(messages), None)).process(one_by_one());
    finish(
        runtime,
        flow.batch(Batcher::new("batch")).sink(tallying(&tally)),
    );
    tally.counts()
}

fn yielding(runtime: &Runtime, messages: u32) -> Counts {
    let (told, tally) = (Told::shared(), Tally::shared());
    let handler = Processor::new("handle", |message| async {
        Ok::<_, BoxError>(yields_once(message).await)
    });
    let flow = Flow::from(numbered(source(messages), Some(&told)))
        .process(handler.unordered(IN_FLIGHT).workers(WORKERS));
    finish(
        runtime,
        flow.batch(Batcher::new("batch")).sink(tallying(&tally)),
    );
    told.confirms(&tally)
}

fn decoded(runtime: &Runtime, messages: u32) -> Counts {
    decode_and_batch(runtime, messages, |pipeline| pipeline)
}

fn decoded_tuned(runtime: &Runtime, messages: u32) -> Counts {
    decode_and_batch(runtime, messages, |pipeline| pipeline.max_demand(256))
}

fn decode_and_batch(
    runtime: &Runtime,
    messages: u32,
    tune: impl FnOnce(Pipeline) -> Pipeline,
) -> Counts {
    let (told, tally) = (Told::shared(), Tally::shared());
    let flow = Flow::from(numbered(rows(messages), Some(&told)))
        .decode(|row: &Row| Ok::<_, Infallible>(Message::decode(row)))
        .map(Message::handled)
        .filter("not kept", Message::is_kept);
    finish(
        runtime,
        tune(flow.batch(Batcher::new("batch")).sink(tallying(&tally))),
    );
    told.confirms(&tally)
}

/// Four workers that each have one message in flight.
fn one_by_one() -> impl Stage<Message, Out = Message> {
    let handler = |message| async { Ok::<_, BoxError>(ready(message).await) };
    Processor::new("handle", handler)
        .unordered(WORKERS)
        .workers(WORKERS)
}

fn tallying(tally: &Arc<Tally>) -> SinkStage<impl Sink<Message> + use<>> {
    let tally = Arc::clone(tally);
    write("tally", move |batch: Batch<Message>| {
        tally.settle(batch.items());
        future::ready(Ok::<_, BoxError>(()))
    })
}

fn finish(runtime: &Runtime, pipeline: Pipeline) -> Report {
    on_worker(runtime, pipeline.run()).expect("nothing in this pipeline fails")
}

fn numbered<I>(items: I, told: Option<&Arc<Told>>) -> Source<Numbered<I>>
where
    I: Iterator<Item: Send> + Send + 'static,
{
    Source::new(
        "source",
        Numbered {
            items,
            next: 0,
            told: told.cloned(),
        },
    )
}

/// A source that numbers its messages.
struct Numbered<I> {
    items: I,
    next: u64,
    told: Option<Arc<Told>>,
}

/// What a source was told: how many are done, and the sum of their numbers.
#[derive(Debug, Default)]
struct Told {
    done: AtomicU64,
    numbers: AtomicU64,
}

struct Listener(Arc<Told>);

// === impl Numbered ===

impl<I> Producer for Numbered<I>
where
    I: Iterator<Item: Send> + Send + 'static,
{
    type Payload = I::Item;
    type Acknowledger = Listener;

    async fn receive(&mut self, intake: &mut Intake<I::Item, u64>) -> Result<Received, BoxError> {
        while intake.room() > 0 {
            let Some(item) = self.items.next() else {
                return Ok(Received::End);
            };
            intake.push(Delivery::new(item, self.next));
            self.next += 1;
        }
        Ok(Received::More)
    }

    fn acknowledger(&mut self) -> Option<Listener> {
        self.told.clone().map(Listener)
    }
}

// === impl Listener ===

impl Acknowledger for Listener {
    type Token = u64;

    async fn settle(&mut self, run: &mut Vec<(u64, Outcome)>) -> Result<Settled, BoxError> {
        let told = run.len();
        let done = run
            .drain(..)
            .filter(|(_, outcome)| matches!(outcome, Outcome::Done));
        let (count, sum) = done.fold((0, 0), |(count, sum), (number, _)| {
            (count + 1, sum + number)
        });
        self.0.done.fetch_add(count, Ordering::Relaxed);
        self.0.numbers.fetch_add(sum, Ordering::Relaxed);
        Ok(Settled::confirmed(told))
    }
}

// === impl Told ===

impl Told {
    fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// What the source was told.
    fn counts(&self) -> Counts {
        Counts {
            acknowledged: self.done.load(Ordering::Acquire),
            checksum: Counts::checksum_of(self.numbers.load(Ordering::Acquire)),
        }
    }

    /// What the source was told, with the checksum of what the sink saw.
    fn confirms(&self, tally: &Tally) -> Counts {
        Counts {
            acknowledged: self.done.load(Ordering::Acquire),
            ..tally.counts()
        }
    }
}
