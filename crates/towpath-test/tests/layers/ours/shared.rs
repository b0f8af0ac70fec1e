//! The layers that ask a store which others ask too; it answers after a moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{task::yield_now, time::Instant};
use tower::Layer;
use towpath_policy::{
    BoxError, Decision, Dedup, DedupStore, Key, Policies, RateLimit, RateRequest, RateStore,
    StoreError,
    dedup::{Claim, Claimed},
};
use towpath_test::layer::{Rule, Suite};

use super::{built, suite};

const SECOND: Duration = Duration::from_secs(1);

/// One budget: since when it is as it is, and how much of it is spent.
#[derive(Debug, Default)]
struct Budget(Arc<Mutex<(Option<Instant>, f64)>>);

impl RateStore for Budget {
    fn acquire(&self, request: RateRequest) -> BoxFuture<'static, Result<Decision, StoreError>> {
        let budget = self.0.clone();
        Box::pin(async move {
            yield_now().await;
            Ok(decide(&mut lock(&budget), &request))
        })
    }
}

fn decide((since, spent): &mut (Option<Instant>, f64), request: &RateRequest) -> Decision {
    let rate = request.quota.rate;
    let each = rate.period() / rate.count();
    let now = Instant::now();
    let earned = since.map_or(Duration::ZERO, |since| now - since);
    *since = Some(now);
    *spent = (*spent - earned.as_secs_f64() / each.as_secs_f64()).max(0.0);
    let over = *spent + f64::from(request.weight) - f64::from(request.quota.burst);
    if over > 1e-6 {
        return Decision::Wait(each.mul_f64(over));
    }
    *spent += f64::from(request.weight);
    Decision::Admitted
}

/// Who holds a key; `None` when it is done.
type Holders = HashMap<Key, Option<Claim>>;

#[derive(Debug, Default)]
struct Keys(Arc<Mutex<Holders>>);

impl Keys {
    fn then<T>(
        &self,
        act: impl FnOnce(&mut Holders) -> T + Send + 'static,
    ) -> BoxFuture<'static, Result<T, BoxError>> {
        let keys = self.0.clone();
        Box::pin(async move {
            yield_now().await;
            Ok(act(&mut lock(&keys)))
        })
    }
}

impl DedupStore for Keys {
    fn claim(
        &self,
        claim: Claim,
        lease: Duration,
    ) -> BoxFuture<'static, Result<Claimed, BoxError>> {
        self.then(move |keys| match keys.get(&claim.key) {
            Some(None) => Claimed::Done,
            Some(Some(held)) if held.owner != claim.owner => Claimed::Held(lease),
            _ => {
                keys.insert(claim.key.clone(), Some(claim));
                Claimed::Yes
            }
        })
    }

    fn renew(&self, _: Claim, _: Duration) -> BoxFuture<'static, Result<(), BoxError>> {
        self.then(|_| ())
    }

    fn complete(&self, claim: Claim, _: Duration) -> BoxFuture<'static, Result<(), BoxError>> {
        self.then(move |keys| {
            keys.insert(claim.key, None);
        })
    }

    fn release(&self, claim: Claim) -> BoxFuture<'static, Result<(), BoxError>> {
        self.then(move |keys| {
            keys.remove(&claim.key);
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Five at once, and five a second, of a budget that others share.
fn shared() -> RateLimit {
    let limit = RateLimit::per_second(5).burst(5);
    limit.shared(Arc::new(Budget::default()), "calls")
}

/// What a store has granted cannot be given back: it is lost with a service that was ready
/// and is dropped. The budget is kept all the same, and grows again.
#[test]
fn a_rate_limit_of_a_shared_budget() {
    let waiting = suite(|| Policies::new().rate_limit(shared()));
    let waiting = waiting.admits(5, SECOND);
    let rejecting = suite(|| Policies::new().rate_limit(shared().rejecting()));
    let rejecting = rejecting.admits(5, SECOND).rejects();
    for suite in [waiting, rejecting] {
        let broken = suite.broken();
        let others = broken.iter().find(|b| b.rule != Rule::Cancellation);
        assert_eq!(others, None);
    }
}

#[test]
fn a_rate_limit_of_a_shared_budget_by_key() {
    suite(|| Policies::new().rate_limit(shared().by_key(|_: &u64| 7_u64)))
        .admits(5, SECOND)
        .check();
}

#[test]
fn a_dedup_of_shared_keys() {
    Suite::new(|inner| {
        let dedup = Dedup::by_key(|number: &u64| *number);
        built(dedup.shared(Arc::new(Keys::default()), "calls").build()).layer(inner)
    })
    .check();
}
