//! What is set of a dedup.

use std::{fmt, sync::Arc, time::Duration};

use serde::Deserialize;

use super::{
    ByKey, DedupLayer, DedupStore, NoKey,
    local::{Local, Sharing},
};
use towpath_options::duration;

use crate::{InvalidOptions, Key, Problems, WhenStoreFails};

/// Does not make a call again whose key was answered before or is in flight.
///
/// A call of a key that is in flight waits. When the call in flight succeeds, those that wait
/// fail with [`Duplicate`](crate::Duplicate), and so do later ones for the
/// [time to live](Self::ttl). When it fails or is dropped, the one that has waited longest is
/// made. A call that waits holds nothing of the service.
///
/// A call for a message that was [delivered before](crate::context::redelivered) is made though
/// its key is remembered: the message passed here and was given back by a later stage, and is
/// not finished. It is refused only if it waited for a call in flight that succeeded.
///
/// Success is any `Ok`. What is remembered lives in memory: after a restart a call may be
/// made once more. With a [shared store](Self::shared) it outlives the process, and several processes
/// share it.
///
/// ```
/// # use std::time::Duration;
/// use towpath_policy::{BoxError, Dedup, Duplicate, find, service_fn};
/// use tower::{Layer, Service, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dedup = Dedup::by_key(|order: &(u64, &str)| order.0)
///     .ttl(Duration::from_secs(600))
///     .build()?;
/// let mut ship = dedup.layer(service_fn(|_| async { Ok::<_, BoxError>("shipped") }));
/// assert_eq!(ship.ready().await?.call((7, "a chair")).await?, "shipped");
/// let error = ship.ready().await?.call((7, "a chair")).await.unwrap_err();
/// assert!(find::<Duplicate>(error.as_ref()).is_some());
/// # Ok::<_, BoxError>(()) }).unwrap();
/// ```
#[derive(Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default = "Dedup::unset",
    bound(deserialize = "K: Default")
)]
#[must_use = "options do nothing until they are built"]
pub struct Dedup<K = NoKey> {
    #[serde(with = "duration")]
    ttl: Duration,
    max_keys: usize,
    #[serde(with = "duration")]
    lease: Duration,
    when_store_fails: WhenStoreFails,
    #[serde(skip)]
    shared: Option<(Arc<dyn DedupStore>, Arc<str>)>,
    #[serde(skip)]
    key: K,
}

impl<F> Dedup<ByKey<F>> {
    /// Requests of one key are the same request.
    ///
    /// A key is a number or a text that is the same whenever the request is delivered again.
    pub fn by_key<Q, K>(key: F) -> Self
    where
        F: Fn(&Q) -> K,
        K: Into<Key>,
    {
        Dedup::<NoKey>::unset().keyed(key)
    }
}

impl<O: Default> Dedup<O> {
    /// What holds unless it is said otherwise.
    fn unset() -> Self {
        Self {
            ttl: Duration::from_secs(600),
            max_keys: 100_000,
            lease: Duration::from_secs(30),
            when_store_fails: WhenStoreFails::default(),
            shared: None,
            key: O::default(),
        }
    }
}

impl<O> Dedup<O> {
    /// Gives a key to options that were read.
    pub fn keyed<Q, K, F>(self, key: F) -> Dedup<ByKey<F>>
    where
        F: Fn(&Q) -> K,
        K: Into<Key>,
    {
        Dedup {
            ttl: self.ttl,
            max_keys: self.max_keys,
            lease: self.lease,
            when_store_fails: self.when_store_fails,
            shared: self.shared,
            key: ByKey(key),
        }
    }

    /// How long a key is remembered after its call has succeeded; ten minutes unless said
    /// otherwise.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many keys are kept, those in flight and those that are remembered; 100 000 unless
    /// said otherwise.
    ///
    /// When there are more, the one whose time is over first is forgotten before its time.
    /// When all are in flight, calls of other keys wait.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Keeps the keys in a store too, shared with all who use the same store and name.
    pub fn shared(mut self, store: Arc<dyn DedupStore>, name: impl Into<Arc<str>>) -> Self {
        self.shared = Some((store, name.into()));
        self
    }

    /// How long a claim in the store holds when nothing more is heard of its process; 30
    /// seconds unless said otherwise.
    ///
    /// A call that runs renews it. A call that was dropped leaves it behind: the next call of
    /// the key in this process takes it over, other processes wait until it has expired.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Makes calls without a claim while the shared store cannot be asked: of one key there
    /// may be one in each process.
    pub fn fail_open(mut self) -> Self {
        self.when_store_fails = WhenStoreFails::Open;
        self
    }

    /// Calls fail with [`DedupStoreFailed`](super::DedupStoreFailed) while the shared store
    /// cannot be asked; so unless set.
    pub fn fail_closed(mut self) -> Self {
        self.when_store_fails = WhenStoreFails::Close;
        self
    }

    /// Reports what is wrong with the options.
    pub fn problems(&self, problems: &mut Problems) {
        problems.expect_time("ttl", self.ttl);
        problems.expect_some("max_keys", self.max_keys as u64);
        problems.expect_time("lease", self.lease);
    }

    /// Makes the layer.
    ///
    /// # Errors
    /// Fails when an option cannot be used, with all such options.
    pub fn build(self) -> Result<DedupLayer<O>, InvalidOptions> {
        let mut problems = Problems::new();
        self.problems(&mut problems);
        problems.into_result()?;
        let sharing = self.shared.map(|(store, name)| Sharing {
            store,
            name,
            owner: fastrand::u64(..),
            lease: self.lease,
            when_store_fails: self.when_store_fails,
        });
        let local = Local::new(self.max_keys, self.ttl, sharing);
        Ok(DedupLayer {
            key: Arc::new(self.key),
            local: Arc::new(local),
        })
    }
}

impl<K> fmt::Debug for Dedup<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedup")
            .field("ttl", &self.ttl)
            .field("max_keys", &self.max_keys)
            .field("lease", &self.lease)
            .field("when_store_fails", &self.when_store_fails)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
