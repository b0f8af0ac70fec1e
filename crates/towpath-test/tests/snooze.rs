//! Nothing is snoozed: T1 to T6 over this engine, each beside a control that is.

#[path = "snooze/controls.rs"]
mod controls;
#[path = "snooze/lock.rs"]
mod lock;
#[path = "snooze/pipelines.rs"]
mod pipelines;
#[path = "snooze/policies.rs"]
mod policies;

use std::time::Duration;

use tokio::time::sleep;
use tower::{limit::GlobalConcurrencyLimitLayer, timeout::TimeoutLayer};
use towpath::{Batcher, BoxError, Ending, Flow, Outcome, Processor};
use towpath_test::{
    TestSource,
    snooze::{self, Calls, Touch},
};

use pipelines::{on, to, to_batch};

/// More messages than the buffers of these pipelines hold.
const MANY: u64 = 2000;

#[tokio::test(start_paused = true)]
async fn t2_a_pool_of_five_serves_handlers_sinks_and_acknowledgements() {
    for workers in [1, 4] {
        let report = snooze::small_pool(|pool| {
            let (settling, handling) = (pool.clone(), pool.clone());
            let source = TestSource::new(0..MANY).settle_after(move || settling.touch());
            Flow::from(source.build().0)
                .process(
                    on("handler", move |_| handling.touch())
                        .unordered(10)
                        .workers(workers),
                )
                .sink(to("sink", move || pool.touch()))
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, MANY, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t2_a_pool_behind_a_concurrency_limit_serves_sinks_and_acknowledgements() {
    for workers in [1, 4] {
        let report = snooze::small_pool(|pool| {
            let settling = pool.clone();
            let source = TestSource::new(0..MANY).settle_after(move || settling.touch());
            let limit = GlobalConcurrencyLimitLayer::with_semaphore(pool.semaphore());
            let handler = on("handler", |_| sleep(Duration::from_millis(2))).layer(limit);
            Flow::from(source.build().0)
                .process(handler.unordered(10).workers(workers))
                .sink(to("sink", move || pool.touch()))
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, MANY, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t3_handlers_and_sink_send_into_one_channel_of_one_place() {
    for workers in [1, 4] {
        let report = snooze::narrow_channel(|notes| {
            let handling = notes.clone();
            Flow::from(TestSource::of(0..MANY).0)
                .process(
                    on("handler", move |_| handling.send(4))
                        .unordered(10)
                        .workers(workers),
                )
                .sink(to("sink", move || notes.send(1)))
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, MANY, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t4_no_call_that_has_time_enough_is_timed_out_behind_a_slow_sink() {
    for workers in [1, 4] {
        let report = snooze::false_timeouts(|calls| {
            let call = move |n| {
                let call = calls.call(n);
                async move { call.await.map(|()| n) }
            };
            Flow::from(TestSource::of(0..20).0)
                .process(Processor::new("call", call).unordered(4).workers(workers))
                .sink(to("sink", || sleep(Calls::SINK)))
                .max_demand(1)
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, 20, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t4_the_timeout_layer_of_tower_strikes_no_call_that_has_time_enough() {
    let report = snooze::false_timeouts(|_| {
        let call = on("call", Calls::steps).layer(TimeoutLayer::new(Calls::TIMEOUT));
        Flow::from(TestSource::of(0..20).0)
            .process(call.unordered(4).workers(1))
            .sink(to("sink", || sleep(Calls::SINK)))
            .max_demand(1)
    });
    assert_eq!(report.await.unwrap().counts.rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn t5_a_message_of_a_quiet_source_is_settled_before_another_comes() {
    for workers in [1, 4] {
        let report = snooze::quiet_source(|source, work| {
            Flow::from(source)
                .process(
                    on("work", move |_| work.work())
                        .unordered(64)
                        .workers(workers),
                )
                .batch(Batcher::new("batch").max_wait(Duration::from_millis(10)))
                .sink(to_batch("sink", || async {}))
        });
        assert_eq!(report.await.unwrap().counts.done, 20, "{workers} workers");
    }
}

#[tokio::test(start_paused = true)]
async fn t5_a_message_of_a_quiet_source_is_settled_in_order_and_by_key_too() {
    for ordered in [true, false] {
        let report = snooze::quiet_source(|source, work| {
            let flow = Flow::from(source);
            let processor = on("work", move |_| work.work());
            let flow = if ordered {
                flow.process(processor.ordered(64))
            } else {
                flow.process(processor.by_key(64, |n: &u64| n % 3))
            };
            flow.sink(to("sink", || async {}))
        });
        assert_eq!(report.await.unwrap().counts.done, 20, "ordered: {ordered}");
    }
}

/// Every tenth call hangs.
async fn touch_or_hang(touch: Touch, n: u64) -> Result<u64, BoxError> {
    match n % 10 {
        0 => touch.hang().await,
        _ => touch.touch().await,
    }
    Ok(n)
}

#[tokio::test(start_paused = true)]
async fn t6_a_call_that_is_timed_out_is_dropped_before_sink_and_settle_need_its_lock() {
    for concurrency in [1, 10] {
        let report = snooze::timed_out_holder(|touch| {
            let (handling, settling) = (touch.clone(), touch.clone());
            let source = TestSource::new(0..100).settle_after(move || settling.touch());
            let call = Processor::new("call", move |n| touch_or_hang(handling.clone(), n));
            Flow::from(source.build().0)
                .process(
                    call.layer(TimeoutLayer::new(Duration::from_millis(10)))
                        .unordered(concurrency),
                )
                .sink(to("sink", move || touch.touch()))
        });
        let report = report.await.unwrap();
        assert!(report.counts.rejected >= 10, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn t6_a_stop_drops_the_holder_of_a_pool_before_it_tells_the_outcomes() {
    let mut told = None;
    let report = snooze::stopped_holder(Duration::from_secs(1), |touch| {
        let settling = touch.clone();
        let source = TestSource::new(0..100).settle_after(move || settling.touch());
        let (source, outcomes) = source.build();
        told = Some(outcomes);
        Flow::from(source)
            .process(on("call", move |_| touch.hang()).unordered(10).workers(4))
            .acknowledge()
    });
    let report = report.await.unwrap();
    let outcomes = told.expect("the pipeline was built");
    assert_eq!(report.ending, Ending::DeadlineExceeded);
    assert!(report.left > 0, "{report}");
    let retried = |n| matches!(outcomes.only(n), Outcome::Retry { .. });
    assert!((0..report.counts.emitted).all(retried), "{report}");
}
