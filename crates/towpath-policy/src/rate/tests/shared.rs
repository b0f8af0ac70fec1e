//! A budget in a shared store: what it is asked, and what is done when it does not answer.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::time::Instant;

use crate::{
    Key, RateLimited,
    rate::{
        bucket::{Bucket, Denied},
        limiter::Limiter,
        options::RateLimit,
        rate_value::Rate,
        store::{Decision, Quota, RateRequest, RateStore, StoreError},
    },
};

/// Answers what it was told to, and remembers what it was asked. Without an answer it fails.
#[derive(Debug, Default)]
struct Scripted {
    asked: Mutex<Vec<RateRequest>>,
    answers: Mutex<VecDeque<Decision>>,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Decision>) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            answers: Mutex::new(answers.into_iter().collect()),
        })
    }

    fn asked(&self) -> Vec<RateRequest> {
        self.asked.lock().unwrap().clone()
    }
}

impl RateStore for Scripted {
    fn acquire(&self, request: RateRequest) -> BoxFuture<'static, Result<Decision, StoreError>> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        ready(answer.ok_or_else(|| StoreError::new("gone"))).boxed()
    }
}

fn limiter<L>(options: RateLimit<L>, store: &Arc<Scripted>) -> Limiter {
    Limiter::new(&options.shared(store.clone(), "api"), Instant::now())
}

async fn ask(
    limiter: &Limiter,
    bucket: &Bucket,
    weight: u32,
) -> Result<Result<(), Denied>, RateLimited> {
    let mut grant = limiter.ask(bucket, weight);
    let taken = poll_fn(|cx| grant.poll_taken(cx)).await?;
    Ok(taken.map(drop))
}

#[tokio::test(start_paused = true)]
async fn the_store_is_asked_with_name_key_weight_and_quota() {
    let store = Scripted::answering([Decision::Admitted]);
    let options = RateLimit::per_second(100).burst(9).by_key(|key: &u64| *key);
    let limiter = limiter(options, &store);
    let bucket = limiter
        .bucket(Some(Key::from(7_u64)), Instant::now())
        .unwrap();
    assert_eq!(ask(&limiter, &bucket, 3).await, Ok(Ok(())));
    let quota = Quota::new(Rate::per_second(100), 9);
    let expected = RateRequest::new("api", quota).key(7_u64).weight(3);
    assert_eq!(store.asked(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn the_store_says_how_long_to_wait() {
    let store = Scripted::answering([Decision::Wait(Duration::from_millis(30))]);
    let limiter = limiter(RateLimit::per_second(100), &store);
    let until = Instant::now() + Duration::from_millis(30);
    assert_eq!(
        ask(&limiter, limiter.global(), 1).await,
        Ok(Err(Denied::Until(until)))
    );
}

#[tokio::test(start_paused = true)]
async fn the_store_is_asked_with_the_rate_of_now() {
    let store = Scripted::answering([Decision::Admitted]);
    let limiter = limiter(RateLimit::per_second(100), &store);
    limiter.set_rate(Rate::per_second(10)).unwrap();
    assert_eq!(ask(&limiter, limiter.global(), 1).await, Ok(Ok(())));
    assert_eq!(store.asked()[0].quota, Quota::new(Rate::per_second(10), 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_already_is_not_asked() {
    let store = Scripted::answering([]);
    let limiter = limiter(RateLimit::per_second(100).burst(4), &store);
    let bucket = limiter.global();
    assert_eq!(ask(&limiter, bucket, 0).await, Ok(Ok(())));
    assert_eq!(
        ask(&limiter, bucket, 5).await,
        Ok(Err(Denied::TooHeavy { burst: 4 }))
    );
    let until = Instant::now() + Duration::from_secs(3);
    limiter.hold(bucket, until);
    assert_eq!(
        ask(&limiter, bucket, 1).await,
        Ok(Err(Denied::Until(until)))
    );
    assert_eq!(store.asked(), []);
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_fails_closed_waits_for_the_store_or_rejects() {
    let store = Scripted::answering([]);
    let waiting = limiter(RateLimit::per_second(100), &store);
    let soon = Instant::now() + Duration::from_millis(250);
    assert_eq!(
        ask(&waiting, waiting.global(), 1).await,
        Ok(Err(Denied::Until(soon)))
    );
    let rejecting = limiter(RateLimit::per_second(100).rejecting(), &store);
    assert_eq!(
        ask(&rejecting, rejecting.global(), 1).await,
        Err(RateLimited::StoreFailed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_fails_open_keeps_the_rate_by_itself() {
    let store = Scripted::answering([]);
    let limiter = limiter(RateLimit::per_second(10).burst(3).fail_open(), &store);
    let bucket = limiter.global();
    for _ in 0..3 {
        assert_eq!(ask(&limiter, bucket, 1).await, Ok(Ok(())));
    }
    let denied = ask(&limiter, bucket, 1).await;
    assert!(matches!(denied, Ok(Err(Denied::Until(_)))), "{denied:?}");
    tokio::time::advance(Duration::from_millis(101)).await;
    assert_eq!(ask(&limiter, bucket, 1).await, Ok(Ok(())));
}

#[test]
fn a_sliding_window_cannot_be_shared_and_a_name_is_needed() {
    let mut problems = crate::Problems::new();
    let store = Scripted::answering([]);
    let options = RateLimit::per_second(1).sliding_window().shared(store, "");
    options.problems(&mut problems);
    let error = problems.into_result().unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| &*problem.path)
        .collect();
    assert_eq!(paths, ["algorithm", "shared"]);
}
