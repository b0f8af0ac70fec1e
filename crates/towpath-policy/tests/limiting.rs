//! The rate limit as a layer, seen from outside: many callers, some of whom give up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, advance, sleep, timeout},
};
use tokio_test::task;
use tower::{Layer, Service, ServiceExt};
use towpath_policy::{
    BoxError, Class, Concurrency, Policies, PolicyLayer, Rate, RateLimit, RetryAfter, ServiceFn,
    classify_fn, find, service_fn,
};

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// When calls began, and whose they were.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<(Instant, u32)>>>);

impl Seen {
    fn all(&self) -> Vec<(Instant, u32)> {
        self.0.lock().unwrap().clone()
    }

    fn callers(&self) -> Vec<u32> {
        self.all().into_iter().map(|(_, caller)| caller).collect()
    }

    fn of(&self, caller: u32) -> usize {
        self.callers().iter().filter(|who| **who == caller).count()
    }

    /// A service that notes its calls, each of which takes a while.
    fn service(
        &self,
        takes: Duration,
    ) -> ServiceFn<impl Fn(u32) -> BoxFuture + Clone + Send + Sync + use<>> {
        let seen = self.clone();
        service_fn(move |caller| -> BoxFuture {
            seen.0.lock().unwrap().push((Instant::now(), caller));
            Box::pin(async move {
                if !takes.is_zero() {
                    sleep(takes).await;
                }
                Ok(caller)
            })
        })
    }

