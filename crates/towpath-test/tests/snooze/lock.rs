//! T1: a lock that a handler shares with whatever comes behind it.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::timeout;
use tower::{
    limit::GlobalConcurrencyLimitLayer,
    util::{MapFutureLayer, option_layer},
};
use tower_service::Service;
use towpath::{Batcher, BoxError, Flow, Processor, processor::operator::Pass};
use towpath_test::{
    TestSource, check,
    snooze::{self, Subject, Touch},
};

use super::pipelines::{Handled, on, to, to_batch};

#[derive(Clone, Copy, Debug)]
struct Case {
    concurrency: usize,
    max_demand: usize,
    workers: usize,
    order: Lane,
}

#[derive(Clone, Copy, Debug)]
enum Lane {
    Unordered,
    Ordered,
    ByKey,
}

fn matrix() -> impl Iterator<Item = Case> {
    let cases = [1, 2, 3, 10].into_iter().flat_map(|concurrency| {
        [1, 64].into_iter().flat_map(move |max_demand| {
            let case = move |(workers, order)| Case {
                concurrency,
                max_demand,
                workers,
                order,
            };
            [
                (1, Lane::Unordered),
                (4, Lane::Unordered),
                (1, Lane::Ordered),
                (1, Lane::ByKey),
            ]
            .map(case)
        })
    });
    cases.collect::<Vec<_>>().into_iter()
}

impl Case {
    /// The handler of the case, which touches the lock.
    fn handled(self, source: TestSource<u64>, touch: Touch) -> Flow<Pass<u64>> {
        self.process(Flow::from(source.build().0), "handler", touch)
    }

    fn process(self, flow: Flow<Pass<u64>>, name: &str, touch: Touch) -> Flow<Pass<u64>> {
        self.shaped(flow, on(name, move |_| touch.touch()))
    }

