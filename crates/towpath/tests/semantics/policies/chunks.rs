//! The policies of a stage over whole chunks: a chunk is what they limit and try again.

mod attempts;
mod deadlines;
mod holding;

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use towpath::{
    BoxError, CircuitBreaker, Deadline, Dedup, Fallback, Flow, Hedge, Jitter, Outcome,
    PolicyStatus, Processor, RateLimit, Retry,
    core::Stage,
    policy::{BreakerOpen, find},
    processor::{ChunkProcessor, FnService},
};
use towpath_test::{Recorder, TestSource, check};

use super::limiting::{Budget, SECOND, ms};

/// A call for a chunk, as it saw itself.
#[derive(Clone, Debug, PartialEq)]
struct Call {
    chunk: Vec<u64>,
    at: Instant,
    attempt: u32,
    deadline: Option<Instant>,
}

/// The calls of a chunk processor.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<Call>>>);

type Answer = Result<Vec<Result<u64, BoxError>>, BoxError>;
type Handled = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Handler = Box<dyn Fn(Vec<u64>) -> Handled + Send + Sync>;

impl Calls {
    /// A stage of chunks of ten, one call at a time, whose calls take a while and end as `act`
    /// says of the chunk and how many calls were before.
    fn stage<A>(&self, takes: Duration, act: A) -> ChunkProcessor<FnService<Handler>>
    where
        A: Fn(&[u64], usize) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
    {
        let calls = self.clone();
        let handle: Handler = Box::new(move |chunk| {
            let (calls, act) = (calls.clone(), act.clone());
            Box::pin(async move {
                let before = calls.note(&chunk);
                if !takes.is_zero() {
                    sleep(takes).await;
                }
                act(&chunk, before)?;
                Ok(chunk.into_iter().map(Ok).collect())
            })
        });
        Processor::chunk("look up", handle)
            .max_messages(10)
            .concurrency(1)
    }

    fn note(&self, chunk: &[u64]) -> usize {
        let mut calls = self.0.lock().expect("nobody panics here");
        calls.push(Call {
            chunk: chunk.to_vec(),
            at: Instant::now(),
            attempt: towpath::attempt(),
            deadline: towpath::deadline(),
        });
        calls.len() - 1
    }

    fn all(&self) -> Vec<Call> {
        self.0.lock().expect("nobody panics here").clone()
    }

    fn len(&self) -> usize {
        self.all().len()
    }

    fn chunks(&self) -> Vec<Vec<u64>> {
        self.all().into_iter().map(|call| call.chunk).collect()
    }

