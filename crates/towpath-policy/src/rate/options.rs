//! The options of a rate limit.

use std::{fmt, sync::Arc, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};

use super::{
    charge::{Flat, Keyed, Weighed},
    rate_value::Rate,
    store::RateStore,
};
use towpath_options::Problems;

use crate::Key;

/// How many calls may start in a while.
///
/// Over any interval `t` at most `burst + rate * t` start. In options a rate in words, such
/// as `"500/s"`, or a table with a `rate` and what else is set.
///
/// ```
/// # use towpath_policy::{Key, Rate, RateLimit};
/// # use std::time::Duration;
/// # struct Upload { user: u64, kilobytes: u32 }
/// let limit = RateLimit::new(Rate::new(10_000, Duration::from_secs(60)))
///     .burst(2_000)
///     .by_key(|upload: &Upload| upload.user)
///     .weight(|upload: &Upload| upload.kilobytes);
/// ```
#[must_use = "options do nothing until a service is built with them"]
pub struct RateLimit<L = Flat> {
    settings: Settings,
    shared: Option<Shared>,
    charge: Arc<L>,
}

/// How the budget is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Algorithm {
    /// A bucket of `burst` tokens that fills at the rate.
    #[default]
    TokenBucket,
    /// At most the count of the rate within any period that ends now; no burst beyond that.
    SlidingWindow,
    /// Calls keep their distance: each the next one as far as it weighs; no burst.
    LeakyBucket,
}

/// What becomes of a call for which there is no budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenLimited {
    /// It waits for its turn.
    #[default]
    Wait,
    /// It fails with [`RateLimited`](crate::RateLimited).
    Reject,
}

/// What a limiter does while the store that it shares with others cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenStoreFails {
    /// Nothing is admitted until the store answers again.
    #[default]
    Close,
    /// Each process keeps the rate on its own: together they may exceed it.
    Open,
}

/// What is the same for every kind of charge; what options in words say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) rate: Rate,
    #[serde(default)]
    burst: Option<u32>,
    #[serde(default)]
    pub(super) algorithm: Algorithm,
    #[serde(default)]
    pub(super) when_limited: WhenLimited,
    #[serde(default = "many_keys")]
    pub(super) max_keys: usize,
    #[serde(default)]
    pub(super) when_store_fails: WhenStoreFails,
}

/// A store and the name of the budget in it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn RateStore>,
    pub(super) name: Arc<str>,
}

const MAX_KEYS: usize = 10_000;

fn many_keys() -> usize {
    MAX_KEYS
}

/// What a timer that is late may make up for, beside the call itself.
const CATCH_UP: Duration = Duration::from_millis(100);

// === impl RateLimit ===

impl RateLimit {
    /// Admits at most so many in a second, and a tenth of that at once.
    pub fn per_second(count: u32) -> Self {
        Self::new(Rate::per_second(count))
    }

    /// Admits at a rate, waiting for it: a token bucket with the default burst.
    pub fn new(rate: Rate) -> Self {
        Self {
            settings: Settings::new(rate),
            shared: None,
            charge: Arc::new(Flat),
        }
    }
}

impl<L> RateLimit<L> {
    /// The most that a token bucket grants at once, after a while without calls.
    ///
    /// One, and what comes in a tenth of a second (rounded), unless set. A timer is late by
    /// up to a few milliseconds: with a burst of one, that much of the budget is lost at
    /// each call.
    pub fn burst(mut self, burst: u32) -> Self {
        self.settings.burst = Some(burst);
        self
    }

