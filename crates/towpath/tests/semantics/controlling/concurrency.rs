//! Concurrency that changes while a pipeline runs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::time::{sleep, timeout};
use towpath::{BoxError, Flow, Pipeline, Processor};
use towpath_test::{Cue, Outcomes, TestSource, assert_no_leaks, check};

use crate::events::{Dice, idle};

use super::{HOUR, MINUTE, SECOND};

/// Counts calls that run, and the most since it was last asked.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Gauge {
    async fn second(&self) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.max.fetch_max(now, SeqCst);
        sleep(SECOND).await;
        self.now.fetch_sub(1, SeqCst);
    }

    fn most(&self) -> usize {
        self.max.swap(0, SeqCst)
    }
}

/// Each message takes a second.
fn gauged(concurrency: usize, workers: usize) -> (Pipeline, Arc<Gauge>, Outcomes) {
    let (source, outcomes) = TestSource::new(0..10_000_u64).endless().build();
    let gauge = Arc::new(Gauge::default());
    let counted = gauge.clone();
    let work = move |n: u64| {
        let gauge = counted.clone();
        async move {
            gauge.second().await;
            Ok::<_, BoxError>(n)
        }
    };
    let processor = Processor::new("work", work)
        .unordered(concurrency)
        .workers(workers);
    (
        Flow::from(source).process(processor).acknowledge(),
        gauge,
        outcomes,
    )
}

#[tokio::test(start_paused = true)]
async fn concurrency_can_be_raised_while_every_call_runs() {
    let (source, outcomes) = TestSource::new(0..100).endless().build();
    let cue = Cue::new().hang_when(|_| true);
    let processor = Processor::new("work", cue.handler())
        .unordered(2)
        .workers(2);
    let pipeline = Flow::from(source).process(processor).acknowledge();
    let running = pipeline.start().await.unwrap();
    cue.wait_for(2).await;
    idle().await;
    assert_eq!(cue.calls(), 2);
    running.handle().set_concurrency("work", 7).unwrap();
    idle().await;
    assert_eq!((cue.calls(), cue.running()), (7, 7));
    assert_eq!(running.handle().status().stages[0].concurrency, 7);
    cue.release();
    outcomes.wait_for(100).await;
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(cue.max_running(), 7);
}

#[tokio::test(start_paused = true)]
async fn concurrency_follows_up_and_down_exactly() {
    for workers in [1, 2, 4] {
        let (pipeline, gauge, _) = gauged(8, workers);
        let running = pipeline.start().await.unwrap();
        let handle = running.handle().clone();
        for limit in [8, 3, 1, 5, 16, 2] {
            handle.set_concurrency("work", limit).unwrap();
            // What runs already is finished first.
            sleep(SECOND + SECOND / 2).await;
            gauge.most();
            sleep(5 * SECOND).await;
            assert_eq!(gauge.most(), limit, "{workers} workers");
        }
        handle.drain();
        assert_no_leaks(&running.join().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_left_without_a_share_strands_nothing() {
    for operators in [false, true] {
        let (source, outcomes) = TestSource::of(0..200_u64);
        let cue = Cue::new().delay(SECOND);
        let processor = Processor::new("work", cue.handler())
            .unordered(8)
            .workers(4);
        let flow = Flow::from(source);
        let pipeline = if operators {
            let flow = flow.map(|n| n).filter("none", |_| true);
            flow.process(processor).acknowledge()
        } else {
            flow.process(processor).acknowledge()
        };
        let running = pipeline.max_demand(5).start().await.unwrap();
        cue.wait_for(20).await;
        running.handle().set_concurrency("work", 1).unwrap();
        let report = timeout(HOUR, running.join())
            .await
            .expect("nothing is stranded");
        assert_no_leaks(&report.unwrap());
        assert_eq!(outcomes.count("done"), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_processor_follows_its_concurrency_too() {
    let (source, outcomes) = TestSource::new(0..100_u64).endless().build();
    let gauge = Arc::new(Gauge::default());
    let counted = gauge.clone();
    let chunk = move |items: Vec<u64>| {
        let gauge = counted.clone();
        async move {
            gauge.second().await;
            Ok::<_, BoxError>(items.into_iter().map(Ok::<_, BoxError>).collect::<Vec<_>>())
        }
    };
    let processor = Processor::chunk("work", chunk)
        .max_messages(5)
        .concurrency(4);
    let running = Flow::from(source)
        .process(processor)
        .acknowledge()
        .start()
        .await
        .unwrap();
    running.handle().set_concurrency("work", 1).unwrap();
    sleep(3 * SECOND).await;
    gauge.most();
    sleep(5 * SECOND).await;
    assert_eq!(gauge.most(), 1);
    running.handle().set_concurrency("work", 3).unwrap();
    outcomes.wait_for(100).await;
    assert_eq!(gauge.most(), 3);
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_bound_grows_with_the_concurrency() {
    let (source, outcomes) = TestSource::new(0..2000).endless().build();
    let cue = Cue::new().hang_when(|_| true);
    let processor = Processor::new("work", cue.handler()).unordered(1);
    let pipeline = Flow::from(source)
        .process(processor)
        .acknowledge()
        .max_demand(2);
    let running = pipeline.start().await.unwrap();
    let built = running.handle().status().bound;
    running.handle().set_concurrency("work", 1000).unwrap();
    cue.wait_for(1000).await;
    running.handle().set_concurrency("work", 1).unwrap();
    let status = running.handle().status();
    assert!(status.bound >= 1000 && status.bound > built, "{status:?}");
    cue.release();
    outcomes.wait_for(2000).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert!(report.counts.high_water >= 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_changes_at_any_moment_loses_no_wake_up() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut dice = Dice::new(seed);
        let (source, outcomes) = TestSource::new(0..3000_u64).build();
        let yields = |n: u64| async move {
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(n)
        };
        let chunks = |items: Vec<u64>| async move {
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(items.into_iter().map(Ok::<_, BoxError>).collect::<Vec<_>>())
        };
        let flow = Flow::from(source).map(|n| n);
        let pipeline = if seed % 2 == 0 {
            let processor = Processor::new("work", yields).unordered(8).workers(4);
            flow.process(processor).acknowledge()
        } else {
            let processor = Processor::chunk("work", chunks)
                .max_messages(3)
                .concurrency(8);
            flow.process(processor).acknowledge()
        };
        let running = pipeline.max_demand(7).start().await.unwrap();
        let handle = running.handle().clone();
        let mut ended = std::pin::pin!(timeout(MINUTE, running.join()));
        let report = loop {
            let limit = usize::try_from(1 + dice.below(8)).unwrap();
            handle.set_concurrency("work", limit).unwrap();
            tokio::select! {
                biased;
                report = &mut ended => match report {
                    Ok(report) => break report.unwrap(),
                    Err(late) => panic!("seed {seed}: {late}: {:#?}", handle.status()),
                },
                () = tokio::task::yield_now() => {}
            }
        };
        check(&report);
        assert_eq!(outcomes.count("done"), 3000);
    }
}