    /// The flow through a processor, in the order of the case.
    fn shaped<S>(self, flow: Flow<Pass<u64>>, processor: Processor<S>) -> Flow<Pass<u64>>
    where
        S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        match self.order {
            Lane::Unordered => {
                flow.process(processor.unordered(self.concurrency).workers(self.workers))
            }
            Lane::Ordered => flow.process(processor.ordered(self.concurrency)),
            Lane::ByKey => flow.process(processor.by_key(self.concurrency, |n: &u64| n % 7)),
        }
    }

    /// Builds the pipeline for one message to see what its buffers hold, and runs it with
    /// more than that.
    async fn run<S: Subject>(self, build: impl Fn(TestSource<u64>, Touch) -> S) {
        let unused = Touch::new(1, Duration::ZERO);
        let (pipeline, _) = build(TestSource::new(0..1), unused).into_parts();
        let bound = pipeline.max_demand(self.max_demand).explain().bound();
        let count = 500.max(bound + 100);
        let report = snooze::shared_lock(|touch| {
            let (pipeline, beside) = build(TestSource::new(0..count), touch).into_parts();
            (pipeline.max_demand(self.max_demand), beside)
        });
        match report.await {
            Ok(report) => assert_eq!(report.counts.emitted, count, "{self:?}"),
            Err(snoozed) => panic!("{self:?}: {snoozed}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t1_a_sink_shares_a_lock_with_a_handler() {
    for case in matrix() {
        case.run(|source, touch| {
            let flow = case.handled(source, touch.clone());
            flow.sink(to("sink", move || touch.touch()))
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn t1_a_second_processor_shares_a_lock_with_the_first() {
    for case in matrix() {
        case.run(|source, touch| {
            let flow = case.handled(source, touch.clone());
            let flow = case.process(flow, "second", touch.clone());
            flow.sink(to("sink", move || touch.touch()))
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn t1_a_batch_function_shares_a_lock_with_a_handler() {
    for case in matrix() {
        case.run(|source, touch| {
            let flow = case.handled(source, touch.clone());
            flow.batch(Batcher::new("batch").max_messages(7))
                .sink(to_batch("sink", move || touch.touch()).workers(2))
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn t1_an_acknowledger_shares_a_lock_with_a_handler() {
    for case in matrix() {
        case.run(|source, touch| {
            let settling = touch.clone();
            let source = source.settle_after(move || settling.touch());
            case.handled(source, touch).acknowledge()
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn t1_a_dead_letter_sink_shares_a_lock_with_a_handler() {
    for case in matrix() {
        case.run(|source, touch| {
            let flow = case.handled(source, touch.clone());
            flow.try_map(|n| if n % 2 == 0 { Err("even") } else { Ok(n) })
                .acknowledge()
                .dead_letter(to("letters", move || touch.touch()))
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn t1_a_concurrency_limit_layer_shares_its_semaphore_with_a_sink() {
    for case in matrix() {
        case.run(|source, touch| {
            let limit = GlobalConcurrencyLimitLayer::with_semaphore(touch.semaphore());
            let handler = on("handler", |_| tokio::task::yield_now()).layer(limit);
            let sink = to("sink", move || touch.touch());
            case.shaped(Flow::from(source.build().0), handler)
                .sink(sink)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn t1_a_layer_that_awaits_before_its_service_shares_a_lock_with_a_sink() {
    for case in matrix() {
        case.run(|source, touch| {
            let before = touch.clone();
            let layer = MapFutureLayer::new(move |call: Handled<u64>| -> Handled<u64> {
                let touched = before.touch();
                async move {
                    touched.await;
                    call.await
                }
                .boxed()
            });
            let inner = touch.clone();
            let handler = on("handler", move |_| inner.touch()).layer(layer);
            let sink = to("sink", move || touch.touch());
            case.shaped(Flow::from(source.build().0), handler)
                .sink(sink)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn t1_a_processor_of_whole_chunks_shares_a_lock_or_its_semaphore_with_a_sink() {
    for limited in [false, true] {
        for case in matrix() {
            case.run(|source, touch| {
                let (handling, semaphore) = (touch.clone(), touch.semaphore());
                let chunk = move |numbers: Vec<u64>| -> Handled<Vec<Result<u64, BoxError>>> {
                    let touched = handling.touch();
                    async move {
                        if !limited {
                            touched.await;
                        }
                        Ok(numbers.into_iter().map(Ok).collect())
                    }
                    .boxed()
                };
                let limit = limited.then(|| GlobalConcurrencyLimitLayer::with_semaphore(semaphore));
                let chunk = Processor::chunk("chunk", chunk)
                    .max_messages(3)
                    .concurrency(case.concurrency);
                Flow::from(source.build().0)
                    .process(chunk.layer(option_layer(limit)))
                    .sink(to("sink", move || touch.touch()))
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t1_the_consumer_of_a_stream_shares_a_lock_with_a_handler() {
    for case in matrix() {
        case.run(|source, touch| {
            let (pipeline, mut messages) = case.handled(source, touch.clone()).into_stream();
            let consumer = async move {
                while let Some(message) = messages.next().await {
                    touch.touch().await;
                    message.done();
                }
            };
            (pipeline, consumer)
        })
        .await;
    }
}

/// Real time and real threads, once: the grants of a fair lock race with the polls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t1_two_processors_a_sink_and_settlements_share_a_lock_on_two_threads() {
    let case = Case {
        concurrency: 10,
        max_demand: 1,
        workers: 4,
        order: Lane::Unordered,
    };
    let touch = Touch::new(1, Duration::ZERO);
    let settling = touch.clone();
    let source = TestSource::new(0..2000).settle_after(move || settling.touch());
    let flow = case.handled(source, touch.clone());
    let flow = case.process(flow, "second", touch.clone());
    let pipeline = flow.sink(to("sink", move || touch.touch())).max_demand(1);
    let report = timeout(snooze::PATIENCE / 20, pipeline.run()).await;
    check(&report.expect("nothing is snoozed").unwrap());
}
