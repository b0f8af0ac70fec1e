//! The layers that nest around the policies, together and in their order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use towpath_policy::{
    BoxError, ConcurrentMap, Deadline, DeadlinePassed, Dedup, Duplicate, Fallback, Hedge,
    MapConcurrent, Policies, Retry, context, find,
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Deadline > dedup > fallback > hedge > retry > the service.
fn nested<S>(
    inner: S,
) -> impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + Sync
where
    S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let retry = Retry::fixed(ms(10)).attempts(2);
    let policies = Policies::new().retry(retry).build().unwrap();
    let hedge = Hedge::after(ms(100)).build().unwrap();
    let fallback = Fallback::value(0).when(|error| find::<DeadlinePassed>(error).is_none());
    let dedup = Dedup::by_key(|n: &u64| *n).build().unwrap();
    let deadline = Deadline::after(ms(1000)).build().unwrap();
    let inner = fallback.layer(hedge.layer(policies.layer(inner)));
    deadline.layer(dedup.layer(inner))
}

#[tokio::test(start_paused = true)]
async fn calls_go_through_all_of_them() {
    let service = nested(service_fn(|n: u64| async move { Ok(n) }));
    for n in 1..=100 {
        assert_eq!(service.clone().oneshot(n).await.unwrap(), n);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_fallback_answered_is_answered() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let fails = service_fn(move |_| {
        counted.fetch_add(1, Relaxed);
        async { Err::<u64, BoxError>("no".into()) }
    });
    let service = nested(fails);
    assert_eq!(service.clone().oneshot(7).await.unwrap(), 0);
    assert_eq!(calls.load(Relaxed), 2, "both attempts were made first");
    let error = service.clone().oneshot(7).await.unwrap_err();
    assert!(find::<Duplicate>(error.as_ref()).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_the_wait_of_a_duplicate() {
    let service = nested(service_fn(|_| std::future::pending()));
    let start = Instant::now();
    let (mut one, mut two) = (service.clone(), service.clone());
    let first = one.ready().await.unwrap().call(7);
    let second = two.ready().await.unwrap().call(7);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(start.elapsed(), ms(1000));
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert!(find::<DeadlinePassed>(error.as_ref()).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_is_hedged_and_the_deadline_is_read_inside() {
    let calls = Arc::new(AtomicU32::new(0));
    let first_is_slow = service_fn(move |n: u64| {
        let call = calls.fetch_add(1, Relaxed);
        async move {
            let left = context::deadline().unwrap() - Instant::now();
            assert!(left <= ms(1000) && left >= ms(800));
            sleep(ms(if call == 0 { 900 } else { 5 })).await;
            Ok(n)
        }
    });
    let start = Instant::now();
    assert_eq!(nested(first_is_slow).oneshot(7).await.unwrap(), 7);
    assert_eq!(start.elapsed(), ms(105));
}

#[tokio::test(start_paused = true)]
async fn a_stream_takes_them_too() {
    let service = nested(service_fn(|n: u64| async move {
        sleep(ms(10)).await;
        Ok(n)
    }));
    let twice = (1..=20).chain(1..=20);
    let results: Vec<_> = stream::iter(twice)
        .map_concurrent(10, service)
        .ordered()
        .collect()
        .await;
    let (done, refused) = results.split_at(20);
    let done: Vec<_> = done
        .iter()
        .map(|result| *result.as_ref().unwrap())
        .collect();
    assert!(done.iter().copied().eq(1..=20));
    assert!(refused.iter().all(Result::is_err));
}

fn is_sent<T: Send + Sync + Debug>(_: &T) {}

#[test]
fn layers_services_and_streams_may_be_sent_and_shown() {
    let inner = service_fn(|n: u64| std::future::ready(Ok::<_, BoxError>(n)));
    let deadline = Deadline::inherited().build().unwrap();
    let dedup = Dedup::by_key(|n: &u64| *n).build().unwrap();
    let hedge = Hedge::after(ms(1)).build().unwrap();
    is_sent(&deadline);
    is_sent(&dedup);
    is_sent(&hedge);
    is_sent(&Fallback::value(1));
    is_sent(&Fallback::service(inner));
    is_sent(&deadline.layer(inner));
    is_sent(&dedup.layer(inner));
    is_sent(&hedge.layer(inner));
    is_sent(&Fallback::service(inner).layer(inner));
    let map: ConcurrentMap<_, _> = stream::iter([1_u64]).map_concurrent(1, inner);
    is_sent(&map);
}
