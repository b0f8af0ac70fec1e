//! The limiter: its buckets, whom it lets wait, and how it is changed live.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use super::{
    bucket::{Bucket, Denied, Gauge, Taken},
    grant::{Grant, Remote},
    keys::Keys,
    options::{RateLimit, Settings, WhenLimited},
    rate_value::{InvalidRate, Rate},
    store::RateStore,
};
use crate::{Key, lock::lock};

/// Says when calls may start. Is told the time, and never waits itself.
pub(crate) struct Limiter {
    gauge: Arc<Gauge>,
    global: Arc<Bucket>,
    keys: Mutex<Keys>,
    /// Held while the gauge is changed.
    settings: Mutex<Settings>,
    changes: AtomicU64,
    rejects: bool,
    remote: Option<Remote>,
}

// === impl Limiter ===

impl Limiter {
    /// A limiter whose buckets are full. The options have no problems.
    pub(crate) fn new<L>(options: &RateLimit<L>, now: Instant) -> Self {
        let settings = options.settings().clone();
        let gauge = Arc::new(Gauge::new(&settings, now));
        Self {
            global: Bucket::fresh(&gauge, None, now),
            gauge,
            keys: Mutex::new(Keys::new(settings.max_keys)),
            changes: AtomicU64::new(0),
            rejects: settings.when_limited == WhenLimited::Reject,
            remote: options.store().map(|shared| Remote::new(shared, &settings)),
            settings: Mutex::new(settings),
        }
    }

    /// The budget of calls that have no key.
    #[inline]
    pub(crate) fn global(&self) -> &Arc<Bucket> {
        &self.global
    }

    /// The budget of a key; an error says when there may be room for one more key.
    pub(crate) fn bucket(&self, key: Option<Key>, now: Instant) -> Result<Arc<Bucket>, Instant> {
        let Some(key) = key else {
            return Ok(self.global.clone());
        };
        let mut keys = lock(&self.keys);
        if let Some(bucket) = keys.find(&key) {
            return Ok(bucket.clone());
        }
        let nanos = self.gauge.nanos(now);
        let fresh_at = |bucket: &Bucket| self.gauge.fresh_at(bucket, nanos);
        keys.make_room(nanos, &fresh_at)
            .map_err(|later| self.gauge.instant(later))?;
        let bucket = Bucket::fresh(&self.gauge, Some(key.clone()), now);
        keys.add(key, bucket.clone());
        Ok(bucket)
    }

    /// Takes all of `weight`, or nothing.
    #[inline]
    pub(crate) fn take(&self, bucket: &Bucket, weight: u32, now: Instant) -> Result<Taken, Denied> {
        self.gauge.take(bucket, weight, now)
    }

    /// What [`Limiter::take`] would say.
    pub(crate) fn peek(&self, bucket: &Bucket, weight: u32, now: Instant) -> Result<(), Denied> {
        self.gauge.peek(bucket, weight, now)
    }

    /// Gives back what was taken for a call that is not made, as far as it is still worth
    /// something: a place that nobody took in its time is gone.
    pub(crate) fn give_back(&self, bucket: &Bucket, taken: Taken, now: Instant) {
        self.give_back_at(bucket, taken, || now.max(Instant::now()));
    }

    pub(super) fn give_back_at(&self, bucket: &Bucket, taken: Taken, clock: impl Fn() -> Instant) {
        self.gauge.give_back(bucket, taken, clock);
        bucket.line().wake_first();
    }

    /// Admits nobody before `until`: the service asked for that.
    pub(crate) fn hold(&self, bucket: &Bucket, until: Instant) {
        self.gauge.hold(bucket, until);
    }

    /// The store that keeps the budget for several processes, if there is one.
    #[inline]
    pub(crate) fn remote(&self) -> Option<&Arc<dyn RateStore>> {
        self.remote.as_ref().map(Remote::store)
    }

    /// Asks the shared store. Without one, asks the budget here.
    pub(crate) fn ask(&self, bucket: &Bucket, weight: u32) -> Grant {
        let rate = self.rate();
        Grant::new(self.remote.as_ref(), &self.gauge, bucket, weight, rate)
    }

    /// How many calls wait in line, over all keys.
    pub(crate) fn waiting(&self) -> usize {
        let of_keys: usize = lock(&self.keys).buckets().map(|b| b.line().len()).sum();
        self.global.line().len() + of_keys
    }

    /// How many keys have a budget of their own now.
    pub(crate) fn keys(&self) -> usize {
        lock(&self.keys).len()
    }

    pub(crate) fn rate(&self) -> Rate {
        lock(&self.settings).rate
    }

    /// How often the rate was changed: what a store answered before holds no more.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    pub(crate) fn rejects(&self) -> bool {
        self.rejects
    }

    /// Goes on at another rate, at once. What was granted stays granted.
    ///
    /// # Errors
    /// Fails when the rate makes no sense; the old one stays.
    pub(crate) fn set_rate(&self, rate: Rate) -> Result<(), InvalidRate> {
        self.set_rate_at(rate, Instant::now())
    }

    pub(super) fn set_rate_at(&self, rate: Rate, now: Instant) -> Result<(), InvalidRate> {
        rate.check()?;
        {
            let mut settings = lock(&self.settings);
            settings.rate = rate;
            self.gauge.turn(&settings, now);
        }
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.wake_all_lines();
        Ok(())
    }

    /// Those who wait first reckon with the old rate.
    fn wake_all_lines(&self) {
        self.global.line().wake_first();
        let buckets = lock(&self.keys).all();
        for bucket in buckets {
            bucket.line().wake_first();
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("settings", &self.settings)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}
