//! What a message holds while it waits for another attempt, and how many may wait.

use std::{num::NonZeroUsize, time::Duration};

use tokio::time::{Instant, sleep};
use towpath::{BoxError, Flow, Processor};
use towpath_test::{Recorder, TestSource, assert_no_leaks, check};

use super::{Calls, SECOND, every_second, fails, ms};
use crate::events::idle;

/// Item 0 fails once.
fn first_fails(item: u64, before: usize) -> Result<(), BoxError> {
    if (item, before) == (0, 0) {
        return Err("not yet".into());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_message_that_backs_off_holds_no_permit() {
    let (source, outcomes) = TestSource::of(0..50_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), first_fails))
                .retry(every_second(3))
                .unordered(1)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    outcomes.wait_for(49).await;
    assert_eq!(begun.elapsed(), ms(50), "one by one, and no gap");
    assert!(outcomes.of(0).is_empty(), "it waits");
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(calls.times_of(0, begun), [ms(0), ms(1001)]);
    assert_eq!(outcomes.count("done"), 50);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_run_than_the_stage_may_make_however_many_come_back_at_once() {
    let (source, outcomes) = TestSource::of(0..200_u64);
    let cue = towpath_test::Cue::new().delay(ms(10));
    let (calls, handle) = (Calls::default(), cue.handler());
    let seen = calls.clone();
    let handle = move |item: u64| {
        let (before, handled) = (seen.note(item), handle(item));
        async move {
            let item = handled.await?;
            fails(2)(item, before)?;
            Ok::<_, BoxError>(item)
        }
    };
    let report = Flow::from(source)
        .process(
            Processor::new("call", handle)
                .retry(every_second(3))
                .unordered(3)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((cue.max_running(), cue.calls()), (3, 600));
    assert_eq!(outcomes.count("done"), 200);
}

#[tokio::test(start_paused = true)]
async fn in_its_lane_the_next_message_waits_and_other_lanes_go_on() {
    let (source, outcomes) = TestSource::of(0..20_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), first_fails))
                .retry(every_second(3))
                .by_key(1, |n: &u64| n % 2)
                .workers(1),
        )
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();
    // The other key, on the only permit there is.
    while calls.len() < 11 {
        sleep(ms(1)).await;
    }
    assert!(begun.elapsed() <= ms(20), "{:?}", begun.elapsed());
    assert!(
        calls
            .all()
            .iter()
            .all(|call| call.item == 0 || call.item % 2 == 1)
    );
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(calls.times_of(0, begun), [ms(0), ms(1001)]);
    assert_eq!(calls.times_of(2, begun), [ms(1002)]);
    let written: Vec<_> = recorder
        .items()
        .into_iter()
        .filter(|n| n % 2 == 0)
        .collect();
    assert_eq!(written, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
    assert_eq!(outcomes.count("done"), 20);
}

#[tokio::test(start_paused = true)]
async fn in_order_others_are_called_meanwhile_and_handed_on_behind_it() {
    let (source, outcomes) = TestSource::of(0..20_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), first_fails))
                .retry(every_second(3))
                .ordered(2)
                .workers(1),
        )
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();
    sleep(ms(500)).await;
    assert_eq!(outcomes.total(), 0, "nobody overtakes it");
    assert!(calls.len() > 1, "others were called");
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(calls.times_of(0, begun), [ms(0), ms(1001)]);
    assert_eq!(recorder.items(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn when_as_many_wait_as_may_demand_stops_and_comes_back_with_them() {
    let (source, outcomes) = TestSource::new(0..200_u64).endless().build();
    let (calls, begun) = (Calls::default(), Instant::now());
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(Duration::ZERO, fails(1)))
                .retry(every_second(2))
                .max_parked(NonZeroUsize::new(4).unwrap())
                .unordered(1)
                .workers(1),
        )
        .acknowledge()
        .max_demand(1)
        .start()
        .await
        .unwrap();
    sleep(ms(10)).await;
    idle().await;
    let (asked, made) = (outcomes.demands().len(), calls.len());
    assert!(
        (4..=5).contains(&made),
        "four wait, beside one that might run: {made}"
    );
    let counts = running.handle().status().counts;
    assert!(
        counts.in_flight <= running.handle().status().bound,
        "{counts:?}"
    );
    sleep(ms(900)).await;
    assert_eq!(
        (outcomes.demands().len(), calls.len()),
        (asked, made),
        "nobody was asked"
    );
    outcomes.wait_for(made).await;
    assert_eq!(begun.elapsed(), SECOND, "they come back");
    outcomes.wait_for(200).await;
    let rounds = 200_usize.div_ceil(made);
    assert_eq!(begun.elapsed(), SECOND * u32::try_from(rounds).unwrap());
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!((outcomes.count("done"), calls.len()), (200, 400));
}

#[tokio::test(start_paused = true)]
async fn the_concurrency_may_change_while_messages_wait_and_none_is_lost() {
    let (source, outcomes) = TestSource::of(0..400_u64);
    let cue = towpath_test::Cue::new().delay(ms(100));
    let (calls, handle) = (Calls::default(), cue.handler());
    let seen = calls.clone();
    let handle = move |item: u64| {
        let (before, handled) = (seen.note(item), handle(item));
        async move {
            let item = handled.await?;
            fails(1)(item, before)?;
            Ok::<_, BoxError>(item)
        }
    };
    let running = Flow::from(source)
        .process(
            Processor::new("call", handle)
                .retry(every_second(3))
                .max_parked(NonZeroUsize::new(32).unwrap())
                .unordered(8)
                .workers(2),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    let handle = running.handle().clone();
    cue.wait_for(30).await;
    handle.set_concurrency("call", 2).unwrap();
    sleep(ms(101)).await;
    let begun = Instant::now();
    while begun.elapsed() < 3 * SECOND {
        assert!(cue.running() <= 2, "{} run", cue.running());
        sleep(ms(7)).await;
    }
    handle.set_concurrency("call", 8).unwrap();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((outcomes.count("done"), cue.calls()), (400, 800));
    assert!(cue.max_running() <= 8, "{} ran", cue.max_running());
}
