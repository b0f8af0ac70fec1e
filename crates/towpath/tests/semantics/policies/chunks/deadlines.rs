//! The time that a pipeline gives its messages, in chunks of messages of different age.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{num::NonZeroUsize, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};
use towpath::{
    BoxError, Deadline, Flow, Ingress, Outcome, Overflow, Processor, Source,
    core::Stage,
    policy::{DeadlinePassed, find},
    processor::{ChunkProcessor, FnService},
};
use towpath_test::{TestSource, assert_no_leaks, check};

use super::{Calls, Handler, every_second, fails, succeeds};
use crate::policies::limiting::{SECOND, ms};

#[tokio::test(start_paused = true)]
async fn a_chunk_has_the_deadline_of_its_oldest_message() {
    let (source, _) = TestSource::new(0..10_u64).chunk(10).build();
    let (calls, begun) = (Calls::default(), Instant::now());
    let report = Flow::from(source)
        .process(calls.stage(ms(1), succeeds))
        .acknowledge()
        .deadline(SECOND)
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(
        calls
            .all()
            .iter()
            .all(|call| call.deadline == Some(begun + SECOND))
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_and_policies_there_is_none_to_read() {
    let (source, _) = TestSource::of(0..10_u64);
    let calls = Calls::default();
    let report = Flow::from(source)
        .process(calls.stage(ms(1), succeeds))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(
        calls
            .all()
            .iter()
            .all(|call| call.deadline.is_none() && call.attempt == 1)
    );
}

/// Pushes 0, behind it 1 to 4, and 5 to 9 after a while; each has a second from then on. All
/// but 0 are gathered until 600 ms, and come to the stage in one go. What became of them.
async fn of_two_ages(stage: impl Stage<u64, Out = u64>, pause: Duration) -> Vec<Outcome> {
    let (source, ingress) = Ingress::new(NonZeroUsize::new(100).unwrap(), Overflow::Wait);
    let begun = Instant::now();
    let gather = move |n: u64| async move {
        let until = if n == 0 { begun } else { begun + ms(600) };
        sleep_until(until).await;
        Ok::<_, BoxError>(n)
    };
    let running = Flow::from(Source::new("ingress", source))
        .process(Processor::new("gather", gather).ordered(16))
        .process(stage)
        .acknowledge()
        .deadline(SECOND)
        .start()
        .await
        .unwrap();
    let push = async |n: u64| {
        let after = match n {
            0 => ms(0),
            1..5 => ms(1),
            _ => pause,
        };
        sleep(after).await;
        ingress.push_and_wait(n).await.unwrap()
    };
    let outcomes = join_all((0..10).map(push)).await;
    drop(ingress);
    assert_no_leaks(&running.join().await.unwrap());
    outcomes
}

fn words(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::word).collect()
}

#[track_caller]
fn assert_late(outcome: &Outcome) {
    let Outcome::Reject(cause) = outcome else {
        panic!("not rejected, but {outcome:?}");
    };
    assert!(find::<DeadlinePassed>(cause.error()).is_some(), "{cause:?}");
}

/// A stage whose call for 0 alone takes so long, and any other so long.
fn slow_for_the_first(
    calls: &Calls,
    first: Duration,
    others: Duration,
) -> ChunkProcessor<FnService<Handler>> {
    let noted = calls.clone();
    let handler: Handler = Box::new(move |chunk| {
        noted.note(&chunk);
        let takes = if chunk == [0] { first } else { others };
        Box::pin(async move {
            sleep(takes).await;
            Ok(chunk.into_iter().map(Ok).collect())
        })
    });
    Processor::chunk("look up", handler)
        .max_messages(10)
        .concurrency(1)
}

#[tokio::test(start_paused = true)]
async fn late_ones_are_left_out_of_a_chunk_before_it_is_called() {
    let calls = Calls::default();
    // At 1200 ms, when the call for 0 ends, the second of 1 to 4 is over.
    let stage = slow_for_the_first(&calls, ms(1200), ms(1));
    let outcomes = of_two_ages(stage, ms(500)).await;
    assert_eq!(calls.chunks(), [vec![0], (5..10).collect()]);
    outcomes[1..5].iter().for_each(assert_late);
    assert_eq!(words(&outcomes[5..]), ["done"; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_of_late_messages_alone_is_not_called_and_the_stage_goes_on() {
    let calls = Calls::default();
    let stage = slow_for_the_first(&calls, ms(1200), ms(1)).max_messages(4);
    let outcomes = of_two_ages(stage, ms(500)).await;
    assert_eq!(calls.chunks().concat(), [0, 5, 6, 7, 8, 9]);
    outcomes[1..5].iter().for_each(assert_late);
    assert_eq!(words(&outcomes[5..]), ["done"; 5]);
}

#[tokio::test(start_paused = true)]
async fn when_the_time_of_some_ends_a_call_the_others_go_back_to_their_source() {
    let calls = Calls::default();
    // The call for the others begins at 900 ms, and at 1001 the time of 1 to 4 is over.
    let stage = slow_for_the_first(&calls, ms(900), ms(300)).deadline(Deadline::inherited());
    let outcomes = of_two_ages(stage, ms(500)).await;
    assert_eq!(calls.chunks(), [vec![0], (1..10).collect()]);
    let ends = calls.all()[1].deadline.unwrap() - calls.all()[0].at;
    assert_eq!(ends, ms(1001));
    outcomes[1..5].iter().for_each(assert_late);
    assert_eq!(words(&outcomes[5..]), ["retried"; 5]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_stage_is_over_for_all_of_a_chunk() {
    let calls = Calls::default();
    let stage = slow_for_the_first(&calls, ms(600), ms(300)).deadline(ms(200));
    let outcomes = of_two_ages(stage, ms(100)).await;
    assert_eq!(calls.len(), 2);
    outcomes.iter().for_each(assert_late);
}

#[tokio::test(start_paused = true)]
async fn the_attempts_for_a_chunk_end_at_its_deadline() {
    let (source, outcomes) = TestSource::new(0..10_u64).chunk(10).build();
    let (calls, begun) = (Calls::default(), Instant::now());
    let report = Flow::from(source)
        .process(calls.stage(ms(100), fails).retry(every_second(99)))
        .acknowledge()
        .deadline(5 * SECOND)
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(begun.elapsed() <= 5 * SECOND);
    for n in 0..10 {
        assert_eq!(
            calls.attempts_of(n),
            [1, 2, 3, 4, 5],
            "at 0, 1.1, 2.2, 3.3 and 4.4 s"
        );
        assert_late(&outcomes.only(n));
    }
}
