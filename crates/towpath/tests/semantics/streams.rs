//! Pipelines that end in a stream: settled by hand, and given back when dropped.

use std::time::Duration;

use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use towpath::{BoxError, Ending, Failure, Flow, Outcome, Processor, core::Cause};
use towpath_test::{Cue, TestSource, assert_no_leaks};

use crate::events::idle;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_message_of_a_stream_is_settled_by_hand() {
    let (source, outcomes) = TestSource::of(0..5_u64);
    let (pipeline, mut messages) = Flow::from(source).map(|n| n * 10).into_stream();
    let running = pipeline.start().await.unwrap();
    let outcome = |n| match n {
        0 => Outcome::Done,
        10 => Outcome::retry(),
        20 => Outcome::Reject(Cause::new("reader".into(), "no")),
        30 => Outcome::Drop("not wanted".into()),
        _ => Failure::retry("later")
            .after(MINUTE)
            .into_outcome(&"reader".into()),
    };
    while let Some(message) = messages.next().await {
        let (payload, receipt) = message.into_parts();
        receipt.settle(outcome(payload));
    }
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    let words: Vec<_> = (0..5).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(words, ["done", "retried", "rejected", "dropped", "retried"]);
    assert!(matches!(outcomes.only(4), Outcome::Retry { after, .. } if after == MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_message_knows_through_all_stages_what_is_left_of_its_time() {
    let (source, _) = TestSource::of(0..1_u64);
    let (pipeline, mut messages) = Flow::from(source)
        .process(Processor::new("slow", Cue::new().delay(MINUTE).handler()))
        .process(Processor::new("slower", Cue::new().delay(MINUTE).handler()))
        .into_stream();
    let running = pipeline.deadline(5 * MINUTE).start().await.unwrap();
    let (_, receipt) = messages.next().await.unwrap().into_parts();
    assert_eq!(receipt.time_left(), Some(3 * MINUTE));
    tokio::time::sleep(4 * MINUTE).await;
    assert_eq!(receipt.time_left(), Some(Duration::ZERO));
    receipt.settle(Outcome::Done);
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_tried_in_place_comes_again_with_those_attempts_counted() {
    let (source, outcomes) = TestSource::new(0..1_u64).redelivering(9).build();
    let (pipeline, mut messages) = Flow::from(source).into_stream();
    let running = pipeline.start().await.unwrap();
    let mut seen = Vec::new();
    while let Some(message) = messages.next().await {
        seen.push(message.origin().attempt);
        let (_, mut receipt) = message.into_parts();
        if receipt.attempts() < 7 {
            receipt.add_attempts(2);
            receipt.settle(Outcome::retry());
        } else {
            receipt.settle(Outcome::Done);
        }
    }
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(seen, [1, 4, 7]);
    assert_eq!(outcomes.words().last(), Some(&(0, "done")));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_stream_that_is_dropped_is_given_back() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let (pipeline, mut messages) = Flow::from(source).into_stream();
    let running = pipeline.start().await.unwrap();
    while let Some(message) = messages.next().await {
        if message.payload() % 2 == 0 {
            message.into_parts().1.settle(Outcome::Done);
        }
    }
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((outcomes.count("done"), outcomes.count("retried")), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn the_pipeline_ends_when_the_last_message_of_its_stream_is_settled() {
    let (source, outcomes) = TestSource::of(0..3_u64);
    let (pipeline, mut messages) = Flow::from(source).into_stream();
    let running = pipeline.start().await.unwrap();
    let mut held = Vec::new();
    while let Some(message) = messages.next().await {
        held.push(message);
    }
    drop(messages);
    idle().await;
    assert!(
        towpath::find(running.handle().name().as_str()).is_some(),
        "it waits for them"
    );
    for message in held {
        message.into_parts().1.settle(Outcome::Done);
    }
    let report = timeout(MINUTE, running.join())
        .await
        .expect("all is settled")
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_ends_the_pipeline_and_gives_everything_back() {
    for processors in 0..3 {
        let (source, outcomes) = TestSource::new(0..1_000_000_u64).endless().build();
        let mut flow = Flow::from(source).process(Processor::new("first", Cue::new().handler()));
        for n in 0..processors {
            let name = format!("more {n}");
            flow = flow.process(Processor::new(name, Cue::new().handler()).ordered(3));
        }
        let (pipeline, mut messages) = flow.into_stream();
        let running = pipeline.start().await.unwrap();
        for _ in 0..100 {
            messages
                .next()
                .await
                .unwrap()
                .into_parts()
                .1
                .settle(Outcome::Done);
        }
        drop(messages);
        let ended = timeout(MINUTE, running.join()).await;
        let report = ended
            .unwrap_or_else(|_| panic!("{processors} more processors: hangs"))
            .unwrap();
        assert_no_leaks(&report);
        assert_eq!(report.ending, Ending::Finished);
        assert_eq!(outcomes.count("done"), 100);
        assert_eq!(report.counts.retried, report.counts.emitted - 100);
        assert_eq!(report.exit_code(), 1, "they are left");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_lets_calls_finish_and_starts_no_more() {
    let (source, outcomes) = TestSource::new(0..10_000_u64)
        .redelivering(100)
        .endless()
        .build();
    let cue = Cue::new().hang_when(|n| *n < 4);
    let handler = cue.handler();
    let chunk = move |items: Vec<u64>| {
        let handler = handler.clone();
        async move {
            let mut results = Vec::new();
            for item in items {
                results.push(handler(item).await);
            }
            Ok::<_, BoxError>(results)
        }
    };
    let processor = Processor::chunk("work", chunk)
        .max_messages(1)
        .concurrency(4);
    let (pipeline, messages) = Flow::from(source).process(processor).into_stream();
    let running = pipeline.start().await.unwrap();
    cue.wait_for(4).await;
    drop(messages);
    cue.release();
    let report = timeout(MINUTE, running.join())
        .await
        .expect("it ends")
        .unwrap();
    assert_no_leaks(&report);
    // No worker goes on beyond the chunk that it was filling.
    assert!(cue.calls() < 1000, "{} calls for nothing", cue.calls());
    assert_eq!(outcomes.count("done"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_holds_the_source_back() {
    let (source, outcomes) = TestSource::new(0..1_000_000_u64).build();
    let (pipeline, mut messages) = Flow::from(source)
        .process(Processor::new("work", Cue::new().handler()))
        .into_stream();
    let running = pipeline.start().await.unwrap();
    let first = messages.next().await.unwrap();
    idle().await;
    let status = running.handle().status();
    assert!(status.counts.emitted <= status.bound, "{status:?}");
    assert!(status.counts.emitted < 10_000);
    drop((first, messages));
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("retried"), outcomes.total());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_stream_behind_what_was_taken() {
    let (source, outcomes) = TestSource::new(0..50_u64).endless().build();
    let (pipeline, messages) = Flow::from(source).into_stream();
    let running = pipeline.start().await.unwrap();
    let mut messages = std::pin::pin!(messages);
    let mut read = 0;
    while read < 50 {
        messages
            .next()
            .await
            .unwrap()
            .into_parts()
            .1
            .settle(Outcome::Done);
        read += 1;
    }
    running.handle().drain();
    assert!(messages.next().await.is_none());
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (&report.ending, outcomes.count("done")),
        (&Ending::Stopped, 50)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_what_the_reader_holds_when_the_reader_lets_go() {
    let (source, outcomes) = TestSource::new(0..5_u64).endless().build();
    let (pipeline, mut messages) = Flow::from(source).into_stream();
    let running = pipeline.start().await.unwrap();
    let held = messages.next().await.unwrap();
    running.handle().stop(MINUTE).await;
    let report = running.join().await.unwrap();
    assert_eq!(report.ending, Ending::DeadlineExceeded);
    assert_eq!(
        (report.exit_code(), report.left >= 1),
        (1, true),
        "the reader has them"
    );
    drop((held, messages));
    assert_eq!(outcomes.count("done"), 0);
}