    /// Over any interval t, no more than burst + rate * t.
    #[track_caller]
    fn keeps(&self, per_second: u64, burst: usize) {
        let times = self.all();
        for (first, (from, _)) in times.iter().enumerate() {
            for (last, (to, _)) in times.iter().enumerate().skip(first + burst) {
                let beyond = (last + 1 - first - burst) as u128;
                let time = to.duration_since(*from).as_nanos();
                assert!(
                    beyond * 1_000_000_000 <= u128::from(per_second) * time,
                    "calls {first} to {last}: {burst} and {beyond} within {time} ns"
                );
            }
        }
    }
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

/// Calls again and again; who waits longest calls next.
async fn keep_calling<S>(mut service: S, caller: u32, calls: usize)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    for _ in 0..calls {
        service.ready().await.unwrap().call(caller).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_callers_each_has_as_many_calls_as_the_next_and_together_they_keep_the_rate() {
    for callers in [1, 2, 7, 32] {
        for keyed in [false, true] {
            let (seen, begun) = (Seen::default(), Instant::now());
            let limit = RateLimit::per_second(100).burst(4);
            let mut tasks = JoinSet::new();
            let rounds = 640 / callers as usize;
            if keyed {
                let layer = limit.by_key(|_: &u32| "all").build().unwrap();
                let service = layer.layer(seen.service(ms(3)));
                for n in 0..callers {
                    tasks.spawn(keep_calling(service.clone(), n, rounds));
                }
            } else {
                let service = limit.build().unwrap().layer(seen.service(ms(3)));
                for n in 0..callers {
                    tasks.spawn(keep_calling(service.clone(), n, rounds));
                }
            }
            tasks.join_all().await;
            seen.keeps(100, 4);
            let calls = rounds * callers as usize;
            let least = ms(10 * (calls as u64 - 4));
            let took = begun.elapsed().saturating_sub(ms(3));
            assert!(
                took >= least && took.mul_f64(0.995) <= least,
                "{took:?} of {least:?}"
            );
            // First come, first served: at no time is anybody two calls ahead.
            let order = seen.callers();
            for upto in 1..order.len() {
                let count = |n| order[..upto].iter().filter(|who| **who == n).count();
                let counts = (0..callers).map(count);
                let (low, high) =
                    counts.fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
                assert!(
                    high - low <= 2,
                    "{callers} callers, after {upto}: {low} to {high}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_heavy_call_that_waits_is_not_overtaken_by_light_ones() {
    let seen = Seen::default();
    let limit = RateLimit::per_second(10).burst(10).weight(|n: &u32| *n);
    let service = limit.build().unwrap().layer(seen.service(Duration::ZERO));
    let mut tasks = JoinSet::new();
    for weight in [10, 10, 1, 1, 1, 1] {
        let service = service.clone();
        tasks.spawn(async move { service.oneshot(weight).await.unwrap() });
        sleep(ms(1)).await;
    }
    tasks.join_all().await;
    assert_eq!(seen.callers(), [10, 10, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn who_is_polled_first_when_there_is_budget_again_does_not_overtake_who_came_first() {
    let seen = Seen::default();
    let limit = RateLimit::per_second(1).burst(1).by_key(|_: &u32| "all");
    let service = limit.build().unwrap().layer(seen.service(Duration::ZERO));
    service.clone().oneshot(0).await.unwrap();
    let mut services = [service.clone(), service.clone()];
    let [one, two] = &mut services;
    let mut first = task::spawn(one.ready().await.unwrap().call(1));
    assert!(first.poll().is_pending());
    let mut second = task::spawn(two.ready().await.unwrap().call(2));
    advance(SECOND + ms(1)).await;
    assert!(second.poll().is_pending(), "it is not its turn");
    assert!(first.is_woken() && first.poll().is_ready());
    advance(SECOND + ms(1)).await;
    assert!(second.is_woken() && second.poll().is_ready());
    assert_eq!(seen.callers(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn callers_who_give_up_consume_nothing_and_hold_nobody_up() {
    // Nine of ten callers give up after times of all kinds; the tenth uses the whole budget.
    for limit in [
        RateLimit::per_second(100).burst(3),
        RateLimit::per_second(100).leaky_bucket(),
        RateLimit::new(Rate::new(10, ms(100))).sliding_window(),
    ] {
        let (seen, begun) = (Seen::default(), Instant::now());
        let service = limit
            .clone()
            .build()
            .unwrap()
            .layer(seen.service(Duration::ZERO));
        let mut tasks = JoinSet::new();
        for n in 1..10_u32 {
            let mut service = service.clone();
            tasks.spawn(async move {
                let mut round = 0;
                while begun.elapsed() < SECOND * 10 {
                    round += 1;
                    let patience = ms(u64::from((n * 31 + round * 17) % 29));
                    // Some are readied and then dropped without a call.
                    let readied = timeout(patience, service.ready()).await.is_ok();
                    service = service.clone();
                    if readied {
                        sleep(ms(1)).await;
                    }
                }
            });
        }
        let patient = service.clone();
        tasks.spawn(keep_calling(patient, 0, 400));
        let ended = timeout(SECOND * 60, tasks.join_all()).await;
        assert!(ended.is_ok(), "somebody waits for ever: {limit:?}");
        // It shares the line with nine others, who take turns and give them back.
        assert_eq!(seen.of(0), 400);
        let took = seen.all().last().unwrap().0 - begun;
        assert!(took <= SECOND * 10, "{took:?} of {limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_first_in_line_gives_up_the_next_has_its_turn_no_later() {
    let seen = Seen::default();
    let limit = RateLimit::per_second(1).burst(1);
    let service = limit.build().unwrap().layer(seen.service(Duration::ZERO));
    service.clone().oneshot(0).await.unwrap();
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    let first = tasks.spawn(service.clone().oneshot(1));
    sleep(ms(1)).await;
    tasks.spawn(service.clone().oneshot(2));
    sleep(ms(500)).await;
    first.abort();
    let ended = [tasks.join_next().await, tasks.join_next().await];
    assert!(ended[0].as_ref().unwrap().is_err() && ended[1].as_ref().unwrap().is_ok());
    assert_eq!(seen.callers(), [0, 2]);
    let took = begun.elapsed();
    assert!((SECOND..=SECOND + ms(2)).contains(&took), "{took:?}");
}

/// A key limited to one a second beside others, and one call at once.
fn one_at_once() -> PolicyLayer<impl towpath_policy::Charge<u32>> {
    Policies::new()
        .rate_limit(RateLimit::per_second(1).burst(1).by_key(|n: &u32| n % 10))
        .concurrency(Concurrency::limit(1))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_key_holds_no_permit() {
    let (seen, layer) = (Seen::default(), one_at_once());
    let (handle, service) = (layer.handle(), layer.layer(seen.service(ms(1))));
    service.clone().oneshot(0).await.unwrap();
    let mut waits = JoinSet::new();
    for _ in 0..5 {
        waits.spawn(service.clone().oneshot(0));
    }
    sleep(ms(1)).await;
    let status = handle.status();
    assert_eq!(status.rate_limit.unwrap().waiting, 5);
    assert_eq!(status.concurrency.unwrap().in_use, 0);
    let begun = Instant::now();
    for other in 1..10 {
        service.clone().oneshot(other).await.unwrap();
    }
    assert_eq!(begun.elapsed(), ms(9));
    waits.shutdown().await;
    let status = handle.status();
    assert_eq!((status.rate_limit.unwrap().waiting, status.parked), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_service_is_left_alone_by_the_key_it_has_told_and_by_no_other() {
    let seen = Seen::default();
    let noted = seen.clone();
    let told = Arc::new(Mutex::new(false));
    let service = service_fn(move |key: u32| {
        noted.0.lock().unwrap().push((Instant::now(), key));
        let is_first = key == 3 && !std::mem::replace(&mut *told.lock().unwrap(), true);
        async move {
            if is_first {
                return Err(RetryAfter::new(SECOND * 30, "slow down"));
            }
            Ok(key)
        }
    });
    let layer = Policies::new()
        .rate_limit(RateLimit::per_second(100).by_key(|key: &u32| *key))
        .classify(classify_fn(|error| Class::Overload {
            after: find::<RetryAfter>(error).map(RetryAfter::delay),
        }))
        .build()
        .unwrap();
    let service = layer.layer(service);
    let begun = Instant::now();
    assert!(service.clone().oneshot(3).await.is_err());
    service.clone().oneshot(4).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    service.clone().oneshot(3).await.unwrap();
    let took = begun.elapsed();
    assert!(
        (SECOND * 30..=SECOND * 30 + ms(1)).contains(&took),
        "{took:?}"
    );
    assert_eq!(seen.callers(), [3, 4, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_raised_wakes_every_line() {
    let seen = Seen::default();
    let limit = RateLimit::new(Rate::new(1, SECOND * 3600)).burst(1);
    let layer = limit.by_key(|n: &u32| *n).build().unwrap();
    let (handle, service) = (layer.handle(), layer.layer(seen.service(Duration::ZERO)));
    let mut tasks = JoinSet::new();
    for n in 0..60 {
        tasks.spawn(service.clone().oneshot(n % 20));
    }
    sleep(SECOND).await;
    assert_eq!(seen.all().len(), 20);
    assert_eq!(handle.status().rate_limit.unwrap().waiting, 40);
    handle.set_rate(Rate::per_second(1)).unwrap();
    let begun = Instant::now();
    assert!(
        tasks
            .join_all()
            .await
            .into_iter()
            .all(|result| result.is_ok())
    );
    let took = begun.elapsed();
    assert!(took <= ms(2_010), "{took:?}: two more for each key");
    assert!(handle.set_rate(Rate::per_second(0)).is_err());
    assert_eq!(
        handle.status().rate_limit.unwrap().rate,
        Rate::per_second(1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_is_not_ready_before_there_is_budget_and_is_not_called() {
    let calls = Arc::new(Mutex::new(0));
    let (counted, limit) = (calls.clone(), RateLimit::per_second(1).burst(1));
    let inner = service_fn(move |n: u32| {
        *counted.lock().unwrap() += 1;
        std::future::ready(Ok::<_, Infallible>(n))
    });
    let mut service = limit.build().unwrap().layer(inner);
    service.ready().await.unwrap().call(1).await.unwrap();
    let is_ready = poll_fn(|cx| Poll::Ready(pin!(service.ready()).poll(cx).is_ready())).await;
    assert!(!is_ready);
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_real_threads_too_everybody_gets_through_and_no_more_than_the_budget_begin() {
    let (seen, begun) = (Seen::default(), Instant::now());
    let layer = Policies::new()
        .rate_limit(
            RateLimit::per_second(20_000)
                .burst(50)
                .by_key(|n: &u32| n % 3),
        )
        .concurrency(Concurrency::limit(2))
        .build()
        .unwrap();
    let (handle, service) = (layer.handle(), layer.layer(seen.service(Duration::ZERO)));
    let mut tasks = JoinSet::new();
    for n in 0..24_u32 {
        let service = service.clone();
        tasks.spawn(async move {
            for round in 0..200_u32 {
                let call = service.clone().oneshot(n);
                match (n + round) % 4 {
                    0 => drop(timeout(Duration::from_micros(u64::from(round)), call).await),
                    _ => drop(call.await.unwrap()),
                }
            }
        });
    }
    let changing = handle.clone();
    let changes = async {
        for round in 0..200_u32 {
            changing
                .set_rate(Rate::per_second(5_000 + round * 75))
                .unwrap();
            tokio::task::yield_now().await;
        }
    };
    let all = async { tokio::join!(tasks.join_all(), changes) };
    let ended = timeout(SECOND * 60, all).await;
    assert!(ended.is_ok(), "somebody waits for ever: {handle:?}");
    let calls = seen.all().len() as u128;
    assert!((3_600..=4_800).contains(&calls), "{calls}");
    let most = 3 * (51 + begun.elapsed().as_micros() * 20_000 / 1_000_000);
    assert!(calls <= most, "{calls} of {most}");
    let status = handle.status();
    assert_eq!(status.rate_limit.unwrap().waiting, 0);
    assert_eq!((status.concurrency.unwrap().in_use, status.parked), (0, 0));
}
