//! The concurrent map, rule by rule.

use std::{
    cell::Cell,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, advance, sleep, timeout},
};
use tokio_test::{assert_pending, assert_ready, assert_ready_eq, task::spawn};

use super::{MapConcurrent, service_fn};
use crate::{
    BoxError,
    context::{self, CallContext},
    error::{DeadlinePassed, TimedOut, find},
    probe::{Call, Told, probe},
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Answers with the time that it slept for.
async fn nap(time: u64) -> Result<u64, BoxError> {
    sleep(ms(time)).await;
    Ok(time)
}

async fn results<S>(stream: S) -> Vec<u64>
where
    S: Stream<Item = Result<u64, BoxError>>,
{
    stream.map(Result::unwrap).collect().await
}

fn receiver(from: mpsc::Receiver<u64>) -> impl Stream<Item = u64> {
    stream::unfold(from, |mut from| async {
        from.recv().await.map(|item| (item, from))
    })
}

fn is<E: std::error::Error + 'static>(error: &BoxError) -> bool {
    find::<E>(error.as_ref()).is_some()
}

#[tokio::test(start_paused = true)]
async fn results_leave_as_they_come() {
    let naps = stream::iter([30, 10, 20]);
    let out = results(naps.map_concurrent(3, service_fn(nap))).await;
    assert_eq!(out, [10, 20, 30]);
}

