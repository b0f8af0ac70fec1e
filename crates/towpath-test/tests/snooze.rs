//! Nothing is snoozed: T1 to T6 over this engine, each beside a control that is.

#[path = "snooze/controls.rs"]
mod controls;
#[path = "snooze/lock.rs"]
mod lock;
#[path = "snooze/pipelines.rs"]
mod pipelines;

use std::time::Duration;

use towpath::{Batcher, BoxError, Ending, Flow, Outcome, Processor, each, write};
use towpath_test::{
    TestSource,
    snooze::{self, Calls},
};
use tower::{limit::GlobalConcurrencyLimitLayer, timeout::TimeoutLayer};

use pipelines::{ok, on};

#[tokio::test(start_paused = true)]
async fn t2_a_pool_of_five_serves_handlers_sinks_and_acknowledgements() {
    for workers in [1, 4] {
        let report = snooze::small_pool(|pool| {
            let settling = pool.clone();
            let (source, _) = TestSource::new(0..2000_u64)
                .settle_after(move || settling.touch())
                .build();
            let handling = pool.clone();
            Flow::from(source)
                .process(on("handler", move |n| ok(handling.touch(), n)).unordered(10).workers(workers))
                .sink(each("sink", move |n| ok(pool.touch(), n)))
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, 2000, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t2_a_pool_behind_a_concurrency_limit_layer_serves_sinks_and_acknowledgements() {
    for workers in [1, 4] {
        let report = snooze::small_pool(|pool| {
            let settling = pool.clone();
            let (source, _) = TestSource::new(0..2000_u64)
                .settle_after(move || settling.touch())
                .build();
            let layer = GlobalConcurrencyLimitLayer::with_semaphore(pool.semaphore());
            let pause = Duration::from_millis(2);
            Flow::from(source)
                .process(
                    on("handler", move |n| ok(tokio::time::sleep(pause), n))
                        .layer(layer)
                        .unordered(10)
                        .workers(workers),
                )
                .sink(each("sink", move |n| ok(pool.touch(), n)))
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, 2000, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t3_handlers_and_sink_send_into_one_channel_of_one_place() {
    for workers in [1, 4] {
        let report = snooze::narrow_channel(|notes| {
            let (source, _) = TestSource::of(0..1000_u64);
            let handling = notes.clone();
            Flow::from(source)
                .process(on("handler", move |n| ok(handling.send(4), n)).unordered(10).workers(workers))
                .sink(each("sink", move |n| ok(notes.send(1), n)))
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, 1000, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t4_no_call_that_has_time_enough_is_timed_out_behind_a_slow_sink() {
    for workers in [1, 4] {
        let report = snooze::false_timeouts(|calls| {
            let (source, _) = TestSource::of(0..20_u64);
            Flow::from(source)
                .process(
                    Processor::new("call", move |n| {
                        let call = calls.call(n);
                        async move { call.await.map(|()| n) }
                    })
                    .unordered(4)
                    .workers(workers),
                )
                .sink(each("sink", |n| ok(tokio::time::sleep(Calls::SINK), n)))
                .max_demand(1)
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, 20, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t4_the_timeout_layer_of_tower_times_no_call_out_that_has_time_enough() {
    let report = snooze::false_timeouts(|_| {
        let (source, _) = TestSource::of(0..20_u64);
        Flow::from(source)
            .process(
                on("call", |n| ok(Calls::steps(n), n))
                    .layer(TimeoutLayer::new(Calls::TIMEOUT))
                    .unordered(4)
                    .workers(1),
            )
            .sink(each("sink", |n| ok(tokio::time::sleep(Calls::SINK), n)))
            .max_demand(1)
    });
    assert_eq!(report.await.unwrap().counts.rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn t5_a_message_of_a_quiet_source_is_settled_before_another_comes() {
    for workers in [1, 4] {
        let report = snooze::quiet_source(|source, work| {
            Flow::from(source)
                .process(on("work", move |n| ok(work.work(), n)).unordered(64).workers(workers))
                .batch(Batcher::new("batch").max_wait(Duration::from_millis(10)))
                .sink(write("sink", |_| async { Ok::<_, BoxError>(()) }))
        });
        assert_eq!(report.await.unwrap().counts.done, 20, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t5_a_message_of_a_quiet_source_is_settled_in_order_and_by_key_too() {
    for ordered in [true, false] {
        let report = snooze::quiet_source(|source, work| {
            let flow = Flow::from(source);
            let processor = on("work", move |n| ok(work.work(), n));
            let flow = match ordered {
                true => flow.process(processor.ordered(64)),
                false => flow.process(processor.by_key(64, |n: &u64| n % 3)),
            };
            flow.sink(each("sink", |n| ok(async {}, n)))
        });
        assert_eq!(report.await.unwrap().counts.done, 20, "ordered: {ordered}");
    }
}

/// Every tenth call hangs with the lock in hand and is timed out; the failure hook, the
/// sink and the acknowledger need the lock.
#[tokio::test(start_paused = true)]
async fn t6_a_call_that_is_timed_out_is_dropped_before_anything_else_begins() {
    for workers in [1, 4] {
        let report = snooze::timed_out_holder(|touch| {
            let (handling, hooked, settling) = (touch.clone(), touch.clone(), touch.clone());
            let (source, _) = TestSource::new(0..100_u64)
                .settle_after(move || settling.touch())
                .build();
            Flow::from(source)
                .process(
                    Processor::new("call", move |n: u64| {
                        let touch = handling.clone();
                        async move {
                            match n % 10 {
                                0 => touch.hang().await,
                                _ => touch.touch().await,
                            }
                            Ok::<_, BoxError>(n)
                        }
                    })
                    .layer(TimeoutLayer::new(Duration::from_millis(10)))
                    .on_failure(move |outcome, _| match hooked.semaphore().try_acquire() {
                        Ok(_) => outcome,
                        Err(_) => outcome,
                    })
                    .unordered(1)
                    .workers(workers.min(1)),
                )
                .sink(each("sink", move |n| ok(touch.touch(), n)))
        });
        let report = report.await.unwrap();
        assert!(report.counts.rejected >= 10, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn t6_a_stop_drops_the_holder_of_a_pool_before_it_tells_the_outcomes() {
    let deadline = Duration::from_secs(1);
    let settling = snooze::Touch::new(1, Duration::ZERO);
    let (source, outcomes) = {
        let settling = settling.clone();
        TestSource::new(0..100_u64).settle_after(move || settling.touch()).build()
    };
    let report = snooze::stopped_holder(deadline, |touch| {
        Flow::from(source)
            .process(on("call", move |n| ok(touch.hang(), n)).unordered(10).workers(4))
            .acknowledge()
    });
    let report = report.await.unwrap();
    assert_eq!(report.ending, Ending::DeadlineExceeded);
    assert!(report.left > 0);
    assert_eq!(outcomes.total() as u64, report.counts.emitted);
    assert!((0..report.counts.emitted).all(|n| matches!(outcomes.only(n), Outcome::Retry { .. })));
}
