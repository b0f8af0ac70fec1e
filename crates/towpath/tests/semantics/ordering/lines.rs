//! Order over several stages: in line, by key, into batches, over forks and joins.

use std::time::Duration;

use towpath::{Batcher, Flow, Processor};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::{Dice, Keyed, of_key, turns};

#[tokio::test(start_paused = true)]
async fn an_ordered_processor_hands_on_in_the_order_of_arrival() {
    let (source, _) = TestSource::new(0..500_u32).chunk(9).build();
    let cue = Cue::new()
        .delay_by(|n| Duration::from_millis(u64::from(n * 31 % 17)))
        .fail_when(|n| n % 50 == 49)
        .panic_when(|n| n % 50 == 24);
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).ordered(16))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    let expected: Vec<_> = (0..500).filter(|n| n % 25 != 24).collect();
    assert_eq!(recorder.items(), expected);
    assert_eq!(cue.max_running(), 16);
}

#[tokio::test(start_paused = true)]
async fn an_ordered_processor_reads_no_further_ahead_of_a_hung_message_than_its_slots() {
    let (source, _) = TestSource::of(0..1000_u32);
    let cue = Cue::new().hang_when(|n| *n == 0);
    let running = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).ordered(8))
        .acknowledge()
        .max_demand(8)
        .start()
        .await
        .unwrap();

    cue.wait_for(1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cue.calls(), 8);
    cue.release();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, 1000);
}

#[tokio::test(start_paused = true)]
async fn an_unordered_processor_hands_on_what_is_finished_first() {
    let (source, _) = TestSource::of(0..4_u32);
    let cue = Cue::new().delay_by(|n| Duration::from_millis(u64::from(40 - n * 10)));
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).unordered(4))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items(), [3, 2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn batches_of_one_key_hold_it_in_order() {
    let (source, _) = TestSource::of(turns(4, 50));
    let cue = Cue::new().delay_by(|item: &Keyed| Dice(11).delay(*item));
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).by_key(8, |item: &Keyed| item.0))
        .batch(
            Batcher::new("collect")
                .max_messages(7)
                .key(|item: &Keyed| item.0),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    for key in 0..4 {
        assert_eq!(of_key(&recorder.items(), key), (0..50).collect::<Vec<_>>());
    }
    for (items, info) in recorder.batches() {
        let key = info.key.as_ref().and_then(|key| key.downcast_ref::<u32>());
        assert!(
            items.iter().all(|item| Some(&item.0) == key),
            "{items:?} {info:?}"
        );
    }
}

/// Two sources join, lanes and a line follow, and a router forks into two sinks.
async fn order_over_joins_and_forks(seed: u64) {
    println!("seed {seed}");
    let odd = turns(6, 40).filter(|item| item.0 % 2 == 1);
    let even = turns(6, 40).filter(|item| item.0 % 2 == 0);
    let (first, _) = TestSource::new(odd).named("odd").chunk(5).build();
    let (second, _) = TestSource::new(even).named("even").chunk(11).build();
    let lanes = Cue::new().delay_by(move |item: &Keyed| Dice(seed).delay(*item));
    let line = Cue::new().delay_by(move |item: &Keyed| Dice(seed + 1).delay(*item));
    let last = Cue::new().delay_by(move |item: &Keyed| Dice(seed + 2).delay(*item));
    let (low, high) = (Recorder::new(), Recorder::new());
    let report = Flow::from(first)
        .merge(Flow::from(second))
        .process(Processor::new("lanes", lanes.handler()).by_key(8, |item: &Keyed| item.0))
        .process(Processor::new("line", line.handler()).ordered(8))
        .process(Processor::new("last", last.handler()).by_key(4, |item: &Keyed| item.0))
        .route(
            "half",
            |item| item.0 < 3,
            |branches| {
                branches
                    .to(true, |flow| {
                        flow.batch(Batcher::new("collect")).sink(low.sink("low"))
                    })
                    .to(false, |flow| flow.sink(high.sink("high")))
            },
        )
        .run()
        .await
        .expect("it is valid");

    check(&report);
    assert_eq!(report.counts.done, 240);
    for key in 0..6 {
        let sink = if key < 3 { &low } else { &high };
        assert_eq!(
            of_key(&sink.items(), key),
            (0..40).collect::<Vec<_>>(),
            "seed {seed}"
        );
    }
    assert!(lanes.max_running() > 1 && line.max_running() > 1 && last.max_running() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_order_over_joins_forks_and_parallel_stages() {
    for seed in 1..=20 {
        order_over_joins_and_forks(seed).await;
    }
}