#[tokio::test(start_paused = true)]
async fn ordered_results_leave_in_the_order_of_their_items() {
    let naps = stream::iter([30, 10, 20]);
    let start = Instant::now();
    let out = results(naps.map_concurrent(3, service_fn(nap)).ordered()).await;
    assert_eq!(out, [30, 10, 20]);
    assert_eq!(start.elapsed(), ms(30), "they ran at once");
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_limit_run_at_once() {
    for limit in [1, 2, 3, 10] {
        let (running, most) = (&Cell::new(0), &Cell::new(0));
        let count = |time| async move {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            let time = nap(time).await;
            running.set(running.get() - 1);
            time
        };
        let naps = stream::iter((0..20).map(|n| 1 + n % 3));
        let out = results(naps.map_concurrent(limit, service_fn(count))).await;
        assert_eq!((out.len(), most.get()), (20, limit));
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_none_is_one() {
    let out = results(stream::iter([2, 1]).map_concurrent(0, service_fn(nap))).await;
    assert_eq!(out, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn results_that_wait_count_towards_the_limit() {
    let (service, remote) = probe(10);
    let mut stream = spawn(stream::iter(1..).map_concurrent(2, service).ordered());
    assert_pending!(stream.poll_next());
    let (first, second) = (remote.take(), remote.take());
    second.succeed(2);
    assert_pending!(stream.poll_next());
    assert!(
        remote.next().is_none(),
        "the result of 2 waits for that of 1"
    );
    first.succeed(1);
    assert_ready_eq!(stream.poll_next().map(|r| r.map(|r| r.unwrap())), Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_item_is_pulled_only_when_the_service_is_ready() {
    let (service, remote) = probe(1);
    let pulled = &AtomicUsize::new(0);
    let items = stream::iter(1..=2).inspect(|_| {
        pulled.fetch_add(1, Ordering::Relaxed);
    });
    let mut stream = spawn(items.map_concurrent(5, service));
    assert_pending!(stream.poll_next());
    assert_eq!(pulled.load(Ordering::Relaxed), 1);
    remote.take().succeed(1);
    assert!(stream.is_woken());
    assert!(assert_ready!(stream.poll_next()).unwrap().is_ok());
    assert_pending!(stream.poll_next());
    assert_eq!(pulled.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_source_keeps_no_permit() {
    let (service, remote) = probe(1);
    let (tx, rx) = mpsc::channel(1);
    let mut stream = spawn(receiver(rx).map_concurrent(5, service));
    assert_pending!(stream.poll_next());
    assert!(remote.is_idle(1));
    tx.send(1).await.unwrap();
    assert!(stream.is_woken());
    assert_pending!(stream.poll_next());
    remote.take().succeed(1);
    assert!(assert_ready!(stream.poll_next()).unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ended_keeps_no_permit() {
    let (service, remote) = probe(2);
    let mut stream = spawn(stream::iter([1]).map_concurrent(5, service));
    assert_pending!(stream.poll_next());
    assert_eq!(remote.free(), 1, "the call holds one, and nobody else");
    remote.take().succeed(1);
    assert!(assert_ready!(stream.poll_next()).unwrap().is_ok());
    assert!(assert_ready!(stream.poll_next()).is_none());
    assert!(remote.is_idle(2));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_an_item_and_the_others_go_on() {
    let odd = service_fn(|n: u64| async move { if n == 2 { Err(Told("even")) } else { Ok(n) } });
    let out: Vec<_> = stream::iter(1..=3).map_concurrent(1, odd).collect().await;
    assert_eq!(
        out[1].as_ref().unwrap_err().downcast_ref(),
        Some(&Told("even"))
    );
    assert!(out[0].is_ok() && out[2].is_ok());
}

#[derive(Clone)]
struct Broken;

impl tower_service::Service<u64> for Broken {
    type Response = u64;
    type Error = Told;
    type Future = std::future::Ready<Result<u64, Told>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Told>> {
        Poll::Ready(Err(Told("broken")))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        unreachable!("it is never ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_ends_the_stream_with_its_error() {
    let out: Vec<_> = stream::iter(1..).map_concurrent(3, Broken).collect().await;
    let errors: Vec<_> = out.iter().map(|r| r.as_ref().unwrap_err()).collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].downcast_ref(), Some(&Told("broken")));
}

#[tokio::test(start_paused = true)]
async fn an_item_over_its_time_is_an_error_and_the_others_go_on() {
    let naps = stream::iter([10, 500, 20, 30]);
    let start = Instant::now();
    let stream = naps
        .map_concurrent(4, service_fn(nap))
        .ordered()
        .timeout(ms(50));
    let out: Vec<_> = stream.collect().await;
    let late = out[1].as_ref().unwrap_err();
    assert_eq!(find::<TimedOut>(late.as_ref()).unwrap().limit, ms(50));
    assert_eq!(out.iter().filter(|r| r.is_ok()).count(), 3);
    assert_eq!(start.elapsed(), ms(50));
}

#[tokio::test(start_paused = true)]
async fn an_item_over_its_time_is_dropped_before_its_error_is_seen() {
    let (service, remote) = probe(1);
    let mut stream = spawn(stream::iter([1]).map_concurrent(1, service).timeout(ms(50)));
    assert_pending!(stream.poll_next());
    let call = remote.take();
    advance(ms(50)).await;
    let late = assert_ready!(stream.poll_next()).unwrap().unwrap_err();
    assert!(is::<TimedOut>(&late) && call.is_dropped() && remote.is_idle(1));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_for_all_drops_what_runs_and_pulls_no_more() {
    let naps = stream::iter([10, 500, 600].into_iter().chain(0..));
    let stream = naps.map_concurrent(3, service_fn(nap)).deadline(ms(5));
    let start = Instant::now();
    let out: Vec<_> = stream.collect().await;
    assert_eq!(start.elapsed(), ms(5));
    assert_eq!(out.len(), 3);
    assert!(
        out.iter()
            .all(|r| is::<DeadlinePassed>(r.as_ref().unwrap_err()))
    );
}

#[tokio::test(start_paused = true)]
async fn calls_over_the_deadline_are_dropped_before_their_errors_are_seen() {
    let (service, remote) = probe(3);
    let map = stream::iter(1..).map_concurrent(2, service).deadline(ms(5));
    let mut stream = spawn(map);
    assert_pending!(stream.poll_next());
    let calls = [remote.take(), remote.take()];
    advance(ms(5)).await;
    assert!(stream.is_woken());
    assert!(assert_ready!(stream.poll_next()).unwrap().is_err());
    assert!(calls.iter().all(Call::is_dropped) && remote.is_idle(3));
}

#[tokio::test(start_paused = true)]
async fn results_from_before_the_deadline_are_kept_in_order() {
    let naps = stream::iter([500, 10]);
    let stream = naps
        .map_concurrent(2, service_fn(nap))
        .ordered()
        .deadline(ms(50));
    let out: Vec<_> = stream.collect().await;
    assert!(is::<DeadlinePassed>(out[0].as_ref().unwrap_err()));
    assert_eq!(*out[1].as_ref().unwrap(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_over_a_quiet_source_is_told_once() {
    let (_tx, rx) = mpsc::channel(1);
    let stream = receiver(rx)
        .map_concurrent(2, service_fn(nap))
        .deadline(ms(50));
    let out: Vec<_> = stream.collect().await;
    assert_eq!(out.len(), 1);
    assert!(is::<DeadlinePassed>(out[0].as_ref().unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_did_not_matter_is_not_told() {
    let naps = stream::iter([10, 20]);
    let out = results(naps.map_concurrent(2, service_fn(nap)).deadline(ms(50))).await;
    assert_eq!(out, [10, 20]);
}

#[tokio::test(start_paused = true)]
async fn services_read_the_deadline_and_count_their_own_attempts() {
    let ends = Instant::now() + ms(50);
    let look = service_fn(move |n: u32| async move {
        assert_eq!(context::deadline(), Some(ends));
        let before = context::attempt();
        context::set_attempt(n);
        tokio::task::yield_now().await;
        Ok::<_, BoxError>((before, context::attempt() == n))
    });
    let stream = stream::iter(2..6).map_concurrent(4, look).deadline(ms(50));
    let out: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(out, [(1, true); 4]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_from_outside_is_read_too() {
    let ends = Some(Instant::now() + ms(20));
    let mut outer = CallContext::default().until(ends);
    let look = service_fn(|()| async { Ok::<_, BoxError>(context::deadline()) });
    let mut stream = spawn(stream::iter([()]).map_concurrent(1, look).deadline(ms(50)));
    let seen = context::scope(&mut outer, || assert_ready!(stream.poll_next()));
    assert_eq!(seen.unwrap().unwrap(), ends);
}

#[tokio::test(start_paused = true)]
async fn every_call_that_was_woken_is_polled_whenever_the_stream_is() {
    let polls = Arc::new(AtomicUsize::new(0));
    let seen = polls.clone();
    let counts = service_fn(move |time| {
        let polls = polls.clone();
        async move {
            let result = nap(time).await;
            polls.fetch_add(1, Ordering::Relaxed);
            result
        }
    });
    let mut stream = spawn(stream::iter([10; 4]).map_concurrent(4, counts));
    assert_pending!(stream.poll_next());
    advance(ms(10)).await;
    assert!(assert_ready!(stream.poll_next()).is_some());
    assert_eq!(
        seen.load(Ordering::Relaxed),
        4,
        "one was taken, all went on"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_drops_the_calls() {
    let (service, remote) = probe(3);
    let mut stream = spawn(stream::iter(1..).map_concurrent(2, service));
    assert_pending!(stream.poll_next());
    let calls = [remote.take(), remote.take()];
    drop(stream);
    assert!(calls.iter().all(Call::is_dropped) && remote.is_idle(3));
}

/// Takes a lock that the calls take too; each of them holds it over a wait.
async fn touch(lock: &Mutex<()>) {
    let _guard = lock.lock().await;
    sleep(ms(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_may_wait_for_what_the_calls_hold() {
    for limit in [1, 2, 3, 10] {
        let (lock, consumed) = (&Mutex::new(()), &Cell::new(0));
        let service = service_fn(|_: u64| async {
            touch(lock).await;
            Ok::<_, BoxError>(())
        });
        let map = stream::iter(0..100).map_concurrent(limit, service);
        let all = map.for_each(|_| async {
            touch(lock).await;
            consumed.set(consumed.get() + 1);
        });
        timeout(ms(2_000), all).await.expect("it does not hang");
        assert_eq!(consumed.get(), 100);
    }
}

/// The control of the test above: a stream that is polled only between items hangs.
#[tokio::test(start_paused = true)]
async fn a_loop_over_buffered_calls_hangs_there() {
    let lock = &Mutex::new(());
    let calls = stream::iter(0..100)
        .map(|_| touch(lock))
        .buffer_unordered(10);
    let all = calls.for_each(|()| touch(lock));
    assert!(timeout(ms(2_000), all).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn calls_do_not_time_out_because_the_consumer_is_slow() {
    let steps = service_fn(|n: u64| async move {
        for _ in 0..=2 * (n % 4) {
            sleep(ms(5)).await;
        }
        Ok::<_, BoxError>(n)
    });
    let map = stream::iter(0..20).map_concurrent(4, steps).timeout(ms(60));
    let done = &Cell::new(0);
    map.for_each(|result| async move {
        sleep(ms(100)).await;
        done.set(done.get() + u32::from(result.is_ok()));
    })
    .await;
    assert_eq!(done.get(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_holds_up_new_calls_at_the_limit() {
    let begun = &Cell::new(0);
    let service = service_fn(|_: u64| {
        begun.set(begun.get() + 1);
        async { Ok::<_, BoxError>(()) }
    });
    let map = stream::iter(0..).map_concurrent(3, service);
    let mut all = spawn(map.for_each(|_| std::future::pending()));
    for _ in 0..10 {
        assert_pending!(all.poll());
    }
    assert_eq!(
        begun.get(),
        4,
        "the one that is consumed, and three that wait"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_consumer_drops_the_calls() {
    let (service, remote) = probe(3);
    let map = stream::iter(1..).map_concurrent(2, service);
    let mut all = spawn(map.for_each(|_| std::future::pending()));
    assert_pending!(all.poll());
    remote.take().succeed(1);
    assert_pending!(all.poll());
    let calls = [remote.take(), remote.take()];
    drop(all);
    assert!(calls.iter().all(Call::is_dropped) && remote.is_idle(3));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ended_stays_ended() {
    let mut stream = stream::iter([1]).map_concurrent(1, service_fn(nap)).boxed();
    assert!(stream.next().await.is_some());
    for _ in 0..3 {
        assert!(poll_fn(|cx| stream.poll_next_unpin(cx)).await.is_none());
    }
}
