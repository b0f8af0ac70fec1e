//! What is known of a source.

use tokio::time::sleep;
use towpath::{Flow, Processor, Status};
use towpath_test::{Cue, TestSource, check};

use super::ms;

#[tokio::test(start_paused = true)]
async fn what_a_source_delivers_again_is_counted() {
    let (source, _) = TestSource::new(0..10_u64).redelivering(3).build();
    let cue = Cue::new().retry_when(|n| *n < 2);
    let report = Flow::from(source)
        .process(Processor::new("works", cue.handler()))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let source = &report.sources[0];
    // Two messages are delivered three times each.
    assert_eq!((source.received, source.redelivered), (14, 4));
    assert_eq!(source.settled.all(), 14);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_source_is_shown_until_it_answers_again() {
    let (source, _) = TestSource::new(0..200_u64)
        .chunk(10)
        .fail_receive_at(30)
        .endless()
        .build();
    let running = Flow::from(source).acknowledge().start().await.unwrap();
    let seen = |status: &Status| {
        let source = &status.sources[0];
        (source.failures, source.error.clone())
    };
    sleep(ms(10)).await;
    let status = running.handle().status();
    let (failures, error) = seen(&status);
    assert_eq!((failures, status.sources[0].received), (1, 30));
    let expected = "receive fails on cue before item 30";
    assert_eq!(error.as_deref(), Some(expected));
    sleep(ms(1000)).await;
    let status = running.handle().status();
    assert_eq!(seen(&status), (1, None));
    assert_eq!(status.sources[0].received, 200);
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_go_on_keeps_its_error() {
    let (source, _) = TestSource::new(0..20_u64).fail_for_good_at(10).build();
    let report = Flow::from(source).acknowledge().run().await.unwrap();
    check(&report);
    assert_eq!(report.sources[0].failures, 1);
    assert!(report.sources[0].error.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_source_that_is_started_again_is_counted() {
    let (source, _) = TestSource::new(0..5_u64).endless().build();
    let running = Flow::from(source).acknowledge().start().await.unwrap();
    sleep(ms(10)).await;
    running.handle().kill_worker("source", 0).unwrap();
    sleep(ms(1000)).await;
    assert_eq!(running.handle().status().sources[0].restarts, 1);
    running.handle().drain();
    check(&running.join().await.unwrap());
}
