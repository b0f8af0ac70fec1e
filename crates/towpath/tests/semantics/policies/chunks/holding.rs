//! What a chunk holds that waits for a policy, and what becomes of it at a stop.

use std::{num::NonZeroUsize, time::Duration};

use tokio::time::{Instant, sleep};
use towpath::{BoxError, Ending, Flow, Jitter, RateLimit, Retry, core::Stage};
use towpath_test::{TestSource, assert_no_leaks, check};

use super::{Calls, Handled, every_second, fails, succeeds, weigh};
use crate::policies::limiting::{SECOND, ms};

const HOUR: Duration = Duration::from_secs(3600);

fn in_an_hour() -> Retry {
    Retry::fixed(HOUR)
        .jitter(Jitter::None)
        .attempts(9)
        .budget_at_least(10_000)
}

#[tokio::test(start_paused = true)]
async fn a_chunk_between_two_attempts_holds_up_no_other() {
    let (source, outcomes) = TestSource::new(0..100_u64).chunk(10).build();
    let calls = Calls::default();
    let first_fails = |chunk: &[u64], before| match (chunk.contains(&0), before) {
        (true, 0) => Err("busy".into()),
        _ => Ok(()),
    };
    let retry = in_an_hour();
    let running = Flow::from(source)
        .process(calls.stage(ms(10), first_fails).retry(retry))
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(SECOND).await;
    let waits = calls.chunks()[0].len();
    assert_eq!(outcomes.count("done"), 100 - waits);
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 100);
}

#[tokio::test(start_paused = true)]
async fn no_more_chunks_run_at_once_than_may_however_many_wait() {
    let (source, outcomes) = TestSource::new(0..400_u64).chunk(10).build();
    let calls = Calls::default();
    let fails_at_first = |_: &[u64], before| {
        if before < 30 {
            Err(BoxError::from("busy"))
        } else {
            Ok(())
        }
    };
    let running = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let watched = tower::layer::layer_fn(move |inner| Watched {
        inner,
        running: running.clone(),
    });
    let report = Flow::from(source)
        .process(
            calls
                .stage(ms(10), fails_at_first)
                .concurrency(3)
                .layer(watched)
                .retry(every_second(40)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 400);
}

/// Panics when more than three calls run.
#[derive(Clone)]
struct Watched<S> {
    inner: S,
    running: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl<S> tower::Service<Vec<u64>> for Watched<S>
where
    S: tower::Service<Vec<u64>, Response = Vec<Result<u64, BoxError>>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Handled;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, chunk: Vec<u64>) -> Handled {
        use std::sync::atomic::Ordering::SeqCst;
        let (running, call) = (self.running.clone(), self.inner.call(chunk));
        Box::pin(async move {
            assert!(running.fetch_add(1, SeqCst) < 3, "a fourth call");
            let result = call.await;
            running.fetch_sub(1, SeqCst);
            result
        })
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_messages_may_wait_as_was_said_in_whole_chunks_and_then_demand_stops() {
    let (source, outcomes) = TestSource::new(0..10_000_u64).chunk(10).build();
    let calls = Calls::default();
    let retry = in_an_hour();
    let parked = NonZeroUsize::new(45).unwrap();
    let stage = calls.stage(ms(1), fails).retry(retry).max_parked(parked);
    assert_eq!((stage.info().parking, stage.info().concurrency), (5, 1));
    assert!(stage.info().holds >= 60);
    let running = Flow::from(source)
        .process(stage)
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(60 * SECOND).await;
    assert_eq!((calls.len(), outcomes.total()), (6, 0));
    running.handle().stop(SECOND).await;
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(outcomes.count("retried"), outcomes.total());
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_the_chunks_that_wait_at_once_with_every_message() {
    let (source, outcomes) = TestSource::new(0..50_u64).chunk(10).endless().build();
    let calls = Calls::default();
    let retry = in_an_hour();
    let running = Flow::from(source)
        .process(calls.stage(ms(1), fails).retry(retry))
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(60 * SECOND).await;
    let (count, begun) = (calls.len(), Instant::now());
    running.handle().stop(10 * SECOND).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody is waited for");
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((&report.ending, report.left), (&Ending::Stopped, 50));
    assert_eq!((outcomes.count("retried"), outcomes.total()), (50, 50));
    assert_eq!(calls.len(), count);
}

#[tokio::test(start_paused = true)]
async fn chunks_of_one_key_wait_for_its_budget_while_those_of_others_pass() {
    let (source, outcomes) = TestSource::new([1_u64, 1, 1, 1, 2, 3, 4, 5])
        .chunk(1)
        .build();
    let (calls, begun) = (Calls::default(), Instant::now());
    let limit = RateLimit::per_second(1)
        .burst(1)
        .weight(weigh)
        .by_key(|chunk: &Vec<u64>| chunk[0]);
    let report = Flow::from(source)
        .process(
            calls
                .stage(ms(0), succeeds)
                .max_messages(1)
                .rate_limit(limit),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 8);
    assert!((3 * SECOND..3 * SECOND + ms(10)).contains(&begun.elapsed()));
    let at_once = calls.all().into_iter().filter(|call| call.at == begun);
    let at_once: Vec<_> = at_once.flat_map(|call| call.chunk).collect();
    assert_eq!(at_once, [1, 2, 3, 4, 5]);
}
