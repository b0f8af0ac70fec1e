//! T7: waiting costs next to nothing. Real time, and the only test of its process: a thread
//! that another test starts would count.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, interval};
use towpath::{BoxError, Flow, Pipeline, Processor};
use towpath_test::{
    TestSource,
    snooze::{self, IdleCall, IdleCost, IdleMeter},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_a_hundred_pipelines_that_wait_cost_next_to_nothing_and_a_loop_that_looks_does_not() {
    let cost = snooze::idle_cost(100, one_call).await.unwrap();
    assert!(cost.wakes_per_call > 0.0, "nothing was measured: {cost:?}");

    let control = looking_every_millisecond().await;
    assert!(!control.is_small(), "{control:?}");
    println!("{cost:?}, control {control:?}");
}

fn one_call(call: IdleCall) -> Pipeline {
    let (source, _) = TestSource::of([7]);
    let handler = move |n: u64| {
        let called = call.call();
        async move {
            called.await;
            Ok::<_, BoxError>(n)
        }
    };
    Flow::from(source)
        .process(Processor::new("call", handler).unordered(10).workers(2))
        .acknowledge()
}

async fn looking_every_millisecond() -> IdleCost {
    let meter = IdleMeter::start();
    join_all((0..100).map(|_| look_again_and_again(Duration::from_secs(3)))).await;
    meter.stop(100)
}

async fn look_again_and_again(time: Duration) {
    let end = Instant::now() + time;
    let mut looks = interval(Duration::from_millis(1));
    while Instant::now() < end {
        looks.tick().await;
    }
}
