//! The figures of batches.

use tokio::time::sleep;
use towpath::{Batcher, Flow, Trigger};
use towpath_test::{Recorder, TestSource, check};

use super::{distribution, ms, reported};

#[tokio::test(start_paused = true)]
async fn batches_are_counted_by_trigger_size_weight_and_age() {
    let (source, _) = TestSource::new(1..26_u64).endless().build();
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .batch(
            Batcher::new("collect")
                .max_messages(10)
                .max_wait(ms(300))
                .max_weight(1000, |n: &u64| *n),
        )
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();
    sleep(ms(1000)).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    let batches = reported(&report, "collect").batches.clone().unwrap();
    let closed: Vec<_> = batches.closed.into_iter().collect();
    assert_eq!(closed, [(Trigger::Count, 2), (Trigger::Age, 1)]);
    assert_eq!((batches.size.count, batches.size.sum), (3, 25));
    assert_eq!((batches.weight.count, batches.weight.sum), (3, 25 * 13));
    assert_eq!(batches.age, distribution([ms(0), ms(0), ms(300)]));
    let ages: Vec<_> = recorder
        .batches()
        .iter()
        .map(|(_, info)| info.age)
        .collect();
    assert_eq!(ages, [ms(0), ms(0), ms(300)]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_batches_at_the_age_that_they_have() {
    let (source, _) = TestSource::new(0..3_u64).endless().build();
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .batch(Batcher::new("collect").key(|n: &u64| *n))
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();
    sleep(ms(400)).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    let batches = reported(&report, "collect").batches.clone().unwrap();
    assert_eq!(
        batches.closed.into_iter().collect::<Vec<_>>(),
        [(Trigger::Drain, 3)]
    );
    assert_eq!(batches.age, distribution([ms(400); 3]));
    assert_eq!(batches.weight.count, 0, "nothing is weighed");
}

#[tokio::test(start_paused = true)]
async fn a_batcher_that_has_closed_none_says_so_and_others_have_none() {
    let (source, _) = TestSource::of(0..0_u64);
    let recorder = Recorder::<u64>::new();
    let report = Flow::from(source)
        .batch(Batcher::new("collect"))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    let batches = reported(&report, "collect").batches.clone().unwrap();
    assert_eq!((batches.size.count, batches.closed.len()), (0, 0));
    assert!(reported(&report, "write").batches.is_none());
}
