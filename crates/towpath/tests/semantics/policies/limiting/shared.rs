//! A budget that lives in a store, which may be gone for a while.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};
use towpath::{
    Flow, Outcome, Processor, Rate, RateLimit, Running,
    policy::{Decision, RateLimited, RateRequest, RateStore, StoreError, find},
};
use towpath_test::{Outcomes, TestSource, check};

use super::{Budget, SECOND, Seen, ms};

/// A store in memory that can be switched off.
#[derive(Debug, Default)]
struct Store {
    /// When the bucket is full again.
    full_at: Mutex<Option<Instant>>,
    down: AtomicBool,
    asked: AtomicUsize,
}

impl Store {
    fn decide(&self, request: &RateRequest) -> Decision {
        let rate = request.quota.rate;
        let each = rate.period() / rate.count();
        let now = Instant::now();
        let mut full_at = self.full_at.lock().expect("nobody panics here");
        let full = full_at.map_or(now, |at| at.max(now));
        let next = full + each * request.weight;
        let room = each * request.quota.burst;
        if next > now + room {
            return Decision::Wait(next - (now + room));
        }
        *full_at = Some(next);
        Decision::Admitted
    }
}

/// Takes a millisecond to answer, or not to.
#[derive(Debug)]
struct Client(Arc<Store>);

impl RateStore for Client {
    fn acquire(&self, request: RateRequest) -> BoxFuture<'static, Result<Decision, StoreError>> {
        let store = self.0.clone();
        Box::pin(async move {
            store.asked.fetch_add(1, SeqCst);
            sleep(ms(1)).await;
            if store.down.load(SeqCst) {
                return Err(StoreError::new("connection refused"));
            }
            Ok(store.decide(&request))
        })
    }
}

fn shared(store: &Arc<Store>) -> RateLimit {
    let client = Arc::new(Client(store.clone()));
    RateLimit::per_second(100).burst(5).shared(client, "quota")
}

async fn started(limit: RateLimit, messages: u64) -> (Running, Seen<u64>, Outcomes) {
    let (source, outcomes) = TestSource::of(0..messages);
    let seen = Seen::new();
    let stage = Processor::new("call", seen.handler(|_| Duration::ZERO)).rate_limit(limit);
    let running = Flow::from(source)
        .process(stage.unordered(4).workers(2))
        .acknowledge()
        .start()
        .await
        .unwrap();
    (running, seen, outcomes)
}

#[tokio::test(start_paused = true)]
async fn two_pipelines_on_one_store_keep_one_budget_together() {
    let store = Arc::<Store>::default();
    let begun = Instant::now();
    let (one, seen_by_one, _) = started(shared(&store), 300).await;
    let (two, seen_by_two, _) = started(shared(&store), 300).await;
    check(&one.join().await.unwrap());
    check(&two.join().await.unwrap());
    let mut times = [seen_by_one.times(), seen_by_two.times()].concat();
    times.sort_unstable();
    let budget = Budget::per_second(100, 5);
    budget.holds_for(&times);
    budget.is_used_up(600, begun.elapsed().saturating_sub(ms(1)));
    let asked = store.asked.load(SeqCst);
    assert!(
        asked <= 600 * 4,
        "asked {asked} times: who waits asks when there should be some"
    );
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_a_limit_that_fails_closed_admits_nothing_and_then_goes_on() {
    let store = Arc::<Store>::default();
    let (running, seen, outcomes) = started(shared(&store).fail_closed(), 400).await;
    sleep(SECOND).await;
    store.down.store(true, SeqCst);
    sleep(ms(20)).await;
    let (down, asked) = (Instant::now(), store.asked.load(SeqCst));
    sleep(SECOND * 60).await;
    assert_eq!(seen.since(down), 0);
    let asked = store.asked.load(SeqCst) - asked;
    assert!(
        (100..=600).contains(&asked),
        "asked {asked} times in a minute"
    );
    store.down.store(false, SeqCst);
    let up = Instant::now();
    outcomes.wait_for(400).await;
    let first = seen.times().into_iter().find(|at| *at >= up).unwrap();
    assert!(first - up <= ms(260), "{:?}", first - up);
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 400);
    Budget::per_second(100, 5).holds_for(&seen.times());
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_a_limit_that_fails_open_keeps_the_rate_by_itself() {
    let store = Arc::<Store>::default();
    let (running, seen, outcomes) = started(shared(&store).fail_open(), 600).await;
    sleep(SECOND).await;
    store.down.store(true, SeqCst);
    let down = Instant::now();
    sleep(SECOND * 3).await;
    let times: Vec<_> = seen.times().into_iter().filter(|at| *at > down).collect();
    Budget::per_second(100, 5).holds_for(&times);
    assert!((295..=305).contains(&times.len()), "{}", times.len());
    store.down.store(false, SeqCst);
    let up = Instant::now();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 600);
    let times: Vec<_> = seen.times().into_iter().filter(|at| *at > up).collect();
    Budget::per_second(100, 5).holds_for(&times);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_rejects_and_fails_closed_rejects_while_its_store_is_down() {
    let store = Arc::<Store>::default();
    store.down.store(true, SeqCst);
    let limit = shared(&store).rejecting().fail_closed();
    let (running, seen, outcomes) = started(limit, 20).await;
    check(&running.join().await.unwrap());
    assert_eq!((seen.all().len(), outcomes.count("rejected")), (0, 20));
    let Outcome::Reject(cause) = outcomes.only(7) else {
        panic!("not rejected");
    };
    assert_eq!(find(cause.error()), Some(&RateLimited::StoreFailed));
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_store_is_down_loses_none() {
    let store = Arc::<Store>::default();
    store.down.store(true, SeqCst);
    let (running, seen, outcomes) = started(shared(&store), 500).await;
    sleep(SECOND).await;
    running.handle().stop(SECOND).await;
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!((seen.all().len(), outcomes.count("done")), (0, 0));
    assert_eq!(outcomes.count("retried") as u64, report.counts.emitted);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_raised_holds_at_once_for_those_who_wait_at_the_store() {
    let store = Arc::<Store>::default();
    let client = Arc::new(Client(store.clone()));
    let limit = RateLimit::new(Rate::new(1, SECOND * 3600)).burst(1);
    let (running, seen, outcomes) = started(limit.shared(client, "quota"), 50).await;
    sleep(SECOND).await;
    assert_eq!(seen.all().len(), 1);
    // What is owed in the store is time, of which an operator may forgive the rest.
    *store.full_at.lock().unwrap() = None;
    running.handle().set_rate("call", 100, SECOND).unwrap();
    let changed = Instant::now();
    outcomes.wait_for(50).await;
    assert!(changed.elapsed() < SECOND, "{:?}", changed.elapsed());
    check(&running.join().await.unwrap());
}