    /// The attempts that the chunks with an item were.
    fn attempts_of(&self, item: u64) -> Vec<u32> {
        let all = self.all().into_iter();
        let of = all.filter(|call| call.chunk.contains(&item));
        of.map(|call| call.attempt).collect()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as a call ends")]
fn succeeds(_: &[u64], _: usize) -> Result<(), BoxError> {
    Ok(())
}

fn fails(_: &[u64], _: usize) -> Result<(), BoxError> {
    Err("no connection".into())
}

/// So many attempts, a second apart, however many fail.
fn every_second(attempts: u32) -> Retry {
    Retry::fixed(SECOND)
        .jitter(Jitter::None)
        .attempts(attempts)
        .budget_at_least(1_000_000)
}

#[expect(clippy::ptr_arg, reason = "a request is a `Vec`")]
fn weigh(chunk: &Vec<u64>) -> u32 {
    u32::try_from(chunk.len()).unwrap_or(u32::MAX)
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_weighs_chunks_holds_for_messages() {
    let (source, outcomes) = TestSource::of(0..500_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let stage = calls.stage(ms(0), succeeds).concurrency(4);
    let report = Flow::from(source)
        .process(stage.rate_limit(RateLimit::per_second(100).burst(20).weight(weigh)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 500);
    let weighed = calls
        .all()
        .into_iter()
        .map(|call| (call.at, call.chunk.len() as u64));
    Budget::per_second(100, 20).holds_for_weights(&weighed.collect::<Vec<_>>());
    Budget::per_second(100, 20).is_used_up(500, begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_without_a_weight_counts_chunks() {
    let (source, _) = TestSource::of(0..200_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let report = Flow::from(source)
        .process(
            calls
                .stage(ms(0), succeeds)
                .rate_limit(RateLimit::per_second(2).burst(1)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let count = u32::try_from(calls.len()).unwrap();
    assert!(count >= 20);
    let least = (count - 1) * ms(500);
    assert!((least..least + ms(100)).contains(&begun.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_costs_probes_and_no_message_and_demand_stops() {
    let (source, outcomes) = TestSource::new(0..10_000_u64).chunk(10).build();
    let (calls, begun) = (Calls::default(), Instant::now());
    let dead = move |_: &[u64], _: usize| {
        if begun.elapsed() < 600 * SECOND {
            return Err("down".into());
        }
        Ok(())
    };
    let breaker = CircuitBreaker::failure_rate(0.5)
        .min_calls(4)
        .open_for(10 * SECOND)
        .probes(1);
    let running = Flow::from(source)
        .process(
            calls
                .stage(ms(10), dead)
                .concurrency(4)
                .circuit_breaker(breaker)
                .retry(every_second(3)),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(599 * SECOND).await;
    assert_eq!(outcomes.total(), 0);
    let (count, asked) = (calls.len(), outcomes.demands().len());
    assert!(count <= 8 + 60, "{count} calls");
    assert!(asked < 100, "the source was asked {asked} times");
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 10_000);
}

#[tokio::test(start_paused = true)]
async fn without_a_retry_a_chunk_that_opens_the_breaker_goes_back_to_the_source() {
    let (source, outcomes) = TestSource::new(0..20_u64).chunk(10).build();
    let calls = Calls::default();
    let first_is_down = |_: &[u64], before| {
        if before < 1 {
            Err("down".into())
        } else {
            Ok(())
        }
    };
    let breaker = CircuitBreaker::failure_rate(0.5)
        .min_calls(1)
        .open_for(SECOND);
    let report = Flow::from(source)
        .process(calls.stage(ms(10), first_is_down).circuit_breaker(breaker))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let given_back = calls.chunks()[0].len();
    assert_eq!(outcomes.count("retried"), given_back);
    assert_eq!(outcomes.count("done"), 20 - given_back);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_rejects_rejects_every_message_of_a_chunk() {
    let (source, outcomes) = TestSource::new(0..40_u64).chunk(10).build();
    let calls = Calls::default();
    let breaker = CircuitBreaker::failure_rate(0.5)
        .min_calls(1)
        .open_for(60 * SECOND)
        .rejecting();
    let report = Flow::from(source)
        .process(calls.stage(ms(10), fails).circuit_breaker(breaker))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((calls.len(), outcomes.count("rejected")), (1, 40));
    let Outcome::Reject(cause) = outcomes.only(39) else {
        panic!("not rejected");
    };
    assert!(find::<BreakerOpen>(cause.error()).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_errors_of_single_messages_are_no_errors_of_the_call() {
    let (source, outcomes) = TestSource::of(0..100_u64);
    let judge = |chunk: Vec<u64>| async move {
        let odd = |n: u64| if n % 2 == 1 { Err("odd") } else { Ok(n) };
        Ok(chunk.into_iter().map(odd).collect())
    };
    let running = Flow::from(source)
        .process(
            Processor::chunk("look up", judge)
                .retry(every_second(5))
                .circuit_breaker(CircuitBreaker::failure_rate(0.1).min_calls(1)),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    let handle = running.handle().clone();
    check(&running.join().await.unwrap());
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (50, 50)
    );
    for policy in handle.policies("look up").unwrap() {
        match policy {
            PolicyStatus::Retry { retried, .. } => assert_eq!(retried, 0),
            PolicyStatus::CircuitBreaker { opened, .. } => assert_eq!(opened, 0),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_for_each_message_of_a_chunk() {
    let (source, outcomes) = TestSource::of(0..30_u64);
    let (calls, recorder) = (Calls::default(), Recorder::new());
    let unknown = |chunk: Vec<u64>| async move {
        let known = |n| {
            if n == 7 {
                Err("unknown".into())
            } else {
                Ok(n + 100)
            }
        };
        Ok::<Vec<Result<u64, BoxError>>, BoxError>(chunk.into_iter().map(known).collect())
    };
    let report = Flow::from(source)
        .process(
            calls
                .stage(ms(1), fails)
                .fallback(Fallback::service(towpath::policy::service_fn(unknown)))
                .retry(every_second(2)),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.only(7).word()),
        (29, "rejected")
    );
    assert!(recorder.items().iter().all(|n: &u64| *n >= 100));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_asks_for_the_whole_chunk_again_and_each_message_goes_on_once() {
    let (source, outcomes) = TestSource::new(0..20_u64).chunk(10).build();
    let (calls, recorder) = (Calls::default(), Recorder::new());
    let noted = calls.clone();
    let slow_at_first = move |chunk: Vec<u64>| {
        let before = noted.note(&chunk);
        async move {
            sleep(if before == 0 { 60 * SECOND } else { ms(1) }).await;
            Ok(chunk.into_iter().map(Ok::<_, BoxError>).collect())
        }
    };
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::chunk("look up", slow_at_first)
                .max_messages(10)
                .concurrency(1)
                .hedge(Hedge::after(ms(50))),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    let chunks = calls.chunks();
    assert_eq!(chunks[0], chunks[1]);
    assert!(begun.elapsed() < SECOND);
    assert_eq!((outcomes.count("done"), recorder.items().len()), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn a_chunk_of_a_key_that_was_done_is_dropped_with_all_its_messages() {
    let (source, outcomes) = TestSource::new([1_u64, 2, 1, 2, 3, 4]).chunk(2).build();
    let calls = Calls::default();
    let report = Flow::from(source)
        .process(
            calls
                .stage(ms(1), succeeds)
                .max_messages(2)
                .dedup(Dedup::by_key(|chunk: &Vec<u64>| chunk[0])),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(calls.chunks(), [[1, 2], [3, 4]]);
    assert_eq!((outcomes.count("done"), outcomes.count("dropped")), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn the_policies_of_chunks_are_seen_and_changed_while_they_run() {
    let (source, outcomes) = TestSource::of(0..600_u64);
    let calls = Calls::default();
    let running = Flow::from(source)
        .process(
            calls
                .stage(ms(0), succeeds)
                .concurrency(4)
                .rate_limit(RateLimit::per_second(10).burst(10).weight(weigh))
                .timeout(SECOND)
                .deadline(Deadline::after(600 * SECOND)),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(10 * SECOND).await;
    let before = outcomes.count("done");
    assert!((90..=110).contains(&before), "{before}");
    let handle = running.handle().clone();
    let policies = handle.policies("look up").unwrap();
    let words: Vec<_> = policies.iter().map(PolicyStatus::policy).collect();
    assert_eq!(words, ["deadline", "rate limit", "concurrency", "timeout"]);
    handle.set_rate("look up", 100, SECOND).unwrap();
    sleep(6 * SECOND).await;
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 600);
}

#[test]
fn the_topology_shows_the_policies_of_chunks_in_their_order() {
    let calls = Calls::default();
    let stage = calls
        .stage(ms(0), succeeds)
        .timeout(SECOND)
        .rate_limit(RateLimit::per_second(5))
        .retry(every_second(3))
        .layer(tower::layer::util::Identity::new());
    let info = stage.info();
    let places = [
        "chunks of 10",
        "attempts",
        "rate limit",
        "1s",
        "layer Identity",
    ];
    let notes = info.notes.join(" > ");
    let notes: Vec<_> = notes.split(" > ").collect();
    assert_eq!(notes.len(), places.len(), "{notes:?}");
    for (note, place) in notes.iter().zip(places) {
        assert!(note.contains(place), "{note} is not {place}");
    }
    let invalid = stage.rate_limit(RateLimit::per_second(0)).info();
    assert!(
        invalid.problems[0].contains("rate"),
        "{:?}",
        invalid.problems
    );
}
