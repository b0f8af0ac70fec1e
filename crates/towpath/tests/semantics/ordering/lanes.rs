//! Lanes: one message of a key at a time and in order, different keys side by side.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use towpath::{BoxError, Flow, Outcome, Processor, core::find, processor::LaneHalted};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::{Dice, Keyed, of_key, turns};

#[tokio::test(start_paused = true)]
async fn messages_of_one_key_are_worked_on_one_at_a_time_and_in_order() {
    let (source, _) = TestSource::new(turns(5, 40)).chunk(13).build();
    let spans = Arc::new(Mutex::new(Vec::new()));
    let noted = spans.clone();
    let handle = move |item: Keyed| {
        let noted = noted.clone();
        async move {
            let begun = Instant::now();
            sleep(Duration::from_millis(1 + u64::from(item.0 * item.1 % 7))).await;
            noted.lock().unwrap().push((item, begun, Instant::now()));
            Ok::<_, BoxError>(item)
        }
    };
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", handle).by_key(16, |item: &Keyed| item.0))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    let spans = spans.lock().unwrap();
    for key in 0..5 {
        assert_eq!(of_key(&recorder.items(), key), (0..40).collect::<Vec<_>>());
        let mut lane: Vec<_> = spans.iter().filter(|(item, ..)| item.0 == key).collect();
        lane.sort_by_key(|(item, ..)| item.1);
        assert!(
            lane.windows(2).all(|pair| pair[0].2 <= pair[1].1),
            "key {key} overlaps"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn different_keys_are_worked_on_side_by_side() {
    let (source, _) = TestSource::of(turns(8, 10));
    let cue = Cue::new().delay(Duration::from_millis(10));
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).by_key(8, |item: &Keyed| item.0))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(cue.max_running(), 8);
    assert!(
        begun.elapsed() <= Duration::from_millis(110),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_key_takes_one_slot_and_leaves_the_others_to_other_keys() {
    // Two slots. Key 0 takes ten seconds in all; the others are to be done long before.
    let items = (0..10)
        .map(|seq| (0, seq))
        .chain((1..200).map(|key| (key, 0)));
    let (source, outcomes) = TestSource::of(items.collect::<Vec<Keyed>>());
    let slow = |item: &Keyed| Duration::from_millis(if item.0 == 0 { 1000 } else { 1 });
    let cue = Cue::new().delay_by(slow);
    let running = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).by_key(2, |item: &Keyed| item.0))
        .acknowledge()
        .start()
        .await
        .unwrap();

    let begun = Instant::now();
    outcomes.wait_for(199).await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_hangs_fills_its_lane_and_no_more_than_the_parking_is_read_ahead() {
    let (source, outcomes) = TestSource::of((0..10_000).map(|seq| (0, seq)));
    let cue = Cue::new().hang_when(|_| true);
    let parking = NonZeroUsize::new(50).unwrap();
    let pipeline = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .by_key(4, |item: &Keyed| item.0)
                .parking(parking),
        )
        .acknowledge();
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();

    cue.wait_for(1).await;
    sleep(Duration::from_secs(60)).await;
    let counts = running.handle().status().counts;
    assert_eq!((cue.calls(), outcomes.total()), (1, 0));
    assert!(
        counts.in_flight <= bound && bound < 1000,
        "{counts:?} {bound}"
    );
    cue.release();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, 10_000);
}

#[tokio::test(start_paused = true)]
async fn behind_a_failure_its_lane_goes_on_in_order() {
    let (source, outcomes) = TestSource::of(turns(2, 5));
    let cue = Cue::new().fail_when(|item| *item == (0, 2));
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).by_key(4, |item: &Keyed| item.0))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(of_key(&recorder.items(), 0), [0, 1, 3, 4]);
    assert_eq!(of_key(&recorder.items(), 1), [0, 1, 2, 3, 4]);
    assert_eq!(outcomes.count("rejected"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_halts_on_failure_rejects_what_comes_later_and_other_lanes_flow() {
    let (source, outcomes) = TestSource::new(turns(2, 50)).chunk(3).build();
    let cue = Cue::new()
        .delay(Duration::from_millis(2))
        .fail_when(|item| *item == (0, 2));
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .by_key(4, |item: &Keyed| item.0)
                .halt_on_failure(),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(of_key(&recorder.items(), 0), [0, 1]);
    assert_eq!(of_key(&recorder.items(), 1), (0..50).collect::<Vec<_>>());
    assert_eq!(of_key(&cue.starts(), 0), [0, 1, 2]);
    assert_eq!(outcomes.count("rejected"), 48);
    // Items take turns: key 0 has the even places.
    for place in (6..100).step_by(2) {
        let Outcome::Reject(cause) = outcomes.only(place) else {
            panic!("{place} is not rejected");
        };
        assert!(
            find::<LaneHalted>(cause.error()).is_some(),
            "{place}: {:?}",
            cause.chain()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_lane_frees_the_lane() {
    let (source, outcomes) = TestSource::of((0..30).map(|seq| (0, seq)));
    let cue = Cue::new().panic_when(|item: &Keyed| item.1.is_multiple_of(3));
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).by_key(4, |item: &Keyed| item.0))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    let expected: Vec<_> = (0..30).filter(|seq: &u32| !seq.is_multiple_of(3)).collect();
    assert_eq!(of_key(&recorder.items(), 0), expected);
    assert_eq!(outcomes.count("rejected"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_key_function_that_panics_fails_one_message() {
    let (source, outcomes) = TestSource::of(0..20_u32);
    let cue = Cue::new();
    let key = |n: &u32| {
        assert_ne!(*n, 11, "the key of eleven");
        n % 3
    };
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).by_key(4, key))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.only(11).word()),
        (19, "rejected")
    );
    assert_eq!(cue.calls_of(&11), 0);
}

#[tokio::test(start_paused = true)]
async fn each_stage_may_have_keys_of_its_own() {
    let (source, _) = TestSource::of(turns(6, 30));
    let recorder = Recorder::new();
    let first = Cue::new().delay_by(|item: &Keyed| Dice(3).delay(*item));
    let second = Cue::new().delay_by(|item: &Keyed| Dice(5).delay(*item));
    let report = Flow::from(source)
        .process(Processor::new("first", first.handler()).by_key(6, |item: &Keyed| item.0))
        .process(Processor::new("second", second.handler()).by_key(2, |item: &Keyed| item.0 % 2))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    for key in 0..6 {
        assert_eq!(of_key(&recorder.items(), key), (0..30).collect::<Vec<_>>());
    }
    assert_eq!(second.max_running(), 2);
}
