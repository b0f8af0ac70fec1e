//! A chunk that fails is tried again as a whole, and each of its messages counts that.

use tokio::time::{Instant, sleep_until};
use towpath::{
    BoxError, Call, DeadLetter, Failure, Flow, Outcome, Processor,
    policy::{Exhausted, find},
};
use towpath_test::{Recorder, TestSource, assert_no_leaks, check};

use super::{Calls, every_second, fails};
use crate::policies::limiting::{SECOND, ms};

/// Fails the calls whose chunk has this item.
fn fails_with(item: u64) -> impl Fn(&[u64], usize) -> Result<(), BoxError> + Clone {
    move |chunk, _| {
        if chunk.contains(&item) {
            return Err("no connection".into());
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_fails_is_tried_again_with_the_same_messages() {
    let (source, outcomes) = TestSource::new(0..30_u64).chunk(10).build();
    let (calls, begun) = (Calls::default(), Instant::now());
    let twice = |_: &[u64], before| {
        if before < 2 {
            Err("busy".into())
        } else {
            Ok(())
        }
    };
    let report = Flow::from(source)
        .process(
            calls
                .stage(ms(0), twice)
                .max_parked(10.try_into().unwrap())
                .retry(every_second(5)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let chunks = calls.chunks();
    assert!(chunks[2..].contains(&chunks[0]) && chunks[2..].contains(&chunks[1]));
    assert_eq!(outcomes.count("done"), 30);
    assert!(begun.elapsed() >= SECOND && begun.elapsed() < 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn when_all_attempts_have_failed_each_message_has_its_letter_with_the_number_of_them() {
    let (source, outcomes) = TestSource::new(0..30_u64).chunk(10).build();
    let (calls, letters) = (Calls::default(), Recorder::<DeadLetter>::new());
    let report = Flow::from(source)
        .process(calls.stage(ms(1), fails_with(15)).retry(every_second(4)))
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();
    check(&report);
    let failed = calls
        .chunks()
        .into_iter()
        .find(|chunk| chunk.contains(&15))
        .unwrap();
    let mut letters = letters.items();
    letters.sort_by_key(|letter| letter.origin.position.as_ref().unwrap().offset);
    let of: Vec<_> = letters
        .iter()
        .map(|l| l.origin.position.as_ref().unwrap().offset)
        .collect();
    assert_eq!(of, failed);
    for letter in &letters {
        assert_eq!(letter.origin.attempt, 4);
        let exhausted = find::<Exhausted>(letter.cause.error()).unwrap();
        assert_eq!(exhausted.attempts, 4);
    }
    assert_eq!(calls.attempts_of(15), [1, 2, 3, 4]);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (20, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_in_place_and_deliveries_are_one_count() {
    let (source, outcomes) = TestSource::new(0..5_u64).chunk(5).redelivering(9).build();
    let calls = Calls::default();
    // The second attempt sends them back, and the next delivery goes on counting.
    let decides = |_: &[u64], before| match before {
        1 => Err(Failure::retry("later").into()),
        _ => fails(&[], before),
    };
    let report = Flow::from(source)
        .process(calls.stage(ms(1), decides).retry(every_second(4)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(calls.attempts_of(0), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        (outcomes.count("retried"), outcomes.count("rejected")),
        (5, 5)
    );
    assert!(matches!(
        outcomes.of(0)[0],
        Outcome::Retry { attempts: 2, .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_chunk_is_the_attempt_of_its_message_that_was_tried_least_and_each_counts_its_own() {
    // 0 comes alone, is sent back, and comes again together with the others.
    let (source, outcomes) = TestSource::new(0..9_u64).redelivering(9).build();
    let (calls, letters) = (Calls::default(), Recorder::<DeadLetter>::new());
    let gathered = Instant::now() + SECOND;
    let gather = move |call: Call<u64>| async move {
        if call.payload > 0 || call.origin.attempt > 1 {
            sleep_until(gathered).await;
        }
        Ok::<_, BoxError>(call.payload)
    };
    let sent_back = |chunk: &[u64], before| match before {
        0 => Err(Failure::retry("later").into()),
        _ => fails(chunk, before),
    };
    let report = Flow::from(source)
        .process(Processor::with_context("gather", gather).ordered(16))
        .process(calls.stage(ms(1), sent_back).retry(every_second(3)))
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        calls.chunks()[..2],
        [vec![0], vec![1, 2, 3, 4, 5, 6, 7, 8, 0]]
    );
    assert_eq!(calls.attempts_of(1), [1, 2, 3]);
    for letter in letters.items() {
        let place = letter.origin.position.as_ref().unwrap().offset;
        let made = if place == 0 { 4 } else { 3 };
        assert_eq!(letter.origin.attempt, made, "of {place}");
    }
    assert_eq!(
        (outcomes.count("retried"), outcomes.count("rejected")),
        (1, 9)
    );
}

#[tokio::test(start_paused = true)]
async fn a_decision_over_a_chunk_is_not_tried_again() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let calls = Calls::default();
    let decides = |_: &[u64], _: usize| Err(Failure::drop("old").into());
    let report = Flow::from(source)
        .process(
            calls
                .stage(ms(1), decides)
                .max_messages(10)
                .retry(every_second(9)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((calls.len(), outcomes.count("dropped")), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_later_attempt_fails_the_messages_of_its_chunk_with_their_attempts() {
    let (source, outcomes) = TestSource::new(0..20_u64).chunk(10).build();
    let (calls, letters) = (Calls::default(), Recorder::<DeadLetter>::new());
    let noted = calls.clone();
    let bursts = move |chunk: &[u64], _: usize| {
        if !chunk.contains(&3) {
            return Ok(());
        }
        assert!(noted.attempts_of(3).len() < 3, "enough");
        Err("busy".into())
    };
    let report = Flow::from(source)
        .process(calls.stage(ms(1), bursts).retry(every_second(9)))
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();
    check(&report);
    let failed = calls
        .chunks()
        .into_iter()
        .find(|chunk| chunk.contains(&3))
        .unwrap();
    let letters = letters.items();
    assert_eq!(letters.len(), failed.len());
    for letter in letters {
        assert!(
            letter.cause.chain().concat().contains("enough"),
            "{:?}",
            letter.cause
        );
        assert_eq!(letter.origin.attempt, 3);
    }
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (10, 10)
    );
    assert_eq!(report.stages[0].counts.restarts, 0);
}