    /// Counts the budget with another algorithm.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.settings.algorithm = algorithm;
        self
    }

    /// Admits at most the count of the rate within any of its periods, wherever it starts:
    /// right where the other side counts calls per minute.
    ///
    /// Remembers when calls started; for a count above 512, those within a 512th of the
    /// period are counted as the last of them.
    pub fn sliding_window(self) -> Self {
        self.algorithm(Algorithm::SlidingWindow)
    }

    /// Spaces calls evenly: never two at once, however long nobody came.
    ///
    /// A timer is late by a millisecond or so, which is lost at each call; above ten per
    /// second a token bucket with a burst of two keeps the rate better.
    pub fn leaky_bucket(self) -> Self {
        self.algorithm(Algorithm::LeakyBucket)
    }

    /// Gives each key a budget of its own.
    pub fn by_key<Q, K, F>(self, key: F) -> RateLimit<Keyed<F, L>>
    where
        F: Fn(&Q) -> K + Send + Sync + 'static,
        K: Into<Key>,
    {
        self.charged(|inner| Keyed::new(key, inner))
    }

    /// What a call costs; one, unless set. A call of weight zero is free.
    pub fn weight<Q, F>(self, weight: F) -> RateLimit<Weighed<F, L>>
    where
        F: Fn(&Q) -> u32 + Send + Sync + 'static,
    {
        self.charged(|inner| Weighed::new(weight, inner))
    }

    /// How many keys have a budget at once; 10000 unless set.
    ///
    /// A key is forgotten when its budget is full again. While none is, calls of a new key
    /// wait, or are rejected.
    pub fn max_keys(mut self, most: usize) -> Self {
        self.settings.max_keys = most;
        self
    }

    /// Fails calls for which there is no budget, in place of letting them wait.
    pub fn rejecting(self) -> Self {
        self.when_limited(WhenLimited::Reject)
    }

    /// Lets calls wait for budget, first come, first served; so unless set.
    pub fn waiting(self) -> Self {
        self.when_limited(WhenLimited::Wait)
    }

    /// What becomes of a call for which there is no budget.
    pub fn when_limited(mut self, when_limited: WhenLimited) -> Self {
        self.settings.when_limited = when_limited;
        self
    }

    /// Shares the budget with all who use the same store and name.
    pub fn shared(mut self, store: Arc<dyn RateStore>, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        self.shared = Some(Shared { store, name });
        self
    }

    /// Lets each process keep the rate on its own while the shared store cannot be asked.
    pub fn fail_open(mut self) -> Self {
        self.settings.when_store_fails = WhenStoreFails::Open;
        self
    }

    /// Admits nothing while the shared store cannot be asked; so unless set.
    pub fn fail_closed(mut self) -> Self {
        self.settings.when_store_fails = WhenStoreFails::Close;
        self
    }

    pub(crate) fn charge(&self) -> Arc<L> {
        self.charge.clone()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn store(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    pub(crate) fn problems(&self, problems: &mut Problems) {
        self.settings.problems(problems);
        let is_window = self.settings.algorithm == Algorithm::SlidingWindow;
        if is_window && self.shared.is_some() {
            problems.add(
                "algorithm",
                "a sliding window cannot be shared through a store",
            );
        }
        if self
            .shared
            .as_ref()
            .is_some_and(|shared| shared.name.is_empty())
        {
            problems.add("shared", "the name of a shared budget must not be empty");
        }
    }

    fn charged<M>(self, charge: impl FnOnce(Arc<L>) -> M) -> RateLimit<M> {
        RateLimit {
            settings: self.settings,
            shared: self.shared,
            charge: Arc::new(charge(self.charge)),
        }
    }
}

impl<L> Clone for RateLimit<L> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            shared: self.shared.clone(),
            charge: self.charge.clone(),
        }
    }
}

impl<L> fmt::Debug for RateLimit<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("settings", &self.settings)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// In a few words: `rate limit 500/s, burst 51`.
impl<L> fmt::Display for RateLimit<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        write!(f, "rate limit {}", settings.rate)?;
        match settings.algorithm {
            Algorithm::TokenBucket => write!(f, ", burst {}", settings.most(settings.rate))?,
            Algorithm::SlidingWindow => f.write_str(", sliding window")?,
            Algorithm::LeakyBucket => f.write_str(", evenly spaced")?,
        }
        if settings.when_limited == WhenLimited::Reject {
            f.write_str(", rejecting")?;
        }
        match &self.shared {
            Some(shared) => write!(f, ", shared as {}", shared.name),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = deserializer.deserialize_any(RateOrTable)?;
        let limit = Self::new(settings.rate);
        Ok(Self { settings, ..limit })
    }
}

/// A rate in words is a table with nothing else set.
struct RateOrTable;

impl<'de> de::Visitor<'de> for RateOrTable {
    type Value = Settings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate such as 500/s, or a table with a rate")
    }

    fn visit_str<E: de::Error>(self, words: &str) -> Result<Settings, E> {
        words.parse().map(Settings::new).map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Settings, A::Error> {
        Settings::deserialize(MapAccessDeserializer::new(map))
    }
}

// === impl Settings ===

impl Settings {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            burst: None,
            algorithm: Algorithm::default(),
            when_limited: WhenLimited::default(),
            max_keys: MAX_KEYS,
            when_store_fails: WhenStoreFails::default(),
        }
    }

    /// The most that is granted at once, at a rate.
    pub(super) fn most(&self, rate: Rate) -> u32 {
        match self.algorithm {
            Algorithm::TokenBucket => self
                .burst
                .unwrap_or_else(|| rate.in_time(CATCH_UP).saturating_add(1)),
            Algorithm::SlidingWindow | Algorithm::LeakyBucket => rate.count(),
        }
    }

    fn problems(&self, problems: &mut Problems) {
        if let Err(error) = self.rate.check() {
            problems.add("rate", error.to_string());
        }
        if self.burst == Some(0) {
            problems.add("burst", "must be at least 1");
        }
        if self.burst.is_some() && self.algorithm != Algorithm::TokenBucket {
            problems.add("burst", "only a token bucket has a burst");
        }
        if self.max_keys == 0 {
            problems.add("max_keys", "must be at least 1");
        }
    }
}
