//! The order of a stage over an outage.

use std::num::NonZeroUsize;

use towpath::{Batcher, Flow, Processor};
use towpath_test::{Recorder, TestSource, check};

use super::{Backend, DOWN, MINUTE, OPEN, SECOND, UP, ms, retry, touchy};

/// Up for a second, down for a minute, and up again.
fn backend() -> Backend {
    let dead = |at| (SECOND..MINUTE).contains(&at);
    Backend::new(move |call| if dead(call.at) { DOWN } else { UP }.after(ms(5 + call.n % 7)))
}

#[tokio::test(start_paused = true)]
async fn an_ordered_stage_keeps_its_order_over_an_outage() {
    for workers in [1, 3] {
        let (source, outcomes) = TestSource::new(0..2000_u64).build();
        let (backend, recorder) = (backend(), Recorder::new());
        let report = Flow::from(source)
            .process(
                Processor::service("work", backend.clone())
                    .circuit_breaker(touchy().over_calls(8).probes(3))
                    .retry(retry())
                    .ordered(8)
                    .workers(workers),
            )
            .batch(Batcher::new("batch").max_messages(50))
            .sink(recorder.sink("sink"))
            .run()
            .await
            .unwrap();
        check(&report);
        assert_eq!(outcomes.count("done"), 2000);
        if workers == 1 {
            assert_eq!(recorder.items(), (0..2000).collect::<Vec<_>>());
        }
        let calls = backend.calls_before(MINUTE) - backend.calls_before(SECOND);
        assert!((10..=8 + 3 * 12).contains(&calls), "{calls}");
        assert!(report.elapsed() < MINUTE + OPEN + 5 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn each_key_keeps_its_order_over_an_outage() {
    for workers in [1, 3] {
        let (source, outcomes) = TestSource::new(0..2000_u64).build();
        let (backend, recorder) = (backend(), Recorder::new());
        let report = Flow::from(source)
            .process(
                Processor::service("work", backend.clone())
                    .circuit_breaker(touchy().over_calls(8).probes(3))
                    .retry(retry())
                    .max_parked(NonZeroUsize::new(20).unwrap())
                    .by_key(8, |n: &u64| n % 13)
                    .workers(workers),
            )
            .batch(Batcher::new("batch").max_messages(50))
            .sink(recorder.sink("sink"))
            .run()
            .await
            .unwrap();
        check(&report);
        assert_eq!(outcomes.count("done"), 2000);
        for key in 0..13 {
            let of_key = |n: &u64| n % 13 == key;
            let items = recorder.items();
            let items: Vec<_> = items.iter().filter(|n| of_key(n)).collect();
            assert!(items.is_sorted(), "key {key}: {items:?}");
            let begun = backend.items();
            let begun: Vec<_> = begun.iter().filter(|n| of_key(n)).collect();
            assert!(begun.is_sorted(), "key {key} begins in order: {begun:?}");
        }
        assert!(report.elapsed() < MINUTE + OPEN + 10 * SECOND);
    }
}
