//! The same over `buffered` and `buffer_unordered`: each hangs or fails, so the suite can see it.

use std::{pin::pin, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, interval, sleep, timeout};
use towpath_test::snooze::{Calls, Notes, PATIENCE, Touch};

async fn hangs(run: impl Future) -> bool {
    timeout(PATIENCE, run).await.is_err()
}

fn lock() -> Touch {
    Touch::new(1, Duration::from_millis(1))
}

fn touching(touch: &Touch) -> impl Stream<Item = impl Future<Output = ()> + use<>> + use<> {
    let touch = touch.clone();
    stream::iter(0..500).map(move |_| touch.touch())
}

#[tokio::test(start_paused = true)]
async fn t1_control_a_loop_behind_buffered_hangs_on_the_lock_of_its_calls() {
    let touch = lock();
    let calls = touching(&touch).buffered(10);
    assert!(hangs(calls.for_each(|()| touch.touch())).await);

    let touch = lock();
    let calls = touching(&touch).buffer_unordered(10);
    assert!(hangs(calls.for_each(|()| touch.touch())).await);
}

#[tokio::test(start_paused = true)]
async fn t1_control_a_second_stage_behind_buffered_hangs_on_the_lock_of_the_first() {
    let touch = lock();
    let first = touching(&touch).buffered(10);
    let second = first
        .then(|()| touch.touch())
        .map(|()| touch.touch())
        .buffered(10);
    assert!(hangs(second.for_each(|()| async {})).await);
}

#[tokio::test(start_paused = true)]
async fn t1_control_a_batch_behind_buffered_hangs_on_the_lock_of_its_calls() {
    let touch = lock();
    let batches = touching(&touch).buffered(10).chunks(7);
    assert!(hangs(batches.for_each(|_| touch.touch())).await);
}

#[tokio::test(start_paused = true)]
async fn t1_control_an_acknowledgement_or_dead_letter_behind_buffered_hangs_on_the_lock_of_its_calls()
 {
    let touch = lock();
    let mut calls = pin!(touching(&touch).buffered(10).enumerate());
    let settling = async {
        let mut settled = Vec::new();
        while let Some((n, ())) = calls.next().await {
            touch.touch().await;
            settled.push(n);
        }
    };
    assert!(hangs(settling).await);
}

#[tokio::test(start_paused = true)]
async fn t1_control_permits_of_a_layer_before_buffered_hang_what_is_behind_it() {
    let touch = lock();
    let semaphore = touch.semaphore();
    let calls = stream::iter(0..500).map(|_| {
        let semaphore = semaphore.clone();
        async move {
            let permit = semaphore.acquire_owned().await;
            tokio::task::yield_now().await;
            drop(permit);
        }
    });
    assert!(hangs(calls.buffered(10).for_each(|()| touch.touch())).await);
}

#[tokio::test(start_paused = true)]
async fn t2_control_a_loop_behind_buffered_hangs_on_the_pool_of_its_calls() {
    let pool = Touch::new(5, Duration::from_millis(2));
    let calls = touching(&pool).buffered(10);
    assert!(hangs(calls.for_each(|()| pool.touch())).await);
}

#[tokio::test(start_paused = true)]
async fn t3_control_a_loop_behind_buffered_hangs_on_the_channel_of_its_calls() {
    let (notes, reader) = Notes::with_reader();
    let handling = notes.clone();
    let calls = stream::iter(0..500).map(move |_| handling.send(4));
    let calls = calls.buffered(10).for_each(|()| notes.send(1));
    assert!(hangs(async { tokio::join!(calls, reader) }).await);
}

#[tokio::test(start_paused = true)]
async fn t4_control_calls_in_buffered_time_out_behind_a_slow_loop() {
    let calls = Calls::default();
    let running = stream::iter(0..20).map(|n| calls.call(n)).buffered(4);
    running.for_each(|_| sleep(Calls::SINK)).await;
    assert!(calls.timeouts() > 5, "{} timeouts", calls.timeouts());
}

#[tokio::test(start_paused = true)]
async fn t5_control_a_batch_behind_buffered_waits_for_messages_that_do_not_come() {
    let mut ticks = interval(Duration::from_millis(100));
    let source = stream::poll_fn(move |cx| ticks.poll_tick(cx).map(Some));
    let worked = source.map(|_| async {
        sleep(Duration::from_millis(5)).await;
        Instant::now()
    });
    let mut batches = pin!(worked.buffered(64).chunks(64));
    let batch = batches.next().await.expect("the source never ends");
    assert!(batch[0].elapsed() > Duration::from_millis(20));
}

#[tokio::test(start_paused = true)]
async fn t6_control_an_attempt_that_is_given_up_by_reference_hangs_what_comes_after_it() {
    let touch = lock();
    let attempts = stream::iter(0..4).map(|_| {
        let touch = touch.clone();
        async move {
            let mut attempt = pin!(touch.hang());
            let given_up = timeout(Duration::from_millis(10), &mut attempt).await;
            touch.touch().await;
            given_up
        }
    });
    assert!(hangs(attempts.buffered(2).collect::<Vec<_>>()).await);
}
