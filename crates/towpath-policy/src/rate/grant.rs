//! An answer of the shared store, and what is done when there is none.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    bucket::{Bucket, Denied, Gauge, Taken},
    options::{Algorithm, Settings, Shared, WhenLimited, WhenStoreFails},
    rate_value::Rate,
    store::{Decision, Quota, RateRequest, RateStore, StoreError},
};
use crate::error::RateLimited;

/// The shared store as one limiter uses it.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    shared: Shared,
    settings: Settings,
}

/// A question to the shared store that is being answered.
pub(crate) struct Grant {
    gauge: Arc<Gauge>,
    bucket: Weak<Bucket>,
    weight: u32,
    asking: Asking,
    when_limited: WhenLimited,
    when_store_fails: WhenStoreFails,
}

enum Asking {
    /// Only polled, never shared: the lock makes it `Sync`.
    Store(Mutex<Answer>),
    /// It need not be asked.
    Known(Option<Denied>),
    /// There is none, or it did not answer.
    Here,
}

type Answer = BoxFuture<'static, Result<Decision, StoreError>>;

/// How soon a store that failed is asked again for a call that waits.
const ASK_AGAIN: Duration = Duration::from_millis(250);

// === impl Remote ===

impl Remote {
    pub(super) fn new(shared: &Shared, settings: &Settings) -> Self {
        Self {
            shared: shared.clone(),
            settings: settings.clone(),
        }
    }

    pub(super) fn store(&self) -> &Arc<dyn RateStore> {
        &self.shared.store
    }

    fn request(&self, bucket: &Bucket, weight: u32, rate: Rate) -> RateRequest {
        RateRequest {
            name: self.shared.name.clone(),
            key: bucket.key().cloned(),
            weight,
            quota: Quota {
                rate,
                burst: self.settings.most(rate),
                spaced: self.settings.algorithm == Algorithm::LeakyBucket,
            },
        }
    }
}

// === impl Grant ===

impl Grant {
    pub(super) fn new(
        remote: Option<&Remote>,
        gauge: &Arc<Gauge>,
        bucket: &Bucket,
        weight: u32,
        rate: Rate,
    ) -> Self {
        let settings = remote.map(|remote| &remote.settings);
        let asking = match (remote, gauge.check(bucket, weight, Instant::now())) {
            (None, _) => Asking::Here,
            (Some(_), Err(denied)) => Asking::Known(Some(denied)),
            (Some(_), Ok(())) if weight == 0 => Asking::Known(None),
            (Some(remote), Ok(())) => {
                let request = remote.request(bucket, weight, rate);
                Asking::Store(Mutex::new(remote.store().acquire(request)))
            }
        };
        Self {
            gauge: gauge.clone(),
            bucket: bucket.me().clone(),
            weight,
            asking,
            when_limited: settings.map_or_else(WhenLimited::default, |s| s.when_limited),
            when_store_fails: settings.map_or_else(WhenStoreFails::default, |s| s.when_store_fails),
        }
    }

    /// Whether it was taken. Fails when the store cannot be asked and calls are to be
    /// rejected then; not polled again after it was ready.
    pub(crate) fn poll_taken(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Taken, Denied>, RateLimited>> {
        let taken = Taken::elsewhere(self.weight);
        let answer = match &mut self.asking {
            Asking::Known(denied) => return Poll::Ready(Ok(denied.map_or(Ok(taken), Err))),
            Asking::Here => return Poll::Ready(Ok(self.take_here())),
            Asking::Store(answer) => {
                let answer = answer.get_mut().unwrap_or_else(PoisonError::into_inner);
                ready!(answer.as_mut().poll(cx))
            }
        };
        Poll::Ready(match answer {
            Ok(Decision::Admitted) => Ok(Ok(taken)),
            Ok(Decision::Wait(time)) => Ok(Err(Denied::Until(later(time)))),
            Err(_) => self.without_store(),
        })
    }

    fn without_store(&self) -> Result<Result<Taken, Denied>, RateLimited> {
        match (self.when_store_fails, self.when_limited) {
            (WhenStoreFails::Open, _) => Ok(self.take_here()),
            (WhenStoreFails::Close, WhenLimited::Wait) => Ok(Err(Denied::Until(later(ASK_AGAIN)))),
            (WhenStoreFails::Close, WhenLimited::Reject) => Err(RateLimited::StoreFailed),
        }
    }

    /// Keeps the rate in this process alone.
    fn take_here(&self) -> Result<Taken, Denied> {
        let now = Instant::now();
        match self.bucket.upgrade() {
            Some(bucket) => self.gauge.take(&bucket, self.weight, now),
            None => Ok(Taken::elsewhere(self.weight)),
        }
    }
}

/// A time from now; a store may answer anything.
fn later(time: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    Instant::now() + time.min(LONGEST)
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}
